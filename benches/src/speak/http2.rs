//! Requests over HTTP/2 by frames (RFC 9113). Requests are encoded once for each connection; of answers the status, the
//! length and the end are looked at, which needs no decoding: 200 has one byte of its own in HPACK's table.

use std::io;

use bytes::BytesMut;

use super::{Script, Speech, wrong};
use crate::backend::grpc::{self, Call};
use crate::frames::{self, Frame};

/// What a request consists of.
#[derive(Debug)]
struct Request {
    /// The first one teaches the other side names and values, the later ones point at them.
    teaching: Vec<u8>,
    pointing: Vec<u8>,
    body: Vec<u8>,
    /// Of the answer's body.
    size: usize,
    is_grpc: bool,
}

/// One stream whose answer is not whole yet.
#[derive(Debug)]
struct Open {
    id: u32,
    has_head: bool,
    read: usize,
}

#[derive(Debug)]
pub(super) struct Talk {
    request: Request,
    /// Whether all messages go over one stream, and how much of it the other side has room for.
    echo_window: Option<i64>,
    open: Vec<Open>,
    next_id: u32,
    is_ready: bool,
    /// What may be sent on the connection, and on a new stream.
    window: i64,
    stream_window: i64,
    /// Read since the connection's window was opened.
    read: u32,
    /// Exchanges that wait for room.
    owed: usize,
}

/// Preface and settings.
pub(super) fn greet(output: &mut Vec<u8>) {
    output.extend_from_slice(frames::PREFACE);
    frames::push_settings(output);
}

impl Talk {
    pub(super) fn new(script: &Script) -> Self {
        Self {
            request: Request::new(script),
            echo_window: (script.speech == Speech::Echo).then_some(frames::USUAL_WINDOW),
            open: Vec::new(),
            next_id: 1,
            is_ready: false,
            window: frames::USUAL_WINDOW,
            stream_window: frames::USUAL_WINDOW,
            read: 0,
            owed: 0,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    pub(super) fn ask(&mut self, output: &mut Vec<u8>) {
        self.owed += 1;
        self.send_owed(output);
    }

    fn send_owed(&mut self, output: &mut Vec<u8>) {
        let length = self.request.body.len() as i64;
        while self.owed > 0 && self.window.min(self.echo_window.unwrap_or(i64::MAX)) >= length {
            self.owed -= 1;
            self.window -= length;
            match &mut self.echo_window {
                Some(window) => {
                    *window -= length;
                    if self.open.is_empty() {
                        self.begin(output, 0);
                    }
                    frames::push_head(output, self.request.body.len(), frames::DATA, 0, self.open[0].id);
                    output.extend_from_slice(&self.request.body);
                }
                None if self.request.body.is_empty() => self.begin(output, frames::END_STREAM),
                None => {
                    self.begin(output, 0);
                    frames::push_head(
                        output,
                        self.request.body.len(),
                        frames::DATA,
                        frames::END_STREAM,
                        self.next_id - 2,
                    );
                    output.extend_from_slice(&self.request.body);
                }
            }
        }
    }

    fn begin(&mut self, output: &mut Vec<u8>, flags: u8) {
        let is_first = self.next_id == 1;
        let block = if is_first { &self.request.teaching } else { &self.request.pointing };
        frames::push_head(output, block.len(), frames::HEADERS, flags | frames::END_HEADERS, self.next_id);
        output.extend_from_slice(block);
        self.open.push(Open { id: self.next_id, has_head: false, read: 0 });
        self.next_id += 2;
    }

    pub(super) fn hear(&mut self, input: &mut BytesMut, output: &mut Vec<u8>) -> io::Result<usize> {
        let mut done = 0;
        while let Some(frame) = Frame::take(input) {
            match frame.kind {
                frames::DATA => {
                    self.read += frame.payload.len() as u32;
                    if self.read >= frames::REOPEN {
                        frames::push_window_update(output, std::mem::take(&mut self.read));
                    }
                    done += self.data(&frame)?;
                }
                frames::HEADERS => done += self.headers(&frame)?,
                frames::SETTINGS if frame.flags & frames::ACK == 0 => self.settings(&frame, output),
                frames::PING if frame.flags & frames::ACK == 0 => {
                    frames::push_head(output, frame.payload.len(), frames::PING, frames::ACK, 0);
                    output.extend_from_slice(&frame.payload);
                }
                frames::WINDOW_UPDATE => {
                    let more = i64::from(frames::number(&frame.payload));
                    if frame.id == 0 {
                        self.window += more;
                    } else if let Some(window) = &mut self.echo_window {
                        *window += more;
                    }
                    self.send_owed(output);
                }
                frames::RST_STREAM if self.open.iter().any(|open| open.id == frame.id) => {
                    let code = frames::number(&frame.payload);
                    return Err(wrong(format!("a stream was reset with code {code}")));
                }
                frames::GOAWAY => {
                    let code = frames::number(frame.payload.get(4..).unwrap_or_default());
                    return Err(wrong(format!("the connection was ended with code {code}")));
                }
                frames::PUSH_PROMISE => return Err(wrong("a promise that nobody asked for")),
                _ => {}
            }
        }
        Ok(done)
    }

    fn settings(&mut self, frame: &Frame, output: &mut Vec<u8>) {
        if let Some(size) = frame.initial_window() {
            if let Some(window) = &mut self.echo_window {
                *window += size - self.stream_window;
            }
            self.stream_window = size;
        }
        frames::push_head(output, 0, frames::SETTINGS, frames::ACK, 0);
        self.is_ready = true;
    }

    fn data(&mut self, frame: &Frame) -> io::Result<usize> {
        let at = self.find(frame.id)?;
        let (open, size) = (&mut self.open[at], self.request.size);
        let before = open.read;
        open.read += frame.data().len();
        if self.echo_window.is_some() {
            return Ok(open.read / size - before / size);
        }
        if frame.flags & frames::END_STREAM == 0 { Ok(0) } else { self.end(at, false) }
    }

    fn headers(&mut self, frame: &Frame) -> io::Result<usize> {
        let at = self.find(frame.id)?;
        let is_trailers = self.open[at].has_head;
        if !is_trailers {
            check_status(frame.data())?;
            self.open[at].has_head = true;
        }
        if frame.flags & frames::END_STREAM == 0 { Ok(0) } else { self.end(at, is_trailers) }
    }

    fn end(&mut self, at: usize, by_trailers: bool) -> io::Result<usize> {
        let open = self.open.swap_remove(at);
        if open.read != self.request.size || self.echo_window.is_some() {
            return Err(wrong(format!("{} bytes instead of {}", open.read, self.request.size)));
        }
        if self.request.is_grpc && !by_trailers {
            return Err(wrong("an answer of gRPC without trailers"));
        }
        Ok(1)
    }

    fn find(&self, id: u32) -> io::Result<usize> {
        let found = self.open.iter().position(|open| open.id == id);
        found.ok_or_else(|| wrong(format!("a frame of stream {id}, which is not open")))
    }
}

impl Request {
    fn new(script: &Script) -> Self {
        let call = match script.speech {
            Speech::Unary => Some(Call::Unary),
            Speech::Stream => Some(Call::Stream),
            Speech::Echo => Some(Call::Echo),
            Speech::Http1 | Speech::Http2 | Speech::WebSocket => None,
        };
        let (path, size) = match call {
            Some(Call::Stream) => (Call::Stream.path(), grpc::FRAMED * grpc::STREAMED),
            Some(call) => (call.path(), grpc::FRAMED),
            None => (script.path.as_str(), script.size),
        };
        let is_grpc = call.is_some();
        // By their numbers in HPACK's fixed table: POST 3, GET 2, https 7, http 6, :path 4, :authority 1, content-type 31.
        let fixed = [0x80 | if is_grpc { 3 } else { 2 }, 0x80 | if script.is_secure { 7 } else { 6 }];
        let mut teaching = fixed.to_vec();
        let mut taught = 2;
        push_literal(&mut teaching, 4, path);
        push_literal(&mut teaching, 1, &script.host);
        if is_grpc {
            push_literal(&mut teaching, 31, "application/grpc");
            teaching.extend_from_slice(&[0x40, 2]);
            teaching.extend_from_slice(b"te");
            push_text(&mut teaching, "trailers");
            taught += 2;
        }
        // What was learnt first has the highest number; numbers begin behind the fixed table.
        let mut pointing = fixed.to_vec();
        pointing.extend((0..taught).rev().map(|index| 0x80 | (62 + index)));
        let body = call.map(Call::message).unwrap_or_default();
        Self { teaching, pointing, body, size, is_grpc }
    }
}

/// Insists on 200, which is a single byte unless somebody spells it out; behind changes of the table's size.
fn check_status(mut block: &[u8]) -> io::Result<()> {
    while let Some((first, rest)) = block.split_first()
        && first & 0xe0 == 0x20
    {
        block = rest;
        if first & 0x1f == 0x1f {
            let digits = block.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
            block = block.get(digits..).unwrap_or_default();
        }
    }
    match block.first() {
        Some(0x88) => Ok(()),
        first => Err(wrong(format!("an answer that begins with {first:02x?}, and not with status 200"))),
    }
}

/// A literal that is to be remembered, by the number of its name.
fn push_literal(block: &mut Vec<u8>, name: u8, value: &str) {
    block.push(0x40 | name);
    push_text(block, value);
}

/// Without Huffman's code, as it is.
fn push_text(block: &mut Vec<u8>, text: &str) {
    debug_assert!(text.len() < 127, "longer lengths have more bytes");
    block.push(text.len() as u8);
    block.extend_from_slice(text.as_bytes());
}
