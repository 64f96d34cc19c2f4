//! The memory of a gateway: routes made by the API, tokens by their hash, and what happened lately.
//!
//! What runs is in `clusters`, what cluster files say stays in their files. All SQL for the gateway's own
//! state is in this crate.

mod activity;
mod deletions;
mod digest;
mod error;
mod events;
mod idempotency;
mod migrations;
mod routes;
mod tokens;
mod url_routes;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use disk::{Connection, Disk, SqlResult};
use tokio::sync::{Mutex, MutexGuard};

pub use activity::{ActivityFilter, KeptOperation, MOST_OPERATIONS, Seen};
pub use deletions::Deletion;
pub use error::Error;
pub use events::{EventFilter, MOST_EVENTS};
pub use idempotency::{Claim, Claimed, Fingerprint, KeptAnswer};
use migrations::{MIGRATIONS, Migration, Refusal};
pub use tokens::{
    LastAdmin, NewToken, TokenInfo, TokenName, TokenRole, TokenScope, TokenStanding, TokenVerdict,
};

/// The name of the file in its directory.
const FILE: &str = "store.db";

/// The store. Clones are handles of the same one.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    disk: Disk,
    /// Every token as it was when last changed: a check is no read of the disk.
    keyring: ArcSwap<tokens::Keyring>,
    /// Held by whoever changes tokens, so that memory follows the disk in the same order.
    turn: Mutex<()>,
    uses_due: tokens::UsesDue,
    /// How many operations are kept, once they were counted: so that the oldest go without another count.
    operations_kept: Mutex<Option<u64>>,
    /// Requests with an `Idempotency-Key` that are carried out.
    under_way: Arc<idempotency::UnderWay>,
}

impl Store {
    /// Opens `store.db` in this directory and brings it forward. Makes what is missing: the directory
    /// (0700) and the file (0600). Blocks for as long as the check of the file takes.
    pub fn open(dir: &Path) -> Result<Store, Error> {
        let path = dir.join(FILE);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|source| Error::Directory { path: dir.to_path_buf(), source })?;
        keep_private(dir).map_err(|source| Error::Directory { path: path.clone(), source })?;
        let (disk, ready) = Disk::open_with(&path, |connection| prepare(connection, MIGRATIONS))?;
        Self::over(disk, ready, &path)
    }

    /// A store that ends with its last handle.
    pub fn in_memory() -> Result<Store, Error> {
        let (disk, ready) = Disk::in_memory_with(|connection| prepare(connection, MIGRATIONS))?;
        Self::over(disk, ready, Path::new(":memory:"))
    }

    /// Asks the store for nothing, to see whether it answers.
    pub async fn ping(&self) -> Result<(), Error> {
        self.disk().read(|c| c.query_row("SELECT 1", [], |_| Ok(()))).await?;
        Ok(())
    }

    /// Finishes what waits and lets go of the file. Calls after it fail.
    pub async fn close(&self) {
        if let Err(error) = self.keep_uses().await {
            tracing::warn!(%error, "cannot write down when tokens were last used");
        }
        self.inner.disk.close().await;
    }

    fn over(disk: Disk, ready: Result<Vec<tokens::Row>, Refusal>, path: &Path) -> Result<Store, Error> {
        let path = path.to_path_buf();
        let rows = ready.map_err(|refusal| match refusal {
            Refusal::Newer(found) => {
                Error::Newer { path, found, known: MIGRATIONS.last().map_or(0, |last| last.number) }
            }
            Refusal::Changed(number) => Error::Changed { path, number },
        })?;
        let keyring = ArcSwap::from_pointee(tokens::Keyring::new(rows, &tokens::Keyring::default())?);
        Ok(Store {
            inner: Arc::new(Inner {
                disk,
                keyring,
                turn: Mutex::new(()),
                uses_due: tokens::UsesDue::default(),
                operations_kept: Mutex::default(),
                under_way: Arc::default(),
            }),
        })
    }

    fn disk(&self) -> &Disk {
        &self.inner.disk
    }

    fn keyring(&self) -> arc_swap::Guard<Arc<tokens::Keyring>> {
        self.inner.keyring.load()
    }

    fn set_keyring(&self, keyring: tokens::Keyring) {
        self.inner.keyring.store(Arc::new(keyring));
    }

    fn uses_due(&self) -> &tokens::UsesDue {
        &self.inner.uses_due
    }

    async fn turn(&self) -> MutexGuard<'_, ()> {
        self.inner.turn.lock().await
    }
}

fn prepare(
    connection: &Connection,
    migrations: &[Migration],
) -> SqlResult<Result<Vec<tokens::Row>, Refusal>> {
    match migrations::run(connection, migrations)? {
        Ok(()) => tokens::load(connection).map(Ok),
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// Takes the file and its log away from everybody else, should a copy or a backup have widened them.
fn keep_private(dir: &Path) -> io::Result<()> {
    for name in [FILE, "store.db-wal", "store.db-shm"] {
        let path = dir.join(name);
        let mode = match fs::metadata(&path) {
            Ok(metadata) => metadata.permissions().mode(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), mode = format!("{:o}", mode & 0o777), "others could read it; now 600");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

/// What tells one request's body from another: its SHA-256, the same in every version and on every machine.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> [u8; 32] {
    *digest::Digest::of(bytes).as_bytes()
}

/// Text that nobody guesses: 192 random bits, in characters that a URL takes as they are.
///
/// # Errors
/// The system gives no random numbers.
pub fn random_text() -> Result<String, Error> {
    let mut bytes = [0; 24];
    rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// A moment of the history. Only moments are ever written; a damaged one shows as the first of them all.
fn moment(micros: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
