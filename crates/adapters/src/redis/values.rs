//! The ability to keep values under keys, in the server's commands.

use std::time::Duration;

use bytes::Bytes;
use model::{Code, Failure};
use redis::{Cmd, Pipeline, Value as Answer};

use super::adapter::RedisAdapter;
use super::cursor::Cursor;
use super::failure;
use super::reply::{bytes, number, text};
use super::server::On;
use super::slots;
use super::space::Space;
use crate::Call;
use crate::key_value::{Commands, KeyValue, MAX_KEY, Page, SetOptions, Sought, Ttl, Value};

/// Longer than anybody waits, and short enough that no server finds the moment too far away.
const LONGEST_MS: u64 = 1 << 53;

impl KeyValue for RedisAdapter {
    fn get<'a>(&'a self, key: &'a [u8]) -> Call<'a, Option<Value>> {
        Box::pin(async move {
            match self.one(key, command("GET", key)).await? {
                Answer::Nil => Ok(None),
                answer => {
                    let bytes = bytes(answer).ok_or_else(|| failure::odd("GET"))?;
                    Ok(Some(Value { bytes, content_type: None }))
                }
            }
        })
    }

    fn set<'a>(&'a self, key: &'a [u8], value: Value, options: SetOptions) -> Call<'a, bool> {
        Box::pin(async move {
            let SetOptions { ttl, if_absent } = options;
            if ttl.is_some_and(|ttl| ttl.is_zero()) {
                return self.set_for_no_time(key, if_absent).await;
            }
            let mut set = command("SET", key);
            set.arg(&*value.bytes);
            if if_absent {
                set.arg("NX");
            }
            if let Some(ttl) = ttl {
                set.arg("PX").arg(millis(ttl));
            }
            match self.one(key, set).await? {
                Answer::Okay => Ok(true),
                Answer::Nil => Ok(false),
                _ => Err(failure::odd("SET")),
            }
        })
    }

    fn delete<'a>(&'a self, key: &'a [u8]) -> Call<'a, bool> {
        Box::pin(async move { self.count(key, command("DEL", key), "DEL").await.map(|taken| taken != 0) })
    }

    fn incr<'a>(&'a self, key: &'a [u8], by: i64) -> Call<'a, i64> {
        Box::pin(async move {
            let mut incr = command("INCRBY", key);
            incr.arg(by);
            self.count(key, incr, "INCRBY").await
        })
    }

    fn expire<'a>(&'a self, key: &'a [u8], ttl: Option<Duration>) -> Call<'a, bool> {
        Box::pin(async move {
            if let Some(ttl) = ttl {
                let mut expire = command("PEXPIRE", key);
                expire.arg(if ttl.is_zero() { 0 } else { millis(ttl) });
                return Ok(self.count(key, expire, "PEXPIRE").await? != 0);
            }
            // A key that had no time is told from one that is not there.
            let mut both = Pipeline::new();
            both.add_command(command("PERSIST", key)).add_command(command("EXISTS", key));
            let answers = self.several(key, &both).await?;
            let counts: Option<Vec<i64>> = answers.iter().map(number).collect();
            Ok(counts.ok_or_else(|| failure::odd("PERSIST"))?.iter().any(|count| *count != 0))
        })
    }

    fn ttl<'a>(&'a self, key: &'a [u8]) -> Call<'a, Ttl> {
        Box::pin(async move {
            match self.count(key, command("PTTL", key), "PTTL").await? {
                -2 => Ok(Ttl::Missing),
                -1 => Ok(Ttl::Forever),
                left => Ok(Ttl::Left(Duration::from_millis(u64::try_from(left).unwrap_or(0)))),
            }
        })
    }

    fn scan<'a>(
        &'a self,
        pattern: Option<&'a [u8]>,
        cursor: Option<&'a [u8]>,
        limit: usize,
    ) -> Call<'a, Page> {
        Box::pin(async move {
            let cursor = cursor.map_or(Some(Cursor::default()), Cursor::read).ok_or_else(|| {
                Failure::client(Code::InvalidRequest, "The cursor is not one that a scan gave.")
            })?;
            let limit = limit.max(1);
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor.at);
            if let Some(pattern) = pattern {
                scan.arg("MATCH").arg(pattern);
            }
            scan.arg("COUNT").arg(limit);
            let answer = self.at_node(cursor.slot, &scan).await?;
            let (end, keys) = step(answer).ok_or_else(|| failure::odd("SCAN"))?;
            let (keys, next) = cursor.page(keys, end, limit);
            let next = next.or_else(|| self.next_node(cursor.slot));
            Ok(Page { keys, next: next.map(Cursor::text) })
        })
    }

    fn keeps_media_types(&self) -> bool {
        false
    }

    fn place(&self, sought: Sought<'_>) -> Option<String> {
        if !self.whole().has_parts() {
            return None;
        }
        let slot = match sought {
            Sought::Key(key) => slots::slot(key),
            Sought::Page(cursor) => cursor.and_then(Cursor::read).unwrap_or_default().slot,
        };
        let places = self.whole().places(std::iter::once(slot));
        Some(places.first().map_or_else(|| "a node of the cluster".to_owned(), ToString::to_string))
    }

    fn commands(&self) -> Option<&dyn Commands> {
        Some(self)
    }
}

impl RedisAdapter {
    /// What is set for no time is over at once: it is as if it had been there.
    async fn set_for_no_time(&self, key: &[u8], if_absent: bool) -> Result<bool, Failure> {
        if if_absent {
            return Ok(self.count(key, command("EXISTS", key), "EXISTS").await? == 0);
        }
        self.count(key, command("DEL", key), "DEL").await.map(|_| true)
    }

    async fn one(&self, key: &[u8], command: Cmd) -> Result<Answer, Failure> {
        check_key(key)?;
        let answer = self.whole().ask(Some(key), On::Plain, &command, &mut Space::default()).await?;
        self.granted(answer)
    }

    async fn several(&self, key: &[u8], commands: &Pipeline) -> Result<Vec<Answer>, Failure> {
        check_key(key)?;
        let space = &mut Space::default();
        let answers = self.whole().ask_all(Some(key), On::Plain, commands, space).await?;
        answers.into_iter().map(|answer| self.granted(answer)).collect()
    }

    async fn count(&self, key: &[u8], command: Cmd, name: &str) -> Result<i64, Failure> {
        let answer = self.one(key, command).await?;
        number(&answer).ok_or_else(|| failure::odd(name))
    }

    async fn at_node(&self, slot: u16, command: &Cmd) -> Result<Answer, Failure> {
        let answer = self.whole().ask_at(slot, On::Plain, command, &mut Space::default()).await?;
        self.granted(answer)
    }

    /// Where a walk over all nodes goes on behind the one that has this slot.
    pub(super) fn next_node(&self, slot: u16) -> Option<Cursor> {
        self.whole().node_behind(slot).map(|slot| Cursor { slot, ..Cursor::default() })
    }
}

fn command(name: &str, key: &[u8]) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(key);
    command
}

/// At least one: what is asked for has a time, however short.
fn millis(ttl: Duration) -> u64 {
    let whole = u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(LONGEST_MS);
    whole.clamp(1, LONGEST_MS)
}

/// A step of a scan: where it ended, and its keys.
pub(super) fn step(answer: Answer) -> Option<(u64, Vec<Bytes>)> {
    let Answer::Array(parts) = answer else { return None };
    let [end, Answer::Array(keys)] = <[Answer; 2]>::try_from(parts).ok()? else { return None };
    let keys: Option<Vec<_>> = keys.into_iter().map(bytes).collect();
    Some((text(&end)?.parse().ok()?, keys?))
}

fn check_key(key: &[u8]) -> Result<(), Failure> {
    if key.len() <= MAX_KEY {
        return Ok(());
    }
    let detail = format!("The key has {} bytes; at most {MAX_KEY} are taken.", key.len());
    Err(Failure::client(Code::TooLarge, detail))
}
