//! The adapter: whom it asks, what it lets through, and what was last seen of the server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Code, Failure, Role, Seen};
use redis::{ServerError, Value, cmd};

use super::failure;
use super::gate::Gate;
use super::role::{replication, unfilled};
use super::room::Room;
use super::server::On;
use super::space::Space;
use super::whole::Whole;
use crate::key_value::KeyValue;
use crate::{Adapter, Call};

/// A server, or several that are one.
#[derive(Debug)]
pub(super) struct RedisAdapter {
    whole: Whole,
    gate: Gate,
    room: Arc<Room>,
    /// So many connections stay open.
    least: usize,
    seen: Mutex<Option<Seen>>,
}

impl RedisAdapter {
    pub(super) fn new(whole: Whole, gate: Gate, room: Arc<Room>, least: usize) -> Self {
        RedisAdapter { whole, gate, room, least, seen: Mutex::new(None) }
    }

    pub(super) fn whole(&self) -> &Whole {
        &self.whole
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// An answer that is no refusal.
    pub(super) fn granted(&self, answer: Value) -> Result<Value, Failure> {
        match answer {
            Value::ServerError(refusal) => Err(self.refused(&refusal)),
            answer => Ok(answer),
        }
    }

    /// Why the server refused; what that tells of the server is noted.
    pub(super) fn refused(&self, refusal: &ServerError) -> Failure {
        let failure = failure::refused(refusal);
        // Of several that are one, that tells of a server and not of the whole.
        if failure.wants_primary() && !self.whole.finds_primaries() {
            let mut seen = self.lock();
            let (history, lag) = seen.take().map_or((None, None), |seen| (seen.history, seen.lag));
            *seen = Some(Seen { role: Role::Replica, history, lag, cut_off: false });
        }
        failure
    }

    /// What the probe asks.
    async fn look(&self) -> Result<(), Failure> {
        let Some(server) = self.whole.look().await? else { return Ok(()) };
        // Who answers this takes commands; who is loading or busy says so.
        let space = &mut Space::default();
        let pong = server.ask(On::Plain, &cmd("PING"), space).await?;
        self.granted(pong)?;
        let told = server.ask(On::Plain, cmd("INFO").arg("replication"), space).await?;
        match told {
            // A user that may not ask is served as far as it goes; a replica says itself that it takes no writes.
            Value::ServerError(refusal) if refusal.code() == "NOPERM" => {}
            told => {
                let told = self.granted(told)?;
                let seen = replication(&told).ok_or_else(|| failure::odd("INFO"))?;
                *self.lock() = Some(seen);
                if unfilled(&told) {
                    let detail = "a replica that does not have the data of its primary yet";
                    return Err(Failure::service(Code::NoEndpoint, detail).with_retryable(true));
                }
            }
        }
        server.fill(self.least).await;
        Ok(())
    }

    /// What this lock guards is whole between any two statements, so a panic elsewhere does not spoil it.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Adapter for RedisAdapter {
    fn probe(&self, timeout: Duration) -> Call<'_, ()> {
        Box::pin(async move {
            tokio::time::timeout(timeout, self.look()).await.unwrap_or_else(|_| {
                let millis = timeout.as_millis();
                Err(Failure::service(Code::Timeout, format!("no answer to PING within {millis} ms")))
            })
        })
    }

    fn says_its_role(&self) -> bool {
        true
    }

    fn seen(&self) -> Option<Seen> {
        self.lock().clone()
    }

    fn key_value(&self) -> Option<&dyn KeyValue> {
        Some(self)
    }

    fn close(&self) -> Call<'_, ()> {
        Box::pin(async {
            self.room.close();
            self.whole.close();
            Ok(())
        })
    }

    fn sweep(&self) {
        self.whole.sweep();
    }
}
