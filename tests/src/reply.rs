//! An HTTP/1.1 answer as a careful client reads it: byte by byte what was said, and whether it is whole.

use serde_json::Value;

/// A whole answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    /// Names as received.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// Status and head of each 1xx before it.
    pub interim: Vec<(u16, String)>,
    pub chunked: bool,
}

/// What stands in a buffer.
#[derive(Debug)]
pub enum Parsed {
    /// The answer is not whole yet. `begun` once its status is there.
    Partial { begun: bool },
    /// A whole answer and how many bytes it took.
    Whole(Reply, usize),
    /// No answer in HTTP/1.1.
    Bad(String),
}

impl Reply {
    /// A field's value, by its name in any case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none, showing it.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self}"))
    }

    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Itself, when it has that status.
    ///
    /// # Panics
    /// When it has another, showing it.
    #[must_use]
    #[track_caller]
    pub fn expect(self, status: u16) -> Reply {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// Whether its connection takes another request.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        !self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.fields {
            writeln!(f, "{name}: {value}")?;
        }
        write!(f, "\n{}", String::from_utf8_lossy(&self.body[..self.body.len().min(2_000)]))
    }
}

/// Reads the answer at the beginning of a buffer; `bodiless` when the request was a HEAD, `at_end` when no more comes.
#[must_use]
pub fn parse(buffer: &[u8], bodiless: bool, at_end: bool) -> Parsed {
    let mut interim = Vec::new();
    let mut at = 0;
    loop {
        let Some(end) = find(&buffer[at..], b"\r\n\r\n") else {
            return Parsed::Partial { begun: buffer.len() - at >= 12 };
        };
        let head = String::from_utf8_lossy(&buffer[at..at + end]).into_owned();
        at += end + 4;
        let mut reply = match read_head(&head) {
            Ok(reply) => reply,
            Err(why) => return Parsed::Bad(why),
        };
        if (100..200).contains(&reply.status) && reply.status != 101 {
            interim.push((reply.status, head));
            continue;
        }
        reply.interim = interim;
        let has_body = !bodiless && !matches!(reply.status, 101 | 204 | 304);
        return match read_body(&mut reply, &buffer[at..], has_body, at_end) {
            Ok(Some(used)) => Parsed::Whole(reply, at + used),
            Ok(None) => Parsed::Partial { begun: true },
            Err(why) => Parsed::Bad(why),
        };
    }
}

fn read_head(head: &str) -> Result<Reply, String> {
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status =
        first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| format!("no status line: {first:?}"))?;
    Ok(Reply { status, fields: lines.map(field).collect::<Result<_, _>>()?, ..Reply::default() })
}

fn field(line: &str) -> Result<(String, String), String> {
    let (name, value) = line.split_once(':').ok_or_else(|| format!("no field: {line:?}"))?;
    Ok((name.to_owned(), value.trim().to_owned()))
}

/// Takes the body; how many bytes it was, or nothing while it is not whole.
fn read_body(reply: &mut Reply, rest: &[u8], has_body: bool, at_end: bool) -> Result<Option<usize>, String> {
    let length = reply.field("content-length").map(str::to_owned);
    let coding = reply.field("transfer-encoding").map(str::to_ascii_lowercase);
    if length.is_some() && coding.is_some() {
        return Err("Content-Length beside Transfer-Encoding".to_owned());
    }
    if !has_body {
        return Ok(Some(0));
    }
    if let Some(coding) = coding {
        if coding != "chunked" {
            return Err(format!("transfer coding {coding}"));
        }
        reply.chunked = true;
        return read_chunks(reply, rest);
    }
    let Some(length) = length else {
        reply.body = rest.to_vec();
        return Ok(at_end.then_some(rest.len()));
    };
    let length: usize = length.parse().map_err(|_| format!("length {length:?}"))?;
    let Some(body) = rest.get(..length) else { return Ok(None) };
    reply.body = body.to_vec();
    Ok(Some(length))
}

fn read_chunks(reply: &mut Reply, rest: &[u8]) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let Some(end) = find(&rest[at..], b"\r\n") else { return Ok(None) };
        let line = String::from_utf8_lossy(&rest[at..at + end]).into_owned();
        let size = line.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).map_err(|_| format!("chunk size {line:?}"))?;
        at += end + 2;
        if size == 0 {
            break;
        }
        let Some(chunk) = rest.get(at..at + size + 2) else { return Ok(None) };
        if &chunk[size..] != b"\r\n" {
            return Err("a chunk is longer than it says".to_owned());
        }
        reply.body.extend_from_slice(&chunk[..size]);
        at += size + 2;
    }
    loop {
        let Some(end) = find(&rest[at..], b"\r\n") else { return Ok(None) };
        let line = String::from_utf8_lossy(&rest[at..at + end]).into_owned();
        at += end + 2;
        if line.is_empty() {
            return Ok(Some(at));
        }
        reply.trailers.push(field(&line)?);
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
