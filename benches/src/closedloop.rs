//! Closed-loop load for latency: one connection, one request at a time. It does not sleep while it waits, so that what is
//! counted is the server and the kernel and not our own waking up; unless somebody else needs the core.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client::{Connection, post};
use crate::timings::{Tally, Timings};

/// What to send, to whom, for how long.
#[derive(Debug, Clone)]
pub struct Load {
    pub address: SocketAddr,
    pub path: String,
    /// Sent in turn, from the first again after the last; must not be empty.
    pub bodies: Vec<String>,
    pub length: Duration,
    /// Whether to sleep while waiting.
    pub asleep: bool,
}

impl Load {
    fn open(&self) -> std::io::Result<Connection> {
        if self.asleep { Connection::open(self.address) } else { Connection::open_awake(self.address) }
    }
}

/// Runs the load to its end. Every request is built before it begins.
pub fn run(load: &Load) -> std::io::Result<Timings> {
    let requests: Vec<Vec<u8>> =
        load.bodies.iter().map(|body| post(load.address, &load.path, body)).collect();
    let mut connection = load.open()?;
    let mut tally = Tally::default();
    let start = Instant::now();
    for request in requests.iter().cycle() {
        let begun = Instant::now();
        if begun - start >= load.length {
            break;
        }
        let outcome = connection.exchange_discarding(request);
        let took = begun.elapsed();
        let keep = match &outcome {
            Ok(answer) if answer.is_success() => {
                tally.done(took, answer.length);
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
        if !keep {
            connection = load.open()?;
        }
    }
    Ok(tally.timings(start))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers each request after the pause, refusing every third.
    fn server(pause: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut count = 0;
            while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                std::thread::sleep(pause);
                count += 1;
                let status = if count % 3 == 0 { "503 Unavailable" } else { "200 OK" };
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}");
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        address
    }

    #[test]
    fn successes_are_timed_and_refusals_are_counted() {
        for asleep in [false, true] {
            refused_every_third_time(asleep);
        }
    }

    fn refused_every_third_time(asleep: bool) {
        let load = Load {
            address: server(Duration::from_millis(5)),
            path: "/call".to_owned(),
            bodies: vec!["{\"a\":1}".to_owned(), "{\"a\":2}".to_owned()],
            length: Duration::from_millis(300),
            asleep,
        };
        let timings = run(&load).unwrap();
        assert!(timings.completed >= 4 && timings.errors >= 2, "{timings:?}");
        assert!(timings.p50_us >= 5_000.0 && timings.bytes == timings.completed * 2, "{timings:?}");
        assert_eq!(timings.first_error.as_deref(), Some("status 503"));
    }
}
