//! The service behind the door: records every request that reaches it and answers 200.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A plain server on loopback.
pub(crate) struct Service {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    record: Arc<Record>,
}

type Record = Mutex<Vec<Seen>>;

/// A request as it came to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    line: String,
    /// Value of `Host`; its place among the fields means nothing.
    hosts: Vec<String>,
    /// Name and value of the other fields, as received.
    fields: Vec<(String, String)>,
    pub(super) chunked: bool,
    /// Without its chunks.
    body: Vec<u8>,
    pub(super) trailers: Vec<u8>,
    /// Whether it came to its end.
    pub(super) whole: bool,
}

/// The fields that a gateway says for itself.
pub(super) struct Own(Vec<(String, String)>);

const OWN: &[&str] =
    &["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "x-request-id"];

impl Service {
    pub(crate) fn start() -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let record = Arc::<Record>::default();
        let shared = record.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let record = shared.clone();
                std::thread::spawn(move || serve(stream, &record));
            }
        });
        Service { address, record }
    }

    /// What was seen since it was last asked.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.record.lock().unwrap())
    }
}

fn serve(mut stream: TcpStream, record: &Record) {
    let mut inbox = Vec::new();
    let mut continued = false;
    let mut part = vec![0; 64 * 1024];
    loop {
        while let Some((seen, used)) = take(&inbox) {
            inbox.drain(..used);
            continued = false;
            let answer: &[u8] = if seen.line.starts_with("HEAD ") {
                b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            } else {
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            };
            record.lock().unwrap().push(seen);
            if stream.write_all(answer).is_err() {
                break;
            }
        }
        if !continued && expects(&inbox) {
            continued = true;
            let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let n = stream.read(&mut part).unwrap_or(0);
        if n == 0 {
            break;
        }
        inbox.extend_from_slice(&part[..n]);
    }
    if !inbox.is_empty() {
        record.lock().unwrap().push(Seen { whole: false, ..Seen::read(&inbox) });
    }
}

fn expects(bytes: &[u8]) -> bool {
    let seen = Seen::read(bytes);
    seen.whole && seen.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("expect"))
}

/// The first whole request, and how long it was.
fn take(bytes: &[u8]) -> Option<(Seen, usize)> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let mut seen = Seen::read(&bytes[..head]);
    let value =
        |wanted: &str| seen.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, v)| v);
    let length: usize = value("content-length").map_or(Ok(0), |value| value.trim().parse()).ok()?;
    seen.chunked = value("transfer-encoding").is_some();
    if seen.chunked {
        let (body, trailers, used) = unchunk(&bytes[head..])?;
        seen.body = body;
        seen.trailers = trailers;
        return Some((seen, head + used));
    }
    seen.body = bytes.get(head..head.checked_add(length)?)?.to_vec();
    Some((seen, head + length))
}

/// A body without its chunks, its trailers, and how long all of it was; nothing unless it is whole and plain.
fn unchunk(bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>, usize)> {
    let line = |at: usize| Some(at + bytes[at..].windows(2).position(|two| two == b"\r\n")?);
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let end = line(at)?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[at..end]).ok()?, 16).ok()?;
        at = end + 2;
        if size == 0 {
            break;
        }
        body.extend_from_slice(bytes.get(at..at + size)?);
        if bytes.get(at + size..at + size + 2)? != b"\r\n" {
            return None;
        }
        at += size + 2;
    }
    let trailers = at;
    loop {
        let end = line(at)?;
        if end == at {
            return Some((body, bytes[trailers..at].to_vec(), at + 2));
        }
        at = end + 2;
    }
}

impl Seen {
    /// Reads a request whose head is plain; what follows the head is its body.
    pub(super) fn read(bytes: &[u8]) -> Seen {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = bytes.split_at(end.map_or(bytes.len(), |end| end + 4));
        let text: String = head.iter().map(|&byte| byte as char).collect();
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let (mut hosts, mut fields) = (Vec::new(), Vec::new());
        for line in lines {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            if name.eq_ignore_ascii_case("host") {
                hosts.push(value.trim().to_owned());
            } else {
                fields.push((name.to_owned(), value.to_owned()));
            }
        }
        let whole = end.is_some();
        Seen { line, hosts, fields, chunked: false, body: body.to_vec(), trailers: Vec::new(), whole }
    }

    /// Takes apart what the client said and what the gateway added: its own fields, its word on chunks, an
    /// expectation that it passed on, and an upgrade that it asks for anew.
    pub(super) fn without_own(mut self) -> (Seen, Own) {
        let is_own = |name: &str| OWN.iter().any(|own| name.eq_ignore_ascii_case(own));
        let (own, mut fields): (Vec<_>, Vec<_>) = self.fields.into_iter().partition(|(name, _)| is_own(name));
        let mut codings = 0;
        fields.retain(|(name, value)| {
            let is = |own: &str, word: &str| {
                name.eq_ignore_ascii_case(own) && value.trim().eq_ignore_ascii_case(word)
            };
            let coding = self.chunked && is("transfer-encoding", "chunked");
            codings += usize::from(coding);
            let upgrade = is("connection", "upgrade") || is("upgrade", "websocket");
            let ours = upgrade || name.eq_ignore_ascii_case("expect") || (coding && codings == 1);
            !ours
        });
        self.fields = fields;
        (self, Own(own))
    }
}

impl Own {
    /// Each is there once and says what is true of a client on loopback.
    pub(super) fn check(&self, seen: &Seen) -> Result<(), String> {
        let host = seen.hosts.first().map_or("", String::as_str);
        for own in OWN {
            let values: Vec<&str> = self
                .0
                .iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case(own))
                .map(|(_, v)| v.trim())
                .collect();
            let good = match (*own, values.as_slice()) {
                ("x-forwarded-for", [value]) => *value == "127.0.0.1",
                ("x-forwarded-proto", [value]) => *value == "http",
                ("x-forwarded-host", [value]) => *value == host,
                ("forwarded", [value]) => value.contains("for=127.0.0.1") && value.contains("proto=http"),
                ("x-request-id", [value]) => {
                    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                    (1..=128).contains(&value.len()) && value.chars().all(plain)
                }
                _ => false,
            };
            if !good {
                return Err(format!("{own} is {values:?}"));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.line, self.hosts.join(", "))?;
        for (name, value) in &self.fields {
            write!(f, " {name}:{value};")?;
        }
        let chunked = if self.chunked { " in chunks" } else { "" };
        let whole = if self.whole { "" } else { " (cut)" };
        write!(
            f,
            " {:?}{chunked} {:?}{whole}",
            self.body.escape_ascii().to_string(),
            self.trailers.escape_ascii().to_string()
        )
    }
}
