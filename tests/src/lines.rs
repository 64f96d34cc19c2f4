//! An answer that comes line by line and has no end: NDJSON or an event stream, read as it arrives.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A stream of lines under way.
#[derive(Debug)]
pub struct Lines {
    stream: TcpStream,
    /// Received and not yet taken out of its chunks.
    raw: Vec<u8>,
    /// Out of the chunks, and no whole line yet.
    text: Vec<u8>,
    head: String,
    /// The last chunk has come.
    pub ended: bool,
}

/// What came of waiting for a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// One, without its end.
    Text(String),
    /// None in that time.
    Quiet,
    /// No more will come: the stream has ended, or broke.
    Over,
}

impl Lines {
    /// Asks, and takes the head of the answer. `None` when the gateway is gone.
    #[must_use]
    pub fn open(to: SocketAddr, path: &str, fields: &str) -> Option<Lines> {
        let mut stream = TcpStream::connect(to).ok()?;
        stream.set_nodelay(true).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {to}\r\n{fields}\r\n").as_bytes()).ok()?;
        let mut lines =
            Lines { stream, raw: Vec::new(), text: Vec::new(), head: String::new(), ended: false };
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(at) = lines.raw.windows(4).position(|end| end == b"\r\n\r\n") {
                lines.head = String::from_utf8_lossy(&lines.raw[..at]).into_owned();
                lines.raw.drain(..at + 4);
                return Some(lines);
            }
            if !lines.more(end)? {
                return None;
            }
        }
    }

    #[must_use]
    pub fn head(&self) -> &str {
        &self.head
    }

    /// The next line, waiting at most so long.
    pub fn next(&mut self, patience: Duration) -> Line {
        let end = Instant::now() + patience;
        loop {
            self.unwrap_chunks();
            if let Some(at) = self.text.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&self.text[..at]).trim_end_matches('\r').to_owned();
                self.text.drain(..=at);
                return Line::Text(line);
            }
            if self.ended {
                return Line::Over;
            }
            match self.more(end) {
                Some(true) => {}
                Some(false) => return Line::Quiet,
                None => return Line::Over,
            }
        }
    }

    /// The next line that is not empty, as JSON.
    pub fn json(&mut self, patience: Duration) -> Option<Value> {
        let end = Instant::now() + patience;
        loop {
            match self.next(end.saturating_duration_since(Instant::now())) {
                Line::Text(line) if line.is_empty() => {}
                Line::Text(line) => {
                    return Some(serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}")));
                }
                Line::Quiet | Line::Over => return None,
            }
        }
    }

    /// Reads more: `Some(false)` when the time is over, `None` when the connection is.
    fn more(&mut self, end: Instant) -> Option<bool> {
        let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left)).unwrap();
        let mut piece = [0; 64 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => None,
            Ok(n) => {
                self.raw.extend_from_slice(&piece[..n]);
                Some(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Some(false),
            Err(_) => None,
        }
    }

    fn unwrap_chunks(&mut self) {
        while let Some(line) = self.raw.windows(2).position(|end| end == b"\r\n") {
            let size = std::str::from_utf8(&self.raw[..line]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("{size:?} is no size"));
            if size == 0 {
                self.ended = true;
                return;
            }
            if self.raw.len() < line + 2 + size + 2 {
                return;
            }
            self.text.extend_from_slice(&self.raw[line + 2..line + 2 + size]);
            self.raw.drain(..line + 2 + size + 2);
        }
    }
}
