//! Frames of HTTP/2 (RFC 9113), as both ends of the measurements need them: what they hold is the business of others.

use bytes::{Buf, BytesMut};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;

/// Of SETTINGS and PING; on other frames the same bit ends the stream.
pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

const INITIAL_WINDOW_SIZE: u16 = 4;
/// What RFC 9113 gives every window at first.
pub const USUAL_WINDOW: i64 = 65_535;
const LARGEST_WINDOW: u32 = (1 << 31) - 1;
/// Read so much before the connection's window is opened again.
pub const REOPEN: u32 = 1 << 28;

/// One frame.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub id: u32,
    pub payload: BytesMut,
}

impl Frame {
    /// The next one, when all of it is there.
    pub fn take(input: &mut BytesMut) -> Option<Self> {
        let head: [u8; 9] = *input.first_chunk()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if input.len() < 9 + length {
            return None;
        }
        input.advance(9);
        let payload = input.split_to(length);
        Some(Self { kind: head[3], flags: head[4], id: number(&head[5..]), payload })
    }

    /// What it holds without padding and, of headers, without a priority.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        let payload = &self.payload[..];
        let (mut begin, mut end) = (0, payload.len());
        if self.flags & PADDED != 0 {
            begin = 1;
            end = end.saturating_sub(usize::from(*payload.first().unwrap_or(&0)));
        }
        if self.kind == HEADERS && self.flags & PRIORITY != 0 {
            begin += 5;
        }
        payload.get(begin..end).unwrap_or_default()
    }

    /// Of settings: the window of new streams, where it is said.
    #[must_use]
    pub fn initial_window(&self) -> Option<i64> {
        let mut settings = self.payload.chunks_exact(6);
        let said = settings.rfind(|its| u16::from_be_bytes([its[0], its[1]]) == INITIAL_WINDOW_SIZE)?;
        Some(i64::from(number(&said[2..])))
    }
}

/// Settings and a wide window: one who never holds the other side back.
pub fn push_settings(output: &mut Vec<u8>) {
    push_head(output, 6, SETTINGS, 0, 0);
    output.extend_from_slice(&INITIAL_WINDOW_SIZE.to_be_bytes());
    output.extend_from_slice(&LARGEST_WINDOW.to_be_bytes());
    push_window_update(output, LARGEST_WINDOW - USUAL_WINDOW as u32);
}

/// Opens the connection's window by so much.
pub fn push_window_update(output: &mut Vec<u8>, more: u32) {
    push_head(output, 4, WINDOW_UPDATE, 0, 0);
    output.extend_from_slice(&more.to_be_bytes());
}

/// What stands before each frame.
pub fn push_head(output: &mut Vec<u8>, length: usize, kind: u8, flags: u8, id: u32) {
    output.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
    output.extend_from_slice(&[kind, flags]);
    output.extend_from_slice(&id.to_be_bytes());
}

/// A number of 31 bits, as streams, windows and codes are.
#[must_use]
pub fn number(payload: &[u8]) -> u32 {
    payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes)) & LARGEST_WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_when_it_is_whole_and_read_without_padding() {
        let mut all = Vec::new();
        push_head(&mut all, 10, HEADERS, PADDED | PRIORITY, 7);
        all.extend_from_slice(&[2, 0, 0, 0, 0, 0, b'a', b'b', 0, 0]);
        let mut cut = BytesMut::from(&all[..all.len() - 1]);
        assert!(Frame::take(&mut cut).is_none());
        let frame = Frame::take(&mut BytesMut::from(&all[..])).unwrap();
        assert_eq!((frame.kind, frame.id, frame.data()), (HEADERS, 7, &b"ab"[..]));
    }

    #[test]
    fn our_settings_open_the_windows() {
        let mut all = Vec::new();
        push_settings(&mut all);
        let mut input = BytesMut::from(&all[..]);
        let settings = Frame::take(&mut input).unwrap();
        assert_eq!(settings.initial_window(), Some(i64::from(LARGEST_WINDOW)));
        let update = Frame::take(&mut input).unwrap();
        assert_eq!(number(&update.payload), LARGEST_WINDOW - 65_535);
    }
}
