//! A client that sends what it is told and reads answers plainly.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Nothing here takes as long.
const PATIENCE: Duration = Duration::from_secs(8);

/// What was asked, as far as it says how the answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Head,
    Other,
}

pub(super) struct Client {
    stream: TcpStream,
    inbox: Vec<u8>,
}

impl Client {
    pub(super) fn connect(door: SocketAddr) -> Client {
        let stream = TcpStream::connect(door).expect("the door is open");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream, inbox: Vec::new() }
    }

    /// Sends. Whom the door has turned away already may find nobody to send to.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
        std::thread::yield_now();
    }

    pub(super) fn close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The status of the next answer that is final; its body, which an answer to HEAD has not, is read and
    /// thrown away.
    pub(super) fn status(&mut self, method: Method) -> Result<u16, String> {
        loop {
            let head = loop {
                if let Some(end) = self.inbox.windows(4).position(|four| four == b"\r\n\r\n") {
                    break self.inbox.drain(..end + 4).collect::<Vec<u8>>();
                }
                self.more()?;
            };
            let text = String::from_utf8_lossy(&head).to_lowercase();
            let status = text.get(9..12).and_then(|digits| digits.parse().ok());
            let status: u16 = status.filter(|_| text.starts_with("http/1.1 ")).ok_or_else(|| text.clone())?;
            if status < 200 {
                continue;
            }
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length = length.filter(|_| method == Method::Other);
            let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
            while self.inbox.len() < length {
                self.more()?;
            }
            self.inbox.drain(..length);
            return Ok(status);
        }
    }

    /// Holds when the door says no more and closes.
    pub(super) fn expect_end(&mut self) -> Result<(), String> {
        loop {
            if !self.inbox.is_empty() {
                return Err(format!("was told more: {}", self.inbox.escape_ascii()));
            }
            match self.more() {
                Ok(()) => {}
                Err(end) if end == CLOSED => return Ok(()),
                Err(other) => return Err(format!("was not closed: {other}")),
            }
        }
    }

    fn more(&mut self) -> Result<(), String> {
        let mut part = [0; 4096];
        match self.stream.read(&mut part) {
            Ok(0) => Err(CLOSED.to_owned()),
            Ok(n) => {
                self.inbox.extend_from_slice(&part[..n]);
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Err(CLOSED.to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

const CLOSED: &str = "the door closed";
