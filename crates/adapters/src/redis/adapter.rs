//! The adapter: whom it asks, what it lets through, and what was last seen of the server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Code, Failure, Origin, Role, Seen};
use redis::{ServerError, Value, cmd};

use super::failure;
use super::gate::Gate;
use super::role::{replication, unfilled};
use super::room::Room;
use super::server::On;
use super::space::Space;
use super::whole::{Looked, Whole};
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
    /// What is wrong with some of several nodes.
    lacks: Mutex<Option<String>>,
}

impl RedisAdapter {
    pub(super) fn new(whole: Whole, gate: Gate, room: Arc<Room>, least: usize) -> Self {
        RedisAdapter { whole, gate, room, least, seen: Mutex::new(None), lacks: Mutex::new(None) }
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
        self.of_its_part(failure)
    }

    /// A failure of one node of several says nothing of the others.
    pub(super) fn of_its_part(&self, failure: Failure) -> Failure {
        let parted = failure.origin() == Origin::Service && self.whole.has_parts();
        if parted { failure.with_part() } else { failure }
    }

    /// What the probe asks; and what is wrong with a part, where not all is.
    async fn look(&self, timeout: Duration) -> Result<Option<String>, Failure> {
        let server = match self.whole.look(timeout).await? {
            Looked::One(server) => server,
            Looked::Nodes(lacks) => return Ok(lacks),
        };
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
        Ok(None)
    }

    /// What this lock guards is whole between any two statements, so a panic elsewhere does not spoil it.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Adapter for RedisAdapter {
    fn probe(&self, timeout: Duration) -> Call<'_, ()> {
        Box::pin(async move {
            let found = tokio::time::timeout(timeout, self.look(timeout)).await.unwrap_or_else(|_| {
                let millis = timeout.as_millis();
                Err(Failure::service(Code::Timeout, format!("no answer to PING within {millis} ms")))
            });
            let (lacks, end) = found.map_or_else(|failure| (None, Err(failure)), |lacks| (lacks, Ok(())));
            *self.lacks.lock().unwrap_or_else(PoisonError::into_inner) = lacks;
            end
        })
    }

    fn says_its_role(&self) -> bool {
        true
    }

    fn seen(&self) -> Option<Seen> {
        self.lock().clone()
    }

    fn lacks(&self) -> Option<String> {
        self.lacks.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
