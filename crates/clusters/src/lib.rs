//! The living state: what is running now, and the try loop.
//!
//! Doors reach services only through here. A request reads one frozen [`Snapshot`]; a change is planned,
//! carried out, saved and then published as the next one.

use std::sync::Arc;

use std::sync::atomic::AtomicU64;

use arc_swap::{ArcSwap, Guard};
use store::Store;
use tokio::sync::Mutex;

// The world, and what happened in it.
mod activity;
pub mod clock;
pub mod doors;
mod events;
mod history;
mod live;
mod request_id;
mod route;
mod snapshot;

// A service as it runs.
mod endpoint;
mod lead;
mod limit;
mod room;
mod route_meter;
mod service;

// The world's beginning, its changes, and what is shown of it.
mod backends;
mod backups;
mod build;
mod change;
mod deletion;
mod explain;
mod files;
mod handover;
mod identity;
mod judge;
mod late;
mod listeners;
mod named_files;
mod open;
mod operate;
mod operations;
mod plan;
mod probe;
mod provision;
mod route_change;
mod show;
mod url_routes;
mod watch;

// The try loop.
mod attempt;
mod choice;
mod tries;

pub use crate::provision::{Act, Begun, Changed, OrphanPlace, Provisioning, Receiving, Source, Underway};
pub use ::provision::{Ask, Data, Line, Lines};
pub use activity::{Activity, ActivityFilter, Ending, Shape};
pub use attempt::{Attempt, Outcome, Whereabouts};
pub use backends::Backend;
pub use change::By;
pub use choice::seed;
pub use endpoint::{Endpoint, Standing};
pub use events::{EventFilter, Events, Happening};
pub use files::check_file;
pub use handover::{Changes, forget_left};
pub use identity::read_or_make as gateway_id;
pub use limit::Limit;
pub use listeners::{Listeners, Target};
pub use live::{Change, Following, Next, Piece, Subscription};
pub use open::{OpenError, Options};
pub use operations::{
    At, Begin, OperationChanges, OperationFilter, Operations, Planned, Running, Step, Touched, Unfinished,
};
pub use request_id::RequestId;
pub use route::{Fixed, HeaderEdits, Leads, Rescue, Route, Split};
pub use route_meter::RouteMeter;
pub use service::{Service, Tactics};
pub use show::Shown;
pub use snapshot::{Cluster, Snapshot};
pub use tries::{Access, Miss, Order, Settled, Tries};

/// The handle on all of it. Clones share it.
#[derive(Clone)]
pub struct Clusters(Arc<Inner>);

struct Inner {
    world: ArcSwap<Snapshot>,
    activity: Activity,
    events: Events,
    history: history::History,
    operations: Operations,
    live: live::Hub,
    traffic: doors::Door,
    control: doors::Door,
    data: doors::Door,
    /// Whoever changes the world holds it.
    desk: Arc<Mutex<change::Desk>>,
    files: files::Files,
    listeners: Listeners,
    store: Store,
    /// The routes from a path to a URL, as they were asked for.
    url_routes: ArcSwap<url_routes::UrlRoutes>,
    data_dir: std::path::PathBuf,
    /// Whoever runs services, and where those are.
    hands: crate::provision::Hands,
    /// What they have held, as dumps.
    backups: backups::Backups,
    revision: AtomicU64,
}

impl Clusters {
    /// The world as it is now; it does not change while it is held.
    #[must_use]
    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.0.world.load()
    }

    /// The record of operations.
    #[must_use]
    pub fn activity(&self) -> &Activity {
        &self.0.activity
    }

    /// The history of changes.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    /// Changes that take a while.
    #[must_use]
    pub fn operations(&self) -> &Operations {
        &self.0.operations
    }

    /// What the traffic door counts.
    #[must_use]
    pub fn traffic(&self) -> &doors::Door {
        &self.0.traffic
    }

    /// What the control door counts.
    #[must_use]
    pub fn control(&self) -> &doors::Door {
        &self.0.control
    }

    /// What the data door counts.
    #[must_use]
    pub fn data(&self) -> &doors::Door {
        &self.0.data
    }
}
