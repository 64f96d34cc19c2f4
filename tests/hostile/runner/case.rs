//! One case of the corpus: its file's text, read strictly. `README.md` has the format.

use super::service::Seen;

/// One connection's worth of bytes, and what is expected of the door.
#[derive(Debug)]
pub(crate) struct Case {
    /// Its file, below the corpus, without the extension.
    pub(crate) name: String,
    /// What the client sends.
    pub(crate) bytes: Vec<u8>,
    pub(super) expect: Vec<Expect>,
    /// What the service sees, in order; one for each [`Expect::Forwarded`].
    pub(super) forwarded: Vec<Seen>,
    /// The client ends its side after its bytes.
    pub(super) then_close: bool,
    /// The connection takes another request afterwards.
    pub(super) open: bool,
    /// The connection is closed afterwards.
    pub(super) closed: bool,
}

/// What is expected of the door, for one request after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expect {
    /// The service sees it, whole, and the client gets the service's answer.
    Forwarded,
    /// One of these statuses without the service.
    Answered(Vec<u16>),
    /// One of these statuses, the service sees nothing, and the connection is closed.
    Refused(Vec<u16>),
    /// Like refused, but the service may have seen a part, since what is wrong stands in the body.
    Cut(Vec<u16>),
}

impl Case {
    pub(super) fn read(name: &str, text: &str) -> Result<Case, String> {
        let (facts, bytes) =
            text.split_once("\n\n").ok_or("no empty line between the facts and the bytes")?;
        let mut case = Case {
            name: name.to_owned(),
            bytes: Vec::new(),
            expect: Vec::new(),
            forwarded: Vec::new(),
            then_close: false,
            open: false,
            closed: false,
        };
        let mut after = None;
        let mut why = false;
        for line in facts.lines() {
            let (key, value) = line.split_once(": ").ok_or_else(|| format!("not a fact: {line}"))?;
            match (key, value) {
                ("why", _) => why = true,
                ("expect", value) => case.expect.push(read_expect(value)?),
                ("then", "close") => case.then_close = true,
                ("after", value) => after = Some(value),
                _ => return Err(format!("not a fact: {line}")),
            }
        }
        let last = case.expect.last().ok_or("nothing is expected")?;
        (case.open, case.closed) = match (after, last) {
            (Some("open"), _) | (None, Expect::Forwarded) => (true, false),
            (Some("closed"), _) | (None, Expect::Refused(_) | Expect::Cut(_)) => (false, true),
            (Some("any"), _) | (None, Expect::Answered(_)) => (false, false),
            (Some(other), _) => return Err(format!("after: {other}")),
        };
        if !why {
            return Err("it does not say why".to_owned());
        }
        case.take_blocks(bytes)?;
        let forwards = case.expect.iter().filter(|expect| **expect == Expect::Forwarded).count();
        if forwards != case.forwarded.len() {
            return Err(format!("{forwards} are forwarded, {} are shown", case.forwarded.len()));
        }
        Ok(case)
    }

    /// Whether the service may see a part of it that does not end.
    pub(super) fn may_be_cut(&self) -> bool {
        self.expect.iter().any(|expect| matches!(expect, Expect::Cut(_)))
    }

    fn take_blocks(&mut self, text: &str) -> Result<(), String> {
        let mut blocks = text.split("=== ");
        self.bytes = unescape(blocks.next().unwrap_or_default())?;
        for block in blocks {
            let (title, text) = block.split_once('\n').unwrap_or((block, ""));
            let bytes = unescape(text)?;
            match title {
                "forwarded" => self.forwarded.push(Seen::read(&bytes)),
                "forwarded chunked" => {
                    let mut seen = Seen::read(&bytes);
                    seen.chunked = true;
                    self.forwarded.push(seen);
                }
                "trailers" => {
                    self.forwarded.last_mut().ok_or("trailers of nothing")?.trailers = bytes;
                }
                other => return Err(format!("=== {other}")),
            }
        }
        Ok(())
    }
}

fn read_expect(text: &str) -> Result<Expect, String> {
    let (word, statuses) = text.split_once(' ').unwrap_or((text, ""));
    let statuses: Result<Vec<u16>, _> =
        statuses.split('|').filter(|s| !s.is_empty()).map(str::parse).collect();
    let statuses = statuses.map_err(|error| error.to_string())?;
    match (word, statuses.is_empty()) {
        ("forwarded", true) => Ok(Expect::Forwarded),
        ("answered", false) => Ok(Expect::Answered(statuses)),
        ("refused", false) => Ok(Expect::Refused(statuses)),
        ("cut", false) => Ok(Expect::Cut(statuses)),
        _ => Err(format!("expect: {text}")),
    }
}

/// Line ends of the file mean nothing; what is sent as one is written as an escape.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'\n' => continue,
            b'\\' => {}
            plain => {
                out.push(*plain);
                continue;
            }
        }
        let [escape, after @ ..] = rest else { return Err("a backslash at the end".to_owned()) };
        rest = after;
        match escape {
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'\\' => out.push(b'\\'),
            b'x' => {
                let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                out.push(byte.ok_or("\\x without two digits")?);
                rest = &rest[2..];
            }
            b'*' => {
                let text = std::str::from_utf8(rest).map_err(|error| error.to_string())?;
                let (count, text) = text.split_once('(').ok_or("\\* without (")?;
                let (part, after) = text.split_once(')').ok_or("\\* without )")?;
                let count = count.parse().map_err(|_| format!("\\*{count}"))?;
                out.extend(unescape(part)?.repeat(count));
                rest = after.as_bytes();
            }
            other => return Err(format!("\\{}", *other as char)),
        }
    }
    Ok(out)
}
