//! The memory of a gateway: routes made by the API, tokens by their hash, and what happened lately.
//!
//! What runs is in `clusters`, what cluster files say stays in their files. All SQL for the gateway's own
//! state is in this crate: one text of it, for the embedded engine and for PostgreSQL (`db`).

mod activity;
mod db;
mod deletions;
mod digest;
mod error;
mod events;
mod idempotency;
mod migrations;
mod operations;
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
use disk::{Connection, Disk};
use tokio::sync::{Mutex, MutexGuard, watch};

pub use activity::{ActivityFilter, KeptOperation, MOST_OPERATIONS, Seen};
pub use db::Pool;
use db::{Db, Done, Postgres, Session, on_disk, url};
pub use deletions::Deletion;
pub use error::Error;
pub use events::{EventFilter, MOST_EVENTS};
pub use idempotency::{Claim, Claimed, Fingerprint, KeptAnswer};
use migrations::{MIGRATIONS, Migration, POSTGRES, Refusal};
pub use operations::{OperationFilter, Touched, Unfinished};
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
    db: Db,
    /// Every token as it was when last changed: a check is no read of the disk.
    keyring: ArcSwap<tokens::Keyring>,
    /// Held by whoever changes tokens, so that memory follows the disk in the same order.
    turn: Mutex<()>,
    uses_due: tokens::UsesDue,
    /// How many operations are kept, once they were counted: so that the oldest go without another count.
    operations_kept: Mutex<Option<u64>>,
    /// Requests with an `Idempotency-Key` that are carried out.
    under_way: Arc<idempotency::UnderWay>,
    /// Whether the tables are there; until then, why they are not.
    begun: watch::Sender<Result<(), String>>,
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
        let prepared = |c: &Connection| on_disk(c, |s| prepare(s, MIGRATIONS));
        let (disk, ready) = Disk::open_with(&path, prepared)?;
        Self::over(disk, ready, &path.display().to_string())
    }

    /// A store that ends with its last handle.
    pub fn in_memory() -> Result<Store, Error> {
        let prepared = |c: &Connection| on_disk(c, |s| prepare(s, MIGRATIONS));
        let (disk, ready) = Disk::in_memory_with(prepared)?;
        Self::over(disk, ready, ":memory:")
    }

    /// A store in the PostgreSQL of this URL. Asks nobody: [`Store::begin`] does, and until then everything fails.
    ///
    /// # Errors
    /// [`Error::Url`].
    pub fn at(url: &str, pool: Pool) -> Result<Store, Error> {
        let place = url::Place::parse(url).map_err(Error::Url)?;
        let postgres = Postgres::new(place, pool)?;
        let waiting = Err("nobody has asked it yet".to_owned());
        Ok(Self::new(Db::Postgres(postgres), tokens::Keyring::default(), waiting))
    }

    /// Makes sure that the tables are there, and reads what is kept in memory. One of several gateways does it at a
    /// time. Does nothing when it was done.
    ///
    /// # Errors
    /// Why not; one that [`is_passing`](Error::is_passing) may be over when it is called again.
    pub async fn begin(&self) -> Result<(), Error> {
        let Db::Postgres(postgres) = &self.inner.db else { return Ok(()) };
        if self.is_ready() {
            return Ok(());
        }
        let done = self.begin_at(postgres).await;
        let _before = self.inner.begun.send_replace(match &done {
            Ok(()) => Ok(()),
            Err(error) => Err(error.to_string()),
        });
        done
    }

    async fn begin_at(&self, postgres: &Postgres) -> Result<(), Error> {
        let ready = postgres.write_alone(|s| {
            // Whoever may not make one may still use one that is there.
            if s.number("SELECT count(*) FROM pg_namespace WHERE nspname = 'throome'", &[])? == 0 {
                s.batch("CREATE SCHEMA throome")?;
            }
            prepare(s, POSTGRES)
        });
        let rows = ready.await?.map_err(|refusal| refusal.at(&postgres.place().to_string(), POSTGRES))?;
        self.set_keyring(tokens::Keyring::new(rows, &self.keyring())?);
        Ok(())
    }

    /// Reads again what is kept in memory: another process may have changed it.
    ///
    /// # Errors
    /// Why it cannot be read; what was known before holds on.
    pub async fn look_again(&self) -> Result<(), Error> {
        let _turn = self.turn().await;
        let rows = self.read(tokens::load).await?;
        self.set_keyring(tokens::Keyring::new(rows, &self.keyring())?);
        Ok(())
    }

    /// Whether it has begun. One that has may be away all the same.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.inner.begun.borrow().is_ok()
    }

    /// Waits until it has begun.
    pub async fn ready(&self) {
        let mut begun = self.inner.begun.subscribe();
        // The sender is as old as this handle.
        let _ = begun.wait_for(Result::is_ok).await;
    }

    /// Asks the store for nothing, to see whether it answers.
    pub async fn ping(&self) -> Result<(), Error> {
        self.read(|s| s.number("SELECT count(*) FROM deletions", &[])).await?;
        Ok(())
    }

    /// Finishes what waits and lets go of the file. Calls after it fail.
    pub async fn close(&self) {
        if self.is_ready()
            && let Err(error) = self.keep_uses().await
        {
            tracing::warn!(%error, "cannot write down when tokens were last used");
        }
        self.inner.db.close().await;
    }

    fn over(disk: Disk, ready: Result<Vec<tokens::Row>, Refusal>, place: &str) -> Result<Store, Error> {
        let rows = ready.map_err(|refusal| refusal.at(place, MIGRATIONS))?;
        let keyring = tokens::Keyring::new(rows, &tokens::Keyring::default())?;
        Ok(Self::new(Db::Disk(disk), keyring, Ok(())))
    }

    fn new(db: Db, keyring: tokens::Keyring, begun: Result<(), String>) -> Store {
        Store {
            inner: Arc::new(Inner {
                db,
                keyring: ArcSwap::from_pointee(keyring),
                turn: Mutex::new(()),
                uses_due: tokens::UsesDue::default(),
                operations_kept: Mutex::default(),
                under_way: Arc::default(),
                begun: watch::Sender::new(begun),
            }),
        }
    }

    fn db(&self) -> Result<&Db, Error> {
        match &*self.inner.begun.borrow() {
            Ok(()) => Ok(&self.inner.db),
            Err(why) => Err(Error::NotYet { why: why.clone() }),
        }
    }

    async fn read<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Done<T> + Send + 'static,
    {
        self.db()?.read(job).await
    }

    async fn write<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Done<T> + Send + 'static,
    {
        self.db()?.write(job).await
    }

    async fn write_alone<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Done<T> + Send + 'static,
    {
        self.db()?.write_alone(job).await
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

/// Whether these words say where a store may be: nothing or `sqlite:` is the file in the data directory,
/// `postgres://…` a database. Says the words as they may be shown.
///
/// # Errors
/// What is wrong with them, without a word of them.
pub fn place(words: &str) -> Result<Option<String>, String> {
    match words {
        "sqlite:" | "" => Ok(None),
        words if words.starts_with("sqlite:") => {
            Err("names a file, which is always `store.db` in `data_dir`; write `sqlite:` alone".to_owned())
        }
        words if url::is_one(words) => url::Place::parse(words).map(|place| Some(place.masked())),
        _ => Err("is neither `sqlite:` nor a `postgres://` URL".to_owned()),
    }
}

fn prepare(s: &Session<'_>, migrations: &[Migration]) -> Done<Result<Vec<tokens::Row>, Refusal>> {
    match migrations::run(s, migrations)? {
        Ok(()) => tokens::load(s).map(Ok),
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
