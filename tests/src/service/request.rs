//! The service's side of a connection: requests one after the other, read plainly.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::answer::{self, Next};
use crate::journal::Journal;
use crate::mode::{Mode, Modes};

/// A request as received.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Body,
}

/// What is known of a body that was read to its end; its bytes only while they are few.
#[derive(Default)]
pub(crate) struct Body {
    pub(crate) length: u64,
    pub(crate) sum: u64,
    pub(crate) begin: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

/// How long an impatient service waits for the next request.
const IDLE: std::time::Duration = std::time::Duration::from_millis(300);
/// So much of a body is kept.
const KEPT: usize = 64 * 1024;

impl Request {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A parameter of the query.
    pub(crate) fn param(&self, name: &str) -> Option<u64> {
        let query = self.target.split_once('?')?.1;
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value?.parse().ok()
    }

    pub(crate) fn id(&self) -> &str {
        self.field("x-shot").unwrap_or("-")
    }
}

pub(crate) type Reader = BufReader<TcpStream>;

/// Serves one connection to its end.
pub(crate) fn serve(stream: TcpStream, name: &str, modes: &Modes, journal: &Journal) {
    let Ok(read) = stream.try_clone() else { return };
    let mut reader = BufReader::with_capacity(64 * 1024, read);
    let mut stream = stream;
    journal.note("accepted", "-", "-");
    if modes.get() == Mode::Impatient {
        let _ = stream.set_read_timeout(Some(IDLE));
    }
    while let Some(mut request) = read_head(&mut reader) {
        let probe = request.path() == "/healthz";
        if !probe {
            journal.note("read", &request.method, request.id());
        }
        if modes.get() == Mode::ResetOnAccept {
            crate::reset(&stream);
            return;
        }
        if answer::before_body(&request, &mut stream) == Next::Close {
            return;
        }
        let Some(body) = read_body(&mut reader, &request) else { return };
        request.body = body;
        if !probe {
            journal.note("done", &request.method, request.id());
        }
        let mode = modes.get();
        if answer::answer(&request, name, mode, &mut stream, &mut reader) == Next::Close {
            return;
        }
    }
}

fn read_head(reader: &mut Reader) -> Option<Request> {
    let first = line(reader)?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some(Request { method, target, fields: read_fields(reader)?, body: Body::default() })
}

fn read_fields(reader: &mut Reader) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let line = line(reader)?;
        if line.is_empty() {
            return Some(fields);
        }
        let (name, value) = line.split_once(':')?;
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn line(reader: &mut Reader) -> Option<String> {
    let mut line = Vec::new();
    let count = reader.read_until(b'\n', &mut line).ok()?;
    let line = line.strip_suffix(b"\r\n").filter(|_| count > 0)?;
    Some(String::from_utf8_lossy(line).into_owned())
}

fn read_body(reader: &mut Reader, request: &Request) -> Option<Body> {
    let mut body = Body::default();
    let pause = (request.path() == "/slow-upload").then_some(std::time::Duration::from_millis(20));
    if request.field("transfer-encoding").is_some() {
        loop {
            let size = u64::from_str_radix(line(reader)?.split(';').next()?, 16).ok()?;
            if size == 0 {
                break;
            }
            take(reader, size, &mut body, pause)?;
            line(reader)?;
        }
        body.trailers = read_fields(reader)?;
    } else if let Some(length) = request.field("content-length") {
        take(reader, length.parse().ok()?, &mut body, pause)?;
    }
    Some(body)
}

fn take(reader: &mut Reader, length: u64, body: &mut Body, pause: Option<std::time::Duration>) -> Option<()> {
    let mut part = vec![0; 64 * 1024];
    let mut left = length;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(part.len());
        let count = reader.read(&mut part[..most]).ok().filter(|count| *count > 0)?;
        for byte in &part[..count] {
            body.sum = body.sum.wrapping_mul(31).wrapping_add(u64::from(*byte));
        }
        let room = KEPT.saturating_sub(body.begin.len()).min(count);
        body.begin.extend_from_slice(&part[..room]);
        body.length += count as u64;
        left -= count as u64;
        if let Some(pause) = pause {
            std::thread::sleep(pause);
        }
    }
    Some(())
}

/// Writes; whether the other side still takes it.
pub(crate) fn write(stream: &mut TcpStream, bytes: impl AsRef<[u8]>) -> Next {
    match stream.write_all(bytes.as_ref()) {
        Ok(()) => Next::Stay,
        Err(_) => Next::Close,
    }
}
