//! What several of these tests need: a pair of connected sockets, a seeded generator, and bodies read whole.

use std::future::Future;
use std::time::Duration;

use throome_wire::buffer::SMALL;
use throome_wire::http1::framing::{BodyReader, Framing, Piece};
use throome_wire::{Buffer, Conn, Error, Line, Socket};
use tokio::net::{TcpListener, TcpStream};

/// Runs a test that needs sockets and clocks. One that waits for what never comes fails.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let limited = async { tokio::time::timeout(Duration::from_secs(120), test).await };
    runtime().block_on(limited).expect("the test ends")
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Our end and the peer's of a connection over loopback.
pub(crate) async fn pair(listener: &TcpListener) -> (Conn, TcpStream) {
    let address = listener.local_addr().unwrap();
    let (peer, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let peer = peer.unwrap();
    peer.set_nodelay(true).unwrap();
    (Conn::new(Socket::new(accepted.unwrap().0)), peer)
}

/// The same, as bodies are moved on it.
pub(crate) async fn line(listener: &TcpListener) -> (Line, TcpStream) {
    let (conn, peer) = pair(listener).await;
    (conn.into(), peer)
}

/// The connection of a line of HTTP/1.
pub(crate) fn conn(line: &mut Line) -> &mut Conn {
    line.http1().expect("a line of HTTP/1")
}

pub(crate) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// A generator that gives the same numbers for the same seed (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    pub(crate) fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

/// A body as a reader found it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<u8>,
    /// Of the bytes given, how many belong to the body and its framing.
    pub(crate) used: usize,
}

/// Reads a body from bytes that come in these parts. `Ok(None)` when they end before it does.
pub(crate) fn read_body(framing: Framing, limit: u64, parts: &[&[u8]]) -> Result<Option<Found>, Error> {
    let mut reader = BodyReader::new(framing, limit)?;
    let (mut inbox, mut body, mut given) = (Buffer::default(), Vec::new(), 0);
    let mut parts = parts.iter();
    loop {
        match reader.next(&mut inbox)? {
            Piece::Data(n) => {
                body.extend_from_slice(&inbox.filled()[..n]);
                inbox.consume(n);
                reader.consumed(n);
            }
            Piece::End => {
                let trailers = reader.trailers().to_vec();
                return Ok(Some(Found { body, trailers, used: given - inbox.len() }));
            }
            Piece::More => {
                let Some(part) = parts.next() else { return Ok(None) };
                let mut rest = *part;
                given += rest.len();
                while !rest.is_empty() {
                    if inbox.len() == inbox.capacity() {
                        inbox.grow((inbox.len() + rest.len()).max(SMALL));
                    }
                    let room = inbox.room(SMALL);
                    let n = room.len().min(rest.len());
                    room[..n].copy_from_slice(&rest[..n]);
                    inbox.advance(n);
                    rest = &rest[n..];
                }
            }
        }
    }
}
