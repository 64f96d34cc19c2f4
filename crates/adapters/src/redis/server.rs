//! One server: the connections to it, and what it is asked on which of them.

use std::sync::Arc;

use model::{Address, Failure};
use redis::{Cmd, Pipeline, Value};

use super::dial::{Dialer, Speak};
use super::failure;
use super::links::{Keep, Links};
use super::own::OwnLinks;
use super::room::Room;

/// One server at one address.
#[derive(Debug)]
pub(super) struct Server {
    address: Address,
    /// For what the house asks by itself.
    plain: Arc<Links>,
    /// For native commands, whose answers keep the shapes of the second version.
    native: Arc<Links>,
    own: OwnLinks,
}

/// On which connection something is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    /// A shared one; the shapes of the answer are known.
    Plain,
    /// A shared one that speaks the second version.
    Native,
    /// One that nobody else uses, since the server may be slow to answer on purpose.
    Own,
}

impl Server {
    pub(super) fn new(address: Address, dialer: &Arc<Dialer>, room: &Arc<Room>, keep: Keep) -> Self {
        let links = |speak| Links::new(address.clone(), speak, Arc::clone(dialer), Arc::clone(room), keep);
        let native = links(Speak::Second);
        // Where there is room for next to none, everything is said on the same.
        let plain = if room.most() < 3 { Arc::clone(&native) } else { links(Speak::Newest) };
        let own = OwnLinks::new(address.clone(), Arc::clone(dialer), Arc::clone(room), keep);
        Server { address, plain, native, own }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Asks one thing. A refusal of the server is a value.
    pub(super) async fn ask(&self, on: On, command: &Cmd) -> Result<Value, Failure> {
        let broken = |error| failure::broken(&self.address, &error);
        let refused = |refusal: failure::Refusal| refusal.failure();
        match on {
            On::Plain => self.plain.here().await.map_err(refused)?.ask(command).await.map_err(broken),
            On::Native => self.native.here().await.map_err(refused)?.ask(command).await.map_err(broken),
            On::Own => {
                let own = self.own.take().await.map_err(refused)?;
                let answer = own.link().ask(command).await.map_err(broken)?;
                own.give_back();
                Ok(answer)
            }
        }
    }

    /// Asks several things, which leave together and are done one after the other.
    pub(super) async fn ask_all(&self, on: On, commands: &Pipeline) -> Result<Vec<Value>, Failure> {
        let broken = |error| failure::broken(&self.address, &error);
        let refused = |refusal: failure::Refusal| refusal.failure();
        let answers = match on {
            On::Plain => self.plain.here().await.map_err(refused)?.ask_all(commands).await.map_err(broken)?,
            On::Native => {
                self.native.here().await.map_err(refused)?.ask_all(commands).await.map_err(broken)?
            }
            On::Own => {
                let own = self.own.take().await.map_err(refused)?;
                let answers = own.link().ask_all(commands).await.map_err(broken)?;
                own.give_back();
                answers
            }
        };
        if answers.len() == commands.len() { Ok(answers) } else { Err(failure::odd("a pipeline")) }
    }

    /// Opens what shall be open at least.
    pub(super) async fn fill(&self, least: usize) {
        self.own.fill(least).await;
    }

    /// Looks after the connections of this core.
    pub(super) fn sweep(&self) {
        self.plain.sweep();
        if !Arc::ptr_eq(&self.plain, &self.native) {
            self.native.sweep();
        }
        self.own.sweep();
    }

    /// Closes every connection; what is under way on one ends with its last caller.
    pub(super) fn close(&self) {
        self.plain.close();
        self.native.close();
        self.own.close();
    }
}
