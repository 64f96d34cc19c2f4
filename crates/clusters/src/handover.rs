//! One program takes the place of another: which of the two changes the world, and who has the embedded engines.
//!
//! The one that goes holds all changes from the moment that the other begins to read the world ([`Clusters::hold_changes`]),
//! and has given everything away when its engines are closed ([`Changes::give_away`]). The one that comes serves what needs
//! no engine at once ([`Clusters::open_beside`]); what does waits, and its changes wait too, until it has
//! [taken up](Changes::take_up) what the other has left.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapters::{Adapter, Call, gate};
use model::{Code, Failure};
use tokio::sync::{MutexGuard, OwnedMutexGuard};

use crate::change::Desk;
use crate::{Clusters, OpenError, Options, late};

/// Calls wait meanwhile: what all caches together cannot leave in this time, or take up, is given up.
const LONGEST: Duration = Duration::from_secs(1);

/// Nobody else changes the world while this is held: whoever wants to waits.
pub struct Changes {
    clusters: Clusters,
    desk: OwnedMutexGuard<Desk>,
}

impl Clusters {
    /// As [`Clusters::open`], while another process has the engines and writes the history: its routes are read, and
    /// nothing is written before [`Changes::take_up`].
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open_beside(options: Options) -> Result<Clusters, OpenError> {
        gate::shut();
        Self::begin(options, true).await
    }

    /// Holds all changes from now on.
    pub async fn hold_changes(&self) -> Changes {
        Changes { clusters: self.clone(), desk: Arc::clone(&self.0.desk).lock_owned().await }
    }

    /// The right to change the world.
    pub(crate) async fn desk(&self) -> Result<MutexGuard<'_, Desk>, Failure> {
        let desk = self.0.desk.lock().await;
        if !desk.given_away {
            return Ok(desk);
        }
        Err(gate::given_away())
    }

    fn embedded(&self) -> Vec<(PathBuf, Arc<dyn Adapter>)> {
        let world = self.snapshot();
        let services = world.clusters.values().flat_map(|cluster| &cluster.services);
        let embedded = services.filter(|service| service.is_embedded());
        let adapters = embedded.flat_map(|service| {
            let file = PathBuf::from(format!("{}@{}", service.cluster, service.name));
            service.endpoints.iter().map(move |endpoint| (file.clone(), Arc::clone(&endpoint.adapter)))
        });
        adapters.collect()
    }
}

impl Changes {
    /// Changes wait no more: they are told that the world is another's now. What the engines alone hold in memory is left in
    /// this directory, and they are closed for good.
    pub async fn give_away(mut self, left: &Path) {
        self.desk.given_away = true;
        let Changes { clusters, desk } = self;
        drop(desk);
        gate::give_away();
        let usable = make_empty(left);
        if let Err(error) = &usable {
            tracing::error!(%error, dir = %left.display(), "what is in memory alone cannot be left to who comes");
        }
        let until = Instant::now() + LONGEST;
        for (file, adapter) in clusters.embedded() {
            if usable.is_ok() {
                let file = left.join(file);
                tell(aside(Arc::clone(&adapter), move |adapter| adapter.leave(&file, until)).await);
            }
            tell(adapter.close().await);
        }
    }

    /// Takes what the other process has left in this directory, opens the engines and lets changes go on.
    ///
    /// # Errors
    /// When the store fails: the engines are open all the same, and the history begins when it has come, which is looked
    /// for on the calling runtime.
    pub async fn take_up(self, left: &Path) -> Result<(), Failure> {
        let Changes { clusters, mut desk } = self;
        let until = Instant::now() + LONGEST;
        for (file, adapter) in clusters.embedded() {
            let file = left.join(file);
            tell(aside(adapter, move |adapter| adapter.take_up(&file, until)).await);
        }
        forget_left(left);
        gate::open();
        if !clusters.0.store.is_ready() {
            return Ok(());
        }
        let taken = clusters.take_up_tokens_and_history(&mut desk).await;
        drop(desk);
        if taken.is_err() {
            tokio::spawn(late::wait_again(clusters));
        }
        taken
    }
}

/// What this thread should not wait for: files are read and written meanwhile.
async fn aside<F>(adapter: Arc<dyn Adapter>, work: F) -> Result<(), Failure>
where
    F: for<'a> FnOnce(&'a dyn Adapter) -> Call<'a, ()> + Send + 'static,
{
    let runtime = tokio::runtime::Handle::current();
    let done = tokio::task::spawn_blocking(move || runtime.block_on(work(&*adapter))).await;
    done.unwrap_or_else(|error| {
        Err(Failure::gateway(Code::Internal, "A service was not handed over.").with_cause(error))
    })
}

/// Removes what a process has left that nobody took up: it is of a time that is over.
pub fn forget_left(left: &Path) {
    if let Err(error) = fs::remove_dir_all(left)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, dir = %left.display(), "what was left is not needed any more, and stays");
    }
}

fn make_empty(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    DirBuilder::new().mode(0o700).create(dir)
}

fn tell(done: Result<(), Failure>) {
    if let Err(failure) = done {
        tracing::warn!(%failure, "a service was not handed over in good order");
    }
}
