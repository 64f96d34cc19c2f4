//! GET over HTTP/1.1, answers by Content-Length.

use std::io;

use bytes::{Buf, BytesMut};

use super::{Script, wrong};

#[derive(Debug)]
pub(super) struct Talk {
    request: Vec<u8>,
    size: usize,
    /// Of the body that is being read.
    left: Option<usize>,
}

impl Talk {
    pub(super) fn new(script: &Script) -> Self {
        let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", script.path, script.host);
        Self { request: request.into_bytes(), size: script.size, left: None }
    }

    pub(super) fn ask(&mut self, output: &mut Vec<u8>) {
        output.extend_from_slice(&self.request);
    }

    pub(super) fn hear(&mut self, input: &mut BytesMut) -> io::Result<usize> {
        let mut done = 0;
        loop {
            let left = match self.left {
                Some(left) => left,
                None => {
                    let Some(end) = memchr::memmem::find(input, b"\r\n\r\n") else { return Ok(done) };
                    let head = input.split_to(end + 4);
                    self.check(&head)?;
                    self.size
                }
            };
            let taken = left.min(input.len());
            input.advance(taken);
            if taken < left {
                self.left = Some(left - taken);
                return Ok(done);
            }
            self.left = None;
            done += 1;
        }
    }

    fn check(&self, head: &[u8]) -> io::Result<()> {
        let first = || String::from_utf8_lossy(head).lines().next().unwrap_or_default().to_owned();
        if !head.starts_with(b"HTTP/1.1 200") {
            return Err(wrong(format!("answered {:?}", first())));
        }
        let length = content_length(head).ok_or_else(|| wrong("an answer without Content-Length"))?;
        if length == self.size {
            Ok(())
        } else {
            Err(wrong(format!("a body of {length} bytes instead of {}", self.size)))
        }
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let mut lines = head.split(|byte| *byte == b'\n');
    let line = lines.find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME))?;
    std::str::from_utf8(&line[NAME.len()..]).ok()?.trim().parse().ok()
}
