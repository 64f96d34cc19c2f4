//! A client's connection: sends the bytes it is told, and reads answers plainly.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::reply::{Parsed, Reply, parse};

/// Nothing that a test waits for takes as long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to a door.
#[derive(Debug)]
pub struct Connection {
    pub stream: TcpStream,
    inbox: Vec<u8>,
}

/// An answer that did not come, or not whole.
#[derive(Debug)]
pub struct Broken {
    /// Whether its status had come.
    pub begun: bool,
    pub why: String,
    /// What had come.
    pub bytes: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    #[must_use]
    pub fn open(to: SocketAddr) -> Connection {
        let stream = TcpStream::connect(to).unwrap_or_else(|error| panic!("{to}: {error}"));
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Connection { stream, inbox: Vec::new() }
    }

    /// Of a stream that is open already.
    #[must_use]
    pub fn of(stream: TcpStream) -> Connection {
        Connection { stream, inbox: Vec::new() }
    }

    /// Sends; whether it could.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Ends the client's side; answers can still come.
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The next answer.
    ///
    /// # Panics
    /// When none comes, or it is not whole, saying what came.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        self.try_reply("GET").unwrap_or_else(|broken| {
            panic!("no whole answer: {}; what came: {}", broken.why, broken.bytes.escape_ascii())
        })
    }

    /// The next answer, to a request of this method.
    ///
    /// # Errors
    /// When none comes, or it is not whole.
    pub fn try_reply(&mut self, method: &str) -> Result<Reply, Broken> {
        let mut ended = None;
        loop {
            let begun = match parse(&self.inbox, method == "HEAD", ended.is_some()) {
                Parsed::Whole(reply, used) => {
                    self.inbox.drain(..used);
                    return Ok(reply);
                }
                Parsed::Bad(why) => return Err(Broken { begun: true, why, bytes: self.inbox.clone() }),
                Parsed::Partial { begun } => begun,
            };
            if let Some(why) = ended {
                return Err(Broken { begun, why, bytes: self.inbox.clone() });
            }
            if let Err(error) = self.more() {
                // Only a proper end of the stream may be the end of a body.
                if error != CLOSED {
                    return Err(Broken { begun, why: error, bytes: self.inbox.clone() });
                }
                ended = Some(error);
            }
        }
    }

    /// Sends a request and takes its answer.
    #[track_caller]
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Reply {
        self.send(request);
        self.reply()
    }

    /// Sends a HEAD and takes its answer, which has no body.
    ///
    /// # Panics
    /// As [`Connection::reply`].
    #[track_caller]
    pub fn ask_head(&mut self, request: impl AsRef<[u8]>) -> Reply {
        self.send(request);
        self.try_reply("HEAD").unwrap_or_else(|broken| panic!("no whole answer: {}", broken.why))
    }

    /// Waits until at least so many bytes have come that are in no answer yet, and shows them.
    ///
    /// # Panics
    /// When they do not come.
    pub fn peek(&mut self, least: usize) -> &[u8] {
        while self.inbox.len() < least {
            self.more().unwrap_or_else(|why| panic!("{why} after {}", self.inbox.escape_ascii()));
        }
        &self.inbox
    }

    /// Waits until `text` has come, and takes everything up to its end.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.inbox.windows(text.len()).position(|window| window == text.as_bytes()) {
                let taken: Vec<u8> = self.inbox.drain(..at + text.len()).collect();
                return String::from_utf8_lossy(&taken).into_owned();
            }
            self.more().unwrap_or_else(|why| panic!("{why}; no {text:?} in {}", self.inbox.escape_ascii()));
        }
    }

    /// Waits for the end of the connection; what came before it.
    ///
    /// # Errors
    /// When it does not end within the time to wait.
    pub fn until_closed(&mut self, limit: Duration) -> Result<Vec<u8>, String> {
        let end = std::time::Instant::now() + limit;
        self.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        loop {
            match self.more() {
                Ok(()) => {}
                Err(why) if why == CLOSED || why == RESET => return Ok(std::mem::take(&mut self.inbox)),
                Err(why) if std::time::Instant::now() > end => return Err(why),
                Err(_) => {}
            }
        }
    }

    fn more(&mut self) -> Result<(), String> {
        let mut part = [0; 64 * 1024];
        match self.stream.read(&mut part) {
            Ok(0) => Err(CLOSED.to_owned()),
            Ok(count) => {
                self.inbox.extend_from_slice(&part[..count]);
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Err(RESET.to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

const CLOSED: &str = "the connection was closed";
const RESET: &str = "the connection was reset";
