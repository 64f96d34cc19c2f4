//! The server's own commands, as their clients spell them.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use model::{Code, Failure};
use redis::{Cmd, Pipeline, ServerError, Value};
use tokio::time::Instant;

use super::adapter::RedisAdapter;
use super::cursor::Cursor;
use super::failure;
use super::reply::reply;
use super::script;
use super::server::On;
use super::slots;
use super::sort::{LONGEST_WAIT, Sorted, sort};
use super::space::Space;
use super::spread::{self, Spread};
use super::values;
use crate::Call;
use crate::key_value::{Commands, Reply, Sort};

impl Commands for RedisAdapter {
    fn sort(&self, words: &[Bytes]) -> Result<Sort, Failure> {
        Ok(self.sorted(words)?.sort)
    }

    fn run<'a>(&'a self, words: &'a [Bytes], deadline: Instant) -> Call<'a, Reply> {
        Box::pin(async move {
            let sorted = self.sorted(words)?;
            let end = within(deadline, self.run_one(&sorted, words, &mut Space::default())).await;
            end.unwrap_or_else(|late| Err(self.silent(&[(&sorted, words)], late)))
        })
    }

    fn run_all<'a>(
        &'a self,
        commands: &'a [Vec<Bytes>],
        deadline: Instant,
    ) -> Call<'a, Vec<Result<Reply, Failure>>> {
        Box::pin(async move {
            let sorted = self.all_sorted(commands);
            if self.whole().is_cluster() && sorted.iter().flatten().any(Sorted::spreads) {
                return within(deadline, self.run_apart(sorted, commands))
                    .await
                    .unwrap_or_else(|late| Err(self.silent(&[], late)));
            }
            // One that may not be sent has its own end, and takes nothing from the others.
            let sent: Vec<(&Sorted, &[Bytes])> = sorted
                .iter()
                .zip(commands)
                .filter_map(|(sorted, words)| Some((sorted.as_ref().ok()?, words.as_slice())))
                .collect();
            let on = if sent.iter().any(|(sorted, _)| sorted.own()) { On::Own } else { On::Native };
            let asked: Vec<_> =
                sent.iter().map(|(sorted, words)| (sorted.key(words), sorted.command(words))).collect();
            let answers = if asked.is_empty() {
                Vec::new()
            } else {
                within(deadline, self.whole().ask_each(on, &asked, &mut Space::default()))
                    .await
                    .unwrap_or_else(|late| Err(self.silent(&sent, late)))?
            };
            self.all_done(&sent, &answers)?;
            let mut answers = answers.into_iter();
            sorted
                .into_iter()
                .map(|sorted| match sorted {
                    Err(failure) => Ok(Err(failure)),
                    Ok(sorted) => {
                        let answer = answers.next().ok_or_else(|| failure::odd("a pipeline"))?;
                        Ok(self.said(&sorted, answer))
                    }
                })
                .collect()
        })
    }

    fn run_together<'a>(
        &'a self,
        commands: &'a [Vec<Bytes>],
        deadline: Instant,
    ) -> Call<'a, Vec<Result<Reply, Failure>>> {
        Box::pin(async move {
            if commands.is_empty() {
                return Ok(Vec::new());
            }
            let sorted = self.all_sorted(commands).into_iter().collect::<Result<Vec<_>, _>>()?;
            if let Some(wide) = sorted.iter().find(|sorted| self.whole().is_cluster() && sorted.spreads()) {
                return Err(nowhere_together(wide.sort.name));
            }
            let key = self.one_place(&sorted, commands)?;
            let mut all = Pipeline::with_capacity(commands.len() + 2);
            all.add_command(redis::cmd("MULTI"));
            for (sorted, words) in sorted.iter().zip(commands) {
                // Nothing waits in a transaction.
                all.add_command(sorted.command(words));
            }
            all.add_command(redis::cmd("EXEC"));
            let space = &mut Space::default();
            let mut answers = within(deadline, self.whole().ask_all(key, On::Together, &all, space))
                .await
                .unwrap_or_else(|late| Err(self.late(key.into_iter(), late)))?;
            match answers.pop() {
                Some(Value::Array(done)) if done.len() == commands.len() => {
                    let ends = sorted.iter().zip(done).map(|(sorted, answer)| self.said(sorted, answer));
                    Ok(ends.collect())
                }
                // What was refused before it ran says why; that the whole was discarded says less.
                Some(Value::ServerError(discarded)) => {
                    let first = answers.iter().find_map(refusal_in);
                    Err(self.refused(first.unwrap_or(&discarded)))
                }
                _ => Err(failure::odd("EXEC")),
            }
        })
    }
}

impl RedisAdapter {
    fn sorted(&self, words: &[Bytes]) -> Result<Sorted, Failure> {
        Ok(sort(self.gate().pass(words)?, words))
    }

    fn all_sorted(&self, commands: &[Vec<Bytes>]) -> Vec<Result<Sorted, Failure>> {
        commands.iter().map(|words| self.sorted(words)).collect()
    }

    /// A key that says where a transaction is carried out. In a cluster all its keys must be at one place. Where they
    /// stand in a command that only the server knows, only the server knows.
    fn one_place<'w>(
        &self,
        sorted: &[Sorted],
        commands: &'w [Vec<Bytes>],
    ) -> Result<Option<&'w [u8]>, Failure> {
        let with_keys = || sorted.iter().zip(commands).filter(|(sorted, words)| sorted.key(words).is_some());
        let mut known = with_keys()
            .filter(|(sorted, _)| sorted.is_known())
            .filter_map(|(sorted, words)| sorted.key(words).filter(|key| !key.is_empty()));
        let Some(first) = known.next() else {
            return Ok(with_keys().find_map(|(sorted, words)| sorted.key(words)));
        };
        if self.whole().is_cluster() && known.any(|key| slots::slot(key) != slots::slot(first)) {
            return Err(failure::crossslot());
        }
        Ok(Some(first))
    }

    /// Nobody answered these commands in time.
    fn silent(&self, asked: &[(&Sorted, &[Bytes])], late: Late) -> Failure {
        self.late(asked.iter().filter_map(|(sorted, words)| sorted.key(words)), late)
    }

    /// The same, by their keys.
    fn late<'w>(&self, keys: impl Iterator<Item = &'w [u8]>, Late(millis): Late) -> Failure {
        self.of_its_part(failure::silent(&self.whole().places(keys.map(slots::slot)), millis))
    }

    async fn run_one(&self, sorted: &Sorted, words: &[Bytes], space: &mut Space) -> Result<Reply, Failure> {
        let command = sorted.command(words);
        let on = if sorted.own() { On::Own } else { On::Native };
        let answer = match spread::of(sorted.sort.name) {
            Spread::One => self.whole().ask(sorted.key(words), on, &command, space).await?,
            Spread::Walk if self.whole().is_cluster() => self.step(words, space).await?,
            spread => self.whole().ask_spread(spread, on, &command, space).await?,
        };
        self.said(sorted, answer)
    }

    /// A step of a walk over all nodes of a cluster, whose cursor says at which of them it is.
    async fn step(&self, words: &[Bytes], space: &mut Space) -> Result<Value, Failure> {
        let number = words.get(1).and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
        let here = number.map_or_else(Cursor::default, Cursor::of_number);
        let mut scan = redis::cmd("SCAN");
        for (index, word) in words.iter().enumerate().skip(1) {
            // What is no cursor at all is the server's to refuse.
            match number {
                Some(_) if index == 1 => scan.arg(here.at),
                _ => scan.arg(&**word),
            };
        }
        let answer = self.whole().ask_at(here.slot, On::Native, &scan, space).await?;
        if let Value::ServerError(_) = answer {
            return Ok(answer);
        }
        let (end, keys) = values::step(answer).ok_or_else(|| failure::odd("SCAN"))?;
        let next = if end == 0 { self.next_node(here.slot) } else { Some(Cursor { at: end, ..here }) };
        let next = next.map_or(Some(0), Cursor::number).ok_or_else(|| failure::odd("SCAN"))?;
        let keys = keys.into_iter().map(|key| Value::BulkString(key.into())).collect();
        Ok(Value::Array(vec![Value::BulkString(next.to_string().into()), Value::Array(keys)]))
    }

    /// Whether a server that did none of what writes is to be passed over: it only reads, or does nothing now. Another
    /// may do all of it.
    fn all_done(&self, sent: &[(&Sorted, &[Bytes])], answers: &[Value]) -> Result<(), Failure> {
        let Some(refusal) =
            sent.iter().zip(answers).find_map(|((sorted, _), answer)| not_now(sorted, answer))
        else {
            return Ok(());
        };
        let written = |((sorted, _), answer): (&(&Sorted, &[Bytes]), &Value)| {
            !sorted.sort.reads && not_now(sorted, answer).is_none()
        };
        if sent.iter().zip(answers).any(written) { Ok(()) } else { Err(self.refused(&refusal)) }
    }

    /// Where some of them concern all nodes, each goes by itself.
    async fn run_apart(
        &self,
        sorted: Vec<Result<Sorted, Failure>>,
        commands: &[Vec<Bytes>],
    ) -> Result<Vec<Result<Reply, Failure>>, Failure> {
        let mut replies = Vec::with_capacity(commands.len());
        let mut space = Space::default();
        for (sorted, words) in sorted.into_iter().zip(commands) {
            replies.push(match sorted {
                Ok(sorted) => self.run_one(&sorted, words, &mut space).await,
                Err(failure) => Err(failure),
            });
        }
        Ok(replies)
    }

    fn said(&self, sorted: &Sorted, answer: Value) -> Result<Reply, Failure> {
        reply(answer).map_err(|refusal| {
            if !script::runs(sorted.sort.name) {
                return self.refused(&refusal);
            }
            match script::word_of_server(&refusal) {
                Some(word) => self.refused(&word),
                None => failure::refused_by_script(&refusal),
            }
        })
    }
}

/// The refusal of a server that does nothing now.
fn not_now(sorted: &Sorted, answer: &Value) -> Option<ServerError> {
    let refusal = refusal_in(answer)?;
    let word =
        if script::runs(sorted.sort.name) { script::word_of_server(refusal) } else { Some(refusal.clone()) };
    word.filter(failure::is_not_now)
}

fn nowhere_together(name: &str) -> Failure {
    let detail = format!("{name} concerns all nodes of the cluster, and cannot stand in a transaction.");
    Failure::client(Code::UnsupportedCommand, detail)
}

fn refusal_in(answer: &Value) -> Option<&ServerError> {
    match answer {
        Value::ServerError(refusal) => Some(refusal),
        _ => None,
    }
}

/// Nothing was heard for so many milliseconds.
struct Late(u128);

/// The answer, if it comes by then.
async fn within<T>(deadline: Instant, answer: impl Future<Output = T>) -> Result<T, Late> {
    let began = Instant::now();
    tokio::time::timeout_at(deadline, answer).await.map_err(|_| Late(began.elapsed().as_millis()))
}

impl Sorted {
    /// As it is sent: one that would wait for ever, or for too long, waits for as long as anything does.
    pub(super) fn command(&self, words: &[Bytes]) -> Cmd {
        let mut command = Cmd::with_capacity(words.len(), words.iter().map(Bytes::len).sum());
        for (index, word) in words.iter().enumerate() {
            match self.cap {
                Some((at, unit)) if at == index => command.arg(LONGEST_WAIT.as_millis() as u64 / unit),
                _ => command.arg(&**word),
            };
        }
        command
    }

    pub(super) fn key<'w>(&self, words: &'w [Bytes]) -> Option<&'w [u8]> {
        words.get(self.sort.key?).map(|word| &**word)
    }

    /// Whether it concerns more than one node of a cluster.
    fn spreads(&self) -> bool {
        spread::of(self.sort.name) != Spread::One
    }

    /// Whether it needs a connection that nobody else uses.
    pub(super) fn own(&self) -> bool {
        self.sort.waits > Duration::ZERO
    }
}
