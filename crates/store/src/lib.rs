//! The memory of a gateway: routes made by the API, and tokens by their hash.
//!
//! What runs is in `clusters`, what cluster files say stays in their files. All SQL for the gateway's own
//! state is in this crate.

mod digest;
mod error;
mod migrations;
mod routes;
mod tokens;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use disk::{Connection, Disk, SqlResult};
use tokio::sync::{Mutex, MutexGuard};

pub use error::Error;
use migrations::{MIGRATIONS, Migration, Refusal};
pub use tokens::{TokenRole, TokenVerdict};

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
        let keyring = ArcSwap::from_pointee(tokens::keyring(rows)?);
        Ok(Store { inner: Arc::new(Inner { disk, keyring, turn: Mutex::new(()) }) })
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

#[cfg(test)]
mod tests;
