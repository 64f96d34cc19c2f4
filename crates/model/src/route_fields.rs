//! The keys of a route's parts, as tables.

use crate::field::{Field, Shape, field, word};
use crate::route::SCHEMES;

/// One of the services of `split`.
pub const SPLIT: &[Field] = &[
    field("service", Shape::Name, "Which service.").required(),
    field("weight", Shape::Integer(0, 10_000), "Its share against the others'; 0 gets nothing.").default("1"),
];

/// `mirror` of a route.
pub const MIRROR: &[Field] = &[
    field("service", Shape::Name, "Which service.").required(),
    field("share", Shape::Number(0.0, 1.0), "The share of requests that it gets.").default("1.0"),
];

/// `redirect` of a route.
pub const REDIRECT: &[Field] = &[
    field(
        "status",
        Shape::Integer(301, 308),
        "301, 302, 303, 307 or 308; the last two keep method and body.",
    )
    .default("307"),
    field(
        "to",
        Shape::Text,
        "An address or a path; `*`, `:name` and `{name}` in its path stand for what they matched, and the query stays unless it says one.",
    ),
    field(
        "scheme",
        Shape::Choice(&[word(SCHEMES[0]), word(SCHEMES[1])]),
        "Another scheme, in place of `to`.",
    ),
    field("host", Shape::Host, "Another host, in place of `to`."),
    field(
        "port",
        Shape::Integer(1, 65_535),
        "Another port, in place of `to`; left out beside `scheme` or `host`, the scheme's own.",
    ),
    field("path", Shape::RoutePath, "Another path, in place of `to`."),
];

/// `respond` of a route, and of its `fallback`.
pub const RESPOND: &[Field] = &[
    field("status", Shape::Integer(200, 599), "Its status.").default("200"),
    field("body", Shape::Text, "What is said."),
    field("content_type", Shape::Text, "What kind of text that is; left out, `text/plain; charset=utf-8`."),
];

/// `request_headers` and `response_headers` of a route.
pub const HEADERS: &[Field] = &[
    field("remove", Shape::List(&Shape::Text), "Taken out, in either spelling (`-` or `_`)."),
    field("set", Shape::MapOf(&Shape::Text), "Put in place of those of the same name."),
    field("add", Shape::MapOf(&Shape::Text), "Put beside those of the same name."),
];

/// `affinity` of a route.
pub const AFFINITY: &[Field] = &[
    field("cookie", Shape::Text, "The name of a cookie."),
    field(
        "ttl",
        Shape::SpanFrom(1000),
        "How long the cookie lasts that the gateway makes; left out, until the browser closes.",
    ),
    field("make", Shape::Bool, "Whether the gateway makes the cookie; otherwise the service does.")
        .default("true"),
    field("header", Shape::Text, "The name of a header."),
    field("query", Shape::Text, "The name of a query parameter."),
    field("address", Shape::Bool, "The client's address.").default("false"),
];

/// `fallback` of a route.
pub const FALLBACK: &[Field] = &[
    field(
        "service",
        Shape::Name,
        "Another service, for requests that may be sent again or have not left yet.",
    ),
    field("respond", Shape::Fields(RESPOND), "A fixed answer."),
];
