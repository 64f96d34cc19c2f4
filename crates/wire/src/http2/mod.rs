//! HTTP/2, both sides. Frames, HPACK and flow control are the crate `h2`'s, with its budgets set here; what a head
//! means is said in the same words as for HTTP/1, so that one walk serves both.

mod client;
mod head;
mod io;
mod server;
mod stream;

pub use client::{Client, Driver, Opening};
pub use head::only_once;
pub use server::{Request, Server};
pub use stream::Stream;

/// What a connection preface begins with: no method of HTTP/1 is called so.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Makes a CONNECT one that asks for a WebSocket (RFC 8441 4).
pub fn ask_for_websocket(request: &mut http::Request<()>) {
    request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
}

/// How much a peer may take. A peer that takes more loses its stream, or its connection.
#[derive(Debug, Clone, Copy)]
pub struct Budgets {
    /// Bytes of a head, unpacked, each field counted with 32 more (RFC 9113 6.5.2).
    pub head: u32,
    /// Streams open at once.
    pub streams: u32,
    /// Bytes of one stream's body that may be under way and unread.
    pub window: u32,
    /// The same of a whole connection.
    pub connection_window: u32,
    /// Bytes that one stream may have said and the peer not taken.
    pub unsent: usize,
    /// Streams that the peer may open and reset before anybody has looked at them (rapid reset).
    pub resets: usize,
    /// Streams that may have to be reset for what the peer does on them (MadeYouReset), over the life of a connection.
    pub faults: usize,
}

impl Default for Budgets {
    fn default() -> Self {
        Budgets {
            head: 64 * 1024,
            streams: 128,
            window: 256 * 1024,
            connection_window: 1024 * 1024,
            unsent: 256 * 1024,
            resets: 20,
            faults: 128,
        }
    }
}
