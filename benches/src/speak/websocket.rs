//! A WebSocket over HTTP/1.1: messages of 200 bytes, each of which must come back.

use std::io;

use bytes::BytesMut;

use super::{Script, wrong};
use crate::backend::websocket::{ACCEPT, KEY, take_frame};

const MESSAGE: usize = 200;
const BINARY: u8 = 2;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A client must mask what it sends, by whatever key.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

#[derive(Debug, Default)]
pub(super) struct Talk {
    is_open: bool,
}

/// The request for the upgrade.
pub(super) fn greet(script: &Script, output: &mut Vec<u8>) {
    let request = format!(
        "GET /echo HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n",
        script.host
    );
    output.extend_from_slice(request.as_bytes());
}

impl Talk {
    pub(super) fn is_ready(&self) -> bool {
        self.is_open
    }

    #[expect(clippy::unused_self, reason = "all talks are asked alike")]
    pub(super) fn ask(&mut self, output: &mut Vec<u8>) {
        push_masked(output, BINARY, &[b'm'; MESSAGE]);
    }

    pub(super) fn hear(&mut self, input: &mut BytesMut, output: &mut Vec<u8>) -> io::Result<usize> {
        if !self.is_open {
            let Some(end) = memchr::memmem::find(input, b"\r\n\r\n") else { return Ok(0) };
            let head = input.split_to(end + 4);
            let text = String::from_utf8_lossy(&head);
            if !text.starts_with("HTTP/1.1 101") || !text.contains(ACCEPT) {
                return Err(wrong(format!("no upgrade: {text:?}")));
            }
            self.is_open = true;
        }
        let mut done = 0;
        while let Some(frame) = take_frame(input) {
            match frame.opcode {
                BINARY if frame.payload.len() == MESSAGE => done += 1,
                PING => push_masked(output, PONG, &frame.payload),
                PONG => {}
                other => {
                    return Err(wrong(format!("a frame {other} of {} bytes", frame.payload.len())));
                }
            }
        }
        Ok(done)
    }
}

/// Nothing here is longer than a length of two bytes tells.
fn push_masked(output: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    output.push(0x80 | opcode);
    if payload.len() < 126 {
        output.push(0x80 | payload.len() as u8);
    } else {
        output.push(0x80 | 126);
        output.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    }
    output.extend_from_slice(&MASK);
    output.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
}
