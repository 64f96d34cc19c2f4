//! Many groups follow one topic; messages are published at a steady rate, late or not, and the time of each is counted
//! at each group, from the moment when its publish was due. Each group acknowledges what it has, some at a time.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Place;
use super::lines::{Lines, text_of};
use crate::client::{Connection, post};
use crate::direct::log::message;
use crate::proc;
use crate::schedule::{Arrivals, Schedule};
use crate::timings::{Tally, Timings};

/// What the gateway gives those who say nothing.
const CREDIT: usize = 100;

/// Messages acknowledged with one call.
pub const SETTLED_AT_ONCE: usize = 20;

/// Connections that publishes go over, so that one that takes long does not hold up those that are due; and
/// connections for acknowledgements, for the same reason.
const PUBLISHERS: usize = 8;
const SETTLERS: usize = 8;

/// A message that has not arrived so long after the last publish is lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// A publish that begins this long after it was due counts as late.
const LATE: Duration = Duration::from_millis(1);

/// How many follow, and what is published.
#[derive(Debug, Clone)]
pub struct Load {
    pub place: Place,
    pub groups: usize,
    /// Messages a second.
    pub rate: f64,
    pub length: Duration,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Publishes that began over a millisecond late, which is in the latencies.
    pub late: u64,
    /// Arrivals; its processor time is that of the watched processes from the first publish to the last arrival.
    pub arrivals: Timings,
    /// The publishes themselves, from their begin to their answer.
    pub publishes: Timings,
    /// Acknowledgements, of several messages each.
    pub settlements: Timings,
}

/// What all readers share.
struct Shared {
    place: Place,
    due: Vec<Duration>,
    joined: AtomicU64,
    /// When the first message is due; it is known after the last reader has joined.
    start: std::sync::OnceLock<Instant>,
}

/// Opens the streams, publishes, and waits until all has arrived.
pub fn run(load: &Load) -> anyhow::Result<Report> {
    let shared = Arc::new(Shared {
        place: load.place.clone(),
        due: Schedule::new(load.rate, load.length, Arrivals::Even, 1).collect(),
        joined: AtomicU64::new(0),
        start: std::sync::OnceLock::new(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(follow_all(load, shared))
}

async fn follow_all(load: &Load, shared: Arc<Shared>) -> anyhow::Result<Report> {
    let (settle, to_settle) = mpsc::channel();
    let to_settle = Arc::new(Mutex::new(to_settle));
    let settlers: Vec<_> = (0..SETTLERS)
        .map(|_| {
            let (shared, to_settle) = (Arc::clone(&shared), Arc::clone(&to_settle));
            tokio::task::spawn_blocking(move || settle_all(&shared, &to_settle))
        })
        .collect();
    let readers: Vec<_> = (0..load.groups)
        .map(|group| tokio::spawn(Reader::new(group, Arc::clone(&shared), settle.clone()).read()))
        .collect();
    drop(settle);
    all_joined(&shared, load.groups).await?;
    let cpu = proc::cpu_time(&load.place.watched)?;
    let begun = *shared.start.get_or_init(|| Instant::now() + Duration::from_millis(50));
    let next = Arc::new(AtomicUsize::new(0));
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|_| {
            let (shared, next) = (Arc::clone(&shared), Arc::clone(&next));
            tokio::task::spawn_blocking(move || publish(&shared, begun, &next))
        })
        .collect();
    let mut arrivals = Tally::default();
    let deadline = tokio::time::Instant::from_std(begun + load.length + PATIENCE);
    for mut reader in readers {
        match tokio::time::timeout_at(deadline, &mut reader).await {
            Ok(tally) => arrivals.add(tally?),
            Err(_) => {
                reader.abort();
                arrivals.fail("a group did not get every message");
            }
        }
    }
    let arrivals = arrivals.timings(begun);
    let cpu = proc::cpu_time(&load.place.watched)? - cpu;
    let (mut publishes, mut late, mut settlements) = (Tally::default(), 0, Tally::default());
    for publisher in publishers {
        let (tally, its_late) = publisher.await?.context("publishing")?;
        publishes.add(tally);
        late += its_late;
    }
    for settler in settlers {
        settlements.add(settler.await?.context("acknowledging")?);
    }
    Ok(Report {
        late,
        arrivals: Timings { cpu_seconds: Some(cpu.as_secs_f64()), ..arrivals },
        publishes: publishes.timings(begun),
        settlements: settlements.timings(begun),
    })
}

async fn all_joined(shared: &Shared, groups: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let joined = shared.joined.load(Ordering::Relaxed);
        if joined == groups as u64 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "only {joined} of {groups} groups joined");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Publishes the next message when it is due, until there is none.
fn publish(shared: &Shared, begun: Instant, next: &AtomicUsize) -> anyhow::Result<(Tally, u64)> {
    let Shared { place, due, .. } = shared;
    let path = format!("{}/publish", place.queue);
    let mut connection = Connection::open(place.address)?;
    let (mut tally, mut late) = (Tally::default(), 0);
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(offset) = due.get(number) else { return Ok((tally, late)) };
        let body = serde_json::json!({ "topic": place.topic, "message": message(number) });
        let request = post(place.address, &path, &body.to_string());
        let due = begun + *offset;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let from = Instant::now();
        late += u64::from(from - due > LATE);
        let answer = connection.exchange_discarding(&request)?;
        if answer.is_success() {
            tally.done(from.elapsed(), 0);
        } else {
            tally.fail(format!("a publish was answered {}", answer.status));
        }
    }
}

/// Sends what readers ask to have acknowledged, until none of them is left.
fn settle_all(shared: &Shared, to_settle: &Mutex<mpsc::Receiver<String>>) -> anyhow::Result<Tally> {
    let place = &shared.place;
    let path = format!("{}/ack", place.queue);
    let mut connection = Connection::open(place.address)?;
    let mut tally = Tally::default();
    loop {
        let next = to_settle.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(body) = next else { return Ok(tally) };
        let from = Instant::now();
        let answer = connection.exchange_discarding(&post(place.address, &path, &body))?;
        if answer.is_success() {
            tally.done(from.elapsed(), 0);
        } else {
            tally.fail(format!("an acknowledgement was answered {}", answer.status));
        }
    }
}

/// One group's reader.
struct Reader {
    group: String,
    shared: Arc<Shared>,
    settle: mpsc::Sender<String>,
    /// Which messages have come, and how many.
    seen: Vec<bool>,
    count: usize,
    /// What is to be acknowledged.
    tokens: Vec<String>,
    tally: Tally,
}

impl Reader {
    fn new(group: usize, shared: Arc<Shared>, settle: mpsc::Sender<String>) -> Self {
        let seen = vec![false; shared.due.len()];
        let group = format!("g{group}");
        Self { group, shared, settle, seen, count: 0, tokens: Vec::new(), tally: Tally::default() }
    }

    /// Reads until every message has come, or something is wrong.
    async fn read(mut self) -> Tally {
        let address = self.shared.place.address;
        if let Err(error) = self.follow(address).await {
            self.tally.fail(format!("{error:#}"));
        }
        self.tally
    }

    async fn follow(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&self.shared.place.stream(&self.group, CREDIT)).await?;
        let (mut lines, mut buffer) = (Lines::default(), vec![0; 16 * 1024]);
        while self.count < self.seen.len() {
            let read = stream.read(&mut buffer).await?;
            let now = Instant::now();
            ensure!(read > 0 && !lines.ended(), "the stream ended after {} messages", self.count);
            lines.take_in(&buffer[..read], |line| self.line(line, now))?;
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], now: Instant) -> anyhow::Result<()> {
        match text_of(line, "event") {
            Some(b"hello") => {
                self.shared.joined.fetch_add(1, Ordering::Relaxed);
            }
            Some(b"message") => {
                let text = |name| text_of(line, name).and_then(|text| std::str::from_utf8(text).ok());
                let number = text("value").and_then(|value| value.split(' ').next()?.parse::<usize>().ok());
                let number = number.context("a message that nobody published")?;
                let due = self.shared.due.get(number).context("a message that nobody published")?;
                ensure!(!std::mem::replace(&mut self.seen[number], true), "message {number} came twice");
                let start = self.shared.start.get().context("a message came before the first publish")?;
                self.tally.done(now.saturating_duration_since(*start + *due), 0);
                self.count += 1;
                self.tokens.push(text("ack").context("a message without a token")?.to_owned());
                if self.tokens.len() == SETTLED_AT_ONCE {
                    let (topic, group) = (&self.shared.place.topic, &self.group);
                    let body = serde_json::json!({ "topic": topic, "group": group, "ack": self.tokens });
                    self.settle.send(body.to_string()).context("nobody acknowledges any more")?;
                    self.tokens.clear();
                }
            }
            // Silence has an empty line; who gains or loses partitions is told.
            None | Some(b"assignment") => {}
            Some(other) => anyhow::bail!("a {} came", String::from_utf8_lossy(other)),
        }
        Ok(())
    }
}
