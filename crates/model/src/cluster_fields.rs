//! The keys of a cluster file, as tables: what the specs hold, and the names that earlier files wrote.

use crate::field::{Field, Shape, Word, field, later_word, word};

pub use crate::route_fields::{AFFINITY, FALLBACK, HEADERS, MIRROR, REDIRECT, RESPOND, SPLIT};

/// The largest time in milliseconds: a day.
const DAY_MS: i64 = 86_400_000;

const STRATEGIES: &str = "the further strategies";
const LEARNING: &str = "the adaptive strategy";

/// How an endpoint is picked.
pub const STRATEGY: &[Word] = &[
    word("round_robin"),
    word("weighted"),
    word("least_connections"),
    word("two_choices"),
    word("latency"),
    word("hash"),
    // As earlier files spell it.
    word("consistent_hash"),
    word("sticky_session"),
    later_word("adaptive", LEARNING),
    later_word("ai", LEARNING),
    later_word("weighted_random", STRATEGIES),
];

/// A cluster file.
pub const CLUSTER: &[Field] = &[
    field("cluster_id", Shape::ClusterId, "Unique in the gateway; left out, the directory's name."),
    field("name", Shape::Text, "A name for people, at most 64 characters; left out, the id."),
    field("description", Shape::Text, "A sentence for people."),
    field("created_at", Shape::Timestamp, "When it was created."),
    field("updated_at", Shape::Timestamp, "Read from older files; nothing depends on it."),
    field("services", Shape::MapOf(&Shape::Service), "Its services by name."),
    field("routes", Shape::List(&Shape::Fields(ROUTE)), "The routes that this file owns."),
    field("routing", Shape::Fields(ROUTING), "How requests are routed."),
    field("health", Shape::Fields(HEALTH), "How endpoints are probed."),
    field("ai", Shape::Fields(AI), "Read from older files: what a learning balancer would do."),
];

/// The keys that a service of any kind may have; its driver adds its own.
pub const SERVICE: &[Field] = &[
    field("type", Shape::Text, "Its kind.").required(),
    field(
        "provision",
        Shape::AnyOf(&[Shape::Bool, Shape::Choice(&[word("docker"), word("process")])]),
        "Whether and by what the gateway runs it. Left out, it does where there is no `host` and no `endpoints`.",
    ),
    field("run", Shape::Fields(RUN), "How it is run, where the gateway runs it."),
    field("host", Shape::Host, "The name or address of its one endpoint."),
    field("port", Shape::Integer(1, 65_535), "The port of `host`."),
    field("weight", WEIGHT, "The weight of `host`.").default("1"),
    field("endpoints", Shape::List(&Shape::Fields(ENDPOINT)), "Its endpoints, when there are several."),
    field("replicas", Shape::List(&Shape::Fields(ENDPOINT)), "Copies beside `host` that take reads."),
    USERNAME,
    PASSWORD,
    DATABASE,
    field("container_id", Shape::Text, "Read from older files and kept; nothing depends on it."),
    field("health", Shape::Fields(SERVICE_HEALTH), "How its endpoints are probed, over the cluster's."),
    field("outlier", Shape::Fields(OUTLIER), "When an endpoint is set aside."),
];

/// `username`, for the table of a kind that has users. A kind that does not list it refuses it.
pub const USERNAME: Field = field("username", Shape::Text, "Who the gateway is to it.");

/// `password`, for the table of a kind that asks for one. A kind that does not list it refuses it.
pub const PASSWORD: Field = field("password", Shape::Secret, "How the gateway proves it.");

/// `database`, for the table of a kind that has several. A kind that does not list it refuses it.
pub const DATABASE: Field = field("database", Shape::Text, "Which of its databases.");

/// The key of `run` that says how much memory there is, which other files name too.
pub(crate) const MEMORY: &str = "memory";

/// `run` of a service that the gateway runs.
pub const RUN: &[Field] = &[
    field("image", Shape::Text, "The image of its container; left out, that of its kind."),
    field(
        "env",
        Shape::MapOf(&Shape::Text),
        "Further environment of its program. Nothing secret: whoever may ask the engine sees it.",
    ),
    field(MEMORY, Shape::Text, "The most memory that its container may have, such as `512mb`."),
    field("cpus", Shape::Number(0.01, 1024.0), "How many processors its container may keep busy."),
    field(
        "bind",
        Shape::Choice(&[word("127.0.0.1"), word("0.0.0.0")]),
        "The address of this machine at which clients reach it: this machine's alone, or everybody.",
    )
    .default("127.0.0.1"),
];

const WEIGHT: Shape = Shape::Integer(0, 1000);

/// One endpoint of a service.
pub const ENDPOINT: &[Field] = &[
    field("host", Shape::Host, "Its name or address.").required(),
    field("port", Shape::Integer(1, 65_535), "Its port; left out, that of its kind."),
    field("weight", WEIGHT, "Its share of the traffic against its siblings; 0 takes it out.").default("1"),
    field(
        "role",
        Shape::Choice(&[word("primary"), word("replica"), word("readonly")]),
        "Whether it takes everything or only reads.",
    )
    .default("primary"),
];

/// A route, in a cluster file or by the API.
pub const ROUTE: &[Field] = &[
    field("id", Shape::Text, "Unique in the gateway; left out, made from cluster and path."),
    field("cluster", Shape::ClusterId, "The cluster of the service; in a cluster file it is that cluster."),
    field("service", Shape::Name, "The service that answers."),
    field("split", Shape::List(&Shape::Fields(SPLIT)), "Several services by weight, in place of `service`."),
    field("redirect", Shape::Fields(REDIRECT), "Sends the client elsewhere, in place of `service`."),
    field("respond", Shape::Fields(RESPOND), "A fixed answer, in place of `service`."),
    field(
        "listener",
        Shape::Name,
        "The one listener on which it answers, `main` for that of `proxy.port`; left out, every one.",
    ),
    field(
        "host",
        Shape::RouteHost,
        "The host it answers for, or `*.example.com` for all below one; left out, every host.",
    ),
    field(
        "path",
        Shape::RoutePath,
        "`/exact`, `/with/:name` or `/with/{name}`, or `/prefix/*`, which also matches `/prefix`.",
    )
    .required(),
    field("methods", Shape::List(&Shape::Text), "Methods; left out, all."),
    field("headers", Shape::MapOf(&Shape::Text), "Headers that must be there with these values; `*` is any."),
    field(
        "query",
        Shape::MapOf(&Shape::Text),
        "Query parameters that must be there with these values; `*` is any.",
    ),
    field("strip_prefix", Shape::Bool, "Takes what stands before `*` off the path that the service sees.")
        .default("false"),
    field(
        "rewrite",
        Shape::RoutePath,
        "The path that the service sees; `*`, `:name` and `{name}` stand for what they matched.",
    ),
    field("timeout", Shape::SpanFrom(1), "Time for all tries together; left out, the cluster's."),
    field("retry", Shape::Fields(RETRY), "How often and when another try is made; left out, the cluster's."),
    field("strategy", Shape::Choice(STRATEGY), "How an endpoint is picked; left out, the cluster's."),
    field(
        "rate_limit",
        Shape::Fields(RATE_LIMIT),
        "How much each client may ask; left out, there is no limit.",
    ),
    field("enabled", Shape::Bool, "Whether it takes part.").default("true"),
    field(
        "mirror",
        Shape::Fields(MIRROR),
        "A service that gets copies of requests, and whose answers nobody reads.",
    ),
    field("request_headers", Shape::Fields(HEADERS), "Headers changed on the way to the service."),
    field("response_headers", Shape::Fields(HEADERS), "Headers changed on the way to the client."),
    field("affinity", Shape::Fields(AFFINITY), "What keeps a client with one endpoint."),
    field("fallback", Shape::Fields(FALLBACK), "What answers when the service cannot."),
];

/// `retry` of a route.
pub const RETRY: &[Field] = &[
    field("attempts", Shape::Integer(1, 20), "Tries in all, the first included.").default("3"),
    field("per_try", Shape::SpanFrom(1), "Time for one try; left out, a share of what is left."),
    field(
        "on",
        Shape::List(&Shape::Choice(&[
            word("connect"),
            word("reset"),
            word("timeout"),
            word("gateway_error"),
        ])),
        "What leads to another try, among what may run again at all.",
    )
    .default("[connect, reset, timeout, gateway_error]"),
    field(
        "hedge",
        Shape::Fields(HEDGE),
        "A second try beside a first that takes long; the first answer counts. Only of GET, HEAD and OPTIONS without a \
         body.",
    ),
];

/// `hedge` of `retry`.
pub const HEDGE: &[Field] =
    &[field("after", Shape::SpanFrom(1), "How long the first may take until then.").required()];
/// `rate_limit` of a route.
pub const RATE_LIMIT: &[Field] = &[
    field("requests", Shape::Integer(1, 1_000_000), "Requests that each client may send in `per`.")
        .required(),
    field("per", Shape::SpanFrom(1), "The time of `requests`.").default("1s"),
    field("burst", Shape::Integer(1, 1_000_000), "How many of them at once; left out, all of them."),
    field("key", Shape::Text, "What tells one client from another: `client`, its address, or `header:NAME`.")
        .default("client"),
];

/// `routing` of a cluster.
pub const ROUTING: &[Field] = &[
    field("strategy", Shape::Choice(STRATEGY), "How an endpoint is picked, unless the route says otherwise.")
        .default("round_robin"),
    field("failover_enabled", Shape::Bool, "Whether another endpoint is asked when one fails.")
        .default("true"),
    field("timeout_ms", Shape::Integer(1, DAY_MS), "Milliseconds for all tries together.").default("5000"),
    field("retry_attempts", Shape::Integer(1, 20), "Tries in all, the first included.").default("3"),
    field("per_try", Shape::SpanFrom(1), "Time for one try; left out, a share of what is left."),
    field("retry_budget", SHARE, "Retries as a share of the last ten seconds' requests.").default("0.2"),
    field("circuit_breaker", Shape::Fields(BREAKER), "When an endpoint is left alone."),
];

/// A share of a whole.
const SHARE: Shape = Shape::Number(0.0, 1.0);

/// `circuit_breaker` of `routing`.
pub const BREAKER: &[Field] = &[
    field("enabled", Shape::Bool, "Whether there is one.").default("true"),
    field("failure_threshold", Shape::Integer(1, 10_000), "Failures in a row that open it.").default("5"),
    field("reset_timeout", Shape::SpanFrom(1), "How long it stays open before trials are let through.")
        .default("60s"),
    field("error_rate", SHARE, "Share of failures within `window` that opens it.").default("0.5"),
    field("window", Shape::SpanFrom(100), "The window of `error_rate`.").default("10s"),
    field(
        "minimum",
        Shape::Integer(1, 1_000_000),
        "Outcomes in the window below which `error_rate` says nothing.",
    )
    .default("20"),
    field(
        "trials",
        Shape::Integer(1, 100),
        "Requests let through at once while half-open; as many successes close it.",
    )
    .default("3"),
];

/// `health` of a cluster.
pub const HEALTH: &[Field] = &[
    field("enabled", Shape::Bool, "Whether endpoints are probed at all.").default("true"),
    field("interval", Shape::SpanFrom(100), "Time between two probes of one endpoint.").default("10s"),
    field("timeout", Shape::SpanFrom(1), "Time for one probe.").default("5s"),
    field("threshold", Shape::Integer(1, 100), "Probes in a row that change the verdict, either way.")
        .default("3"),
    field("panic_threshold", SHARE, PANIC).default("0.5"),
];

const PANIC: &str = "Share of a service's endpoints below which failed probes alone take none of them out.";

/// `health` of a service: each key that is there stands in for the cluster's, so none has a default.
pub const SERVICE_HEALTH: &[Field] = &[
    field("enabled", Shape::Bool, "Whether its endpoints are probed at all."),
    field("interval", Shape::SpanFrom(100), "Time between two probes of one endpoint."),
    field("timeout", Shape::SpanFrom(1), "Time for one probe."),
    field("threshold", Shape::Integer(1, 100), "Probes in a row that change the verdict, either way."),
    field("panic_threshold", SHARE, PANIC),
];

/// `outlier` of a service.
pub const OUTLIER: &[Field] = &[
    field("enabled", Shape::Bool, "Whether endpoints are set aside.").default("true"),
    field("ejection", Shape::SpanFrom(1), "How long the first time; each further time adds as much.")
        .default("5s"),
    field("max_ejection", Shape::SpanFrom(1), "The longest time.").default("1m"),
    field("max_share", SHARE, "Share of the service's endpoints that may be aside at once.").default("0.5"),
    field(
        "silence",
        Shape::SpanFrom(1),
        "How long several requests may stay unanswered before it is passed over.",
    )
    .default("1s"),
    field(
        "slow_start",
        Shape::SpanFrom(0),
        "How long one that joins or comes back takes to get its whole share; `0s` for at once.",
    )
    .default("5s"),
];

/// `limits` of a service, for the table of a kind that carries requests.
pub const LIMITS: &[Field] = &[
    field(
        "max_connections",
        Shape::Integer(1, MANY),
        "Connections to each of its endpoints at once, of the whole process, WebSockets among them; a probe has one more.",
    ),
    field(
        "max_requests",
        Shape::Integer(1, MANY),
        "Requests under way at once, upgraded connections among them.",
    ),
    field(
        "max_pending",
        Shape::Integer(0, MANY),
        "Requests that wait, in order, for one of these to end, or for a connection; left out, as many as may be under \
         way, or connected.",
    ),
    field(
        "adaptive",
        Shape::Bool,
        "Whether the gateway finds out how many requests at once it bears, up to `max_requests` or 1000.",
    )
    .default("false"),
];

/// More than any service is asked at once.
const MANY: i64 = 1_000_000;

/// `ai` of older files: only what means "off" is accepted.
pub const AI: &[Field] = &[
    field("enabled", Shape::Bool, "Whether a balancer learns.").default("false").later(LEARNING),
    field("model", Shape::Text, "What it learns with.").default("linear_regression").later(LEARNING),
    field("min_data_points", Shape::Integer(0, i64::MAX), "What it needs to begin.")
        .default("100")
        .later(LEARNING),
    field("update_interval", Shape::Span, "How often it learns.").default("300s").later(LEARNING),
    field("features", Shape::List(&Shape::Text), "What it looks at.")
        .default("[latency, load, error_rate]")
        .later(LEARNING),
];
