//! Watches what runs on a connection: ends a statement whose caller left or whose time is over, and lets the
//! guard look at statements of strangers. SQLite calls back from inside a statement, so this is shared state.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, InterruptHandle};

use crate::error::Error;
use crate::guard;
use crate::readers::Hold;

/// Instructions of SQLite's machine between two looks at the clock: a few microseconds of work, but for functions
/// over the largest values, each of which takes some ten milliseconds.
const INSTRUCTIONS: i32 = 64;

/// What a value may have unless somebody says, in bytes: SQLite's own bound.
const LONGEST: usize = 1_000_000_000;

/// What is allowed on a connection at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Our own statements, and jobs of code that knows what it does.
    Own,
    /// A stranger's statement inside a transaction that is not its own.
    Job,
    /// A stranger's statement inside its own transaction, which it may divide by savepoints.
    Turn,
    /// A statement that was prepared before and may not be prepared anew, since it is known for what it was.
    Glance,
}

/// Where a call stands between its caller and the thread that runs it.
pub(crate) struct Fate {
    state: AtomicU8,
    /// What watches over it while it runs.
    running: Mutex<Option<Arc<Watch>>>,
}

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const GONE: u8 = 2;

impl Fate {
    pub(crate) fn new() -> Arc<Fate> {
        Arc::new(Fate { state: AtomicU8::new(WAITING), running: Mutex::new(None) })
    }

    /// The thread's side: it may run, for the first time or again, unless its caller has gone.
    pub(crate) fn begin(&self) -> bool {
        self.state.compare_exchange(WAITING, BEGUN, Ordering::AcqRel, Ordering::Acquire) != Err(GONE)
    }

    /// The caller's side: takes it back, which works as long as it has not begun.
    pub(crate) fn take_back(&self) -> bool {
        self.state.compare_exchange(WAITING, GONE, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The caller has gone, whether it had begun or not.
    pub(crate) fn abandon(self: &Arc<Self>) {
        self.state.store(GONE, Ordering::Release);
        self.interrupt();
    }

    /// Ends the statement that runs for it. The watch would do so as well, but for the few instructions of SQLite's
    /// machine that take long by themselves, such as counting a whole table.
    pub(crate) fn interrupt(self: &Arc<Self>) {
        let running = lock(&self.running).clone();
        if let Some(watch) = running {
            watch.interrupt(self);
        }
    }

    /// It runs under this watch, or has ended.
    pub(crate) fn runs_under(&self, watch: Option<&Arc<Watch>>) {
        *lock(&self.running) = watch.cloned();
    }

    pub(crate) fn gone(&self) -> bool {
        self.state.load(Ordering::Acquire) == GONE
    }
}

/// When a statement that runs must end.
pub(crate) enum Terms {
    /// At its deadline, or when its caller goes.
    Until(Instant, Arc<Fate>),
    /// As soon as it turns out to be more than a glance.
    Glance(Instant),
    /// When nobody reads its result any more, or its holder has kept its reader for too long.
    While(Box<dyn Fn() -> bool + Send>, Option<Hold>),
}

impl Terms {
    fn over(&self) -> bool {
        match self {
            Terms::Until(deadline, fate) => fate.gone() || Instant::now() >= *deadline,
            Terms::Glance(end) => Instant::now() >= *end,
            Terms::While(wanted, hold) => !wanted() || hold.as_ref().is_some_and(Hold::over),
        }
    }
}

/// The state that a connection's callbacks share with the thread that uses it.
pub(crate) struct Watch {
    handle: InterruptHandle,
    terms: Mutex<Option<Terms>>,
    trust: AtomicU8,
    /// The statement that ran was ended by us.
    fired: AtomicBool,
    /// What a value may have, in bytes.
    pub(crate) longest: Arc<AtomicUsize>,
    /// Something was prepared since the job began.
    prepared: AtomicBool,
    /// A statement about savepoints was allowed, and may be ready in the connection's cache.
    savepoints: AtomicBool,
    /// Why the guard refused something.
    refusal: Mutex<Option<String>>,
    /// The last error that was explained to the job: the reason, when the transaction is lost by it.
    reason: Mutex<Option<Error>>,
}

impl Watch {
    /// Puts the callbacks on a connection.
    pub(crate) fn over(connection: &mut Connection) -> rusqlite::Result<Arc<Watch>> {
        let watch = Arc::new(Watch {
            handle: connection.get_interrupt_handle(),
            terms: Mutex::new(None),
            trust: AtomicU8::new(Trust::Own as u8),
            fired: AtomicBool::new(false),
            longest: Arc::new(AtomicUsize::new(LONGEST)),
            prepared: AtomicBool::new(false),
            savepoints: AtomicBool::new(false),
            refusal: Mutex::new(None),
            reason: Mutex::new(None),
        });
        let own = Arc::clone(&watch);
        connection.progress_handler(INSTRUCTIONS, Some(move || own.over_now()))?;
        let own = Arc::clone(&watch);
        connection.authorizer(Some(move |asked: AuthContext<'_>| own.allow(&asked)))?;
        Ok(watch)
    }

    /// Begins to watch a job.
    pub(crate) fn arm(&self, trust: Trust, terms: Option<Terms>) {
        *lock(&self.terms) = terms;
        self.fired.store(false, Ordering::Relaxed);
        self.prepared.store(false, Ordering::Relaxed);
        self.trust.store(trust as u8, Ordering::Relaxed);
        *lock(&self.refusal) = None;
        *lock(&self.reason) = None;
    }

    /// Ends to watch; says whether the job was interrupted.
    pub(crate) fn disarm(&self) -> bool {
        *lock(&self.terms) = None;
        self.trust.store(Trust::Own as u8, Ordering::Relaxed);
        self.fired.swap(false, Ordering::Relaxed)
    }

    /// Ends the statement that runs, if it is this caller's: others come to this connection, too.
    fn interrupt(&self, fate: &Arc<Fate>) {
        let terms = lock(&self.terms);
        if matches!(&*terms, Some(Terms::Until(_, own)) if Arc::ptr_eq(own, fate)) {
            self.fired.store(true, Ordering::Relaxed);
            self.handle.interrupt();
        }
    }

    /// From now on it runs for whoever reads its result.
    pub(crate) fn hand_over(&self, wanted: Box<dyn Fn() -> bool + Send>, hold: Option<Hold>) {
        *lock(&self.terms) = Some(Terms::While(wanted, hold));
    }

    /// Runs statements of ours in the middle of a stranger's job.
    pub(crate) fn as_own<T>(&self, run: impl FnOnce() -> T) -> T {
        let trust = self.trust.swap(Trust::Own as u8, Ordering::Relaxed);
        let done = run();
        self.trust.store(trust, Ordering::Relaxed);
        done
    }

    /// Whether a statement's text was read since the job began, for the first time or because the schema changed.
    pub(crate) fn has_prepared(&self) -> bool {
        self.prepared.load(Ordering::Relaxed)
    }

    /// Whether statements about savepoints may be in the connection's cache. Asking forgets it.
    pub(crate) fn takes_savepoints(&self) -> bool {
        self.savepoints.swap(false, Ordering::Relaxed)
    }

    /// Why the guard refused the last statement, if it did.
    pub(crate) fn refusal(&self) -> Option<String> {
        lock(&self.refusal).take()
    }

    /// Remembers what went wrong.
    pub(crate) fn blame(&self, error: &Error) {
        *lock(&self.reason) = Some(error.clone());
    }

    /// What went wrong last in the job that ran.
    pub(crate) fn reason(&self) -> Option<Error> {
        lock(&self.reason).take()
    }

    /// Whether what runs must end now.
    pub(crate) fn over_now(&self) -> bool {
        let over = lock(&self.terms).as_ref().is_some_and(Terms::over);
        if over {
            self.fired.store(true, Ordering::Relaxed);
        }
        over
    }

    fn allow(&self, asked: &AuthContext<'_>) -> Authorization {
        let trust = match self.trust.load(Ordering::Relaxed) {
            own if own == Trust::Own as u8 => return Authorization::Allow,
            turn if turn == Trust::Turn as u8 => Trust::Turn,
            glance if glance == Trust::Glance as u8 => Trust::Glance,
            _ => Trust::Job,
        };
        self.prepared.store(true, Ordering::Relaxed);
        match guard::refuse(asked, trust) {
            None => {
                if matches!(asked.action, AuthAction::Savepoint { .. }) {
                    self.savepoints.store(true, Ordering::Relaxed);
                }
                Authorization::Allow
            }
            Some(why) => {
                *lock(&self.refusal) = Some(why);
                Authorization::Deny
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
