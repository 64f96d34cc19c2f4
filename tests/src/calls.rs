//! Steady calls of the data API that do not wait for answers: each leaves when its time has come, whatever became of
//! those before, and what was told to its client is written down.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime;
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::gateway::request;
use crate::idle::Idle;
use crate::process::{now_us, wait_for};

/// Longer than the gateway may take, whatever happens behind it.
const PATIENCE: Duration = Duration::from_secs(15);

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// Under which word it is counted.
    pub what: &'static str,
    pub method: &'static str,
    pub path: String,
    pub body: Option<Value>,
}

impl Call {
    /// A POST of JSON.
    #[must_use]
    pub fn post(what: &'static str, path: impl Into<String>, body: Value) -> Call {
        Call { what, method: "POST", path: path.into(), body: Some(body) }
    }
}

/// What became of a call.
#[derive(Debug, Clone)]
pub struct Told {
    pub what: &'static str,
    /// Which one it was: those that were made are numbered through.
    pub number: u64,
    /// Whether it was made before calls flowed.
    pub early: bool,
    /// When it was due; of the clock of [`now_us`].
    pub at_us: u64,
    pub ended_us: u64,
    /// 0 when no whole answer came.
    pub status: u16,
    /// What was answered, or why nothing was.
    pub answer: Value,
    /// What `Retry-After` said.
    pub retry_after: Option<String>,
}

impl Told {
    /// Whether it was answered as it should be.
    #[must_use]
    pub fn good(&self) -> bool {
        matches!(self.status, 200 | 201)
    }

    /// The code of the failure, or why nothing was answered.
    #[must_use]
    pub fn code(&self) -> &str {
        self.answer["code"].as_str().or(self.answer.as_str()).unwrap_or("no code")
    }

    /// How long it took.
    #[must_use]
    pub fn took(&self) -> Duration {
        Duration::from_micros(self.ended_us.saturating_sub(self.at_us))
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { what, number, status, answer, .. } = self;
        let detail = answer["detail"].as_str().unwrap_or_default();
        write!(f, "{what} {number}: {status} {} after {:?}: {detail}", self.code(), self.took())
    }
}

/// Calls under way.
#[derive(Debug)]
pub struct Calls {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    thread: JoinHandle<Vec<Told>>,
    /// The first that is not early.
    first: u64,
}

/// How many there were by now.
#[derive(Debug, Default)]
struct Counts {
    made: AtomicU64,
    ended: AtomicU64,
}

impl Calls {
    /// Begins to make so many calls a second of this door, evenly; `make` says what the next one is, by its number.
    #[must_use]
    pub fn begin(door: SocketAddr, per_second: u32, make: impl FnMut(u64) -> Call + Send + 'static) -> Calls {
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&counts));
        let thread = std::thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, fire(door, per_second, make, &stopped, &counted))
        });
        Calls { stop, counts, thread, first: 0 }
    }

    /// The same, once they are answered as fast as they are made: the first of them wait until connections are open, which
    /// takes its time on a busy machine.
    #[must_use]
    pub fn flowing(self) -> Calls {
        let first = wait_for("calls that flow", PATIENCE, || {
            let ended = self.counts.ended.load(Ordering::Relaxed);
            let made = self.counts.made.load(Ordering::Relaxed);
            (made >= 20 && ended + 2 >= made).then_some(made)
        });
        Calls { first, ..self }
    }

    /// Makes no more, waits for what is under way, and says what became of each, in the order in which they left.
    #[must_use]
    pub fn finish(self) -> Vec<Told> {
        self.stop.store(true, Ordering::Relaxed);
        let mut told = self.thread.join().unwrap();
        told.iter_mut().for_each(|one| one.early = one.number < self.first);
        told
    }
}

async fn fire(
    door: SocketAddr,
    per_second: u32,
    mut make: impl FnMut(u64) -> Call,
    stop: &AtomicBool,
    counts: &Arc<Counts>,
) -> Vec<Told> {
    let idle = Rc::new(Idle::to(door));
    let (began, began_us) = (Instant::now(), now_us());
    let mut under_way = Vec::new();
    for number in 0_u64.. {
        let due = Duration::from_micros(number * 1_000_000 / u64::from(per_second));
        tokio::time::sleep_until(began + due).await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let at_us = began_us + u64::try_from(due.as_micros()).unwrap();
        let (call, idle, counts) = (make(number), Rc::clone(&idle), Arc::clone(counts));
        counts.made.fetch_add(1, Ordering::Relaxed);
        under_way.push(tokio::task::spawn_local(async move {
            let body = call.body.as_ref().map(Value::to_string);
            let text = request(door, call.method, &call.path, body.as_deref());
            let answered = tokio::time::timeout(PATIENCE, idle.ask(&text)).await;
            let (status, answer, retry_after) = match answered {
                Ok(Ok(reply)) => {
                    let read = serde_json::from_slice(&reply.body);
                    let answer = read.unwrap_or_else(|_| Value::String(reply.text()));
                    (reply.status, answer, reply.field("retry-after").map(str::to_owned))
                }
                Ok(Err(why)) => (0, Value::String(format!("{why:?}")), None),
                Err(_) => (0, Value::String(format!("no answer in {PATIENCE:?}")), None),
            };
            counts.ended.fetch_add(1, Ordering::Relaxed);
            Told {
                what: call.what,
                number,
                early: false,
                at_us,
                ended_us: now_us(),
                status,
                answer,
                retry_after,
            }
        }));
    }
    let mut told = Vec::with_capacity(under_way.len());
    for call in under_way {
        told.push(call.await.unwrap());
    }
    told
}

/// How many there are of each word with each ending, for whoever reads the test's output.
#[must_use]
pub fn counts(told: &[Told]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for one in told {
        let ending = if one.good() { "good" } else { one.code() };
        *counts.entry(format!("{} {ending}", one.what)).or_default() += 1;
    }
    let words: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    words.join(", ")
}
