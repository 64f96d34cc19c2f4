//! A command that was found in the table, and several that are carried out at once.

use std::borrow::Cow;

use adapters::key_value::{Exclusive, HeldKeys, KeyValue, NATIVE, Reply};
use adapters::{Adapter, Call};
use bytes::Bytes;
use clusters::Access;
use model::kind::Ability;
use model::{Code, Failure};
use tokio::time::Instant;

use super::scan;
use super::table::{Keys, Row, TABLE, Work};
use crate::data::ask::Operation;
use crate::data::cache::operations::shape;

/// A refusal in the words that Redis has for it.
pub(super) fn refusal(detail: impl Into<Cow<'static, str>>) -> Failure {
    Failure::client(Code::CommandFailed, detail).with_native(NATIVE, "ERR")
}

/// A transaction that was given up before anything of it was done.
pub(super) fn aborted(why: &Failure) -> Failure {
    let detail = format!("EXECABORT Transaction discarded because of previous errors: {}", why.detail());
    let failure = Failure::client(why.code(), detail).with_native(NATIVE, "EXECABORT");
    match why.hint() {
        Some(hint) => failure.with_hint(hint.to_owned()),
        None => failure,
    }
}

/// One command with the number of arguments that it wants.
pub(super) struct Command {
    row: &'static Row,
    args: Vec<Bytes>,
}

impl Command {
    /// The command that these words are.
    ///
    /// # Errors
    /// `unsupported_command` when there is none of that name; `command_failed` for too few arguments or too many.
    pub(super) fn of(mut words: Vec<Bytes>) -> Result<Self, Failure> {
        if words.is_empty() {
            return Err(refusal("ERR empty command"));
        }
        let name = words.remove(0);
        let row = TABLE.iter().find(|row| row.name.as_bytes().eq_ignore_ascii_case(&name));
        let row = row.ok_or_else(|| unknown(&name))?;
        let command = Command { row, args: words };
        let in_pairs = row.keys != Keys::Pairs || command.args.len().is_multiple_of(2);
        if row.args.contains(&command.args.len()) && in_pairs {
            return Ok(command);
        }
        let name = row.name.to_ascii_lowercase();
        Err(refusal(format!("ERR wrong number of arguments for '{name}' command")))
    }

    pub(super) fn access(&self) -> Access {
        self.row.access
    }

    fn keys(&self) -> impl Iterator<Item = &[u8]> {
        let (count, step) = match self.row.keys {
            Keys::None => (0, 1),
            Keys::First => (1, 1),
            Keys::All => (usize::MAX, 1),
            Keys::Pairs => (usize::MAX, 2),
        };
        self.args.iter().step_by(step).take(count).map(|key| &**key)
    }

    /// What may be written down of it: the beginning of its first key.
    fn shape(&self) -> Box<str> {
        match self.row.work {
            Work::Scan => scan::pattern(&self.args).map_or_else(|| "*".into(), shape),
            Work::Keys => shape(&self.args[0]),
            Work::Alone(_) | Work::Held(_) => self.keys().next().map_or_else(|| "*".into(), shape),
        }
    }

    async fn run(&self, cache: &dyn KeyValue) -> Result<Reply, Failure> {
        match self.row.work {
            Work::Alone(work) => work(&self.args),
            Work::Scan => scan::scan(cache, &self.args).await,
            Work::Keys => scan::keys(cache, &self.args[0]).await,
            Work::Held(work) => {
                let keys: Vec<&[u8]> = self.keys().collect();
                let mut reply = None;
                exclusive(cache)?.hold(&keys, &mut |held| reply = Some(work(held, &self.args)))?;
                reply.unwrap_or_else(|| Err(not_done()))
            }
        }
    }
}

impl Operation for Command {
    const ABILITY: Ability = Ability::KeyValue;
    type Answer = Reply;

    fn name(&self) -> &'static str {
        self.row.name
    }

    fn access(&self) -> Access {
        self.row.access
    }

    fn shape(&self) -> Box<str> {
        Command::shape(self)
    }

    fn run<'a>(&'a self, adapter: &'a dyn Adapter, _deadline: Instant) -> Option<Call<'a, Reply>> {
        let cache = adapter.key_value()?;
        Some(Box::pin(Command::run(self, cache)))
    }
}

/// Commands that nobody sees some of.
pub(super) struct Transaction(Vec<Command>);

impl Transaction {
    /// All of them, or none.
    ///
    /// # Errors
    /// As [`Command::of`], of the first that cannot be; `unsupported_command` for one that walks over all keys.
    pub(super) fn of(commands: Vec<Vec<Bytes>>) -> Result<Self, Failure> {
        let commands = commands.into_iter().map(|words| {
            let command = Command::of(words)?;
            match command.row.work {
                Work::Alone(_) | Work::Held(_) => Ok(command),
                Work::Scan | Work::Keys => {
                    let detail = format!("ERR {} cannot stand in a transaction here", command.row.name);
                    Err(Failure::client(Code::UnsupportedCommand, detail))
                }
            }
        });
        commands.collect::<Result<_, Failure>>().map(Transaction).map_err(|why| aborted(&why))
    }

    fn run(&self, cache: &dyn KeyValue) -> Result<Vec<Result<Reply, Failure>>, Failure> {
        let keys: Vec<&[u8]> = self.0.iter().flat_map(Command::keys).collect();
        let mut replies = Vec::with_capacity(self.0.len());
        let one = |command: &Command, held: &mut dyn HeldKeys| match command.row.work {
            Work::Alone(work) => work(&command.args),
            Work::Held(work) => work(held, &command.args),
            Work::Scan | Work::Keys => Err(not_done()),
        };
        exclusive(cache)?
            .hold(&keys, &mut |held| replies.extend(self.0.iter().map(|command| one(command, held))))?;
        Ok(replies)
    }
}

impl Operation for Transaction {
    const ABILITY: Ability = Ability::KeyValue;
    type Answer = Vec<Result<Reply, Failure>>;

    fn name(&self) -> &'static str {
        "MULTI"
    }

    fn access(&self) -> Access {
        Access::Write
    }

    fn shape(&self) -> Box<str> {
        self.0.iter().find_map(|command| command.keys().next()).map_or_else(|| "*".into(), shape)
    }

    fn run<'a>(&'a self, adapter: &'a dyn Adapter, _deadline: Instant) -> Option<Call<'a, Self::Answer>> {
        let cache = adapter.key_value()?;
        Some(Box::pin(async move { Transaction::run(self, cache) }))
    }
}

fn exclusive(cache: &dyn KeyValue) -> Result<&dyn Exclusive, Failure> {
    cache.exclusive().ok_or_else(|| {
        let detail = "ERR the service has no commands of this kind";
        Failure::client(Code::UnsupportedCommand, detail)
    })
}

fn unknown(name: &[u8]) -> Failure {
    /// No command is longer, and what is may be something else that somebody put there.
    const LONGEST: usize = 32;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-|".contains(byte);
    let name = match std::str::from_utf8(name) {
        Ok(name) if name.len() <= LONGEST && name.bytes().all(|byte| plain(&byte)) => format!(" '{name}'"),
        _ => String::new(),
    };
    let known: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
    Failure::client(Code::UnsupportedCommand, format!("ERR unknown command{name}"))
        .with_native(NATIVE, "ERR")
        .with_hint(format!("A service of plain values knows {}.", known.join(", ")))
}

fn not_done() -> Failure {
    Failure::gateway(Code::Internal, "The command was not carried out.")
}
