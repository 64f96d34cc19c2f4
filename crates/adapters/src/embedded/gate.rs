//! Whether the embedded engines are this process's to use. A program that takes the place of another one has its
//! sockets at once and its engines only when that has let go of them: two would contradict each other.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use model::{Code, Failure};
use tokio::sync::Notify;

const OPEN: u8 = 0;
/// Until the process before has let go of them.
const SHUT: u8 = 1;
/// For good: another process has our place.
const GIVEN_AWAY: u8 = 2;

/// Looked at with every try of every operation, and so one word in a cache line that nobody writes.
static STATE: AtomicU8 = AtomicU8::new(OPEN);
static TURN: Mutex<()> = Mutex::new(());
static CHANGED: Condvar = Condvar::new();
static TOLD: Notify = Notify::const_new();

/// They are another process's: nothing is opened, and calls wait.
pub fn shut() {
    STATE.store(SHUT, Ordering::Release);
}

/// They are ours.
pub fn open() {
    set(OPEN);
}

/// They are another process's from now on: nothing is opened, and calls are [refused](given_away).
pub fn give_away() {
    set(GIVEN_AWAY);
}

fn set(state: u8) {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    STATE.store(state, Ordering::Release);
    drop(turn);
    CHANGED.notify_all();
    TOLD.notify_waiters();
}

/// Whether they are another's.
#[must_use]
pub fn is_shut() -> bool {
    STATE.load(Ordering::Acquire) != OPEN
}

/// Waits until they are ours; `false` when they never will be again.
pub async fn opened() -> bool {
    loop {
        let told = TOLD.notified();
        match STATE.load(Ordering::Acquire) {
            SHUT => told.await,
            state => return state == OPEN,
        }
    }
}

/// The same for a thread that may wait.
pub(crate) fn wait() -> bool {
    let mut turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        match STATE.load(Ordering::Acquire) {
            SHUT => turn = CHANGED.wait(turn).unwrap_or_else(PoisonError::into_inner),
            state => return state == OPEN,
        }
    }
}

/// What whoever comes too late is told.
#[must_use]
pub fn given_away() -> Failure {
    Failure::gateway(Code::Busy, "Another program takes this one's place: nothing was done.")
        .with_retryable(true)
        .with_retry_after(Duration::from_secs(1))
        .with_hint("Send it again: the other one answers.")
}
