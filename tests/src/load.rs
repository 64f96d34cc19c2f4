//! Load that does not wait for answers: requests leave when their time has come, whatever became of those before.

mod grpc;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime;
use tokio::task::LocalSet;
use tokio::time::Instant;

use self::grpc::Caller;
use crate::idle::{Idle, Unanswered};
use crate::process::now_us;
use crate::reply::Reply;

/// Longer than the gateway may take, whatever happens behind it.
const PATIENCE: Duration = Duration::from_secs(12);

/// How many requests of each kind leave in a second, evenly.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// GET: may run again.
    pub safe: u32,
    /// POST: may not.
    pub unsafe_: u32,
}

/// One request and what became of it.
#[derive(Debug, Clone)]
pub struct Shot {
    pub id: String,
    pub safe: bool,
    /// When it was due; of the clock of [`now_us`].
    pub at_us: u64,
    pub ended_us: u64,
    pub ending: Ending,
}

/// How a request ended for its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// A whole answer of this service, every byte as it should be.
    Good { service: String },
    /// A whole answer that says it failed; of gRPC its status and message.
    Failed { status: u16, code: String },
    /// A whole answer with bytes that are not its own.
    Wrong { what: String },
    /// The answer had begun and was cut, in a way that no client can take for its end.
    Cut,
    /// The connection broke before an answer began.
    Nothing { why: String },
}

/// Load under way.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Shot>>,
}

impl Load {
    /// Begins to send to the door, for this host, to `/load`.
    #[must_use]
    pub fn begin(door: SocketAddr, host: &str, rate: Rate) -> Load {
        let host = host.to_owned();
        Load::of(rate, move || Gun::Http1 { host, idle: Idle::to(door) })
    }

    /// Begins to make calls of gRPC, on one connection of HTTP/2; all of them are unsafe.
    #[must_use]
    pub fn begin_grpc(door: SocketAddr, host: &str, per_second: u32) -> Load {
        let host = host.to_owned();
        let rate = Rate { safe: 0, unsafe_: per_second };
        Load::of(rate, move || Gun::Grpc(Caller::new(door, &host)))
    }

    fn of(rate: Rate, gun: impl FnOnce() -> Gun + Send + 'static) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, fire(gun(), rate, &stopped))
        });
        Load { stop, thread }
    }

    /// Sends no more, waits for what is under way, and says how each request ended, in the order in which they left.
    #[must_use]
    pub fn finish(self) -> Vec<Shot> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

async fn fire(gun: Gun, rate: Rate, stop: &AtomicBool) -> Vec<Shot> {
    let gun = Rc::new(gun);
    let per_second = rate.safe + rate.unsafe_;
    let (began, began_us) = (Instant::now(), now_us());
    let mut under_way = Vec::new();
    for number in 0.. {
        let due = Duration::from_secs(1) * number / per_second;
        tokio::time::sleep_until(began + due).await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        // Spread evenly: each unsafe one stands between safe ones.
        let safe = number * rate.unsafe_ / per_second == (number + 1) * rate.unsafe_ / per_second;
        let at_us = began_us + u64::try_from(due.as_micros()).unwrap();
        let gun = Rc::clone(&gun);
        under_way.push(tokio::task::spawn_local(async move {
            let id = format!("{at_us}-{number}");
            let ending = gun.shoot(&id, safe).await;
            Shot { id, safe, at_us, ended_us: now_us(), ending }
        }));
    }
    let mut shots = Vec::new();
    for shot in under_way {
        shots.push(shot.await.unwrap());
    }
    shots
}

enum Gun {
    Http1 { host: String, idle: Idle },
    Grpc(Caller),
}

impl Gun {
    async fn shoot(&self, id: &str, safe: bool) -> Ending {
        let shot = async {
            match self {
                Gun::Http1 { host, idle } => ask(host, idle, id, safe).await,
                Gun::Grpc(caller) => caller.shoot(id).await,
            }
        };
        let late = |_| Ending::Nothing { why: format!("no answer in {PATIENCE:?}") };
        tokio::time::timeout(PATIENCE, shot).await.unwrap_or_else(late)
    }
}

async fn ask(host: &str, idle: &Idle, id: &str, safe: bool) -> Ending {
    let request = if safe {
        format!("GET /load HTTP/1.1\r\nHost: {host}\r\nX-Shot: {id}\r\n\r\n")
    } else {
        format!("POST /load HTTP/1.1\r\nHost: {host}\r\nX-Shot: {id}\r\nContent-Length: 4\r\n\r\nbody")
    };
    match idle.ask(&request).await {
        Ok(reply) => judge(&reply, id),
        Err(Unanswered::Cut) => Ending::Cut,
        Err(Unanswered::Wrong(what)) => Ending::Wrong { what },
        Err(Unanswered::Nothing(why)) => Ending::Nothing { why },
    }
}

fn judge(reply: &Reply, id: &str) -> Ending {
    let code = || {
        let problem: Option<serde_json::Value> = serde_json::from_slice(&reply.body).ok();
        problem.and_then(|problem| Some(problem.get("code")?.as_str()?.to_owned())).unwrap_or_default()
    };
    if reply.status != 200 {
        return Ending::Failed { status: reply.status, code: code() };
    }
    if !is_own(&reply.body, id) || reply.field("x-shot") != Some(id) {
        return Ending::Wrong { what: reply.to_string() };
    }
    Ending::Good { service: reply.field("x-service").unwrap_or_default().to_owned() }
}

/// Whether it is the id over and over, as services answer.
fn is_own(body: &[u8], id: &str) -> bool {
    let own = format!("{id} ").into_bytes();
    body.len() == 2_048 && body.chunks(own.len()).all(|part| own.starts_with(part))
}
