//! One blocking HTTP/1.1 keep-alive connection: sends bytes, reads one answer, reuses its buffer. It knows just
//! enough to read the answers of the programs measured here: Content-Length, chunked, or no body.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Larger than a 64 KiB answer with its head, so that one read usually brings all of it.
const BUFFER: usize = 80 * 1024;

/// No program measured on loopback needs longer for one answer unless it is broken.
const PATIENCE: Duration = Duration::from_secs(5);

/// One open connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    waiting: Waiting,
}

/// How a connection waits for the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Asleep,
    /// Asking the kernel again and again, so that no waking up of ours is in the time that an answer takes.
    Awake,
}

/// What came back: enough to tell a good answer from a bad one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// The server said that it closes the connection.
    pub closes: bool,
}

impl Answer {
    /// 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Connection {
    /// Connects, with Nagle's delay off and deadlines on both directions.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        Self::open_sized(address, BUFFER)
    }

    /// Connects with a buffer of the given size: thousands of idle connections need small ones.
    pub fn open_sized(address: SocketAddr, size: usize) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: vec![0; size], filled: 0, waiting: Waiting::Asleep })
    }

    /// Connects, and never sleeps while it waits: it takes a whole core, and sees an answer when it is there.
    pub fn open_awake(address: SocketAddr) -> io::Result<Self> {
        let mut connection = Self::open(address)?;
        connection.stream.set_nonblocking(true)?;
        connection.waiting = Waiting::Awake;
        Ok(connection)
    }

    /// Sends one request and reads its whole answer, keeping the body.
    pub fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        let (head, mut body) = self.send(request)?;
        let mut content = Vec::new();
        self.read_body(&head, &mut body, |bytes| content.extend_from_slice(bytes))?;
        Ok(Answer { status: head.status, body: content, closes: head.closes })
    }

    /// Sends one request, reads its whole answer and drops the body; returns whether it was a success that
    /// leaves the connection open.
    pub fn exchange_discarding(&mut self, request: &[u8]) -> io::Result<Discarded> {
        let (head, mut body) = self.send(request)?;
        let mut length = 0;
        self.read_body(&head, &mut body, |bytes| length += bytes.len())?;
        Ok(Discarded { status: head.status, closes: head.closes, length })
    }

    fn send(&mut self, request: &[u8]) -> io::Result<(Head, usize)> {
        let mut sent = 0;
        while sent < request.len() {
            sent += patiently(self.waiting, || self.stream.write(&request[sent..]))?;
        }
        self.filled = 0;
        loop {
            self.fill()?;
            if let Some(end) = memchr::memmem::find(&self.buffer[..self.filled], b"\r\n\r\n") {
                let head = Head::parse(&self.buffer[..end + 2])?;
                return Ok((head, end + 4));
            }
            if self.filled == self.buffer.len() {
                return Err(broken("the head is larger than the buffer"));
            }
        }
    }

    /// Reads the body that begins at `at` in the buffer and passes it on piece by piece.
    fn read_body(&mut self, head: &Head, at: &mut usize, mut keep: impl FnMut(&[u8])) -> io::Result<()> {
        match head.framing {
            Framing::Length(length) => self.read_exactly(length, at, &mut keep),
            Framing::Chunked => loop {
                let size = self.chunk_size(at)?;
                self.read_exactly(size, at, &mut keep)?;
                self.read_exactly(2, at, &mut |_| ())?;
                if size == 0 {
                    return Ok(());
                }
            },
        }
    }

    fn read_exactly(
        &mut self,
        length: usize,
        at: &mut usize,
        keep: &mut impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            self.refill_if_read(at)?;
            let take = left.min(self.filled - *at);
            keep(&self.buffer[*at..*at + take]);
            *at += take;
            left -= take;
        }
        Ok(())
    }

    fn chunk_size(&mut self, at: &mut usize) -> io::Result<usize> {
        let mut size = 0usize;
        let mut in_extension = false;
        loop {
            self.refill_if_read(at)?;
            let byte = self.buffer[*at];
            *at += 1;
            match byte {
                b'\n' => return Ok(size),
                b'\r' | b' ' | b';' => in_extension = true,
                _ if in_extension => {}
                _ => {
                    let digit = char::from(byte).to_digit(16).ok_or_else(|| broken("a chunk has no size"))?;
                    size = size * 16 + digit as usize;
                }
            }
        }
    }

    fn refill_if_read(&mut self, at: &mut usize) -> io::Result<()> {
        if *at == self.filled {
            *at = 0;
            self.filled = 0;
            self.fill()?;
        }
        Ok(())
    }

    fn fill(&mut self) -> io::Result<()> {
        let read = patiently(self.waiting, || self.stream.read(&mut self.buffer[self.filled..]))?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
        self.filled += read;
        Ok(())
    }
}

/// A call to the kernel, again and again where the connection stays awake.
fn patiently(waiting: Waiting, mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    let begun = Instant::now();
    loop {
        match call() {
            Err(error) if waiting == Waiting::Awake && error.kind() == io::ErrorKind::WouldBlock => {
                if begun.elapsed() > PATIENCE {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                std::hint::spin_loop();
            }
            other => return other,
        }
    }
}

/// An answer whose body was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discarded {
    pub status: u16,
    pub closes: bool,
    /// Of the body, in bytes.
    pub length: usize,
}

impl Discarded {
    /// 200 to 299.
    #[must_use]
    pub fn is_success(self) -> bool {
        (200..300).contains(&self.status)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    framing: Framing,
    closes: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

impl Head {
    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| broken("the head is not UTF-8"))?;
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 "))
            .and_then(|rest| rest.get(..3))
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| broken("this is not an HTTP/1.1 answer"))?;
        // Neither 204 nor 304 has a body, whatever the headers say; everything else is framed by one of them.
        let mut framing = matches!(status, 204 | 304).then_some(Framing::Length(0));
        let mut closes = false;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") && framing.is_none() {
                framing =
                    Some(Framing::Length(value.parse().map_err(|_| broken("Content-Length is no number"))?));
            } else if name.eq_ignore_ascii_case("transfer-encoding") && framing.is_none() {
                framing = Some(Framing::Chunked);
            } else if name.eq_ignore_ascii_case("connection") {
                closes = value.eq_ignore_ascii_case("close");
            }
        }
        let framing =
            framing.ok_or_else(|| broken("the answer says neither its length nor that it is chunked"))?;
        Ok(Self { status, framing, closes })
    }
}

/// A POST request with a body of JSON.
#[must_use]
pub fn post(address: SocketAddr, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A GET request of HTTP/1.1 with nothing but its Host.
#[must_use]
pub fn get(address: SocketAddr, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes()
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests;
