//! The ability to keep values under keys, and the suite that every kind with it must pass.

use std::time::Duration;

use bytes::Bytes;
use model::Failure;
use tokio::time::Instant;

use crate::Call;

#[cfg(any(test, feature = "suite"))]
pub mod suite;

/// The longest key, in bytes. A longer one is `too_large` with every engine.
pub const MAX_KEY: usize = 64 << 10;

/// Where a failure names its code in the protocol that most clients of keys and values speak.
pub const NATIVE: &str = "redis";

/// A value with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The value itself.
    pub bytes: Bytes,
    /// Its media type, when it was set with one.
    pub content_type: Option<Box<str>>,
}

impl Value {
    /// Bytes of no particular type.
    #[must_use]
    pub fn plain(bytes: impl Into<Bytes>) -> Self {
        Value { bytes: bytes.into(), content_type: None }
    }
}

/// How a value is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetOptions {
    /// How long it stays; `None` is for ever, zero is over at once.
    pub ttl: Option<Duration>,
    /// Only when the key is not there.
    pub if_absent: bool,
}

/// What is left of a key's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// There is no such key.
    Missing,
    /// It stays for ever.
    Forever,
    /// So long.
    Left(Duration),
}

/// A page of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys, at most as many as asked for.
    pub keys: Vec<Bytes>,
    /// Where to go on; `None` at the end.
    pub next: Option<Bytes>,
}

/// Keys and values, both bytes.
pub trait KeyValue: Send + Sync {
    /// The value, if there is one.
    fn get<'a>(&'a self, key: &'a [u8]) -> Call<'a, Option<Value>>;

    /// Sets it; says whether it was stored (`false` only with `if_absent`).
    fn set<'a>(&'a self, key: &'a [u8], value: Value, options: SetOptions) -> Call<'a, bool>;

    /// Takes it out; says whether it was there.
    fn delete<'a>(&'a self, key: &'a [u8]) -> Call<'a, bool>;

    /// Adds to a whole number (0 when missing), keeping its time; gives the sum. `command_failed` when the
    /// value is no whole number of 64 bits or the sum is none.
    fn incr<'a>(&'a self, key: &'a [u8], by: i64) -> Call<'a, i64>;

    /// Sets how long a key stays from now, `None` for ever and zero not at all; says whether it was there.
    fn expire<'a>(&'a self, key: &'a [u8], ttl: Option<Duration>) -> Call<'a, bool>;

    /// What is left of its time.
    fn ttl<'a>(&'a self, key: &'a [u8]) -> Call<'a, Ttl>;

    /// Keys that match a glob (`*`, `?`, `[a-z]`, `[^a-z]`, `\` quotes), page by page; a key that stays through
    /// the whole scan is seen at least once. A page may be short or empty with more to come. Something that is
    /// no cursor of a scan is `invalid_request`.
    fn scan<'a>(
        &'a self,
        pattern: Option<&'a [u8]>,
        cursor: Option<&'a [u8]>,
        limit: usize,
    ) -> Call<'a, Page>;

    /// Whether a value comes back with the media type that it was set with. An engine that has no place for it gives
    /// none, and says so among its facts.
    fn keeps_media_types(&self) -> bool {
        true
    }

    /// Several keys held at once, where they stand in this process. An engine at the other end of a connection
    /// has transactions of its own instead.
    fn exclusive(&self) -> Option<&dyn Exclusive> {
        None
    }

    /// Which of the servers behind this endpoint is asked for that, where there are several with keys of their own.
    fn place(&self, _sought: Sought<'_>) -> Option<String> {
        None
    }

    /// The engine's own commands, where it has some beyond these.
    fn commands(&self) -> Option<&dyn Commands> {
        None
    }
}

/// What somebody asks for.
#[derive(Debug, Clone, Copy)]
pub enum Sought<'a> {
    /// A key.
    Key(&'a [u8]),
    /// The page of a scan behind this cursor.
    Page(Option<&'a [u8]>),
}

/// An engine's own commands, as their clients spell them: a name and its arguments.
pub trait Commands: Send + Sync {
    /// What a command is, without asking the engine.
    ///
    /// # Errors
    /// `permission_denied` for one that the service does not allow, `unsupported_command` for one that cannot be
    /// carried out here, `command_failed` for no command at all.
    fn sort(&self, words: &[Bytes]) -> Result<Sort, Failure>;

    /// Carries one out. `command_failed` with the engine's own words where it refuses.
    fn run<'a>(&'a self, words: &'a [Bytes], deadline: Instant) -> Call<'a, Reply>;

    /// Carries them out one after the other; each has its own end.
    fn run_all<'a>(
        &'a self,
        commands: &'a [Vec<Bytes>],
        deadline: Instant,
    ) -> Call<'a, Vec<Result<Reply, Failure>>>;

    /// Carries them out at once: nobody sees some of them done. Fails, with nothing done, where the engine discards
    /// them.
    fn run_together<'a>(
        &'a self,
        commands: &'a [Vec<Bytes>],
        deadline: Instant,
    ) -> Call<'a, Vec<Result<Reply, Failure>>>;
}

/// What a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// In capitals, as metrics and activity have it.
    pub name: &'static str,
    /// Whether it changes nothing, and may so be asked of a replica and sent again.
    pub reads: bool,
    /// Whether it goes on where an earlier one ended, which makes sense to the same server alone.
    pub walks: bool,
    /// Which of its words is its first key.
    pub key: Option<usize>,
    /// How long it may wait for something to happen, as it says itself: its time is that much longer.
    pub waits: Duration,
}

/// What a command gives, in the shapes of the second version of the protocol: what has others in the third is turned
/// into them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It was done.
    Ok,
    /// A word of the protocol.
    Word(&'static str),
    /// Another simple answer.
    Simple(Bytes),
    /// Nothing.
    Nil,
    /// A whole number.
    Integer(i64),
    /// A text, or any other bytes.
    Bytes(Bytes),
    /// Several of them.
    List(Vec<Reply>),
    /// One of several that failed, in the engine's words.
    Error(Box<str>),
}

/// Work on several keys that nobody sees half done.
pub trait Exclusive: Send + Sync {
    /// Holds these keys, in whatever order and as often as they are named, and does the work while nobody else
    /// reads or writes them. The work must be short: others wait for it.
    ///
    /// # Errors
    /// `too_large` for a key that is too long; nothing was done.
    fn hold(&self, keys: &[&[u8]], work: &mut dyn FnMut(&mut dyn HeldKeys)) -> Result<(), Failure>;
}

/// The keys that are held, all at one moment: time stands still while they are. Each call panics for a key that
/// was not named.
pub trait HeldKeys {
    /// The value, if there is one.
    fn get(&mut self, key: &[u8]) -> Option<Value>;

    /// Sets it, for so long.
    ///
    /// # Errors
    /// `too_large`; the key is as it was.
    fn set(&mut self, key: &[u8], value: Value, ttl: Option<Duration>) -> Result<(), Failure>;

    /// Takes it out; says whether it was there.
    fn delete(&mut self, key: &[u8]) -> bool;

    /// Sets how long it stays from now, `None` for ever and zero not at all; says whether it was there.
    fn expire(&mut self, key: &[u8], ttl: Option<Duration>) -> bool;

    /// What is left of its time.
    fn ttl(&mut self, key: &[u8]) -> Ttl;
}
