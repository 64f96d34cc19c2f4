//! Which route a request takes, and how its head is rewritten on the way.
//!
//! Policies of the route (who, may they, how many) enter in [`admit`].

use std::sync::Arc;

use clusters::{HeaderEdits, Leads, Limit, RequestId, Route, Service, Snapshot};
use http::{HeaderName, HeaderValue};
use model::{Code, Failure};
use policy::{Asked, Asker, Remaining, Request};
use wire::http1::fields::HOP_BY_HOP;
use wire::http1::{Framing, Known, Mask, RequestHead, target};
use wire::http2::Stream;
use wire::{Error, Line};

use crate::client::Peer;
use crate::door::TrustedProxies;
use crate::respond;
use crate::websocket::{self, KEY};

/// A request that may pass: where to, and what its path is there.
#[derive(Clone)]
pub(crate) struct Passage {
    pub(crate) route: Arc<Route>,
    pub(crate) way: Way,
    /// Path and query as the service sees them, when not as received.
    target: Option<String>,
    /// What keeps the client with one endpoint.
    pub(crate) key: Option<u64>,
    /// What its client may still ask of the route.
    pub(crate) remaining: Option<Remaining>,
}

/// What answers.
#[derive(Clone)]
pub(crate) enum Way {
    Service(Arc<Service>),
    /// Another address, which the client is to ask.
    Redirect {
        status: u16,
        location: String,
    },
    /// The route's own fixed answer.
    Fixed,
}

/// Finds the route of this request. Pure: the world, the head and who says it are all it looks at.
pub(crate) fn admit(
    world: &Snapshot,
    head: &RequestHead,
    peer: &Peer,
    trusted: &TrustedProxies,
) -> Result<Passage, Refused> {
    target::check_path(head.path()).map_err(|why| {
        Failure::client(Code::InvalidRequest, format!("The request is refused: {why}.")).with_hint(
            "Two readers could take such a path for two different ones; send it in its plain form.",
        )
    })?;
    let host = target::plain_host(head.host().unwrap_or_default());
    let header = |name: &str| head.fields.get(name);
    let request = Request {
        host: &host,
        method: head.method(),
        path: head.path(),
        query: head.query(),
        header: &header,
    };
    let found = world.routes.find(&request).ok_or_else(|| no_route(&request))?;
    let route = Arc::clone(found.payload);
    let remaining = match route.limit() {
        None => None,
        Some(limit) => Some(ask(limit, head, peer, trusted)?),
    };
    let key = route.affinity().and_then(|affinity| asked_by(head, peer, |asker| affinity.key(asker)));
    let way = match &route.leads {
        Leads::Service(service) => Way::Service(Arc::clone(service)),
        Leads::Split(_) => Way::Service(route.service_for(key).cloned().ok_or_else(|| nobody(&route))?),
        Leads::Fixed(_) => Way::Fixed,
        Leads::Redirect(redirect) => {
            let asked = Asked {
                scheme: peer.scheme_of(head),
                authority: head.host().unwrap_or_default(),
                path: head.path(),
                query: head.query(),
            };
            Way::Redirect { status: redirect.status(), location: redirect.location(&asked, &found) }
        }
    };
    let target = policy::rewrite(&route.spec, head.path(), &found).map(|path| match head.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    });
    Ok(Passage { route, way, target, key, remaining })
}

/// Why a request may not pass, and what its client may still ask where it has asked too much.
pub(crate) struct Refused {
    pub(crate) failure: Failure,
    pub(crate) remaining: Option<Remaining>,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Refused { failure, remaining: None }
    }
}

/// One request more of this client.
fn ask(
    limit: &Limit,
    head: &RequestHead,
    peer: &Peer,
    trusted: &TrustedProxies,
) -> Result<Remaining, Refused> {
    let forwarded = head.fields.all(Known::XForwardedFor);
    let address = policy::client_address(peer.address, forwarded, |ip| trusted.trusts(ip));
    let header = |name: &str| head.fields.get(name);
    limit
        .ask(address, header, clusters::clock::now())
        .map_err(|refused| Refused { remaining: Some(refused.remaining), failure: refused.into() })
}

/// Asks something of whoever asks, as affinity looks at it.
pub(crate) fn asked_by<T>(head: &RequestHead, peer: &Peer, ask: impl FnOnce(&Asker<'_, '_>) -> T) -> T {
    let header = |name: &str| head.fields.get(name);
    let cookies = |index: usize| {
        let is_cookie = |(name, _, _): &(&[u8], &[u8], Known)| name.eq_ignore_ascii_case(b"cookie");
        head.fields.iter().filter(is_cookie).nth(index).map(|(_, value, _)| value)
    };
    ask(&Asker { header: &header, cookies: &cookies, query: head.query(), address: &peer.ip })
}

fn nobody(route: &Route) -> Failure {
    let detail = format!("Every service of the route `{}` has weight 0.", route.id);
    Failure::gateway(Code::NoEndpoint, detail)
}

fn no_route(request: &Request<'_>) -> Failure {
    let Request { host, method, path, .. } = request;
    Failure::client(Code::NotFound, format!("No route matches {method} {path} for host `{host}`."))
        .with_hint("`throome explain` says which routes came close, and why they did not match.")
}

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
        headers.insert("x-request-id", HeaderValue::from_str(id.as_str()).map_err(|_| Error::Unsayable)?);
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
            if head.fields.get(KEY).is_none() {
                // HTTP/2 asks for a WebSocket without a key.
                say(&[b"Sec-WebSocket-Key: ", websocket::made_key().as_bytes(), b"\r\n"]);
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
