//! A cluster: every key is at the node that has its slot. The nodes tell who has which, and where a key went.

mod map;
mod survey;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use model::{Address, Failure, Origin};
use redis::{Cmd, Pipeline, ServerError, Value, cmd};
use tokio::task::JoinSet;

use super::dial::Dialer;
use super::failure::{self, Refusal};
use super::flight::Flight;
use super::links::Keep;
use super::room::Room;
use super::script;
use super::server::{On, Server};
use super::slots::{self, Range};
use super::space::Space;
use map::{Map, slots_of};
use survey::Survey;

/// A node has so long to tell who has which slots.
const ANSWER: Duration = Duration::from_millis(1000);
/// A command is sent on so often.
const HOPS: usize = 5;

/// The nodes of a cluster, found from those that the service names.
#[derive(Debug)]
pub(super) struct Cluster {
    seeds: Vec<Address>,
    dialer: Arc<Dialer>,
    room: Arc<Room>,
    keep: Keep,
    nodes: Mutex<HashMap<Address, Arc<Server>>>,
    map: RwLock<Arc<Map>>,
    looking: Arc<Flight<Result<Arc<Map>, Refusal>>>,
}

/// What an answer means for the search of who has the key.
enum Found {
    Here,
    Moved(Option<Address>),
    Asked(Option<Address>),
    Demoted,
}

impl Cluster {
    pub(super) fn new(seeds: Vec<Address>, dialer: Arc<Dialer>, room: Arc<Room>, keep: Keep) -> Arc<Self> {
        let (nodes, map, looking) = (Mutex::default(), RwLock::default(), Arc::default());
        Arc::new(Cluster { seeds, dialer, room, keep, nodes, map, looking })
    }

    /// Asks whoever has the slot, or any node.
    pub(super) async fn ask(
        self: &Arc<Self>,
        slot: Option<u16>,
        on: On,
        command: &Cmd,
        space: &mut Space,
    ) -> Result<Value, Failure> {
        let mut server = self.server(slot).await?;
        let script = script::is_one(command);
        let mut asking = false;
        for _ in 0..HOPS {
            let answer = if asking {
                let mut both = Pipeline::with_capacity(2);
                both.add_command(cmd("ASKING")).add_command(command.clone());
                let answers = server.ask_all(on, &both, space).await;
                answers.map(|mut answers| answers.pop().unwrap_or_default())
            } else {
                server.ask(on, command, space).await
            };
            let answer = match self.noted(answer) {
                // Nothing has left, and another will do as well.
                Err(failure) if slot.is_none() && failure.retryable() => {
                    server = self.beside(&server).ok_or(failure)?;
                    continue;
                }
                answer => answer?,
            };
            asking = false;
            match self.found(&answer, &server) {
                Found::Here => return Ok(answer),
                Found::Moved(Some(address)) => match self.follow(&address, script).await? {
                    Some(node) => server = node,
                    None => return Ok(answer),
                },
                Found::Asked(Some(address)) => match self.follow(&address, script).await? {
                    Some(node) => (server, asking) = (node, true),
                    None => return Ok(answer),
                },
                Found::Moved(None) | Found::Asked(None) if script => return Ok(answer),
                Found::Moved(None) | Found::Asked(None) => return Err(failure::sent_around()),
                Found::Demoted if script => return Ok(answer),
                Found::Demoted => {
                    self.look().await?;
                    server = self.server(slot).await?;
                }
            }
        }
        Err(failure::sent_around())
    }

    /// Asks several things about one slot, which leave together. Scripts stand among them only where all of them are
    /// one transaction.
    pub(super) async fn ask_all(
        self: &Arc<Self>,
        slot: Option<u16>,
        on: On,
        commands: &Pipeline,
        space: &mut Space,
    ) -> Result<Vec<Value>, Failure> {
        let mut server = self.server(slot).await?;
        let mut named = None;
        for _ in 0..HOPS {
            let answers = self.noted(server.ask_all(on, commands, space).await)?;
            for slot in answers.iter().filter_map(moved) {
                // Two of them are at no place together, however often nodes send us to the other.
                if named.replace(slot).is_some_and(|other| other != slot) {
                    return Err(failure::crossslot());
                }
            }
            let first = answers.iter().map(|answer| self.found(answer, &server));
            match first.into_iter().find(|found| !matches!(found, Found::Here)) {
                None => return Ok(answers),
                Some(Found::Moved(Some(address))) => server = self.node(&address),
                Some(Found::Asked(_)) => return Err(failure::moving()),
                Some(Found::Demoted) => {
                    self.look().await?;
                    server = self.server(slot).await?;
                }
                Some(_) => return Err(failure::sent_around()),
            }
        }
        Err(failure::sent_around())
    }

    /// Asks several things one after the other; neighbours that one node has leave together.
    pub(super) async fn ask_each(
        self: &Arc<Self>,
        on: On,
        asked: &[(Option<&[u8]>, Cmd)],
        space: &mut Space,
    ) -> Result<Vec<Value>, Failure> {
        let slots: Vec<_> = asked.iter().map(|(key, _)| key.map(slots::slot)).collect();
        let mut answers = Vec::with_capacity(asked.len());
        while answers.len() < asked.len() {
            let from = answers.len();
            let begun = |failure: Failure| {
                // What stood before has been done: the whole may not run again.
                if from == 0 { failure } else { failure.with_retryable(false) }
            };
            let server = self.server(slots[from]).await.map_err(begun)?;
            let map = self.known();
            let at_it = |slot: &Option<u16>| {
                slot.is_none_or(|slot| map.find(slot).is_some_and(|other| Arc::ptr_eq(other, &server)))
            };
            let run = 1 + slots[from + 1..].iter().take_while(|slot| at_it(slot)).count();
            let mut together = Pipeline::with_capacity(run);
            for (_, command) in &asked[from..from + run] {
                together.add_command(command.clone());
            }
            let told = self.noted(server.ask_all(on, &together, space).await).map_err(begun)?;
            let begun_all = |failure: Failure| failure.with_retryable(false);
            for (index, answer) in (from..).zip(told) {
                let command = &asked[index].1;
                let found = self.found(&answer, &server);
                if !self.leads_on(found, command).await.map_err(begun_all)? {
                    answers.push(answer);
                    continue;
                }
                // Those beside it have been done already.
                answers.push(self.ask(slots[index], on, command, space).await.map_err(|failure| {
                    if from == 0 && run == 1 { failure } else { failure.with_retryable(false) }
                })?);
            }
        }
        Ok(answers)
    }

    /// The first slot of the node behind the one that has this slot.
    pub(super) fn behind(&self, slot: u16) -> Option<u16> {
        let map = self.known();
        let nodes = map.nodes();
        let own = map.find(slot)?;
        let place = nodes.iter().position(|(_, server)| Arc::ptr_eq(server, own))?;
        nodes.get(place + 1).map(|(first, _)| *first)
    }

    /// Asks every node that has slots, one after the other.
    pub(super) async fn ask_every(
        self: &Arc<Self>,
        on: On,
        command: &Cmd,
        space: &mut Space,
    ) -> Result<Vec<Value>, Failure> {
        let mut map = self.known();
        if map.0.is_empty() {
            map = self.look().await?;
        }
        let mut answers = Vec::new();
        for (_, node) in map.nodes() {
            let answer = match self.noted(node.ask(on, command, space).await) {
                Ok(Value::ServerError(refusal)) if failure::is_not_now(&refusal) => {
                    self.look_soon();
                    self.noted(Err(failure::refused(&refusal)))
                }
                answer => answer,
            };
            // Others have done it already.
            let begun = !answers.is_empty();
            answers
                .push(answer.map_err(|failure| if begun { failure::half_done(&failure) } else { failure })?);
        }
        Ok(answers)
    }

    /// Whether the cluster as a whole is well, by what its nodes say, and opens what shall be open. Where some of it is
    /// well, says what is not.
    pub(super) async fn look_over(self: &Arc<Self>, timeout: Duration) -> Result<Option<String>, Failure> {
        let map = self.look().await?;
        // Who says nothing leaves time to open connections to the others.
        let survey = Survey::of(&map, ANSWER.min(timeout / 2)).await;
        let lacks = survey.lacks()?;
        let well = survey.well();
        for (index, node) in well.iter().enumerate() {
            node.fill(self.keep.least * (index + 1) / well.len()).await;
        }
        Ok(lacks)
    }

    /// Whether there are several nodes.
    pub(super) fn has_parts(&self) -> bool {
        let map = self.known();
        map.0.iter().any(|(_, node)| !Arc::ptr_eq(node, &map.0[0].1))
    }

    /// The nodes that have these slots, each once.
    pub(super) fn places(&self, slots: impl Iterator<Item = u16>) -> Vec<Address> {
        let map = self.known();
        let mut places = Vec::new();
        for address in slots.filter_map(|slot| map.find(slot)).map(|node| node.address()) {
            if !places.contains(address) {
                places.push(address.clone());
            }
        }
        places
    }

    pub(super) fn sweep(&self) {
        let nodes: Vec<_> = self.nodes().values().cloned().collect();
        for node in nodes {
            node.sweep();
        }
    }

    pub(super) fn close(&self) {
        for (_, node) in self.nodes().drain() {
            node.close();
        }
    }

    async fn server(self: &Arc<Self>, slot: Option<u16>) -> Result<Arc<Server>, Failure> {
        let found = |map: &Map| match slot {
            Some(slot) => map.find(slot).cloned(),
            None => map.0.first().map(|(_, server)| Arc::clone(server)),
        };
        if let Some(server) = found(&self.known()) {
            return Ok(server);
        }
        let map = self.look().await?;
        found(&map)
            .ok_or_else(|| Refusal::nobody("no node of the cluster has the key's slot").failure().with_part())
    }

    /// What a node says of where the key is. Whoever is sent on has the map made anew.
    fn found(self: &Arc<Self>, answer: &Value, server: &Server) -> Found {
        let Value::ServerError(refusal) = answer else { return Found::Here };
        let place = |refusal: &ServerError| slots::elsewhere(refusal.details(), server.address());
        match refusal.code() {
            "MOVED" => {
                self.look_soon();
                Found::Moved(place(refusal))
            }
            "ASK" => Found::Asked(place(refusal)),
            "READONLY" => Found::Demoted,
            "CLUSTERDOWN" => {
                self.look_soon();
                Found::Here
            }
            _ => Found::Here,
        }
    }

    /// A node that is gone may have been replaced; the others are not to blame.
    fn noted<T>(self: &Arc<Self>, answer: Result<T, Failure>) -> Result<T, Failure> {
        answer.map_err(|failure| {
            if failure.origin() != Origin::Service {
                return failure;
            }
            self.look_soon();
            if self.has_parts() { failure.with_part() } else { failure }
        })
    }

    /// The node that an answer sends to. A script says what it likes, and is followed only to where the nodes themselves
    /// say that one of them is: whom we turn to gets our credentials.
    async fn follow(
        self: &Arc<Self>,
        address: &Address,
        script: bool,
    ) -> Result<Option<Arc<Server>>, Failure> {
        if !script {
            return Ok(Some(self.node(address)));
        }
        let known = || self.nodes().get(address).cloned();
        if let Some(node) = known() {
            return Ok(Some(node));
        }
        self.look().await?;
        Ok(known())
    }

    /// Whether a command is to be asked elsewhere. What a script made up is its answer: it has run.
    async fn leads_on(self: &Arc<Self>, found: Found, command: &Cmd) -> Result<bool, Failure> {
        match found {
            Found::Here => Ok(false),
            Found::Moved(Some(address)) | Found::Asked(Some(address)) if script::is_one(command) => {
                Ok(self.follow(&address, true).await?.is_some())
            }
            _ => Ok(!script::is_one(command)),
        }
    }

    /// The node behind this one, or none behind the last.
    fn beside(&self, server: &Arc<Server>) -> Option<Arc<Server>> {
        let map = self.known();
        let nodes = map.nodes();
        let place = nodes.iter().position(|(_, node)| Arc::ptr_eq(node, server))?;
        nodes.get(place + 1).map(|(_, node)| Arc::clone(node))
    }

    fn known(&self) -> Arc<Map> {
        Arc::clone(&self.map.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn node(&self, address: &Address) -> Arc<Server> {
        let mut nodes = self.nodes();
        if let Some(node) = nodes.get(address) {
            return Arc::clone(node);
        }
        let node = Arc::new(Server::new(address.clone(), &self.dialer, &self.room, self.keep));
        nodes.insert(address.clone(), Arc::clone(&node));
        node
    }

    fn look_soon(self: &Arc<Self>) {
        let own = Arc::clone(self);
        self.looking.begin(|| async move { own.find().await });
    }

    async fn look(self: &Arc<Self>) -> Result<Arc<Map>, Failure> {
        let own = Arc::clone(self);
        let found = self.looking.join(|| async move { own.find().await }).await;
        found
            .unwrap_or_else(|| Err(Refusal::nobody("the search for the nodes was given up")))
            .map_err(|refusal| refusal.failure())
    }

    /// Asks all that are known, and takes the first map that is told.
    async fn find(self: Arc<Self>) -> Result<Arc<Map>, Refusal> {
        let mut known: Vec<Address> = self.nodes().keys().cloned().collect();
        known.extend(self.seeds.iter().filter(|seed| !self.nodes().contains_key(seed)).cloned());
        let mut asked = JoinSet::new();
        for address in known {
            let node = self.node(&address);
            asked.spawn(async move {
                tokio::time::timeout(ANSWER, slots_of(&node))
                    .await
                    .unwrap_or_else(|_| Err(Refusal::late(node.address(), ANSWER.as_millis())))
            });
        }
        let mut last = Refusal::nobody("no node of the cluster answers");
        while let Some(told) = asked.join_next().await {
            match told {
                Ok(Ok(ranges)) if !ranges.is_empty() => return Ok(self.take(ranges)),
                Ok(Ok(_)) => last = Refusal::nobody("the nodes have no slots: the cluster is not made yet"),
                Ok(Err(refusal)) => last = refusal,
                Err(_) => {}
            }
        }
        Err(last)
    }

    fn take(&self, ranges: Vec<Range>) -> Arc<Map> {
        let map: Vec<_> =
            ranges.into_iter().map(|range| (range.clone(), self.node(&range.primary))).collect();
        let map = Arc::new(Map(map));
        *self.map.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&map);
        // Whoever left is let go of; the first ones stay, to ask when all others are gone.
        self.nodes().retain(|address, node| {
            let stays =
                map.0.iter().any(|(_, server)| Arc::ptr_eq(server, node)) || self.seeds.contains(address);
            if !stays {
                node.close();
            }
            stays
        });
        map
    }

    /// What this lock guards is whole between any two statements, so a panic elsewhere does not spoil it.
    fn nodes(&self) -> MutexGuard<'_, HashMap<Address, Arc<Server>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which slot an answer says is elsewhere.
fn moved(answer: &Value) -> Option<u16> {
    match answer {
        Value::ServerError(refusal) if refusal.code() == "MOVED" => slots::named(refusal.details()),
        _ => None,
    }
}
