//! One server: the connections to it, and what it is asked on which of them.

use std::sync::Arc;

use model::{Address, Failure};
use redis::{Cmd, Pipeline, Value, cmd};

use super::dial::{Dialer, Speak};
use super::failure;
use super::link::Link;
use super::links::{Keep, Links};
use super::own::OwnLinks;
use super::room::Room;
use super::space::Space;
use super::talk::Broke;

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
    /// The same, on which transactions are known to be taken.
    Together,
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
    pub(super) async fn ask(&self, on: On, command: &Cmd, space: &mut Space) -> Result<Value, Failure> {
        let broken = |broke: Broke| failure::broken(&self.address, &broke);
        if on == On::Own {
            let own = self.own.take().await.map_err(|refusal| refusal.failure())?;
            let answer = own.link().ask(command, space).await.map_err(broken)?;
            own.give_back();
            return Ok(answer);
        }
        self.shared(on).await?.ask(command, space).await.map_err(broken)
    }

    /// Asks several things, which leave together and are done one after the other.
    pub(super) async fn ask_all(
        &self,
        on: On,
        commands: &Pipeline,
        space: &mut Space,
    ) -> Result<Vec<Value>, Failure> {
        let broken = |broke: Broke| failure::broken(&self.address, &broke);
        if on == On::Own {
            let own = self.own.take().await.map_err(|refusal| refusal.failure())?;
            let answers = own.link().ask_all(commands, space).await.map_err(broken)?;
            own.give_back();
            return Ok(answers);
        }
        self.shared(on).await?.ask_all(commands, space).await.map_err(broken)
    }

    /// The connection that all of this core share.
    async fn shared(&self, on: On) -> Result<Arc<Link>, Failure> {
        let links = if on == On::Plain { &self.plain } else { &self.native };
        let link = links.here().await.map_err(|refusal| refusal.failure())?;
        if on == On::Together && !link.is_known_to_transact() {
            self.try_to_transact(&link).await?;
        }
        Ok(link)
    }

    /// Where the server refuses MULTI, it does one by one what stands behind it: an empty transaction finds out.
    async fn try_to_transact(&self, link: &Link) -> Result<(), Failure> {
        let mut nothing = Pipeline::with_capacity(2);
        nothing.add_command(cmd("MULTI")).add_command(cmd("EXEC"));
        let answers = link.ask_all(&nothing, &mut Space::default()).await;
        let broken = |broke: Broke| failure::broken(&self.address, &Broke { sent: false, ..broke });
        match answers.map_err(broken)?.first() {
            Some(Value::Okay) => {
                link.transacts();
                Ok(())
            }
            Some(Value::ServerError(refusal)) => Err(failure::refused(refusal)),
            _ => Err(failure::odd("MULTI")),
        }
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
