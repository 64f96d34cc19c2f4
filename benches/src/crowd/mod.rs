//! Load over many connections from one thread, by any protocol: closed-loop for what an exchange costs, open-loop for how
//! long one takes, and listeners to events. It reads the counters of the contestant's processes itself, when all
//! connections stand, so that neither connecting nor handshakes are in a figure.

pub mod closed;
pub mod listen;
pub mod open;
pub mod tally;
pub mod wire;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::proc::{self, CoreTime};
use crate::speak::Script;

/// Between failures of one connection.
const PAUSE: Duration = Duration::from_millis(10);
/// For all connections to stand, and for the last answers to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// To whom, by what, for how long.
#[derive(Debug, Clone)]
pub struct Load {
    pub address: SocketAddr,
    pub script: Script,
    /// Where connections are secured.
    pub secure: Option<wire::Secure>,
    pub connections: usize,
    /// Under load before counting begins.
    pub warm_up: Duration,
    pub length: Duration,
    pub watched: Watched,
}

/// Whose counters are read.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    pub pids: Vec<u32>,
    pub contestant_core: usize,
    pub load_core: usize,
}

/// What came of it. Where latencies are not counted, they are zero.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub completed: u64,
    pub errors: u64,
    pub first_error: Option<String>,
    pub seconds: f64,
    /// User and system time of the processes that were watched.
    pub cpu_seconds: f64,
    /// Time in which each core was busy, whoever used it, and time that the hypervisor took from both.
    pub contestant_core_seconds: f64,
    pub load_core_seconds: f64,
    pub stolen_seconds: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub max_us: f64,
}

/// What all connections write down; they share one thread.
#[derive(Debug, Default)]
struct Notes {
    completed: Cell<u64>,
    ready: Cell<usize>,
    errors: Cell<u64>,
    first_error: RefCell<Option<String>>,
}

impl Notes {
    fn fail(&self, what: impl Into<String>) {
        self.errors.set(self.errors.get() + 1);
        self.first_error.borrow_mut().get_or_insert_with(|| what.into());
    }

    /// Waits until so many connections stand.
    async fn all_ready(&self, wanted: usize) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.ready.get() < wanted {
            let first = self.first_error.borrow();
            anyhow::ensure!(
                begun.elapsed() < PATIENCE,
                "only {} of {wanted} connections stand; {}",
                self.ready.get(),
                first.as_deref().unwrap_or("no error")
            );
            drop(first);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }
}

/// All counters at one moment.
#[derive(Debug)]
struct Moment {
    at: Instant,
    completed: u64,
    cpu: Duration,
    contestant: CoreTime,
    load: CoreTime,
}

impl Moment {
    fn now(watched: &Watched, notes: &Notes) -> anyhow::Result<Self> {
        Ok(Self {
            cpu: proc::cpu_time(&watched.pids)?,
            contestant: proc::core_time(watched.contestant_core)?,
            load: proc::core_time(watched.load_core)?,
            completed: notes.completed.get(),
            at: Instant::now(),
        })
    }

    /// What happened since, as a report without latencies.
    fn since(&self, earlier: &Self, notes: &Notes) -> Report {
        let (contestant, load) = (self.contestant - earlier.contestant, self.load - earlier.load);
        Report {
            completed: self.completed - earlier.completed,
            errors: notes.errors.get(),
            first_error: notes.first_error.borrow().clone(),
            seconds: (self.at - earlier.at).as_secs_f64(),
            cpu_seconds: self.cpu.saturating_sub(earlier.cpu).as_secs_f64(),
            contestant_core_seconds: contestant.busy.as_secs_f64(),
            load_core_seconds: load.busy.as_secs_f64(),
            stolen_seconds: (contestant.stolen + load.stolen).as_secs_f64(),
            ..Report::default()
        }
    }
}

#[cfg(test)]
mod tests;
