//! SIGUSR2: another program takes this one's place, and nobody is refused. Here is the side of the one that comes; `leave` is
//! the side of the one that goes.
//!
//! ```text
//! goes: starts the program, holds changes ─► sockets ─► comes: settings, world, doors; calls to engines wait
//!       stops accepting, asks for last requests ◄─ ready ─┘
//!       closes engines and history; unlocks ────────────► opens them: calls go on
//!       finishes what is under way, ends
//! ```

mod channel;
mod leave;
pub(crate) mod notify;
mod program;
mod sockets;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clusters::{Changes, Clusters};
use serde::{Deserialize, Serialize};
use store::Store;

use crate::certificates::happening;
use crate::lock::{self, Lock};
use channel::Channel;
pub(crate) use leave::{Leaving, PATIENCE, let_go};
pub(crate) use sockets::Sockets;

/// In the environment of a program that takes another's place: the process that it comes from.
pub(crate) const NAME: &str = "THROOME_HANDOVER";

/// Where the process that goes leaves what was in memory alone, below its data directory.
const LEFT: &str = "handover";

/// How long each message of the other process is waited for.
const SOON: Duration = Duration::from_secs(10);

/// What the process that goes says with its sockets.
#[derive(Debug, Serialize, Deserialize)]
struct Offer {
    /// Of this form of the offer.
    version: u32,
    /// More sockets come in another message.
    more: bool,
    data_dir: PathBuf,
}

/// The form of the offer that this program speaks.
const VERSION: u32 = 1;

/// What came from the process whose place this one takes.
pub(crate) struct Predecessor {
    channel: Channel,
    pid: String,
    data_dir: PathBuf,
    sockets: Sockets,
}

/// What this process begins with: nothing but itself, or the place of another one.
pub(crate) fn predecessor() -> anyhow::Result<Option<Predecessor>> {
    let Ok(pid) = std::env::var(NAME) else { return Ok(None) };
    let receive = || -> anyhow::Result<Predecessor> {
        let channel = Channel::inherited()?;
        channel.wait_at_most(SOON)?;
        let mut descriptors = Vec::new();
        loop {
            let (words, mut sockets) = channel.receive()?.ok_or_else(|| anyhow!("it has ended"))?;
            descriptors.append(&mut sockets);
            let offer: Offer = serde_json::from_slice(&words)?;
            if offer.version != VERSION {
                bail!("it speaks version {} of a handover, and this program {VERSION}", offer.version);
            }
            if !offer.more {
                let sockets = Sockets::inherited(descriptors)?;
                return Ok(Predecessor { channel, pid: pid.clone(), data_dir: offer.data_dir, sockets });
            }
        }
    };
    let received = receive().with_context(|| {
        format!("{NAME} says that this process takes the place of another one ({pid}), which gave it nothing")
    });
    received.map(Some)
}

impl Predecessor {
    /// What it listened on.
    pub(crate) fn sockets(&self) -> Sockets {
        self.sockets.clone()
    }

    /// Whether it uses this data directory: then it lets go of it later.
    pub(crate) fn uses(&self, data_dir: &Path) -> bool {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        real(&self.data_dir) == real(data_dir)
    }

    /// This process will not take its place.
    pub(crate) fn refuse(&self, why: &str) {
        let mut why = why.to_owned();
        why.truncate(why.floor_char_boundary(4000));
        let _ = self.channel.send(format!("failed: {why}").as_bytes(), &[]);
    }

    /// Everything listens: the other process may go, which takes `grace` at most. Takes up what it leaves, in the
    /// background, and gives the data directory to `keep` if it is that of this process.
    pub(crate) fn take_over(
        self,
        clusters: &Clusters,
        store: &Store,
        grace: Duration,
        changes: Changes,
        data_dir: &Path,
        keep: &Keep,
    ) -> anyhow::Result<()> {
        self.sockets.drop_unused();
        let keep = self.uses(data_dir).then(|| Arc::clone(keep));
        let clusters = clusters.clone();
        self.channel
            .send(b"ready", &[])
            .context("the process before does not hear that this one is ready")?;
        store.shares_keys_for(grace + PATIENCE);
        let Predecessor { pid, data_dir, .. } = self;
        tokio::spawn(async move {
            if let Err(error) = take_up(changes, &data_dir, keep).await {
                let message = format!("What process {pid} left was not taken up whole: {error:#}");
                tracing::error!("{message}");
                clusters.events().tell(happening("gateway.took_over", "signal", message));
                return;
            }
            let message = format!("This process has taken the place of process {pid}.");
            clusters.events().tell(happening("gateway.took_over", "signal", message));
        });
        Ok(())
    }
}

/// Where the data directory of this process is kept when it has it.
pub(crate) type Keep = Arc<Mutex<Option<Lock>>>;

async fn take_up(changes: Changes, left: &Path, keep: Option<Keep>) -> anyhow::Result<()> {
    let waited = left.to_path_buf();
    // Its lock is the word: the system gives it also when that process ends in any other way.
    let lock = tokio::task::spawn_blocking(move || lock::wait(&waited)).await??;
    // That of another directory was the word, and nothing else.
    if let Some(keep) = keep {
        *keep.lock().unwrap_or_else(PoisonError::into_inner) = Some(lock);
    }
    changes.take_up(&left.join(LEFT)).await?;
    Ok(())
}

/// Without a process before it, nothing was left for this one.
pub(crate) fn forget_left(data_dir: &Path) {
    clusters::forget_left(&data_dir.join(LEFT));
}
