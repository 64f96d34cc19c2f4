//! Events for everybody who listens: one of 200 bytes, at a steady rate, to all connections that asked for `/events`. Each
//! has a number, so that a lost one is noticed, and the time at which it was written.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;

/// What listeners ask for.
pub const PATH: &[u8] = b"/events";
/// An event of this length, with what ends it.
pub const LENGTH: usize = 200;
/// How often there is one.
pub const EVERY: Duration = Duration::from_millis(25);

/// nginx is told by the third field not to gather the answer.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\
    X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n";

/// All who listen now.
#[derive(Debug, Clone, Default)]
pub struct Listeners(Rc<RefCell<Vec<TcpStream>>>);

impl Listeners {
    /// Answers one more, which hears every event from now on.
    pub async fn take(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.write_all(HEAD).await?;
        self.0.borrow_mut().push(stream);
        Ok(())
    }

    /// Tells all of them, for ever. One that has left, or reads so slowly that an event does not fit, is let go: its client
    /// sees the end, and counts it.
    pub async fn tell(self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for number in 0.. {
            ticks.tick().await;
            self.0.borrow_mut().retain(|stream| {
                let chunk = chunk(number, now());
                stream.try_write(&chunk).is_ok_and(|written| written == chunk.len())
            });
        }
    }
}

/// Microseconds that two processes of one machine agree on.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The number and the time of an event, by its text without the blank line.
#[must_use]
pub fn parse(event: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(event).ok()?.strip_prefix("data: ")?;
    let mut words = text.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

fn chunk(number: u64, at: u64) -> Vec<u8> {
    let said = format!("data: {number} {at} ");
    let padding = LENGTH - said.len() - 2;
    format!("{LENGTH:x}\r\n{said}{}\n\n\r\n", "x".repeat(padding)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_its_number_and_its_time_in_one_chunk() {
        let chunk = chunk(7, 1_234_567);
        let text = std::str::from_utf8(&chunk).unwrap();
        let (size, rest) = text.split_once("\r\n").unwrap();
        let body = rest.strip_suffix("\r\n").unwrap();
        assert_eq!(usize::from_str_radix(size, 16).unwrap(), body.len());
        assert_eq!(parse(body.strip_suffix("\n\n").unwrap().as_bytes()), Some((7, 1_234_567)));
        assert_eq!(parse(b"data: x"), None);
    }
}
