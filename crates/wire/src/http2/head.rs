//! Heads between HTTP/2 and the words of HTTP/1: what a request or an answer says is the same in both, and is held to
//! the same rules.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{request, response};

use crate::error::Error;
use crate::http1::fields::{At, FieldAt, Fields, Known, Mask, know};
use crate::http1::framing::{Framing, check_trailer};
use crate::http1::head::{Facts, HeadLimits, RequestHead, ResponseHead};
use crate::http1::target;

/// Fields of one connection have no place in HTTP/2 (RFC 9113 8.2.2).
const OF_CONNECTIONS: Mask = Mask::of(&[
    Known::Connection,
    Known::KeepAlive,
    Known::ProxyConnection,
    Known::TransferEncoding,
    Known::Upgrade,
]);

impl RequestHead {
    /// Takes the head of a request that came in HTTP/2. An extended CONNECT for a WebSocket (RFC 8441) is the GET that
    /// asks for the same in HTTP/1.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the reason, or [`Error::HeadTooLarge`].
    pub fn take_http2(
        &mut self,
        parts: &request::Parts,
        has_body: bool,
        limits: HeadLimits,
    ) -> Result<(), Error> {
        self.forget();
        self.fields.begin(&[]);
        let protocol = parts.extensions.get::<h2::ext::Protocol>();
        let method = match (parts.method == http::Method::CONNECT, protocol.map(h2::ext::Protocol::as_str)) {
            (true, Some("websocket")) => "GET",
            (true, Some(_)) => {
                return Err(Error::Malformed("a protocol other than websocket is not served here"));
            }
            (true, None) => return Err(Error::Malformed("CONNECT is not served here")),
            (false, _) => parts.method.as_str(),
        };
        self.is_head = method == "HEAD";
        (self.minor, self.by_http2) = (1, true);
        self.method = append(&mut self.fields, method.as_bytes());
        let uri = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let at = append(&mut self.fields, uri.as_bytes());
        let target = target::parse(method, uri, at)?;
        if target.authority.is_some() {
            return Err(Error::Malformed("a path that is none"));
        }
        self.target = target;
        check_request(parts)?;
        take_authority(&mut self.fields, parts);
        take_headers(&mut self.fields, &parts.headers, limits)?;
        let facts = Facts::gather(&mut self.fields, 1)?;
        self.host = Some(facts.host.ok_or(Error::Malformed("a request without :authority"))?);
        if facts.hosts > 1 {
            return Err(Error::Malformed("more than one host"));
        }
        if let Some(host) = self.host {
            target::check_authority(host.of_bytes(&self.fields.bytes))?;
        }
        self.framing = match (has_body, facts.length) {
            (true, None) => Framing::Chunked,
            (true, Some(n)) if n > 0 => Framing::Length(n),
            (false, Some(n)) if n > 0 => return Err(Error::Malformed("a length without a body")),
            _ => Framing::None,
        };
        self.upgrade = protocol.is_some();
        if self.upgrade {
            // What follows is no body.
            self.framing = Framing::None;
        }
        self.expects_continue = facts.expects_continue && self.framing != Framing::None;
        self.keep_alive = true;
        Ok(())
    }
}

impl ResponseHead {
    /// Takes the head of an answer that came in HTTP/2.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the reason, or [`Error::HeadTooLarge`].
    pub fn take_http2(
        &mut self,
        parts: &response::Parts,
        ends: bool,
        limits: HeadLimits,
        to_head: bool,
    ) -> Result<(), Error> {
        self.fields.begin(&[]);
        self.status = parts.status.as_u16();
        self.minor = 1;
        let reason = parts.status.canonical_reason().unwrap_or_default();
        self.reason = append(&mut self.fields, reason.as_bytes());
        take_headers(&mut self.fields, &parts.headers, limits)?;
        let facts = Facts::gather(&mut self.fields, 1)?;
        self.keep_alive = true;
        self.length = facts.length;
        let has_none = to_head || matches!(self.status, 100..=199 | 204 | 304);
        self.framing = match facts.length {
            _ if has_none => Framing::None,
            // No body, and nobody said how long it would be.
            None if ends => Framing::Length(0),
            Some(n) if n > 0 && ends => return Err(Error::Malformed("a length without a body")),
            Some(n) => Framing::Length(n),
            None => Framing::Chunked,
        };
        Ok(())
    }
}

/// Writes bytes into the head's memory, as a part that stands on no line.
fn append(fields: &mut Fields, bytes: &[u8]) -> At {
    let at = end_of(fields);
    fields.bytes.extend_from_slice(bytes);
    At { start: at, end: end_of(fields) }
}

#[expect(clippy::cast_possible_truncation, reason = "a head is capped far below 4 GiB")]
fn end_of(fields: &Fields) -> u32 {
    fields.bytes.len() as u32
}

/// Writes a line.
fn line(fields: &mut Fields, name: &[u8], value: &[u8], known: Known) {
    let name = append(fields, name);
    append(fields, b": ");
    let value = append(fields, value);
    append(fields, b"\r\n");
    let line_end = end_of(fields);
    fields.lines.push(FieldAt { name, value, line_end, known, named: false });
}

/// What RFC 9113 forbids of a request and the crate lets pass: an empty scheme (8.3.1), and hosts that are not what
/// `:authority` says.
fn check_request(parts: &request::Parts) -> Result<(), Error> {
    if parts.uri.scheme_str() == Some("") {
        return Err(Error::Malformed("an empty :scheme"));
    }
    let mut hosts = parts.headers.get_all(http::header::HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(Error::Malformed("more than one host"));
    }
    match (parts.uri.authority(), host) {
        (Some(authority), Some(host))
            if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            Err(Error::Malformed(":authority and Host that differ"))
        }
        _ => Ok(()),
    }
}

/// The host is what `:authority` says.
fn take_authority(fields: &mut Fields, parts: &request::Parts) {
    if let Some(authority) = parts.uri.authority() {
        line(fields, b"host", authority.as_str().as_bytes(), Known::Host);
    }
}

fn take_headers(fields: &mut Fields, headers: &HeaderMap, limits: HeadLimits) -> Result<(), Error> {
    if headers.len() > limits.fields {
        return Err(Error::HeadTooLarge);
    }
    let has_host = !fields.lines.is_empty();
    for (name, value) in headers {
        let known = know(name.as_str().as_bytes());
        check_value(value)?;
        if OF_CONNECTIONS.has(known) {
            return Err(Error::Malformed("a field that only a connection of HTTP/1 may have"));
        }
        if (known == Known::Host && has_host) || name == http::header::COOKIE {
            continue;
        }
        line(fields, name.as_str().as_bytes(), value.as_bytes(), known);
    }
    take_cookies(fields, headers);
    if fields.bytes.len() > limits.bytes { Err(Error::HeadTooLarge) } else { Ok(()) }
}

/// RFC 9113 8.2.1 forbids white space around a value, and the crate lets it pass.
fn check_value(value: &HeaderValue) -> Result<(), Error> {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = value.as_bytes();
    if is_space(bytes.first()) || is_space(bytes.last()) {
        return Err(Error::Malformed("white space around a value"));
    }
    Ok(())
}

/// The crumbs of a cookie become one field again (RFC 9113 8.2.3).
fn take_cookies(fields: &mut Fields, headers: &HeaderMap) {
    let crumbs: Vec<&[u8]> =
        headers.get_all(http::header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if !crumbs.is_empty() {
        line(fields, b"cookie", &crumbs.join(&b"; "[..]), Known::Other);
    }
}

impl Fields {
    /// The fields for HTTP/2, but for those in `without`, those that `Connection` named, and the names of which `drops`
    /// says so.
    pub fn to_headers(&self, without: Mask, drops: impl Fn(&[u8]) -> bool, headers: &mut HeaderMap) {
        headers.reserve(self.lines.len() + 8);
        for field in self.lines.iter().filter(|field| !field.named && !without.has(field.known)) {
            let (name, value) = (field.name.of_bytes(&self.bytes), field.value.of_bytes(&self.bytes));
            if drops(name) {
                continue;
            }
            // The parser has let no byte pass that these refuse.
            if let (Ok(name), Ok(mut value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            {
                if name == TRACE {
                    value = only_once(value);
                }
                headers.append(name, value);
            }
        }
    }
}

/// Another in each request.
const TRACE: HeaderName = HeaderName::from_static("traceparent");

/// A value that is said once and never again: it takes no place among those that both sides remember, where it would
/// displace what is worth remembering, and where every further one of its name is compared with it.
#[must_use]
pub fn only_once(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// Writes trailers as lines, held to the rules that those of HTTP/1 are held to.
pub(super) fn write_trailers(trailers: &HeaderMap, out: &mut Vec<u8>) -> Result<(), Error> {
    for (name, value) in trailers {
        check_value(value)?;
        let start = out.len();
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
        check_trailer(&out[start..])?;
    }
    Ok(())
}

/// Reads lines that were checked before.
pub(super) fn read_trailers(lines: &[u8]) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    for line in lines.split(|&byte| byte == b'\n') {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            trailers.append(name, value);
        }
    }
    trailers
}
