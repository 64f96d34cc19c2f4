//! Connections that one caller has to itself for a while: for commands that wait on the server, which would hold up
//! everybody behind them on a shared one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Address;
use tokio::time::Instant;

use super::dial::{Dialer, Speak};
use super::failure::Refusal;
use super::link::Link;
use super::links::Keep;
use super::room::Room;

/// The idle ones, the last used on top.
#[derive(Debug)]
pub(super) struct OwnLinks {
    address: Address,
    dialer: Arc<Dialer>,
    room: Arc<Room>,
    keep: Keep,
    idle: Mutex<Vec<Link>>,
}

/// A connection that nobody else uses. Dropped before it was given back, it is closed, and with it ends what the
/// server does on it.
#[derive(Debug)]
pub(super) struct OwnLink<'o> {
    link: Link,
    home: &'o OwnLinks,
}

impl OwnLinks {
    pub(super) fn new(address: Address, dialer: Arc<Dialer>, room: Arc<Room>, keep: Keep) -> Self {
        OwnLinks { address, dialer, room, keep, idle: Mutex::default() }
    }

    /// An idle connection, or a new one.
    pub(super) async fn take(&self) -> Result<OwnLink<'_>, Refusal> {
        if let Some(link) = self.pop() {
            return Ok(OwnLink { link, home: self });
        }
        let permit = self.room.take().ok_or_else(|| self.room.refusal())?;
        let link = self.dialer.dial(&self.address, Speak::Second, permit).await?;
        Ok(OwnLink { link, home: self })
    }

    /// Opens what shall be open at least and no core has.
    pub(super) async fn fill(&self, least: usize) {
        while self.room.open() < least {
            let Some(permit) = self.room.take() else { return };
            let Ok(link) = self.dialer.dial(&self.address, Speak::Second, permit).await else { return };
            lock(&self.idle).push(link);
        }
    }

    /// Closes what is idle for too long, too old, or closed by the server.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        let mut spare = self.room.open().saturating_sub(self.keep.least);
        lock(&self.idle).retain(|link| {
            let stays = link.usable() && link.age(now) < self.keep.lifetime;
            if stays && link.idle(now) >= self.keep.idle && spare > 0 {
                spare -= 1;
                return false;
            }
            stays
        });
    }

    /// Closes the idle ones.
    pub(super) fn close(&self) {
        lock(&self.idle).clear();
    }

    fn pop(&self) -> Option<Link> {
        let mut idle = lock(&self.idle);
        while let Some(link) = idle.pop() {
            if link.usable() {
                return Some(link);
            }
        }
        None
    }
}

impl OwnLink<'_> {
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Everything that was asked on it was answered.
    pub(super) fn give_back(self) {
        let OwnLink { link, home } = self;
        if link.usable() && link.age(Instant::now()) < home.keep.lifetime && !home.room.is_closed() {
            lock(&home.idle).push(link);
        }
    }
}

/// What this lock guards is whole between any two statements, so a panic elsewhere does not spoil it.
fn lock(idle: &Mutex<Vec<Link>>) -> MutexGuard<'_, Vec<Link>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
