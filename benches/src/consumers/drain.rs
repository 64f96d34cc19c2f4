//! One consumer takes all messages that are there as fast as they come, and acknowledges them in batches over a second
//! connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::Place;
use super::lines::{Lines, text_of};
use crate::client::{Connection, post};
use crate::proc;
use crate::timings::Timings;

/// What is read, and how.
#[derive(Debug, Clone)]
pub struct Load {
    pub place: Place,
    /// A group that has read nothing yet.
    pub group: String,
    /// Messages that are there.
    pub count: usize,
    pub credit: usize,
    /// Messages acknowledged with one call.
    pub batch: usize,
}

/// Reads everything; completed are messages, over the time from asking for the stream to the last acknowledgement.
pub fn run(load: &Load) -> anyhow::Result<Timings> {
    let cpu = proc::cpu_time(&load.place.watched)?;
    let start = Instant::now();
    let mut stream = TcpStream::connect(load.place.address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(&load.place.stream(&load.group, load.credit))?;
    let mut settler = Settler {
        connection: Connection::open(load.place.address)?,
        load,
        tokens: String::new(),
        waiting: 0,
        settled: 0,
    };
    let (mut lines, mut buffer) = (Lines::default(), vec![0; 128 * 1024]);
    let mut read = 0;
    while read < load.count {
        let got = stream.read(&mut buffer).context("the stream")?;
        ensure!(got > 0 && !lines.ended(), "the stream ended before message {read}");
        lines.take_in(&buffer[..got], |line| {
            if text_of(line, "event") == Some(b"message") {
                settler.add(text_of(line, "ack").context("a message without a token")?)?;
                read += 1;
            }
            Ok(())
        })?;
    }
    settler.settle()?;
    ensure!(settler.settled == load.count, "{} of {} were acknowledged", settler.settled, load.count);
    let seconds = start.elapsed().as_secs_f64();
    let cpu = proc::cpu_time(&load.place.watched)? - cpu;
    Ok(Timings {
        completed: read as u64,
        seconds,
        cpu_seconds: Some(cpu.as_secs_f64()),
        ..Timings::default()
    })
}

/// Acknowledges what was read.
struct Settler<'l> {
    connection: Connection,
    load: &'l Load,
    /// Those that wait, quoted and with commas between them.
    tokens: String,
    waiting: usize,
    settled: usize,
}

impl Settler<'_> {
    fn add(&mut self, token: &[u8]) -> anyhow::Result<()> {
        if self.waiting > 0 {
            self.tokens.push(',');
        }
        self.tokens.push('"');
        self.tokens.push_str(std::str::from_utf8(token)?);
        self.tokens.push('"');
        self.waiting += 1;
        if self.waiting == self.load.batch { self.settle() } else { Ok(()) }
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        if self.waiting == 0 {
            return Ok(());
        }
        let (place, group) = (&self.load.place, &self.load.group);
        let body =
            format!("{{\"topic\":\"{}\",\"group\":\"{group}\",\"ack\":[{}]}}", place.topic, self.tokens);
        let answer =
            self.connection.exchange(&post(place.address, &format!("{}/ack", place.queue), &body))?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.is_success(), "an acknowledgement was answered {} {text}", answer.status);
        let said: serde_json::Value = serde_json::from_str(&text)?;
        self.settled += said["acknowledged"].as_u64().context("no count")? as usize;
        self.tokens.clear();
        self.waiting = 0;
        Ok(())
    }
}
