//! What a client says over one connection, and what must come back: protocols without any input or output of their own,
//! so that one load program drives all of them. They are just strict enough to tell a right answer from a wrong one, and
//! cost next to nothing, since they share a core with the service.

mod http1;
mod http2;
mod websocket;

use std::io;

use bytes::BytesMut;

use crate::backend::grpc;

/// One kind of exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// GET over HTTP/1.1.
    Http1,
    /// GET over HTTP/2.
    Http2,
    /// A call with one answer.
    Unary,
    /// A call with a hundred answers, which count together as one exchange.
    Stream,
    /// One message and its echo, all of a connection in one call.
    Echo,
    /// One WebSocket message and its echo.
    WebSocket,
}

impl Speech {
    /// What ALPN must agree on.
    #[must_use]
    pub fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 | Self::WebSocket => b"http/1.1",
            Self::Http2 | Self::Unary | Self::Stream | Self::Echo => b"h2",
        }
    }

    /// Messages or answers in one exchange.
    #[must_use]
    pub fn weight(self) -> u64 {
        match self {
            Self::Stream => grpc::STREAMED as u64,
            Self::Http1 | Self::Http2 | Self::Unary | Self::Echo | Self::WebSocket => 1,
        }
    }
}

/// What is said, to whom.
#[derive(Debug, Clone)]
pub struct Script {
    pub speech: Speech,
    pub host: String,
    /// What a GET asks for; other exchanges have their own paths.
    pub path: String,
    /// Of the body that a GET must bring.
    pub size: usize,
    pub is_secure: bool,
}

/// One side of one connection.
#[derive(Debug)]
pub struct Talker(Kind);

#[derive(Debug)]
enum Kind {
    Http1(http1::Talk),
    Http2(http2::Talk),
    WebSocket(websocket::Talk),
}

impl Talker {
    #[must_use]
    pub fn new(script: &Script) -> Self {
        Self(match script.speech {
            Speech::Http1 => Kind::Http1(http1::Talk::new(script)),
            Speech::WebSocket => Kind::WebSocket(websocket::Talk::default()),
            Speech::Http2 | Speech::Unary | Speech::Stream | Speech::Echo => {
                Kind::Http2(http2::Talk::new(script))
            }
        })
    }

    /// What is sent first.
    pub fn greet(&mut self, script: &Script, output: &mut Vec<u8>) {
        match &mut self.0 {
            Kind::Http1(_) => {}
            Kind::Http2(_) => http2::greet(output),
            Kind::WebSocket(_) => websocket::greet(script, output),
        }
    }

    /// Whether exchanges may begin.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        match &self.0 {
            Kind::Http1(_) => true,
            Kind::Http2(talk) => talk.is_ready(),
            Kind::WebSocket(talk) => talk.is_ready(),
        }
    }

    /// Begins an exchange, or does so as soon as the other side has room for it.
    pub fn ask(&mut self, output: &mut Vec<u8>) {
        match &mut self.0 {
            Kind::Http1(talk) => talk.ask(output),
            Kind::Http2(talk) => talk.ask(output),
            Kind::WebSocket(talk) => talk.ask(output),
        }
    }

    /// Reads what is whole of what came; returns how many exchanges have ended with it, all of them well.
    pub fn hear(&mut self, input: &mut BytesMut, output: &mut Vec<u8>) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Http1(talk) => talk.hear(input),
            Kind::Http2(talk) => talk.hear(input, output),
            Kind::WebSocket(talk) => talk.hear(input, output),
        }
    }
}

fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

#[cfg(test)]
mod tests;
