//! What only a `log` service can say.

use std::time::Duration;

use model::check::Problems;
use model::field::{Field, Shape, field};
use model::tree::Node;
use model::{Failure, ServiceSpec};

use super::limits::MOST_PARTITIONS;
use crate::embedded::place;
use crate::options::Said;
use crate::size;

const PATH: &str = "path";
const NUM_PARTITIONS: &str = "num_partitions";
const AUTO_CREATE: &str = "auto_create";
const MAX_MESSAGE: &str = "max_message";
const MAX_TOPICS: &str = "max_topics";
const RETENTION: &str = "retention";
const RETENTION_BYTES: &str = "retention_bytes";

/// The keys of the kind.
pub(super) const FIELDS: &[Field] = &[
    field(
        PATH,
        Shape::Text,
        "The file; left out, `queue.db` in the service's own directory. `:memory:` keeps nothing over a restart.",
    ),
    field(
        NUM_PARTITIONS,
        Shape::Integer(1, MOST_PARTITIONS as i64),
        "Partitions of a topic that does not say how many.",
    )
    .default("1"),
    field(AUTO_CREATE, Shape::Bool, "Whether publishing to a topic that is not there makes it.")
        .default("true"),
    field(
        MAX_MESSAGE,
        Shape::Text,
        "The largest message, key and headers included, such as `64kb` or `1mb`, or in bytes.",
    )
    .default("1mb"),
    field(MAX_TOPICS, Shape::Integer(1, 100_000), "Topics at most; those of dead letters are not counted.")
        .default("10000"),
    field(RETENTION, Shape::SpanFrom(1), "How long messages of a topic stay that does not say it.")
        .default("7d"),
    field(
        RETENTION_BYTES,
        Shape::Text,
        "How many bytes of messages a topic keeps that does not say it, such as `1gb`.",
    )
    .default("1gb"),
];

/// The file system of a small machine holds it, and one statement does.
const LARGEST_MESSAGE: u64 = 256 << 20;

/// The checked options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    /// `None` is the file in the service's own directory.
    pub(super) path: Option<Box<str>>,
    pub(super) num_partitions: u32,
    pub(super) auto_create: bool,
    /// In bytes.
    pub(super) max_message: u64,
    pub(super) max_topics: usize,
    pub(super) retention: Duration,
    /// In bytes.
    pub(super) retention_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            path: None,
            num_partitions: 1,
            auto_create: true,
            max_message: 1 << 20,
            max_topics: 10_000,
            retention: Duration::from_secs(7 * 24 * 3600),
            retention_bytes: 1 << 30,
        }
    }
}

/// What the table cannot say: that sizes are sizes, within their limits.
pub(super) fn check(service: &Node, problems: &mut Problems) {
    for (key, read) in
        [(MAX_MESSAGE, max_message as fn(&str) -> Result<u64, String>), (RETENTION_BYTES, size::read)]
    {
        if let Some(node) = service.get(key).filter(|node| !node.is_null())
            && let Some(text) = node.as_text()
            && let Err(message) = read(&text)
        {
            problems.at(node, key, message).suggestion = Some("write it as `1mb`".to_owned());
        }
    }
    if let Some(node) = service.get(PATH).filter(|node| !node.is_null())
        && let Some(text) = node.as_text()
        && let Err(message) = place::check(&text)
    {
        problems.at(node, PATH, message.to_owned());
    }
}

/// The options of a service that was checked.
pub(super) fn of(service: &ServiceSpec) -> Result<Options, Failure> {
    let defaults = Options::default();
    let said = Said::of(service);
    Ok(Options {
        path: said.text(PATH).map(Into::into),
        num_partitions: said.parsed(NUM_PARTITIONS, defaults.num_partitions)?,
        auto_create: said.parsed(AUTO_CREATE, defaults.auto_create)?,
        max_message: said.read(MAX_MESSAGE, defaults.max_message, max_message)?,
        max_topics: said.parsed(MAX_TOPICS, defaults.max_topics)?,
        retention: said.span(RETENTION, defaults.retention)?,
        retention_bytes: said.read(RETENTION_BYTES, defaults.retention_bytes, size::read)?,
    })
}

fn max_message(text: &str) -> Result<u64, String> {
    match size::read(text)? {
        0 => Err("must be at least one byte".to_owned()),
        bytes if bytes > LARGEST_MESSAGE => Err("must be at most `256mb`".to_owned()),
        bytes => Ok(bytes),
    }
}
