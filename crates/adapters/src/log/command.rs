//! What the broker is told: commands that are answered, and signals that are not.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use model::Failure;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use super::options::Options;
use super::reads::Found;
use super::stored::Stored;
use crate::queue::{ConsumeOptions, Group, Idempotency, Position, Receipt, Topic, TopicSpec};

/// Where an answer goes. Nobody may wait for it any more.
pub(super) type Answer<T> = oneshot::Sender<Result<T, Failure>>;

/// What is asked, in the order in which it is carried out.
pub(super) enum Command {
    Publish(Publish),
    Settle(Settle),
    CreateTopic(TopicSpec, Answer<Topic>),
    Topic(Box<str>, Answer<Topic>),
    Topics(Answer<Vec<Topic>>),
    DeleteTopic(Box<str>, Answer<()>),
    Join(ConsumeOptions, Answer<Joined>),
    Groups(Option<Box<str>>, Answer<Vec<Group>>),
    ResetGroup(Box<str>, Box<str>, Position, Answer<Group>),
    DeleteGroup(Box<str>, Box<str>, Answer<()>),
    /// What holds from now on for topics that do not say it themselves.
    Configure(Options),
    /// Consumers end, and the file is closed.
    Close(oneshot::Sender<()>),
}

/// Messages that were checked.
pub(super) struct Publish {
    pub(super) topic: Box<str>,
    pub(super) messages: Vec<Arc<Stored>>,
    pub(super) idempotency: Option<Idempotency>,
    pub(super) answer: Answer<Vec<Receipt>>,
    /// Their part of the bytes that may wait to be written.
    pub(super) _room: OwnedSemaphorePermit,
}

/// Tokens as they came.
pub(super) struct Settle {
    pub(super) topic: Box<str>,
    pub(super) group: Box<str>,
    pub(super) ack: Vec<Box<str>>,
    pub(super) nack: Vec<(Box<str>, Duration)>,
    pub(super) term: Vec<Box<str>>,
    pub(super) answer: Answer<u64>,
}

/// Which stream of which consumer: a consumer that resumes is another stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) group: u64,
    pub(super) consumer: u64,
    /// Tells its streams apart.
    pub(super) session: u64,
}

/// What consumers and readers of the file report.
pub(super) enum Signal {
    /// It waits for messages.
    Ready(Stream),
    /// It is gone; the last of what went out to its client.
    Left(Stream, u64),
    /// What was read for it; `asked` is what was looked for.
    Fetched { stream: Stream, partition: u32, asked: Vec<u64>, found: Result<Found, disk::Error> },
}

/// A consumer's end of its stream.
pub(super) struct Joined {
    pub(super) stream: Stream,
    pub(super) inbox: mpsc::UnboundedReceiver<Handed>,
    pub(super) assignment: watch::Receiver<Vec<u32>>,
    /// The broker has looked since it was last asked, and there was nothing.
    pub(super) idle: Arc<AtomicBool>,
    pub(super) ending: Arc<std::sync::OnceLock<Ending>>,
    /// Deliveries up to here are none of this stream.
    pub(super) sequence: u64,
}

/// Messages on their way to a consumer.
pub(super) struct Handed {
    /// When their leases run out; afterwards they are no longer its own.
    pub(super) until: u64,
    pub(super) messages: Vec<HandedMessage>,
}

pub(super) struct HandedMessage {
    pub(super) partition: u32,
    pub(super) offset: u64,
    pub(super) delivery: u32,
    pub(super) sequence: u64,
    pub(super) stored: Arc<Stored>,
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its topic was deleted.
    TopicDeleted,
    /// Another stream has resumed this consumer.
    Superseded,
    /// Its group was deleted or moved.
    GroupChanged,
}
