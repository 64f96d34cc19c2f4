//! A client and the request it is at: the line to it, one alarm, and heads that are used again for each request.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};
use std::time::Duration;

use model::route::SCHEMES;
use policy::Remaining;
use wire::http1::server;
use wire::http1::{BodyReader, BodyWriter, Framing, Pump, RequestHead, ResponseHead};
use wire::http2::Stream;
use wire::{Alarm, Body, Error, Line, Socket};

use crate::door::Options;
use crate::upgrade::Agreed;

/// A client and the request it is at.
pub(crate) struct Client {
    pub(crate) line: Line,
    pub(crate) alarm: Alarm,
    /// The request under way.
    pub(crate) request: RequestHead,
    /// Its body, on its way to a service.
    pub(crate) upload: Pump,
    /// The answer to it.
    pub(crate) response: ResponseHead,
    /// What the client may still ask of the route that it takes, where that is limited.
    pub(crate) remaining: Option<Remaining>,
    /// Another protocol that was agreed on instead of an answer, and not carried on yet.
    pub(crate) agreed: Option<Box<Agreed>>,
    /// Whether any byte of a final answer was said.
    pub(crate) answering: bool,
    /// Whether the connection can serve another request after this one.
    pub(crate) reusable: bool,
    pub(crate) peer: Arc<Peer>,
    idle: Arc<Idle>,
}

/// What others know of a connection between two requests.
#[derive(Default)]
pub(crate) struct Idle {
    now: AtomicBool,
    leaves: AtomicBool,
    /// Who is woken to leave. A task is the same one for as long as it lives.
    task: OnceLock<Waker>,
}

/// Who the client is, in the words that services are told.
pub(crate) struct Peer {
    /// Its address.
    pub(crate) address: IpAddr,
    /// The same as text.
    pub(crate) ip: String,
    /// The same as a node of `Forwarded`.
    pub(crate) node: String,
    /// Whether its own word on forwarding is believed.
    pub(crate) trusted: bool,
    /// `https` or `http`, by how it has come.
    pub(crate) scheme: &'static [u8],
    /// Who it has proved to be by its certificate, as lines of a head.
    pub(crate) identity: Option<Box<str>>,
}

impl Client {
    pub(crate) fn new(line: Line, peer: Arc<Peer>, idle: Arc<Idle>) -> Box<Self> {
        Box::new(Client {
            line,
            alarm: Alarm::default(),
            request: RequestHead::default(),
            upload: nothing(),
            response: ResponseHead::default(),
            remaining: None,
            agreed: None,
            answering: false,
            reusable: true,
            peer,
            idle,
        })
    }

    /// Serves another stream, which may be another client's.
    pub(crate) fn turn_to(&mut self, line: Line, peer: Arc<Peer>) {
        self.line = line;
        self.peer = peer;
    }

    /// Is done with a stream, and holds nothing of it.
    pub(crate) fn turn_from(&mut self) {
        self.line = Line::Http2(Stream::gone());
        self.upload = nothing();
        self.remaining = None;
        self.answering = false;
        self.reusable = true;
        self.request.rest();
        self.response.rest();
    }

    /// Another task serves it from here on, and is never between two requests. Whoever could wake the one before would hold
    /// the room that it took.
    pub(crate) fn change_tasks(&mut self) -> Arc<Idle> {
        self.idle = Arc::default();
        Arc::clone(&self.idle)
    }

    /// Says whether the client is between two requests.
    pub(crate) fn set_idle(&self, idle: bool) {
        self.idle.set(idle);
    }

    /// Makes ready for the request whose head was just taken.
    pub(crate) fn begin(&mut self, body_limit: u64) -> Result<(), Error> {
        self.answering = false;
        self.remaining = None;
        self.reusable = self.request.keep_alive;
        let framing = self.request.framing;
        if framing == Framing::None {
            // Most requests have no body, and most pumps of the connection have pumped none.
            if !matches!(self.upload.body, Body::Empty) || !self.upload.is_done() {
                self.upload = nothing();
            }
            return Ok(());
        }
        if matches!(self.line, Line::Http2(_)) {
            self.upload = Pump::new(Body::Stream(body_limit), writer_of(framing));
            return match framing {
                Framing::Length(n) if n > body_limit => Err(Error::BodyTooLarge),
                _ => Ok(()),
            };
        }
        let reader = BodyReader::new(framing, body_limit);
        // Should the length be too large, what follows is still a body and never the next request.
        let unread = Body::Wire(BodyReader::new(framing, u64::MAX)?);
        self.upload = Pump::new(unread, writer_of(framing));
        self.upload.body = Body::Wire(reader?);
        Ok(())
    }

    /// Waits for the first byte of the next request on a connection of HTTP/1, holding nothing that can be given back.
    pub(crate) async fn await_word(&mut self, idle_timeout: Duration) -> Result<(), Error> {
        let Client { line: Line::Http1(conn), request, response, .. } = self else { return Ok(()) };
        if !conn.inbox.is_empty() {
            return Ok(());
        }
        request.rest();
        response.rest();
        conn.rest();
        self.set_idle(true);
        let Client { line: Line::Http1(conn), alarm, idle, .. } = self else { return Ok(()) };
        let waited = server::await_request_until(conn, alarm, idle_timeout, |cx| idle.leaves(cx)).await;
        self.set_idle(false);
        waited
    }

    /// Whether the body has been read to its end.
    pub(crate) fn upload_is_over(&self) -> bool {
        self.upload.is_done() || self.upload.body.is_empty()
    }

    /// Makes the end of this exchange, should it come now, one that is never taken for that of a whole answer; or a
    /// plain end again.
    pub(crate) fn set_cut(&mut self, cut: bool) {
        if let Line::Http1(conn) = &mut self.line {
            conn.socket.reset_on_close(cut);
        }
    }
}

impl Idle {
    /// Of a connection that has said nothing yet.
    pub(crate) fn new() -> Self {
        Idle { now: AtomicBool::new(true), ..Idle::default() }
    }

    pub(crate) fn set(&self, idle: bool) {
        self.now.store(idle, Relaxed);
    }

    pub(crate) fn is_now(&self) -> bool {
        self.now.load(Relaxed)
    }

    /// Has the connection close if nothing has come on it. Whether there is somebody to do so.
    pub(crate) fn leave(&self) -> bool {
        self.leaves.store(true, Relaxed);
        self.task.get().map(Waker::wake_by_ref).is_some()
    }

    fn leaves(&self, cx: &Context<'_>) -> bool {
        self.task.get_or_init(|| cx.waker().clone());
        self.leaves.load(Relaxed)
    }
}

impl Peer {
    /// Whether the client came by TLS, as far as is known: a proxy that is trusted says how its own client came.
    pub(crate) fn came_by_tls(&self, head: &RequestHead) -> bool {
        let said = head.fields.get("x-forwarded-proto").filter(|_| self.trusted);
        said.unwrap_or(self.scheme).eq_ignore_ascii_case(b"https")
    }

    /// The scheme by which it came.
    pub(crate) fn scheme_of(&self, head: &RequestHead) -> &'static str {
        SCHEMES[usize::from(self.came_by_tls(head))]
    }

    pub(crate) fn new(address: SocketAddr, socket: &Socket, options: &Options) -> Self {
        let ip = address.ip().to_canonical();
        let mut node = String::new();
        // Writing into a string cannot fail.
        let _ = if ip.is_ipv4() { write!(node, "{ip}") } else { write!(node, "\"[{ip}]\"") };
        let scheme: &[u8] = if socket.is_secure() { b"https" } else { b"http" };
        let identity = socket.identity().map(|identity| {
            let lines: String =
                identity.fields().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
            lines.into()
        });
        Peer {
            address: ip,
            ip: ip.to_string(),
            node,
            trusted: options.trusted_proxies.trusts(ip),
            scheme,
            identity,
        }
    }
}

/// How a body that ended so for the client is told to a service of HTTP/1.
fn writer_of(framing: Framing) -> BodyWriter {
    if framing == Framing::Chunked { BodyWriter::Chunked } else { BodyWriter::Plain }
}

/// A body that is not there: over before it begins.
pub(crate) fn nothing() -> Pump {
    Pump::over()
}
