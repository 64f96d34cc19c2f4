//! One open queue: the file, the thread of its broker, and the way to tell the broker something.

use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::sync::Arc;

use disk::{Disk, Error};
use model::Failure;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::broker::Broker;
use super::clock::Clock;
use super::command::{Answer, Command, Signal};
use super::{failure, tables};

/// Commands that may wait; who comes later waits to be let in.
const WAITING: usize = 1024;

/// Bytes of messages that may wait to be written.
const WAITING_BYTES: usize = 64 << 20;

/// An open queue. Adapters of the same file share it.
pub(super) struct Engine {
    disk: Disk,
    clock: Clock,
    salt: u32,
    commands: mpsc::Sender<Command>,
    signals: mpsc::UnboundedSender<Signal>,
    room: Arc<Semaphore>,
}

impl Engine {
    /// Opens or makes the file. Blocks while it is checked and read.
    pub(super) fn open(path: &Path) -> Result<Engine, Error> {
        let (disk, loaded) = Disk::open_with(path, |connection| tables::open(connection, random()))?;
        Self::start(disk, loaded)
    }

    /// A queue that ends with the process.
    pub(super) fn open_in_memory(_: &Path) -> Result<Engine, Error> {
        let (disk, loaded) = Disk::in_memory_with(|connection| tables::open(connection, random()))?;
        Self::start(disk, loaded)
    }

    fn start(disk: Disk, loaded: tables::Loaded) -> Result<Engine, Error> {
        let (commands, waiting) = mpsc::channel(WAITING);
        let (signals, heard) = mpsc::unbounded_channel();
        let (clock, salt) = (Clock::start(), loaded.salt);
        let broker = Broker::new(disk.clone(), clock, loaded, waiting, (signals.clone(), heard));
        let no_thread = |error| Error::Thread(Arc::new(error));
        // A thread of its own, since the runtimes of those who call come and go.
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(no_thread)?;
        let body = move || runtime.block_on(broker.run());
        std::thread::Builder::new().name("queue-broker".to_owned()).spawn(body).map_err(no_thread)?;
        Ok(Engine { disk, clock, salt, commands, signals, room: Arc::new(Semaphore::new(WAITING_BYTES)) })
    }

    /// Tells the broker something and waits for its answer.
    pub(super) async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, Failure> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| failure::closed())?;
        answered.await.map_err(|_| failure::cut_off())?
    }

    /// Tells the broker something that needs no answer.
    pub(super) async fn tell(&self, command: Command) -> Result<(), Failure> {
        self.commands.send(command).await.map_err(|_| failure::closed())
    }

    /// Room for so many bytes among those that wait to be written.
    pub(super) async fn room(&self, bytes: usize) -> Result<tokio::sync::OwnedSemaphorePermit, Failure> {
        // A publish larger than all the room takes all of it.
        let bytes = u32::try_from(bytes.min(WAITING_BYTES)).unwrap_or(u32::MAX);
        Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| failure::closed())
    }

    pub(super) fn signals(&self) -> mpsc::UnboundedSender<Signal> {
        self.signals.clone()
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    pub(super) fn salt(&self) -> u32 {
        self.salt
    }

    /// Whether the broker is there and the file can be read.
    pub(super) async fn probe(&self) -> Result<(), Failure> {
        if self.commands.is_closed() {
            return Err(failure::closed());
        }
        let look =
            |connection: &disk::Connection| connection.query_row("SELECT salt FROM file", [], |_| Ok(()));
        self.disk.read(look).await.map_err(|error| failure::of(&error))
    }

    /// Lets what was asked before be carried out, ends all consumers, and closes the file.
    pub(super) async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        // Either fails only when the broker has ended already.
        if self.commands.send(Command::Close(answer)).await.is_ok() {
            let _ = answered.await;
        }
        self.disk.close().await;
    }

    /// Transactions committed so far.
    #[cfg(test)]
    pub(super) fn commits(&self) -> u64 {
        self.disk.commits()
    }

    /// Makes the disk as small as that: what full disks are tested by.
    #[cfg(test)]
    pub(super) async fn limit_pages(&self, count: i64) {
        let limit =
            move |connection: &disk::Connection| connection.pragma_update(None, "max_page_count", count);
        self.disk.write(limit).await.expect("a limit is set");
    }
}

/// A number that tells files apart; nothing depends on nobody guessing it.
fn random() -> u32 {
    std::hash::RandomState::new().build_hasher().finish() as u32
}
