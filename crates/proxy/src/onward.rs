//! The head of a request as its service sees it: the client's fields as received and as the route edits them, and who asked.

use clusters::{HeaderEdits, RequestId};
use http::{HeaderName, HeaderValue};
use wire::http1::fields::HOP_BY_HOP;
use wire::http1::{Framing, Known, Mask, RequestHead};
use wire::http2::Stream;
use wire::{Error, Line};

use crate::admit::Passage;
use crate::client::Peer;
use crate::respond::{self, REQUEST_ID, value_of};
use crate::websocket::{self, KEY};

/// Fields that the gateway says itself, whatever the client said.
const OURS: Mask = HOP_BY_HOP.and(Mask::of(&[
    Known::Forwarded,
    Known::XForwardedFor,
    Known::RequestId,
    Known::ClientCert,
    Known::Expect,
]));
const OURS_AND_HOST: Mask = OURS.and(Mask::of(&[Known::Host]));

impl Passage {
    /// Says the head of the request as the service sees it: the client's fields as received, but for those
    /// that are ours to say.
    ///
    /// # Errors
    /// When a stream cannot be opened; nothing has left then.
    pub(crate) fn say_head(
        &self,
        head: &RequestHead,
        peer: &Peer,
        id: &RequestId,
        endpoint: &str,
        line: &mut Line,
    ) -> Result<(), Error> {
        match line {
            Line::Http1(conn) => {
                self.say_http1(head, peer, id, endpoint, &mut conn.outbox);
                Ok(())
            }
            Line::Http2(stream) => self.say_http2(head, peer, id, endpoint, stream),
        }
    }

    fn say_http2(
        &self,
        head: &RequestHead,
        peer: &Peer,
        id: &RequestId,
        endpoint: &str,
        stream: &mut Stream,
    ) -> Result<(), Error> {
        let target = self.target.as_deref().unwrap_or(head.path_and_query());
        let host = head.host().unwrap_or(endpoint);
        let edits = self.route.request_edits();
        let uri = http::Uri::builder()
            .scheme(http::uri::Scheme::HTTP)
            .authority(edits.and_then(HeaderEdits::host).unwrap_or(host.as_bytes()))
            .path_and_query(target)
            .build();
        let mut request = http::Request::new(());
        *request.uri_mut() = uri.map_err(|_| Error::Unsayable)?;
        let method = if head.upgrade { "CONNECT" } else { head.method() };
        *request.method_mut() = http::Method::from_bytes(method.as_bytes()).map_err(|_| Error::Unsayable)?;
        if head.upgrade {
            wire::http2::ask_for_websocket(&mut request);
        }
        let headers = request.headers_mut();
        respond::to_edited(&head.fields, OURS_AND_HOST, edits, headers);
        if head.upgrade {
            headers.remove(KEY);
        }
        let mut forwarding = Vec::with_capacity(256);
        say_forwarding(head, peer, host, &mut forwarding);
        take_lines(&forwarding, headers);
        headers.insert(REQUEST_ID, value_of(id));
        if head.wants_trailers() {
            headers.insert(http::header::TE, HeaderValue::from_static("trailers"));
        }
        if head.expects_continue {
            headers.insert(http::header::EXPECT, HeaderValue::from_static("100-continue"));
        }
        stream.say_request(request, head.framing == Framing::None && !head.upgrade)
    }

    fn say_http1(&self, head: &RequestHead, peer: &Peer, id: &RequestId, endpoint: &str, out: &mut Vec<u8>) {
        let mut say = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
        let target = self.target.as_deref().unwrap_or(head.path_and_query());
        say(&[head.method().as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"]);
        let edits = self.route.request_edits();
        let host = head.host();
        let without = match (edits.and_then(HeaderEdits::host), host) {
            (Some(set), _) => {
                say(&[b"Host: ", set, b"\r\n"]);
                OURS_AND_HOST
            }
            (None, Some(_)) if !head.is_absolute() => OURS,
            (None, other) => {
                say(&[b"Host: ", other.unwrap_or(endpoint).as_bytes(), b"\r\n"]);
                OURS_AND_HOST
            }
        };
        respond::write_edited(&head.fields, without, edits, out);
        say_forwarding(head, peer, host.unwrap_or(endpoint), out);
        let mut say = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
        say(&[b"X-Request-Id: ", id.as_str().as_bytes(), b"\r\n"]);
        if head.framing == Framing::Chunked {
            say(&[b"Transfer-Encoding: chunked\r\n"]);
        }
        if head.expects_continue {
            say(&[b"Expect: 100-continue\r\n"]);
        }
        if head.upgrade {
            say(&[b"Connection: Upgrade\r\nUpgrade: websocket\r\n"]);
            if head.by_http2 && head.fields.get(KEY).is_none() {
                // HTTP/2 asks for a WebSocket without a key.
                say(&[b"Sec-WebSocket-Key: ", websocket::made_key(id).as_bytes(), b"\r\n"]);
            }
        }
        say(&[b"\r\n"]);
    }
}

/// Lines of our own as fields.
fn take_lines(lines: &[u8], headers: &mut http::HeaderMap) {
    for line in lines.split(|&byte| byte == b'\n') {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
}

/// Who asks, by which host and scheme. A peer in `proxy.trusted_proxies` is appended to, any other's own
/// word is dropped.
fn say_forwarding(head: &RequestHead, peer: &Peer, host: &str, out: &mut Vec<u8>) {
    let mut say = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    let believed = |name: &str| if peer.trusted { head.fields.get(name) } else { None };
    say(&[b"X-Forwarded-For: "]);
    if peer.trusted {
        for earlier in head.fields.all(Known::XForwardedFor) {
            say(&[earlier, b", "]);
        }
    }
    say(&[peer.ip.as_bytes(), b"\r\nX-Forwarded-Proto: "]);
    let scheme: &[u8] = believed("x-forwarded-proto").unwrap_or(peer.scheme);
    let shown_host = believed("x-forwarded-host").unwrap_or(host.as_bytes());
    say(&[scheme, b"\r\nX-Forwarded-Host: ", shown_host, b"\r\nForwarded: "]);
    if let Some(earlier) = believed("forwarded") {
        say(&[earlier, b", "]);
    }
    say(&[b"for=", peer.node.as_bytes(), b";host=\"", host.as_bytes(), b"\";proto=", peer.scheme, b"\r\n"]);
    if let Some(identity) = &peer.identity {
        say(&[identity.as_bytes()]);
    }
}
