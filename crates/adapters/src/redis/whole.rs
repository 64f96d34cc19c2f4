//! What an adapter stands for: whom it asks.

use std::sync::Arc;

use model::{EndpointSpec, Failure};
use redis::{Cmd, Pipeline, Value};

use super::dial::{Dialer, secured};
use super::options::Options;
use super::room::Room;
use super::server::{On, Server};

/// Whom an adapter asks.
#[derive(Debug)]
pub(super) enum Whole {
    /// One server.
    One(Arc<Server>),
}

impl Whole {
    /// As the options say.
    ///
    /// # Errors
    /// When a file of `tls` cannot be read.
    pub(super) fn new(endpoint: &EndpointSpec, options: &Options) -> Result<Self, Failure> {
        let secured = options.tls.as_ref().map(secured).transpose()?;
        let dialer = Arc::new(Dialer::new(options.login.clone(), secured));
        let room = Room::new(options.most_connections);
        Ok(Whole::One(Arc::new(Server::new(endpoint.address(), &dialer, &room, options.keep))))
    }

    /// Asks one thing of whoever has the key. A refusal of the server is a value.
    pub(super) async fn ask(&self, _key: Option<&[u8]>, on: On, command: &Cmd) -> Result<Value, Failure> {
        match self {
            Whole::One(server) => server.ask(on, command).await,
        }
    }

    /// Asks several things of whoever has the key, one after the other.
    pub(super) async fn ask_all(
        &self,
        _key: Option<&[u8]>,
        on: On,
        commands: &Pipeline,
    ) -> Result<Vec<Value>, Failure> {
        match self {
            Whole::One(server) => server.ask_all(on, commands).await,
        }
    }

    /// Asks several things, each of whoever has its key; what one server is asked leaves together.
    pub(super) async fn ask_each(
        &self,
        on: On,
        asked: &[(Option<&[u8]>, Cmd)],
    ) -> Result<Vec<Value>, Failure> {
        let mut all = Pipeline::with_capacity(asked.len());
        for (_, command) in asked {
            all.add_command(command.clone());
        }
        match self {
            Whole::One(server) => server.ask_all(on, &all).await,
        }
    }

    /// Asks whoever has a slot of a cluster, or the one server that there is.
    pub(super) async fn ask_at(&self, _slot: u16, on: On, command: &Cmd) -> Result<Value, Failure> {
        match self {
            Whole::One(server) => server.ask(on, command).await,
        }
    }

    /// The first slot of the node behind the one that has this slot.
    pub(super) fn node_behind(&self, _slot: u16) -> Option<u16> {
        match self {
            Whole::One(_) => None,
        }
    }

    pub(super) fn sweep(&self) {
        match self {
            Whole::One(server) => server.sweep(),
        }
    }

    pub(super) fn close(&self) {
        match self {
            Whole::One(server) => server.close(),
        }
    }
}
