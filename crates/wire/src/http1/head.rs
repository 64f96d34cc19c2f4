//! Heads of requests and responses: parsed in place by httparse, then judged by RFC 9112.
//!
//! A head keeps its own copy of its bytes and remembers where things stand in them, so that it can pass
//! on as received. Both vectors are used again for the next head of the connection.

use std::mem::MaybeUninit;

use httparse::Status;

use super::fields::{At, FieldAt, Fields, Known, know, tokens};
use super::framing::Framing;
use super::target::{self, Target};
use crate::error::Error;

/// The most fields that any head may have, whatever the limits say: they are parsed on the stack.
pub const MOST_FIELDS: usize = 256;

/// Empty lines before a request are skipped (RFC 9112 2.2), but not forever.
const TOO_MANY_EMPTY_LINES: &[u8] = b"\r\n\r\n\r\n\r\n\r\n";

/// How large a head may be.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// In bytes, with all line ends.
    pub bytes: usize,
    /// In fields, at most [`MOST_FIELDS`].
    pub fields: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        HeadLimits { bytes: 64 * 1024, fields: 100 }
    }
}

/// The head of a request.
#[derive(Debug, Default, Clone)]
pub struct RequestHead {
    /// Its fields.
    pub fields: Fields,
    pub(crate) method: At,
    pub(crate) target: Target,
    pub(crate) host: Option<At>,
    /// Whether its answer has no body.
    pub is_head: bool,
    /// 0 or 1.
    pub minor: u8,
    /// Whether it came in HTTP/2.
    pub by_http2: bool,
    /// How its body ends.
    pub framing: Framing,
    /// Whether the client wants to say more on this connection.
    pub keep_alive: bool,
    /// Whether the client waits for 100 before it sends the body.
    pub expects_continue: bool,
    /// Whether the client asks for a WebSocket. Any other protocol is not for the gateway to carry: what a
    /// client says in one that is not read here escapes its route.
    pub upgrade: bool,
}

impl RequestHead {
    /// Takes a head from the front of `bytes`, and says how long it was; `None` when more is needed.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the reason, or [`Error::HeadTooLarge`].
    pub fn parse(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<Option<usize>, Error> {
        let mut lines = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let mut request = httparse::Request::new(&mut []);
        self.forget();
        if bytes.starts_with(TOO_MANY_EMPTY_LINES) {
            return Err(Error::Malformed("too many empty lines before a request"));
        }
        let most = limits.fields.min(MOST_FIELDS);
        let parsed = request
            .parse_with_uninit_headers(bytes, &mut lines[..most])
            .map_err(|error| if is_no_http(bytes) { Error::Closed } else { of_httparse(error) })?;
        let Status::Complete(length) = parsed else { return incomplete(bytes, limits) };
        whole(bytes, length, limits)?;
        let base = bytes.as_ptr() as usize;
        let (method, uri) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
        self.method = At::of(base, method.as_bytes());
        self.is_head = method == "HEAD";
        self.minor = request.version.unwrap_or(1);
        self.take_fields(&bytes[..length], request.headers)?;
        self.target = target::parse(method, uri, At::of(base, uri.as_bytes()))?;
        if let Some(authority) = self.target.authority {
            // An absolute target's authority is the host, whatever `Host` says (RFC 9112 3.2.2).
            self.host = Some(authority);
        }
        Ok(Some(length))
    }

    /// What the last request said is not this one's, should this one be refused.
    pub(crate) fn forget(&mut self) {
        self.fields.bytes.clear();
        self.fields.lines.clear();
        (self.method, self.target, self.host) = (At::default(), Target::default(), None);
        (self.is_head, self.by_http2) = (false, false);
    }

    fn take_fields(&mut self, head: &[u8], headers: &[httparse::Header<'_>]) -> Result<(), Error> {
        take_lines(&mut self.fields, head, headers);
        let facts = Facts::gather(&mut self.fields, self.minor)?;
        self.host = match (facts.hosts, self.minor) {
            (1, _) => facts.host,
            (0, 0) => None,
            (0, _) => return Err(Error::Malformed("HTTP/1.1 without Host")),
            _ => return Err(Error::Malformed("more than one Host")),
        };
        if let Some(host) = self.host {
            target::check_authority(host.of_bytes(&self.fields.bytes))?;
        }
        self.framing = match (facts.chunked, facts.length) {
            (true, Some(_)) => return Err(Error::Malformed("Transfer-Encoding beside Content-Length")),
            (true, None) => Framing::Chunked,
            (false, Some(0)) | (false, None) => Framing::None,
            (false, Some(n)) => Framing::Length(n),
        };
        // Without a body, or from a client that cannot take a 100, there is nothing to wait for.
        self.expects_continue = facts.expects_continue && self.minor == 1 && self.framing != Framing::None;
        self.keep_alive = facts.keep_alive;
        self.upgrade = facts.upgrade && self.minor == 1;
        Ok(())
    }

    /// The method, as received.
    #[must_use]
    pub fn method(&self) -> &str {
        text(self.method, &self.fields.bytes)
    }

    /// The path, as received, without the query; `*` for the asterisk form.
    #[must_use]
    pub fn path(&self) -> &str {
        text(self.target.path, &self.fields.bytes)
    }

    /// What stands after `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target.query.map(|at| text(at, &self.fields.bytes))
    }

    /// Path and query, as received, with a `/` in front of an empty path.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        let end = self.target.query.map_or(self.target.path.end, |query| query.end);
        text(At { start: self.target.path.start, end }, &self.fields.bytes)
    }

    /// The host that the client means, with its port when it says one, as received.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.map(|at| text(at, &self.fields.bytes))
    }

    /// Whether the target was in absolute form, so that `Host` is said anew.
    #[must_use]
    pub fn is_absolute(&self) -> bool {
        self.target.authority.is_some()
    }

    /// Whether the client says that it reads trailers.
    #[must_use]
    pub fn wants_trailers(&self) -> bool {
        self.fields.all(Known::Te).flat_map(tokens).any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
    }

    /// Gives back what an idle connection does not need.
    pub fn rest(&mut self) {
        self.fields.rest();
    }
}

/// The head of a response.
#[derive(Debug, Default)]
pub struct ResponseHead {
    /// Its fields.
    pub fields: Fields,
    pub(crate) reason: At,
    /// 100 to 999.
    pub status: u16,
    /// 0 or 1.
    pub minor: u8,
    /// How its body ends.
    pub framing: Framing,
    /// What `Content-Length` says, also where there is no body to go with it.
    pub length: Option<u64>,
    /// Whether the service can be asked more on this connection.
    pub keep_alive: bool,
}

impl ResponseHead {
    /// Takes a head from the front of `bytes`, and says how long it was; `None` when more is needed.
    /// `to_head` says that the request was a HEAD, whose answer has no body.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the reason, or [`Error::HeadTooLarge`].
    pub fn parse(&mut self, bytes: &[u8], limits: HeadLimits, to_head: bool) -> Result<Option<usize>, Error> {
        let mut lines = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let mut response = httparse::Response::new(&mut []);
        if let [b'\r' | b'\n', ..] = bytes {
            // What stands there belongs to no response: the last one was longer than it said.
            return Err(Error::Malformed("an empty line before a response"));
        }
        let most = limits.fields.min(MOST_FIELDS);
        let parsed = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut response, bytes, &mut lines[..most])
            .map_err(of_httparse)?;
        let Status::Complete(length) = parsed else { return incomplete(bytes, limits) };
        whole(bytes, length, limits)?;
        self.reason = At::of(bytes.as_ptr() as usize, response.reason.unwrap_or_default().as_bytes());
        self.minor = response.version.unwrap_or(1);
        self.status = response.code.unwrap_or(0);
        take_lines(&mut self.fields, &bytes[..length], response.headers);
        let facts = Facts::gather(&mut self.fields, self.minor)?;
        self.keep_alive = facts.keep_alive;
        self.length = facts.length;
        self.framing = match (facts.chunked, facts.length) {
            (true, Some(_)) => return Err(Error::Malformed("Transfer-Encoding beside Content-Length")),
            (true, None) => Framing::Chunked,
            (false, Some(n)) => Framing::Length(n),
            (false, None) => Framing::UntilClose,
        };
        match self.status {
            0..=99 => return Err(Error::Malformed("a status below 100")),
            100..=199 | 204 => {
                // No body may follow. One that claims otherwise gets no second request on this connection.
                if !matches!(self.framing, Framing::UntilClose | Framing::Length(0)) {
                    self.keep_alive = false;
                }
                self.framing = Framing::None;
            }
            304 => self.framing = Framing::None,
            _ if to_head => self.framing = Framing::None,
            _ => {}
        }
        if self.framing == Framing::UntilClose {
            self.keep_alive = false;
        }
        Ok(Some(length))
    }

    /// Gives back what an idle connection does not need.
    pub fn rest(&mut self) {
        self.fields.rest();
    }

    /// The reason phrase, as received.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        self.reason.of_bytes(&self.fields.bytes)
    }

    /// Whether its body is a stream that may say nothing for long: by the types that are for that.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        const TYPES: [&str; 4] = [
            "text/event-stream",
            "application/x-ndjson",
            "application/stream+json",
            "multipart/x-mixed-replace",
        ];
        let is_one = |value: &[u8]| {
            TYPES
                .iter()
                .any(|kind| value.get(..kind.len()).is_some_and(|v| v.eq_ignore_ascii_case(kind.as_bytes())))
        };
        self.fields.all(Known::ContentType).any(is_one)
    }
}

/// What the fields say of framing and of the connection, gathered in one pass.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) hosts: u32,
    pub(crate) host: Option<At>,
    chunked: bool,
    pub(crate) length: Option<u64>,
    pub(crate) expects_continue: bool,
    keep_alive: bool,
    upgrade: bool,
}

impl Facts {
    pub(crate) fn gather(fields: &mut Fields, minor: u8) -> Result<Facts, Error> {
        let mut facts = Facts::default();
        let (mut close, mut alive, mut upgrade_asked, mut upgrade_named) = (false, false, false, false);
        let mut upgrades = 0;
        for i in 0..fields.lines.len() {
            let FieldAt { value: at, known, .. } = fields.lines[i];
            let value = at.of_bytes(&fields.bytes);
            match known {
                Known::Host => {
                    facts.hosts += 1;
                    facts.host = Some(at);
                }
                Known::ContentLength => {
                    let length = Some(length(value)?);
                    if facts.length.is_some() {
                        return Err(Error::Malformed("more than one Content-Length"));
                    }
                    facts.length = length;
                }
                Known::TransferEncoding => {
                    if facts.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                        return Err(Error::Malformed("a Transfer-Encoding other than chunked"));
                    }
                    if minor == 0 {
                        return Err(Error::Malformed("Transfer-Encoding in HTTP/1.0"));
                    }
                    facts.chunked = true;
                }
                Known::Expect => {
                    if !value.eq_ignore_ascii_case(b"100-continue") {
                        return Err(Error::Malformed("an Expect other than 100-continue"));
                    }
                    facts.expects_continue = true;
                }
                Known::Upgrade => {
                    upgrades += 1;
                    upgrade_asked = upgrades == 1 && value.eq_ignore_ascii_case(b"websocket");
                }
                Known::Connection => {
                    let mut others = false;
                    for token in tokens(value) {
                        match token.len() {
                            5 if token.eq_ignore_ascii_case(b"close") => close = true,
                            10 if token.eq_ignore_ascii_case(b"keep-alive") => alive = true,
                            7 if token.eq_ignore_ascii_case(b"upgrade") => upgrade_named = true,
                            _ => others = true,
                        }
                    }
                    if others {
                        fields.mark_named(at)?;
                    }
                }
                _ => {}
            }
        }
        facts.keep_alive = !close && (minor == 1 || alive);
        facts.upgrade = upgrade_asked && upgrade_named;
        Ok(facts)
    }
}

fn take_lines(fields: &mut Fields, head: &[u8], headers: &[httparse::Header<'_>]) {
    fields.begin(head);
    let base = head.as_ptr() as usize;
    for header in headers {
        let name = At::of(base, header.name.as_bytes());
        if let Some(previous) = fields.lines.last_mut() {
            previous.line_end = name.start;
        }
        let value = At::of(base, header.value);
        let known = know(header.name.as_bytes());
        fields.lines.push(FieldAt { name, value, line_end: 0, known, named: false });
    }
    if let Some(last) = fields.lines.last_mut() {
        #[expect(clippy::cast_possible_truncation, reason = "a head is capped far below 4 GiB")]
        let end = head.len() as u32 - 2; // Before the empty line.
        last.line_end = end;
    }
}

/// Whether these are three plain words and nothing else: no path, no version, no field. Whoever says so speaks no HTTP/1,
/// and has no use for an answer in it: that is what a broken preface of HTTP/2 looks like (RFC 9113 3.4).
fn is_no_http(bytes: &[u8]) -> bool {
    let Some(line) = bytes.strip_suffix(b"\r\n\r\n") else { return false };
    let is_word = |word: &[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_uppercase);
    line.split(|&byte| byte == b' ').count() == 3 && line.split(|&byte| byte == b' ').all(is_word)
}

/// A length is digits and nothing else: no sign, no list, no overflow.
fn length(value: &[u8]) -> Result<u64, Error> {
    let digits = !value.is_empty() && value.len() <= 19 && value.iter().all(u8::is_ascii_digit);
    if !digits {
        return Err(Error::Malformed("a Content-Length that is not a number"));
    }
    Ok(value.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}

/// What httparse lets pass and RFC 9112 does not want: line ends without CR.
fn whole(bytes: &[u8], length: usize, limits: HeadLimits) -> Result<(), Error> {
    if length > limits.bytes {
        return Err(Error::HeadTooLarge);
    }
    bare_line_feed(&bytes[..length])
}

fn bare_line_feed(head: &[u8]) -> Result<(), Error> {
    for at in memchr::memchr_iter(b'\n', head) {
        if at == 0 || head[at - 1] != b'\r' {
            return Err(Error::Malformed("a line end without CR"));
        }
    }
    Ok(())
}

fn incomplete(bytes: &[u8], limits: HeadLimits) -> Result<Option<usize>, Error> {
    if bytes.len() >= limits.bytes {
        return Err(Error::HeadTooLarge);
    }
    bare_line_feed(bytes)?;
    Ok(None)
}

fn of_httparse(error: httparse::Error) -> Error {
    Error::Malformed(match error {
        httparse::Error::TooManyHeaders => return Error::HeadTooLarge,
        httparse::Error::HeaderName => "a field name that is not a token",
        httparse::Error::HeaderValue => "a field value with a forbidden character",
        httparse::Error::NewLine => "a line end that is not CR LF",
        httparse::Error::Status => "a status that is not three digits",
        httparse::Error::Token => "a request line with a forbidden character",
        httparse::Error::Version => "a version other than HTTP/1.0 and HTTP/1.1",
    })
}

/// Heads are checked to hold ASCII wherever a `str` is given out, so nothing is lost here.
fn text(at: At, bytes: &[u8]) -> &str {
    std::str::from_utf8(at.of_bytes(bytes)).unwrap_or_default()
}
