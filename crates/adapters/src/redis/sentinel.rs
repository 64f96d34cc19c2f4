//! A primary that sentinels know: they are asked where it is, and asked again whenever there is doubt.
//!
//! What most of them say counts, since one that was cut off still names whom it knew; and who is named must itself say
//! that it takes writes.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use model::{Address, Role};
use redis::{Value, cmd};
use tokio::task::JoinSet;

use super::dial::Dialer;
use super::failure::Refusal;
use super::flight::Flight;
use super::links::Keep;
use super::reply::text;
use super::role::replication;
use super::room::Room;
use super::server::{On, Server};
use super::space::Space;

/// A sentinel, or a primary that was named, has so long to answer.
const ANSWER: Duration = Duration::from_millis(1000);

/// The sentinels of one primary.
#[derive(Debug)]
pub(super) struct Sentinels {
    master: Box<str>,
    sentinels: Vec<Arc<Server>>,
    dialer: Arc<Dialer>,
    room: Arc<Room>,
    keep: Keep,
    current: RwLock<Option<Arc<Server>>>,
    looking: Arc<Flight<Result<Arc<Server>, Refusal>>>,
}

impl Sentinels {
    pub(super) fn new(
        master: Box<str>,
        sentinels: Vec<Arc<Server>>,
        dialer: Arc<Dialer>,
        room: Arc<Room>,
        keep: Keep,
    ) -> Arc<Self> {
        let (current, looking) = (RwLock::default(), Arc::default());
        Arc::new(Sentinels { master, sentinels, dialer, room, keep, current, looking })
    }

    /// The primary that was found last, or is found now.
    pub(super) async fn primary(self: &Arc<Self>) -> Result<Arc<Server>, Refusal> {
        match self.known() {
            Some(server) => Ok(server),
            None => self.look().await,
        }
    }

    /// The primary that was found last.
    pub(super) fn known(&self) -> Option<Arc<Server>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something went wrong with it: the next one who asks looks again.
    pub(super) fn doubt(&self, server: &Arc<Server>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, server)) {
            *current = None;
        }
    }

    /// Asks the sentinels now. When they name another than before, connections to the other are closed.
    pub(super) async fn look(self: &Arc<Self>) -> Result<Arc<Server>, Refusal> {
        let own = Arc::clone(self);
        let found = self.looking.join(|| async move { own.find().await }).await;
        found.unwrap_or_else(|| Err(Refusal::nobody("the search for the primary was given up")))
    }

    pub(super) fn sweep(&self) {
        if let Some(server) = self.known() {
            server.sweep();
        }
        for sentinel in &self.sentinels {
            sentinel.sweep();
        }
    }

    pub(super) fn close(&self) {
        if let Some(server) = self.known() {
            server.close();
        }
        for sentinel in &self.sentinels {
            sentinel.close();
        }
    }

    async fn find(&self) -> Result<Arc<Server>, Refusal> {
        let address = self.named().await?;
        let server = match self.known().filter(|known| *known.address() == address) {
            Some(known) => known,
            None => Arc::new(Server::new(address, &self.dialer, &self.room, self.keep)),
        };
        let confirmed = takes_writes(&server).await;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let found = confirmed.is_ok().then(|| Arc::clone(&server));
        if let Some(before) = std::mem::replace(&mut *current, found.clone())
            && !found.is_some_and(|found| Arc::ptr_eq(&before, &found))
        {
            before.close();
        }
        confirmed.map(|()| server)
    }

    /// The address that most of the sentinels name.
    async fn named(&self) -> Result<Address, Refusal> {
        let mut asked = JoinSet::new();
        for sentinel in &self.sentinels {
            let (sentinel, master) = (Arc::clone(sentinel), self.master.clone());
            asked.spawn(async move {
                tokio::time::timeout(ANSWER, name(&sentinel, &master))
                    .await
                    .unwrap_or_else(|_| Err(Refusal::late(sentinel.address(), ANSWER.as_millis())))
            });
        }
        let mut votes: HashMap<Address, usize> = HashMap::new();
        let mut unknown = false;
        let mut last = None;
        while let Some(told) = asked.join_next().await {
            match told {
                Ok(Ok(Some(address))) => {
                    let votes = votes.entry(address.clone()).or_default();
                    *votes += 1;
                    if *votes * 2 > self.sentinels.len() {
                        return Ok(address);
                    }
                }
                Ok(Ok(None)) => unknown = true,
                Ok(Err(refusal)) => last = Some(refusal),
                Err(_) => {}
            }
        }
        let most = votes.values().copied().max().unwrap_or(0);
        let mut leading = votes.into_iter().filter(|(_, votes)| *votes == most).map(|(address, _)| address);
        match (leading.next(), leading.next()) {
            (Some(address), None) => Ok(address),
            (Some(one), Some(other)) => {
                Err(Refusal::nobody(format!("the sentinels disagree: {one} or {other}")))
            }
            _ if unknown => {
                Err(Refusal::nobody(format!("the sentinels know no primary called `{}`", self.master)))
            }
            _ => Err(last.unwrap_or_else(|| Refusal::nobody("no sentinel answers"))),
        }
    }
}

/// Whom a sentinel names; `None` when it knows nobody of that name.
async fn name(sentinel: &Server, master: &str) -> Result<Option<Address>, Refusal> {
    let mut ask = cmd("SENTINEL");
    ask.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    let answer = sentinel.ask(On::Plain, &ask, &mut Space::default()).await;
    match answer.map_err(|failure| Refusal::of(&failure))? {
        Value::Array(parts) => {
            let [host, port] = parts.as_slice() else { return Ok(None) };
            let address = text(host).zip(text(port).and_then(|port| port.parse().ok()));
            Ok(address.map(|(host, port)| Address::new(host, port)))
        }
        Value::ServerError(refusal) => Err(Refusal::unwelcome(sentinel.address(), &refusal)),
        _ => Ok(None),
    }
}

/// Whether who was named says so itself: during a failover sentinels may be ahead of it, or behind.
async fn takes_writes(server: &Server) -> Result<(), Refusal> {
    let mut info = cmd("INFO");
    info.arg("replication");
    let mut space = Space::default();
    let asked = tokio::time::timeout(ANSWER, server.ask(On::Plain, &info, &mut space)).await;
    let address = server.address();
    let answer = asked.map_err(|_| Refusal::late(address, ANSWER.as_millis()))?;
    match answer.map_err(|failure| Refusal::of(&failure))? {
        // A user that may not ask is believed the sentinels; a replica says by itself that it takes no writes.
        Value::ServerError(refusal) if refusal.code() == "NOPERM" => Ok(()),
        Value::ServerError(refusal) => Err(Refusal::unwelcome(address, &refusal)),
        answer if replication(&answer).is_some_and(|told| told.role == Role::Primary) => Ok(()),
        _ => Err(Refusal::nobody(format!("{address}: the sentinels name it, and it takes no writes"))),
    }
}
