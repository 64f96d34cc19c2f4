//! Connections to one server that many callers share: one for each core, made when somebody asks.
//!
//! Whoever finds none waits for the one that is being made, on whichever core that began, and is told why when it
//! cannot be made. The next one tries again at once.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::Address;
use tokio::sync::watch;
use tokio::time::Instant;
use wire::cores::PerCore;

use super::dial::{Dialer, Speak};
use super::failure::Refusal;
use super::link::Link;
use super::room::{Group, Permit, Room};

/// Between two attempts to open a connection that nobody asked for.
const UNASKED: Duration = Duration::from_secs(5);

/// How long connections are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keep {
    /// So many stay open, also when nobody uses them.
    pub(super) least: usize,
    /// One that was not used for so long is closed.
    pub(super) idle: Duration,
    /// One that is older is replaced.
    pub(super) lifetime: Duration,
}

impl Keep {
    /// The same with another number of those that stay open.
    pub(super) fn at_least(self, least: usize) -> Self {
        Keep { least, ..self }
    }
}

/// The connections to one server that speak one version of the protocol.
pub(super) struct Links {
    address: Address,
    speak: Speak,
    dialer: Arc<Dialer>,
    room: Arc<Room>,
    keep: Keep,
    /// Those of them that are open, or are being opened.
    group: Arc<Group>,
    slots: PerCore<Mutex<Slot>>,
}

/// What a core has.
#[derive(Default)]
struct Slot {
    live: Option<Arc<Link>>,
    /// What becomes of the one that is being made.
    coming: Option<watch::Receiver<Option<Dialled>>>,
    /// When one that nobody asked for may be tried again.
    not_before: Option<Instant>,
}

type Dialled = Result<Arc<Link>, Refusal>;

impl Links {
    pub(super) fn new(
        address: Address,
        speak: Speak,
        dialer: Arc<Dialer>,
        room: Arc<Room>,
        keep: Keep,
    ) -> Arc<Self> {
        let slots = PerCore::new(Mutex::default);
        let group = room.group();
        Arc::new(Links { address, speak, dialer, room, keep, group, slots })
    }

    /// The connection of this core, or one that another shares when the limit has no room for it.
    pub(super) async fn here(self: &Arc<Self>) -> Dialled {
        let coming = {
            let mut slot = lock(self.slots.here());
            if let Some(link) = slot.ready() {
                return Ok(link);
            }
            if let Some(coming) = slot.coming() {
                coming
            } else if let Some(permit) = self.group.take() {
                self.begin(&mut slot, permit)
            } else {
                drop(slot);
                match self.shared() {
                    Shared::Ready(link) => return Ok(link),
                    Shared::Coming(coming) => coming,
                    Shared::None => return Err(self.room.refusal()),
                }
            }
        };
        wait(coming, &self.address).await
    }

    /// Closes what is idle, replaces what is old, and opens what shall be open, on this core.
    pub(super) fn sweep(self: &Arc<Self>) {
        let now = Instant::now();
        let mut slot = lock(self.slots.here());
        let _ = slot.ready();
        let spare = self.room.open() > self.keep.least;
        if slot.live.as_ref().is_some_and(|link| spare && link.idle(now) >= self.keep.idle) {
            slot.live = None;
        }
        let old = slot.live.as_ref().is_some_and(|link| link.age(now) >= self.keep.lifetime);
        let few = slot.live.is_none() && self.room.open() < self.keep.least;
        let may = slot.coming().is_none() && slot.not_before.is_none_or(|moment| moment <= now);
        if (old || few)
            && may
            && let Some(permit) = self.group.take()
        {
            slot.not_before = Some(now + UNASKED);
            self.begin(&mut slot, permit);
        }
    }

    /// Closes all of them; what is under way on one ends with its last caller.
    pub(super) fn close(&self) {
        for slot in self.slots.iter() {
            lock(slot).live = None;
        }
    }

    fn shared(&self) -> Shared {
        let mut found = Shared::None;
        for slot in self.slots.iter() {
            let mut slot = lock(slot);
            if let Some(link) = slot.ready() {
                return Shared::Ready(link);
            }
            if let Some(coming) = slot.coming() {
                found = Shared::Coming(coming);
            }
        }
        found
    }

    /// Begins to make one. A task of its own does it, so that callers may leave.
    fn begin(self: &Arc<Self>, slot: &mut Slot, permit: Permit) -> watch::Receiver<Option<Dialled>> {
        let (tell, coming) = watch::channel(None);
        slot.coming = Some(coming.clone());
        let index = wire::cores::index();
        let links = Arc::clone(self);
        tokio::spawn(async move {
            let dialled = links.dialer.dial(&links.address, links.speak, permit).await.map(Arc::new);
            if let Some(slot) = links.slots.iter().nth(index) {
                let mut slot = lock(slot);
                slot.coming = None;
                match &dialled {
                    Ok(link) if !links.room.is_closed() => slot.live = Some(Arc::clone(link)),
                    Ok(_) | Err(_) => slot.live = slot.ready(),
                }
            }
            let _ = tell.send(Some(dialled));
        });
        coming
    }
}

enum Shared {
    Ready(Arc<Link>),
    Coming(watch::Receiver<Option<Dialled>>),
    None,
}

impl Slot {
    /// What becomes of the one that is being made. A task whose runtime has ended tells nobody anything.
    fn coming(&self) -> Option<watch::Receiver<Option<Dialled>>> {
        self.coming.as_ref().filter(|coming| coming.has_changed().is_ok()).cloned()
    }

    /// The connection, if it can be used; one that cannot is let go of.
    fn ready(&mut self) -> Option<Arc<Link>> {
        match &self.live {
            Some(link) if link.usable() => Some(Arc::clone(link)),
            Some(_) => {
                self.live = None;
                None
            }
            None => None,
        }
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links")
            .field("address", &self.address)
            .field("speak", &self.speak)
            .finish_non_exhaustive()
    }
}

async fn wait(mut coming: watch::Receiver<Option<Dialled>>, address: &Address) -> Dialled {
    match coming.wait_for(Option::is_some).await {
        Ok(dialled) => dialled.clone().unwrap_or_else(|| Err(gone(address))),
        // Its core stops.
        Err(_) => Err(gone(address)),
    }
}

fn gone(address: &Address) -> Refusal {
    Refusal::nobody(format!("{address}: the connection was given up while it was made"))
}

/// What these locks guard is whole between any two statements, so a panic elsewhere does not spoil it.
fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
