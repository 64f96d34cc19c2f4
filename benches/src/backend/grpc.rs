//! Calls of gRPC over HTTP/2 in the clear: one answer, a stream of answers, an echo. It handles frames and decodes no headers,
//! since it shares a core with the load: what a call wants is told by the first byte of its message, and not by its path.
//! Messages are bytes that nobody looks into further: what proxies do with a call is measured, and not its encoding.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::frames::{self, Frame};

/// A message and the five bytes before it.
pub const MESSAGE: usize = 200;
pub const FRAMED: usize = MESSAGE + 5;
/// Messages in the answer of a [`Call::Stream`].
pub const STREAMED: usize = 100;

/// What a call wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// One message, answered by one.
    Unary,
    /// One message, answered by many.
    Stream,
    /// Each message is answered by the same, until the client has no more.
    Echo,
}

impl Call {
    /// A path that looks like one of gRPC, for proxies to route.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Unary => "/bench.Echo/Unary",
            Self::Stream => "/bench.Echo/Stream",
            Self::Echo => "/bench.Echo/Echo",
        }
    }

    /// A message for it, as gRPC frames one: not compressed, its length, itself.
    #[must_use]
    pub fn message(self) -> Vec<u8> {
        let mut message = vec![0];
        message.extend_from_slice(&(MESSAGE as u32).to_be_bytes());
        message.push(self.mark());
        message.resize(FRAMED, b'm');
        message
    }

    fn mark(self) -> u8 {
        match self {
            Self::Unary => b'u',
            Self::Stream => b's',
            Self::Echo => b'e',
        }
    }
}

/// Status 200 by HPACK's table, and the type as a literal.
const HEAD: &[u8] = b"\x88\x0f\x10\x10application/grpc";
const TRAILERS: &[u8] = b"\x00\x0bgrpc-status\x010";

/// Serves until the task is dropped. Must run inside a `LocalSet`.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::task::spawn_local(async move {
            // A client that goes away in the middle is its own business: the connection ends with it.
            let _ = converse(stream).await;
        });
    }
}

async fn converse(mut stream: TcpStream) -> std::io::Result<()> {
    let mut input = BytesMut::with_capacity(32 * 1024);
    let mut connection = Connection::new();
    while input.len() < frames::PREFACE.len() {
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
    input.advance(frames::PREFACE.len());
    loop {
        while let Some(frame) = Frame::take(&mut input) {
            connection.hear(frame);
        }
        if !connection.output.is_empty() {
            stream.write_all(&connection.output).await?;
            connection.output.clear();
        }
        input.reserve(32 * 1024);
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

/// One call under way.
#[derive(Debug)]
struct Stream {
    id: u32,
    asked: BytesMut,
    has_head: bool,
    /// Whether what stands in the queue is the whole rest.
    is_last: bool,
    queue: VecDeque<Bytes>,
    window: i64,
}

#[derive(Debug)]
struct Connection {
    output: Vec<u8>,
    streams: Vec<Stream>,
    window: i64,
    stream_window: i64,
    /// Read since the window was opened.
    read: u32,
}

impl Connection {
    fn new() -> Self {
        let mut output = Vec::with_capacity(32 * 1024);
        frames::push_settings(&mut output);
        let (window, stream_window) = (frames::USUAL_WINDOW, frames::USUAL_WINDOW);
        Self { output, streams: Vec::new(), window, stream_window, read: 0 }
    }

    fn hear(&mut self, frame: Frame) {
        let at = self.streams.iter().position(|stream| stream.id == frame.id);
        match (frame.kind, at) {
            (frames::HEADERS, None) => self.streams.push(Stream {
                id: frame.id,
                asked: BytesMut::new(),
                has_head: false,
                is_last: false,
                queue: VecDeque::new(),
                window: self.stream_window,
            }),
            (frames::DATA, at) => {
                self.read += frame.payload.len() as u32;
                if self.read >= frames::REOPEN {
                    frames::push_window_update(&mut self.output, std::mem::take(&mut self.read));
                }
                if let Some(at) = at {
                    self.streams[at].take(&frame);
                    self.send(at);
                }
            }
            (frames::SETTINGS, _) if frame.flags & frames::ACK == 0 => {
                if let Some(size) = frame.initial_window() {
                    for stream in &mut self.streams {
                        stream.window += size - self.stream_window;
                    }
                    self.stream_window = size;
                }
                frames::push_head(&mut self.output, 0, frames::SETTINGS, frames::ACK, 0);
                self.send_all();
            }
            (frames::PING, _) if frame.flags & frames::ACK == 0 => {
                frames::push_head(&mut self.output, frame.payload.len(), frames::PING, frames::ACK, 0);
                self.output.extend_from_slice(&frame.payload);
            }
            (frames::WINDOW_UPDATE, None) if frame.id == 0 => {
                self.window += i64::from(frames::number(&frame.payload));
                self.send_all();
            }
            (frames::WINDOW_UPDATE, Some(at)) => {
                self.streams[at].window += i64::from(frames::number(&frame.payload));
                self.send(at);
            }
            (frames::RST_STREAM, Some(at)) => drop(self.streams.swap_remove(at)),
            _ => {}
        }
    }

    fn send_all(&mut self) {
        for at in (0..self.streams.len()).rev() {
            self.send(at);
        }
    }

    /// Sends of an answer what there is room for; a call whose answer is whole is forgotten.
    fn send(&mut self, at: usize) {
        let stream = &mut self.streams[at];
        if !stream.has_head && !stream.queue.is_empty() {
            frames::push_head(&mut self.output, HEAD.len(), frames::HEADERS, frames::END_HEADERS, stream.id);
            self.output.extend_from_slice(HEAD);
            stream.has_head = true;
        }
        while let Some(mut message) = stream.queue.pop_front() {
            let room = usize::try_from(self.window.min(stream.window)).unwrap_or(0);
            let part = message.split_to(room.min(message.len()));
            if !part.is_empty() {
                frames::push_head(&mut self.output, part.len(), frames::DATA, 0, stream.id);
                self.output.extend_from_slice(&part);
                self.window -= part.len() as i64;
                stream.window -= part.len() as i64;
            }
            if !message.is_empty() {
                stream.queue.push_front(message);
                return;
            }
        }
        if stream.is_last {
            let flags = frames::END_HEADERS | frames::END_STREAM;
            frames::push_head(&mut self.output, TRAILERS.len(), frames::HEADERS, flags, stream.id);
            self.output.extend_from_slice(TRAILERS);
            self.streams.swap_remove(at);
        }
    }
}

impl Stream {
    /// Takes what came of the request. Each message of an answer is a frame of its own, as a service writes them that has
    /// them one by one.
    fn take(&mut self, frame: &Frame) {
        self.asked.extend_from_slice(frame.data());
        let is_end = frame.flags & frames::END_STREAM != 0;
        let is_echo = self.has_head || self.asked.get(5) == Some(&Call::Echo.mark());
        if is_echo {
            self.queue.push_back(self.asked.split().freeze());
        } else if is_end {
            let many = self.asked.get(5) == Some(&Call::Stream.mark());
            let message = self.asked.split().freeze();
            self.queue.extend(std::iter::repeat_n(message, if many { STREAMED } else { 1 }));
        }
        self.is_last = is_end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks by a client of other people's making that has little room.
    fn ask(call: Call) -> (Vec<u8>, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::task::spawn_local(serve(listener));
            let stream = TcpStream::connect(address).await.unwrap();
            let builder = h2::client::Builder::new().initial_window_size(1_000).clone();
            let (client, connection) = builder.handshake::<_, Bytes>(stream).await.unwrap();
            tokio::task::spawn_local(connection);
            let request = http::Request::post(format!("http://{address}{}", call.path())).body(()).unwrap();
            let mut client = client.ready().await.unwrap();
            let (answer, mut sending) = client.send_request(request, false).unwrap();
            sending.send_data(call.message().into(), true).unwrap();
            let mut body = answer.await.unwrap().into_body();
            let mut got = Vec::new();
            while let Some(data) = body.data().await {
                let data = data.unwrap();
                body.flow_control().release_capacity(data.len()).unwrap();
                got.extend_from_slice(&data);
            }
            let trailers = body.trailers().await.unwrap().unwrap();
            (got, trailers["grpc-status"].to_str().unwrap().to_owned())
        })
    }

    #[test]
    fn every_call_is_answered_whole_however_little_room_there_is() {
        for (call, times) in [(Call::Unary, 1), (Call::Stream, STREAMED), (Call::Echo, 1)] {
            let (got, status) = ask(call);
            assert_eq!((got, status.as_str()), (call.message().repeat(times), "0"), "{call:?}");
        }
    }
}
