//! What only a `kafka` service can say.

use std::time::Duration;

use model::check::{Problems, is_provisioned};
use model::cluster_fields::{PASSWORD, USERNAME};
use model::field::{Field, Shape, field, word};
use model::tree::Node;
use model::{Code, Failure, ServiceSpec};

use crate::options::Said;
use crate::{recipe, size, tls};

const AUTO_CREATE: &str = "auto_create";
const BUFFER: &str = "buffer";
const COMPRESSION: &str = "compression";
const DELIVERY_TIMEOUT: &str = "delivery_timeout";
const LINGER: &str = "linger";
const MAX_MESSAGE: &str = "max_message";
const MAX_UNSETTLED: &str = "max_unsettled";
const NUM_PARTITIONS: &str = "num_partitions";
const SASL: &str = "sasl";

/// The keys of the kind.
pub(super) const FIELDS: &[Field] = &[
    USERNAME,
    PASSWORD,
    field(SASL, Shape::Fields(SASL_FIELDS), "How `username` and `password` are proven."),
    tls::FIELD,
    field(
        NUM_PARTITIONS,
        Shape::Integer(1, 1000),
        "Partitions of a topic that does not say how many.",
    )
    .default("1"),
    field(AUTO_CREATE, Shape::Bool, "Whether publishing to a topic that is not there makes it.")
        .default("true"),
    field(
        MAX_MESSAGE,
        Shape::Text,
        "The largest message, key and headers included, such as `64kb` or `1mb`, or in bytes. The broker has a limit \
         of its own, `message.max.bytes`.",
    )
    .default("1mb"),
    field(
        COMPRESSION,
        Shape::Choice(&[word("none"), word("gzip"), word("snappy"), word("lz4"), word("zstd")]),
        "How messages are compressed on their way to the broker.",
    )
    .default("none"),
    field(
        LINGER,
        Shape::Span,
        "How long a message waits for others to be sent along with it, up to a second. Those that come while others are \
         on their way go together without; where hundreds publish at a time, `1ms` makes larger batches of them.",
    )
    .default("0ms"),
    field(
        DELIVERY_TIMEOUT,
        Shape::SpanFrom(100),
        "How long the gateway tries to publish a message, whether or not its client still waits.",
    )
    .default("10s"),
    field(
        BUFFER,
        Shape::Text,
        "Bytes of messages that wait to be published at a time; more are refused as `overloaded`.",
    )
    .default("64mb"),
    field(
        MAX_UNSETTLED,
        Shape::Text,
        "Bytes of messages that a stream may have delivered and not settled, since they stay in memory.",
    )
    .default("64mb"),
];

const SASL_FIELDS: &[Field] = &[field(
    "mechanism",
    Shape::Choice(&[word("PLAIN"), word("SCRAM-SHA-256"), word("SCRAM-SHA-512")]),
    "By which mechanism. PLAIN sends the password as it is, and belongs behind `tls`.",
)
.default("PLAIN")];

/// What librdkafka can be told of a message's size.
const LARGEST_MESSAGE: u64 = 256 << 20;
const DEFAULT_MESSAGE: u64 = 1 << 20;
const DEFAULT_BUFFER: u64 = 64 << 20;
const TOO_SMALL: &str =
    "must have room for a message of `max_message`: a larger one would be refused for ever";
const LONGEST_LINGER: Duration = Duration::from_secs(1);
const LONGEST_DELIVERY: Duration = Duration::from_secs(3600);

/// The checked options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) num_partitions: u32,
    pub(super) auto_create: bool,
    /// In bytes.
    pub(super) max_message: u64,
    pub(super) compression: Box<str>,
    pub(super) linger: Duration,
    pub(super) delivery_timeout: Duration,
    /// In bytes.
    pub(super) buffer: u64,
    /// In bytes.
    pub(super) max_unsettled: u64,
    /// Set where the service has a user.
    pub(super) mechanism: Option<Box<str>>,
}

/// What the table cannot say: sizes and spans within their limits, and that a mechanism needs a user.
pub(super) fn check(service: &Node, problems: &mut Problems) {
    tls::check(service, problems);
    if let Some(sni) = said(service, tls::TLS).and_then(|tls| said(tls, "sni")) {
        let message = "is not taken here: a broker is checked by the name under which it is announced";
        problems.at(sni, "tls.sni", message);
    }
    for (key, read) in [(MAX_MESSAGE, max_message as Reader), (BUFFER, room), (MAX_UNSETTLED, room)] {
        if let Some(node) = said(service, key)
            && let Some(text) = node.as_text()
            && let Err(message) = read(&text)
        {
            problems.at(node, key, message).suggestion = Some("write it as `1mb`".to_owned());
        }
    }
    for (key, read) in [(LINGER, linger as SpanReader), (DELIVERY_TIMEOUT, delivery_timeout)] {
        if let Some(node) = said(service, key)
            && let Some(text) = node.as_text()
            && let Err(message) = read(&text)
        {
            problems.at(node, key, message);
        }
    }
    if let (Ok(largest), Ok(room)) =
        (in_bytes(service, MAX_MESSAGE, max_message), in_bytes(service, BUFFER, room))
        && let Some(node) = said(service, BUFFER).or_else(|| said(service, MAX_MESSAGE))
        && room < largest
    {
        problems.at(node, BUFFER, TOO_SMALL);
    }
    if is_provisioned(service) {
        return check_provisioned(service, problems);
    }
    let (user, password) = (said(service, USERNAME.name), said(service, PASSWORD.name));
    match (user, password) {
        (Some(user), None) => problems.at(user, USERNAME.name, "needs the `password` that belongs to it"),
        (None, Some(password)) => {
            problems.at(password, PASSWORD.name, "needs the `username` that it belongs to")
        }
        (None, None) if let Some(sasl) = said(service, SASL) => {
            problems.at(sasl, SASL, "needs a `username` and a `password`")
        }
        _ => return,
    };
}

/// What a broker that the gateway runs is not.
fn check_provisioned(service: &Node, problems: &mut Problems) {
    for key in [USERNAME.name, PASSWORD.name, SASL] {
        if let Some(node) = said(service, key) {
            let message = "means nothing to a broker that the gateway runs, which asks nobody who he is";
            problems.at(node, key, message).suggestion = Some(recipe::ELSEWHERE.to_owned());
        }
    }
    if let Some(bind) = said(service, "run").and_then(|run| said(run, "bind"))
        && bind.as_str() == Some("0.0.0.0")
    {
        let message = "would reach nobody: a broker tells its clients where it is, and says `localhost`";
        problems.at(bind, "run.bind", message).suggestion = Some(recipe::ELSEWHERE.to_owned());
    }
    recipe::check_tls(service, problems);
    let is_settled = |name: &str| {
        let is_heeded = matches!(name, "KAFKA_HEAP_OPTS" | "KAFKA_OPTS" | "KAFKA_JVM_PERFORMANCE_OPTS");
        (name.starts_with("KAFKA_") && !is_heeded)
            .then_some("is not read: the broker has its settings from a file that the gateway writes")
    };
    recipe::check_env(service, is_settled, problems);
}

/// A size as it is said, or as it is when it is not.
fn in_bytes(service: &Node, key: &str, read: Reader) -> Result<u64, String> {
    let default = if key == BUFFER { DEFAULT_BUFFER } else { DEFAULT_MESSAGE };
    said(service, key).and_then(Node::as_text).map_or(Ok(default), |text| read(&text))
}

fn said<'n>(service: &'n Node, key: &str) -> Option<&'n Node> {
    service.get(key).filter(|node| !node.is_null())
}

/// The options of a service that was checked.
pub(super) fn of(service: &ServiceSpec) -> Result<Options, Failure> {
    let said = Said::of(service);
    let mechanism = match (&service.username, &service.password) {
        (Some(_), Some(_)) => {
            Some(Said::within(service, SASL).text("mechanism").unwrap_or("PLAIN".to_owned()))
        }
        (None, None) if !said.has(SASL) => None,
        _ => {
            let detail = "`username`, `password` and `sasl` belong together";
            return Err(Failure::client(Code::InvalidConfig, detail));
        }
    };
    Ok(Options {
        num_partitions: said.parsed(NUM_PARTITIONS, 1)?,
        auto_create: said.parsed(AUTO_CREATE, true)?,
        max_message: said.read(MAX_MESSAGE, DEFAULT_MESSAGE, max_message)?,
        compression: said.text(COMPRESSION).unwrap_or("none".to_owned()).into(),
        linger: said.read(LINGER, Duration::ZERO, linger)?,
        delivery_timeout: said.read(DELIVERY_TIMEOUT, Duration::from_secs(10), delivery_timeout)?,
        buffer: said.read(BUFFER, DEFAULT_BUFFER, room)?,
        max_unsettled: said.read(MAX_UNSETTLED, 64 << 20, room)?,
        mechanism: mechanism.map(Into::into),
    })
}

type Reader = fn(&str) -> Result<u64, String>;
type SpanReader = fn(&str) -> Result<Duration, String>;

fn max_message(text: &str) -> Result<u64, String> {
    match size::read(text)? {
        bytes if bytes < 1000 => Err("must be at least 1000 bytes".to_owned()),
        bytes if bytes > LARGEST_MESSAGE => Err("must be at most `256mb`".to_owned()),
        bytes => Ok(bytes),
    }
}

fn room(text: &str) -> Result<u64, String> {
    match size::read(text)? {
        bytes if bytes < 64 << 10 => Err("must be at least `64kb`".to_owned()),
        bytes if bytes > 1 << 40 => Err("must be at most `1024gb`".to_owned()),
        bytes => Ok(bytes),
    }
}

fn linger(text: &str) -> Result<Duration, String> {
    span(text, Duration::ZERO, LONGEST_LINGER)
}

fn delivery_timeout(text: &str) -> Result<Duration, String> {
    span(text, Duration::from_millis(100), LONGEST_DELIVERY)
}

fn span(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let span: model::Span = text.parse().map_err(|_| format!("`{text}` is no length of time"))?;
    if span.0 < least || span.0 > most {
        return Err(format!("must be from {least:?} to {most:?}"));
    }
    Ok(span.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::tests::connected;

    fn problems(yaml: &str) -> Vec<String> {
        let mut problems = Problems::new(None);
        check(&connected(yaml), &mut problems);
        problems.into_vec().into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn a_document_is_told_which_key_is_wrong() {
        for (yaml, path) in [
            ("max_message: 999", "max_message"),
            ("max_message: 1gb", "max_message"),
            ("buffer: 1kb", "buffer"),
            ("max_unsettled: much", "max_unsettled"),
            ("max_message: 65mb", "buffer"),
            ("{max_message: 2mb, buffer: 1mb}", "buffer"),
            ("linger: 2s", "linger"),
            ("delivery_timeout: 2h", "delivery_timeout"),
            ("username: me", "username"),
            ("password: canary", "password"),
            ("sasl: {mechanism: PLAIN}", "sasl"),
            ("tls: {sni: broker}", "tls.sni"),
            ("tls: {cert: a.pem}", "tls.cert"),
        ] {
            assert_eq!(problems(yaml), [path], "{yaml}");
        }
        for yaml in [
            "{}",
            "{username: me, password: canary, sasl: {mechanism: SCRAM-SHA-256}}",
            "{linger: 0ms, buffer: ~}",
        ] {
            assert_eq!(problems(yaml), Vec::<String>::new(), "{yaml}");
        }
    }

    #[test]
    fn what_is_said_is_read() {
        let mut service = ServiceSpec::of_kind("kafka");
        let defaults = of(&service).unwrap();
        assert_eq!((defaults.max_message, defaults.auto_create, defaults.mechanism), (1 << 20, true, None));
        for (key, value) in
            [("linger", "5ms"), ("buffer", "2mb"), ("compression", "lz4"), ("auto_create", "false")]
        {
            service.options.insert(key.to_owned(), value.into());
        }
        (service.username, service.password) = (Some("me".to_owned()), Some(model::Secret::new("canary")));
        let said = of(&service).unwrap();
        assert_eq!(
            (said.linger, said.buffer, &*said.compression),
            (Duration::from_millis(5), 2 << 20, "lz4")
        );
        assert_eq!((said.auto_create, said.mechanism.as_deref()), (false, Some("PLAIN")));
        service.password = None;
        assert_eq!(of(&service).unwrap_err().code(), Code::InvalidConfig);
    }
}
