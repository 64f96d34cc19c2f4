//! A client's connection: its bytes, its one alarm, and the heads that are used again for each request.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use wire::http1::{BodyReader, BodyWriter, Framing, Pump, RequestHead, ResponseHead};
use wire::{Alarm, Body, Conn, Error, Socket};

use crate::door::Options;

/// A client's connection and the request it is at.
pub(crate) struct Client {
    pub(crate) conn: Conn,
    pub(crate) alarm: Alarm,
    /// The request under way.
    pub(crate) request: RequestHead,
    /// Its body, on its way to a service.
    pub(crate) upload: Pump,
    /// The answer to it.
    pub(crate) response: ResponseHead,
    /// Whether any byte of a final answer was said.
    pub(crate) answering: bool,
    /// Whether the connection can serve another request after this one.
    pub(crate) reusable: bool,
    pub(crate) peer: Peer,
    idle: Arc<AtomicBool>,
}

/// Who the client is, in the words that services are told.
pub(crate) struct Peer {
    /// Its address without the port.
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
    pub(crate) fn new(
        socket: Socket,
        peer: SocketAddr,
        idle: Arc<AtomicBool>,
        options: &Options,
    ) -> Box<Self> {
        let ip = peer.ip().to_canonical();
        let mut node = String::new();
        // Writing into a string cannot fail.
        let _ = if ip.is_ipv4() { write!(node, "{ip}") } else { write!(node, "\"[{ip}]\"") };
        let scheme: &[u8] = if socket.is_secure() { b"https" } else { b"http" };
        let identity = socket.identity().map(|identity| {
            let lines: String =
                identity.fields().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
            lines.into()
        });
        let trusted = options.trusted_proxies.trusts(ip);
        Box::new(Client {
            conn: Conn::new(socket),
            alarm: Alarm::default(),
            request: RequestHead::default(),
            upload: nothing(),
            response: ResponseHead::default(),
            answering: false,
            reusable: true,
            peer: Peer { ip: ip.to_string(), node, trusted, scheme, identity },
            idle,
        })
    }

    /// Says whether the client is between two requests.
    pub(crate) fn set_idle(&self, idle: bool) {
        self.idle.store(idle, Relaxed);
    }

    /// Makes ready for the request whose head was just taken.
    pub(crate) fn begin(&mut self, body_limit: u64) -> Result<(), Error> {
        self.answering = false;
        self.reusable = self.request.keep_alive;
        let framing = self.request.framing;
        if framing == Framing::None {
            // Most requests have no body, and most pumps of the connection have pumped none.
            if !matches!(self.upload.body, Body::Empty) || !self.upload.is_done() {
                self.upload = nothing();
            }
            return Ok(());
        }
        let reader = BodyReader::new(framing, body_limit);
        let writer = if framing == Framing::Chunked { BodyWriter::Chunked } else { BodyWriter::Plain };
        // Should the length be too large, what follows is still a body and never the next request.
        let unread = Body::Wire(BodyReader::new(framing, u64::MAX)?);
        self.upload = Pump::new(unread, writer);
        self.upload.body = Body::Wire(reader?);
        Ok(())
    }

    /// Whether the body has been read to its end.
    pub(crate) fn upload_is_over(&self) -> bool {
        self.upload.is_done() || self.upload.body.is_empty()
    }
}

/// A body that is not there: over before it begins.
pub(crate) fn nothing() -> Pump {
    Pump::over()
}
