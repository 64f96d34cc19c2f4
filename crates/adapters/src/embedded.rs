//! Files that embedded kinds stand on: opened on a thread of their own, and shared by all who name the same file.
//!
//! A change of a service makes its new adapter while the old one still works. Both must stand on one engine:
//! two writers with memories of their own would contradict each other.

pub mod gate;
pub(crate) mod place;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use model::{Code, Failure};
use tokio::sync::watch;

/// Everything of one sort that is open in this process, by its file.
pub(crate) struct Shelf<T: 'static>(Mutex<Option<HashMap<PathBuf, Weak<Slot<T>>>>>);

/// One engine, open or not yet.
pub(crate) struct Slot<T: 'static> {
    path: PathBuf,
    /// Where it stands for others to find.
    shelf: &'static Shelf<T>,
    open: fn(&Path) -> Result<T, disk::Error>,
    state: watch::Sender<State<T>>,
    /// How many have asked for it and not left it.
    users: AtomicUsize,
}

/// Where names of things without a file begin; no settled path does.
const NO_FILE: &str = ":memory:";

enum State<T: 'static> {
    /// Nobody has asked yet.
    Closed,
    /// A thread is at it.
    Opening,
    /// Here it is.
    Open(Arc<T>),
    /// It could not be opened; the next probe tries again.
    Failed(disk::Error),
    /// It was closed for good.
    Retired,
}

impl<T: Send + Sync + 'static> Shelf<T> {
    pub(crate) const fn new() -> Self {
        Shelf(Mutex::new(None))
    }

    /// The slot of this file: the one that others hold, or a new one.
    pub(crate) fn slot(
        &'static self,
        path: &Path,
        open: fn(&Path) -> Result<T, disk::Error>,
    ) -> Arc<Slot<T>> {
        self.named(settled(path), open)
    }

    /// The slot of something that has no file, under a name that those who share it know.
    pub(crate) fn in_memory(
        &'static self,
        name: &Path,
        open: fn(&Path) -> Result<T, disk::Error>,
    ) -> Arc<Slot<T>> {
        self.named(Path::new(NO_FILE).join(name.strip_prefix("/").unwrap_or(name)), open)
    }

    fn named(&'static self, path: PathBuf, open: fn(&Path) -> Result<T, disk::Error>) -> Arc<Slot<T>> {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shelf = shelf.get_or_insert_default();
        if let Some(slot) = shelf.get(&path).and_then(Weak::upgrade) {
            slot.users.fetch_add(1, Ordering::Relaxed);
            return slot;
        }
        shelf.retain(|_, slot| slot.strong_count() > 0);
        let state = watch::Sender::new(State::Closed);
        let slot =
            Arc::new(Slot { path: path.clone(), shelf: self, open, state, users: AtomicUsize::new(1) });
        shelf.insert(path, Arc::downgrade(&slot));
        slot
    }
}

impl<T: Send + Sync + 'static> Slot<T> {
    /// Begins to open it, unless it is open or somebody is at it. Returns at once.
    pub(crate) fn begin(self: &Arc<Self>) {
        let begun = self.state.send_if_modified(|state| {
            let begin = matches!(state, State::Closed | State::Failed(_));
            if begin {
                *state = State::Opening;
            }
            begin
        });
        if !begun {
            return;
        }
        let slot = Arc::clone(self);
        let spawned = std::thread::Builder::new().name("embedded-open".to_owned()).spawn(move || {
            let ours = slot.path.starts_with(NO_FILE) || gate::wait();
            let opened = if ours {
                make_directory(&slot.path).and_then(|()| (slot.open)(&slot.path))
            } else {
                Err(disk::Error::Closed)
            };
            slot.state.send_if_modified(|state| {
                let wanted = matches!(state, State::Opening);
                if wanted {
                    *state = match opened {
                        Ok(engine) => State::Open(Arc::new(engine)),
                        Err(error) => State::Failed(error),
                    };
                }
                wanted
            });
        });
        if let Err(error) = spawned {
            self.state.send_replace(State::Failed(disk::Error::Thread(Arc::new(error))));
        }
    }

    /// The engine, when it has been opened. Waits while a thread is at it; the caller has a deadline.
    ///
    /// # Errors
    /// Why it could not be opened.
    pub(crate) async fn engine(self: &Arc<Self>) -> Result<Arc<T>, Failure> {
        if let Some(engine) = self.open_engine() {
            return Ok(engine);
        }
        if matches!(*self.state.borrow(), State::Closed) {
            self.begin();
        }
        let mut state = self.state.subscribe();
        // Fails only without a sender, and `self` holds one.
        let settled = state.wait_for(|state| !matches!(state, State::Closed | State::Opening)).await;
        match settled.as_deref() {
            Ok(State::Open(engine)) => Ok(Arc::clone(engine)),
            Ok(State::Failed(error)) => Err(unusable(error)),
            _ => Err(unusable(&disk::Error::Closed)),
        }
    }

    /// The engine if it is open now.
    pub(crate) fn open_engine(&self) -> Option<Arc<T>> {
        match &*self.state.borrow() {
            State::Open(engine) => Some(Arc::clone(engine)),
            _ => None,
        }
    }

    /// One of those who share it needs it no more. The last of them closes it for good: later calls on the slot
    /// fail, and whoever names the file next opens it anew. Gives the last one the engine, if it was open, to be
    /// closed in good order.
    pub(crate) fn leave(self: &Arc<Self>) -> Option<Arc<T>> {
        // Under the lock by which others find it there.
        let mut shelf = self.shelf.0.lock().unwrap_or_else(PoisonError::into_inner);
        if self.users.fetch_sub(1, Ordering::Relaxed) > 1 {
            return None;
        }
        if let Some(shelf) = shelf.as_mut()
            && shelf.get(&self.path).is_some_and(|own| std::ptr::eq(own.as_ptr(), Arc::as_ptr(self)))
        {
            shelf.remove(&self.path);
        }
        drop(shelf);
        match self.state.send_replace(State::Retired) {
            State::Open(engine) => Some(engine),
            _ => None,
        }
    }

    /// Tries again what failed, and waits: what a probe does.
    ///
    /// # Errors
    /// Why it could not be opened.
    pub(crate) async fn probe(self: &Arc<Self>) -> Result<Arc<T>, Failure> {
        self.begin();
        self.engine().await
    }
}

/// A file that cannot be opened: nothing of the request has left, so it may run elsewhere or again.
fn unusable(error: &disk::Error) -> Failure {
    Failure::service(Code::BadGateway, format!("The file of the service cannot be used: {error}"))
        .with_retryable(true)
}

fn make_directory(path: &Path) -> Result<(), disk::Error> {
    use std::os::unix::fs::DirBuilderExt;
    let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else { return Ok(()) };
    if path.starts_with(NO_FILE) {
        return Ok(());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(parent)
        .map_err(|error| disk::Error::ReadOnly { path: path.to_path_buf(), detail: error.to_string() })
}

/// One spelling for a file, also before it or its directory is there.
pub(crate) fn settled(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    for known in absolute.ancestors() {
        if let Ok(real) = known.canonicalize()
            && let Ok(rest) = absolute.strip_prefix(known)
        {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    absolute
}
