//! What queue calls say in their bodies, checked and made ready for the engine.

mod publishing;

use std::borrow::Cow;
use std::time::Duration;

use adapters::queue::{DEAD_LETTERS, MAX_NAME, Position, Settlement, TopicSpec};
use model::check::Problems;
use model::field::{Field, Shape, field, word};
use model::tree::Place;
use model::{Code, Failure};
use serde::Deserialize;

use crate::body::Table;

pub(crate) use publishing::PublishBody;

/// Messages in one publish, and tokens in one settlement, at most.
pub(crate) const MOST: usize = 10_000;

/// The longest that a message may be put off: a day.
const LONGEST_DELAY: u64 = 86_400_000;

/// The longest retention that is said in numbers: a hundred years, in milliseconds.
const LONGEST_RETENTION: u64 = 3_155_760_000_000;

const MOST_PARTITIONS: u32 = 100_000;
const MOST_REPLICAS: u16 = 1000;
const MOST_BYTES: u64 = i64::MAX.cast_unsigned();

const TOPIC: Field = field("topic", Shape::Text, "The topic: 1 to 249 of A-Z a-z 0-9 . _ -").required();
const GROUP: Field = field("group", Shape::Text, "The group: 1 to 249 of A-Z a-z 0-9 . _ -").required();
/// `{topic, num_partitions?, replication_factor?, retention_ms?, retention_bytes?}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopicBody<'b> {
    #[serde(borrow)]
    topic: Cow<'b, str>,
    num_partitions: Option<u32>,
    replication_factor: Option<u16>,
    retention_ms: Option<u64>,
    retention_bytes: Option<u64>,
}

impl Table for TopicBody<'_> {
    const NAME: &'static str = "QueueTopicCreate";
    const FIELDS: &'static [Field] = &[
        TOPIC,
        field("num_partitions", Shape::Integer(1, MOST_PARTITIONS as i64), "Its partitions.").default("1"),
        field("replication_factor", Shape::Integer(1, MOST_REPLICAS as i64), "Copies that the engine keeps.")
            .default("1"),
        field(
            "retention_ms",
            Shape::Integer(1, LONGEST_RETENTION.cast_signed()),
            "How long messages stay, in milliseconds; left out, as the engine has it.",
        ),
        field(
            "retention_bytes",
            Shape::Integer(1, i64::MAX),
            "How many bytes of messages stay; left out, as the engine has it.",
        ),
    ];
}

impl TopicBody<'_> {
    /// The topic as asked for.
    ///
    /// # Errors
    /// `invalid_request` with every fault.
    pub(crate) fn spec(self) -> Result<TopicSpec, Failure> {
        let mut faults = Faults::default();
        faults.topic(&self.topic);
        let partitions = self.num_partitions.unwrap_or(1);
        let replicas = self.replication_factor.unwrap_or(1);
        faults.within("num_partitions", partitions.into(), 1, MOST_PARTITIONS.into());
        faults.within("replication_factor", replicas.into(), 1, MOST_REPLICAS.into());
        faults.within("retention_ms", self.retention_ms.unwrap_or(1), 1, LONGEST_RETENTION);
        faults.within("retention_bytes", self.retention_bytes.unwrap_or(1), 1, MOST_BYTES);
        faults.none_or(TopicSpec {
            name: self.topic.into(),
            partitions,
            replication_factor: replicas,
            retention: self.retention_ms.map(Duration::from_millis),
            retention_bytes: self.retention_bytes,
        })
    }
}

/// One delivery that is to come again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NackBody {
    ack: Box<str>,
    delay_ms: Option<u64>,
}

const NACK: &[Field] = &[
    field("ack", Shape::Text, "The `ack` of its message.").required(),
    field(
        "delay_ms",
        Shape::Integer(0, LONGEST_DELAY.cast_signed()),
        "How long until it comes again, in milliseconds.",
    )
    .default("0"),
];

/// `{topic, group, ack?, nack?, term?}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AckBody<'b> {
    #[serde(borrow)]
    topic: Cow<'b, str>,
    #[serde(borrow)]
    group: Cow<'b, str>,
    ack: Option<Vec<Box<str>>>,
    nack: Option<Vec<NackBody>>,
    term: Option<Vec<Box<str>>>,
}

impl Table for AckBody<'_> {
    const NAME: &'static str = "QueueAck";
    const FIELDS: &'static [Field] = &[
        TOPIC,
        GROUP,
        field("ack", Shape::List(&Shape::Text), "Done with: the `ack` of each message."),
        field("nack", Shape::List(&Shape::Fields(NACK)), "To come again."),
        field("term", Shape::List(&Shape::Text), "Never to come again: they go to the dead letters."),
    ];
}

impl AckBody<'_> {
    /// What is settled how.
    ///
    /// # Errors
    /// `invalid_request` with every fault.
    pub(crate) fn settlement(self) -> Result<Settlement, Failure> {
        let mut faults = Faults::default();
        faults.topic(&self.topic);
        faults.group(&self.group);
        let (ack, term) = (self.ack.unwrap_or_default(), self.term.unwrap_or_default());
        let nack = self.nack.unwrap_or_default();
        for (index, NackBody { delay_ms, .. }) in nack.iter().enumerate() {
            faults.within(&format!("nack[{index}].delay_ms"), delay_ms.unwrap_or(0), 0, LONGEST_DELAY);
        }
        let count = ack.len() + nack.len() + term.len();
        if !(1..=MOST).contains(&count) {
            let message =
                format!("must name 1 to {MOST} messages, together with `nack` and `term`, not {count}");
            faults.add("ack", &message);
        }
        let nack =
            nack.into_iter().map(|n| (n.ack, Duration::from_millis(n.delay_ms.unwrap_or(0)))).collect();
        faults.none_or(Settlement { topic: self.topic.into(), group: self.group.into(), ack, nack, term })
    }
}

/// `{topic, to}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetBody<'b> {
    #[serde(borrow)]
    pub(crate) topic: Cow<'b, str>,
    to: To,
}

/// Where a group is put, as it is written.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum To {
    End(End),
    Offset(u64),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum End {
    Earliest,
    Latest,
}

impl Table for ResetBody<'_> {
    const NAME: &'static str = "QueueGroupReset";
    const FIELDS: &'static [Field] = &[
        TOPIC,
        field(
            "to",
            Shape::AnyOf(&[Shape::Choice(&[word("earliest"), word("latest")]), Shape::Integer(0, i64::MAX)]),
            "The oldest messages, behind the newest, or this offset of each partition.",
        )
        .required(),
    ];
}

impl ResetBody<'_> {
    pub(crate) fn position(&self) -> Position {
        match self.to {
            To::End(End::Earliest) => Position::Earliest,
            To::End(End::Latest) => Position::Latest,
            To::Offset(offset) => Position::Offset(offset),
        }
    }
}

/// The faults of a body.
#[derive(Default)]
pub(crate) struct Faults(Problems);

impl Faults {
    pub(crate) fn add(&mut self, path: &str, message: &str) {
        self.0.add(path, Place::default(), message);
    }

    /// Names are checked here as well, so that what is written down of a call is short and plain.
    pub(crate) fn topic(&mut self, name: &str) {
        if !is_topic(name) {
            self.add("topic", NAME_RULE);
        }
    }

    fn group(&mut self, name: &str) {
        if !is_group(name) {
            self.add("group", NAME_RULE);
        }
    }

    fn within(&mut self, path: &str, value: u64, least: u64, most: u64) {
        if !(least..=most).contains(&value) {
            self.add(path, &format!("must be a whole number from {least} to {most}, not {value}"));
        }
    }

    pub(crate) fn none_or<T>(self, value: T) -> Result<T, Failure> {
        if self.0.is_empty() { Ok(value) } else { Err(self.failure()) }
    }

    fn failure(self) -> Failure {
        Failure::invalid(Code::InvalidRequest, self.0.into_vec())
    }
}

/// What a name must be, as a fault says it.
pub(crate) const NAME_RULE: &str = "must be 1 to 249 of A-Z a-z 0-9 . _ -";

/// Whether it can be the name of a topic. Dead letters have a suffix on top of the longest name.
pub(crate) fn is_topic(name: &str) -> bool {
    is_name(name.strip_suffix(DEAD_LETTERS).filter(|name| !name.is_empty()).unwrap_or(name))
}

/// Whether it can be the name of a group.
pub(crate) fn is_group(name: &str) -> bool {
    is_name(name)
}

fn is_name(name: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(fine)
}

#[cfg(test)]
mod tests;
