//! Open-loop load: requests at the times a schedule says, over a bounded number of connections, each latency counted
//! from the time its request was due. A slow server therefore cannot slow its own measurement down.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::client::{Connection, get};
use crate::histogram::Histogram;
use crate::schedule::{Arrivals, Schedule};

/// A request that leaves this long after it was due counts as late.
const LATE: Duration = Duration::from_millis(1);

/// What to send, how often, for how long.
#[derive(Debug, Clone)]
pub struct Load {
    pub address: SocketAddr,
    pub path: String,
    /// Requests a second.
    pub rate: f64,
    /// Requests due before this time are sent and not counted.
    pub warm_up: Duration,
    /// The counted time.
    pub length: Duration,
    pub connections: usize,
    pub arrivals: Arrivals,
    pub seed: u64,
}

/// What came of it. Latencies are microseconds from the time a request was due to the last byte of its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Requests a second that were asked for.
    pub intended_rate: f64,
    /// Successes a second.
    pub achieved_rate: f64,
    pub completed: u64,
    /// Answers other than 2xx, broken connections and timeouts. They have no latency.
    pub errors: u64,
    /// The first error, in words.
    pub first_error: Option<String>,
    /// Sent over a millisecond late since every connection was busy: the server's doing, and part of the latency.
    pub late_waiting: u64,
    /// Sent over a millisecond late since the generator woke up late: ours, and also in the latency.
    pub late_waking: u64,
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
    pub mean_us: f64,
}

/// What one connection saw.
#[derive(Debug, Default)]
struct Tally {
    latencies: Histogram,
    errors: u64,
    first_error: Option<String>,
    late_waiting: u64,
    late_waking: u64,
}

/// Runs the load to its end: one thread a connection, each taking the next due time from the one schedule, sleeping
/// until then and doing the exchange. Threads that sleep in the kernel wake within some ten microseconds, where a
/// runtime's timer wheel would round to milliseconds.
pub fn run(load: &Load) -> std::io::Result<Report> {
    sharpen_sleep();
    let whole = load.warm_up + load.length;
    let schedule = Mutex::new(Schedule::new(load.rate, whole, load.arrivals, load.seed));
    let mut connections = Vec::new();
    for _ in 0..load.connections {
        connections.push(Connection::open(load.address)?);
    }
    let start = Instant::now() + Duration::from_millis(20);
    let mut sum = Tally::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = connections
            .into_iter()
            .map(|connection| scope.spawn(|| send_when_due(load, &schedule, connection, start)))
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(tally) => sum.add(tally),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    // Answers may come after the schedule's end; the rate is over the time that they really took.
    let counted = start.elapsed().saturating_sub(load.warm_up).as_secs_f64();
    Ok(sum.report(load.rate, counted))
}

fn send_when_due(
    load: &Load,
    schedule: &Mutex<Schedule>,
    mut connection: Connection,
    start: Instant,
) -> Tally {
    let request = get(load.address, &load.path);
    let mut tally = Tally::default();
    loop {
        let next = schedule.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some(offset) = next else { return tally };
        let due = start + offset;
        let early = due.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            std::thread::sleep(early);
        }
        let late = due.elapsed() > LATE;
        let outcome = connection.exchange_discarding(&request);
        let counts = offset >= load.warm_up;
        if late && counts {
            if early.is_zero() { tally.late_waiting += 1 } else { tally.late_waking += 1 }
        }
        let keep = match &outcome {
            Ok(answer) if answer.is_success() => {
                if counts {
                    tally.latencies.record(due.elapsed().as_nanos() as u64);
                }
                !answer.closes
            }
            Ok(answer) => {
                tally.fail(format!("status {}", answer.status));
                !answer.closes
            }
            Err(error) => {
                tally.fail(error.to_string());
                false
            }
        };
        if !keep && let Err(error) = Connection::open(load.address).map(|fresh| connection = fresh) {
            // The next exchange on the dead connection counts the next failure.
            tally.fail(format!("cannot connect again: {error}"));
        }
    }
}

impl Tally {
    fn fail(&mut self, what: String) {
        self.errors += 1;
        self.first_error.get_or_insert(what);
    }

    fn add(&mut self, other: Self) {
        self.latencies.add(&other.latencies);
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.late_waiting += other.late_waiting;
        self.late_waking += other.late_waking;
    }

    fn report(self, rate: f64, seconds: f64) -> Report {
        let microseconds = |share| self.latencies.quantile(share) as f64 / 1_000.0;
        Report {
            intended_rate: rate,
            achieved_rate: self.latencies.total() as f64 / seconds,
            completed: self.latencies.total(),
            errors: self.errors,
            first_error: self.first_error.clone(),
            late_waiting: self.late_waiting,
            late_waking: self.late_waking,
            p50_us: microseconds(0.5),
            p90_us: microseconds(0.9),
            p99_us: microseconds(0.99),
            p999_us: microseconds(0.999),
            max_us: self.latencies.largest() as f64 / 1_000.0,
            mean_us: self.latencies.mean() / 1_000.0,
        }
    }
}

/// Linux lets a sleep end up to 50 us late in order to save wake-ups; threads inherit the setting of the one that
/// starts them. Where it cannot be set, the lateness shows as `late_waking` if it matters.
fn sharpen_sleep() {
    let _ = std::fs::write("/proc/self/timerslack_ns", "1");
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers each request of one connection after the given pauses, then at once.
    fn server(pauses: Vec<Duration>, answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut pauses = pauses.into_iter();
            while stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {
                std::thread::sleep(pauses.next().unwrap_or_default());
                stream.write_all(answer).unwrap();
            }
        });
        address
    }

    fn load(address: SocketAddr, rate: f64) -> Load {
        Load {
            address,
            path: "/".to_owned(),
            rate,
            warm_up: Duration::ZERO,
            length: Duration::from_millis(500),
            connections: 1,
            arrivals: Arrivals::Even,
            seed: 1,
        }
    }

    #[test]
    fn a_pause_is_charged_to_every_request_that_was_due_during_it() {
        let address =
            server(vec![Duration::from_millis(200)], b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let report = run(&load(address, 100.0)).unwrap();
        assert_eq!((report.completed, report.errors), (50, 0));
        // The pause of 200 ms covers twenty requests, due every 10 ms; a closed loop would have seen one slow one.
        assert!(report.late_waiting >= 15, "{report:?}");
        assert!(report.p90_us > 100_000.0, "{report:?}");
        assert!(report.p50_us < 50_000.0, "{report:?}");
    }

    #[test]
    fn refusals_are_errors_and_have_no_latency() {
        let address = server(vec![], b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        let report = run(&load(address, 20.0)).unwrap();
        assert_eq!((report.completed, report.errors), (0, 10));
        assert_eq!(report.first_error.as_deref(), Some("status 503"));
    }
}
