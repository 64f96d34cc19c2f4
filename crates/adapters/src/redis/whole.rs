//! What an adapter stands for: one server, whoever sentinels say is the primary, or a cluster.

use std::sync::Arc;
use std::time::Duration;

use model::{Address, EndpointSpec, Failure, Origin, ServiceSpec};
use redis::{Cmd, Pipeline, Value};

use super::cluster::Cluster;
use super::dial::{Dialer, Login, secured};
use super::failure;
use super::options::{Mode, Options};
use super::room::Room;
use super::sentinel::Sentinels;
use super::server::{On, Server};
use super::slots;
use super::space::Space;
use super::spread::Spread;

/// Connections to one sentinel, beside those that `max_connections` speaks of.
const TO_A_SENTINEL: usize = 2;

/// Whom an adapter asks.
#[derive(Debug)]
pub(super) enum Whole {
    /// One server.
    One(Arc<Server>),
    /// The primary that sentinels know.
    Sentinel(Arc<Sentinels>),
    /// Whoever has the key.
    Cluster(Arc<Cluster>),
}

/// Who was there.
pub(super) enum Looked {
    /// One server, which is to be asked further.
    One(Arc<Server>),
    /// The nodes of a cluster; and what is wrong with some of them.
    Nodes(Option<String>),
}

impl Whole {
    /// As the options say.
    ///
    /// # Errors
    /// When a file of `tls` cannot be read.
    pub(super) fn new(
        endpoint: &EndpointSpec,
        service: &ServiceSpec,
        options: &Options,
        room: &Arc<Room>,
    ) -> Result<Self, Failure> {
        let (keep, room) = (options.keep, Arc::clone(room));
        let dialer = |login: &Login| {
            let secured = options.tls.as_ref().map(secured).transpose()?;
            Ok::<_, Failure>(Arc::new(Dialer::new(login.clone(), secured)))
        };
        let own = dialer(&options.login)?;
        let addresses = || service.all_endpoints().iter().map(EndpointSpec::address).collect::<Vec<_>>();
        Ok(match &options.mode {
            Mode::Standalone => Whole::One(Arc::new(Server::new(endpoint.address(), &own, &room, keep))),
            Mode::Cluster => Whole::Cluster(Cluster::new(addresses(), own, room, keep)),
            Mode::Sentinel { master, login } => {
                let to_them = dialer(login)?;
                let sentinel = |address| {
                    let room = Room::new(TO_A_SENTINEL);
                    Arc::new(Server::new(address, &to_them, &room, keep.at_least(0)))
                };
                let sentinels = addresses().into_iter().map(sentinel).collect();
                Whole::Sentinel(Sentinels::new(master.clone(), sentinels, own, room, keep))
            }
        })
    }

    /// Asks one thing of whoever has the key. A refusal of the server is a value.
    pub(super) async fn ask(
        &self,
        key: Option<&[u8]>,
        on: On,
        command: &Cmd,
        space: &mut Space,
    ) -> Result<Value, Failure> {
        match self {
            Whole::One(server) => server.ask(on, command, space).await,
            Whole::Sentinel(sentinels) => {
                let server = primary(sentinels).await?;
                let answer = server.ask(on, command, space).await;
                doubt(sentinels, &server, answer.as_ref().map(std::slice::from_ref));
                answer
            }
            Whole::Cluster(cluster) => cluster.ask(key.map(slots::slot), on, command, space).await,
        }
    }

    /// Asks all nodes of a cluster what concerns all of them.
    pub(super) async fn ask_spread(
        &self,
        spread: Spread,
        on: On,
        command: &Cmd,
        space: &mut Space,
    ) -> Result<Value, Failure> {
        match (self, spread) {
            (Whole::One(_) | Whole::Sentinel(_), _) | (_, Spread::One) => {
                self.ask(None, on, command, space).await
            }
            (Whole::Cluster(cluster), spread) => {
                let answers = cluster.ask_every(on, command, space).await?;
                spread.join(answers).ok_or_else(|| failure::odd("the nodes"))
            }
        }
    }

    /// Whether who takes writes is found out here, so that others need not know.
    pub(super) fn finds_primaries(&self) -> bool {
        !matches!(self, Whole::One(_))
    }

    /// Whether there are several nodes, each with keys of its own.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Whole::Cluster(_))
    }

    /// Whether there are several nodes now, so that what one of them does is not the doing of all.
    pub(super) fn has_parts(&self) -> bool {
        matches!(self, Whole::Cluster(cluster) if cluster.has_parts())
    }

    /// Which of several nodes have these slots.
    pub(super) fn places(&self, slots: impl Iterator<Item = u16>) -> Vec<Address> {
        match self {
            Whole::Cluster(cluster) => cluster.places(slots),
            Whole::One(_) | Whole::Sentinel(_) => Vec::new(),
        }
    }

    /// Looks who is there, and whether it is well as far as that tells.
    pub(super) async fn look(&self, timeout: Duration) -> Result<Looked, Failure> {
        match self {
            Whole::One(server) => Ok(Looked::One(Arc::clone(server))),
            Whole::Sentinel(sentinels) => {
                sentinels.look().await.map(Looked::One).map_err(|refusal| refusal.failure())
            }
            Whole::Cluster(cluster) => cluster.look_over(timeout).await.map(Looked::Nodes),
        }
    }

    /// Asks several things of whoever has the key, one after the other.
    pub(super) async fn ask_all(
        &self,
        key: Option<&[u8]>,
        on: On,
        commands: &Pipeline,
        space: &mut Space,
    ) -> Result<Vec<Value>, Failure> {
        match self {
            Whole::One(server) => server.ask_all(on, commands, space).await,
            Whole::Sentinel(sentinels) => {
                let server = primary(sentinels).await?;
                let answers = server.ask_all(on, commands, space).await;
                doubt(sentinels, &server, answers.as_deref());
                answers
            }
            Whole::Cluster(cluster) => cluster.ask_all(key.map(slots::slot), on, commands, space).await,
        }
    }

    /// Asks several things, each of whoever has its key; what one server is asked leaves together.
    pub(super) async fn ask_each(
        &self,
        on: On,
        asked: &[(Option<&[u8]>, Cmd)],
        space: &mut Space,
    ) -> Result<Vec<Value>, Failure> {
        if let Whole::Cluster(cluster) = self {
            return cluster.ask_each(on, asked, space).await;
        }
        let mut all = Pipeline::with_capacity(asked.len());
        for (_, command) in asked {
            all.add_command(command.clone());
        }
        self.ask_all(None, on, &all, space).await
    }

    /// Asks whoever has a slot of a cluster, or the one server that there is.
    pub(super) async fn ask_at(
        &self,
        slot: u16,
        on: On,
        command: &Cmd,
        space: &mut Space,
    ) -> Result<Value, Failure> {
        match self {
            Whole::Cluster(cluster) => cluster.ask(Some(slot), on, command, space).await,
            Whole::One(_) | Whole::Sentinel(_) => self.ask(None, on, command, space).await,
        }
    }

    /// The first slot of the node behind the one that has this slot.
    pub(super) fn node_behind(&self, slot: u16) -> Option<u16> {
        match self {
            Whole::Cluster(cluster) => cluster.behind(slot),
            Whole::One(_) | Whole::Sentinel(_) => None,
        }
    }

    pub(super) fn sweep(&self) {
        match self {
            Whole::One(server) => server.sweep(),
            Whole::Sentinel(sentinels) => sentinels.sweep(),
            Whole::Cluster(cluster) => cluster.sweep(),
        }
    }

    pub(super) fn close(&self) {
        match self {
            Whole::One(server) => server.close(),
            Whole::Sentinel(sentinels) => sentinels.close(),
            Whole::Cluster(cluster) => cluster.close(),
        }
    }
}

async fn primary(sentinels: &Arc<Sentinels>) -> Result<Arc<Server>, Failure> {
    sentinels.primary().await.map_err(|refusal| refusal.failure())
}

/// A primary that cannot be reached, or takes no writes, may have been replaced.
fn doubt(sentinels: &Sentinels, server: &Arc<Server>, answers: Result<&[Value], &Failure>) {
    let doubtful = match answers {
        Ok(answers) => answers.iter().any(|answer| {
            matches!(answer, Value::ServerError(refusal) if matches!(refusal.code(), "READONLY" | "MASTERDOWN"))
        }),
        Err(failure) => failure.origin() == Origin::Service,
    };
    if doubtful {
        sentinels.doubt(server);
    }
}
