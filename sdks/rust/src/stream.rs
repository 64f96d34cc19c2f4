//! A body that is read while it comes, by the line; the connection closes when this is dropped.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::connection::broken;
use crate::error::{Error, Family};

/// A stream that says nothing for this long is dead: the gateway sends a heartbeat every ten seconds.
pub(crate) const SILENCE: Duration = Duration::from_secs(35);
/// No line of a stream is longer: a message or a row of this length has filled memory enough.
const LONGEST_LINE: usize = 64 * 1024 * 1024;

/// The frames of a body.
pub(crate) struct Frames {
    body: Incoming,
    silence: Duration,
}

impl Frames {
    pub(crate) fn new(body: Incoming, silence: Duration) -> Frames {
        Frames { body, silence }
    }

    /// The next bytes; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let frame = tokio::time::timeout(self.silence, self.body.frame()).await.map_err(|_| {
                Error::new(Family::Timeout, format!("the gateway said nothing for {:?}", self.silence))
            })?;
            match frame {
                None => return Ok(None),
                Some(Err(source)) => return Err(broken(source)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

/// The lines of a body, without their ends.
pub(crate) struct Lines {
    frames: Frames,
    at_hand: Splitter,
}

impl Lines {
    pub(crate) fn new(body: Incoming) -> Lines {
        Lines::within(body, SILENCE)
    }

    /// The same, with a silence of its own that is no failure.
    pub(crate) fn within(body: Incoming, silence: Duration) -> Lines {
        Lines { frames: Frames::new(body, silence), at_hand: Splitter::default() }
    }

    /// Whether the beginning of a line is here whose end is not.
    pub(crate) fn is_cut(&self) -> bool {
        self.at_hand.waiting() > 0
    }

    /// The next line if it is here already.
    pub(crate) fn at_hand(&mut self) -> Option<Bytes> {
        self.at_hand.next()
    }

    /// The next line; `None` at the end. A last line that was cut is no line.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(line) = self.at_hand.next() {
                return Ok(Some(line));
            }
            let Some(bytes) = self.frames.next().await? else { return Ok(None) };
            self.at_hand.push(&bytes);
            if self.at_hand.waiting() > LONGEST_LINE {
                return Err(Error::unreadable("a line of the stream is longer than 64 MiB", "no line end"));
            }
        }
    }
}

/// Cuts bytes into lines, however they arrive.
#[derive(Default)]
struct Splitter {
    bytes: BytesMut,
    /// Up to here there is no line end.
    searched: usize,
}

impl Splitter {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn waiting(&self) -> usize {
        self.bytes.len()
    }

    fn next(&mut self) -> Option<Bytes> {
        let Some(end) = self.bytes[self.searched..].iter().position(|&byte| byte == b'\n') else {
            self.searched = self.bytes.len();
            return None;
        };
        let mut line = self.bytes.split_to(self.searched + end);
        self.bytes.advance(1);
        self.searched = 0;
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        Some(line.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_the_bytes_arrive() {
        let text = b"one\r\n\ntwo words\nlast, cut";
        for size in 1..text.len() {
            let (mut splitter, mut lines) = (Splitter::default(), Vec::new());
            for piece in text.chunks(size) {
                splitter.push(piece);
                while let Some(line) = splitter.next() {
                    lines.push(line);
                }
            }
            assert_eq!(lines, ["one", "", "two words"], "{size}");
            assert_eq!(splitter.waiting(), 9);
        }
    }
}
