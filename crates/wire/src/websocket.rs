//! The frames of a WebSocket (RFC 6455 5), followed from outside: where each begins, how long messages are, and the few
//! that the gateway says itself. What is in them is not read.

/// Follows the frames of one way.
#[derive(Debug)]
pub struct Frames {
    /// The header under way.
    header: [u8; MOST_HEADER],
    have: usize,
    /// Bytes of the frame that are still to come.
    left: u64,
    /// Bytes of the message so far, which may be in several frames.
    message: u64,
    /// The largest message that may pass.
    most: u64,
    /// Frames that were parts of messages.
    parts: u64,
    closing: bool,
}

const MOST_HEADER: usize = 14;
const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0;
const CLOSE: u8 = 8;
const PING: u8 = 9;

/// Why frames may not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A message larger than allowed.
    TooLarge,
    /// What is said is no frame.
    Malformed,
}

impl Broken {
    /// The code that closes such a WebSocket (RFC 6455 7.4.1).
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Broken::TooLarge => 1009,
            Broken::Malformed => 1002,
        }
    }
}

impl Frames {
    /// Frames of which no message has more than `most` bytes.
    #[must_use]
    pub fn new(most: u64) -> Self {
        Frames { header: [0; MOST_HEADER], have: 0, left: 0, message: 0, most, parts: 0, closing: false }
    }

    /// Follows what is about to pass.
    ///
    /// # Errors
    /// Why it may not; then none of it does.
    pub fn see(&mut self, mut bytes: &[u8]) -> Result<(), Broken> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let passed = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= passed as u64;
                bytes = &bytes[passed..];
                continue;
            }
            self.header[self.have] = bytes[0];
            self.have += 1;
            bytes = &bytes[1..];
            if self.have == header_length(&self.header[..self.have]) {
                self.begin()?;
            }
        }
        Ok(())
    }

    /// Whether it stands between two frames, where another may be put in.
    #[must_use]
    pub fn between(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    /// How many parts of messages have begun: pings and their answers are none.
    #[must_use]
    pub fn parts(&self) -> u64 {
        self.parts
    }

    /// Whether this side has said that it closes.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// A header is whole.
    fn begin(&mut self) -> Result<(), Broken> {
        let (first, length) = (self.header[0], length_of(&self.header));
        self.have = 0;
        let opcode = first & 0x0f;
        if opcode >= CLOSE {
            if length > 125 || first & FIN == 0 {
                return Err(Broken::Malformed);
            }
            self.closing |= opcode == CLOSE;
        } else {
            let before = if opcode == CONTINUATION { self.message } else { 0 };
            self.message = before.saturating_add(length);
            self.parts += 1;
            if self.message > self.most {
                return Err(Broken::TooLarge);
            }
            if first & FIN != 0 && length == 0 {
                self.message = 0;
            }
        }
        self.left = length;
        Ok(())
    }
}

/// How long the header is that begins so; more than there is, while that is not known.
fn header_length(header: &[u8]) -> usize {
    let Some(&second) = header.get(1) else { return 2 };
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + extended + if second & 0x80 == 0 { 0 } else { 4 }
}

fn length_of(header: &[u8; MOST_HEADER]) -> u64 {
    match header[1] & 0x7f {
        126 => u64::from(u16::from_be_bytes([header[2], header[3]])),
        127 => header[2..10].iter().fold(0, |length, &byte| length << 8 | u64::from(byte)),
        short => u64::from(short),
    }
}

/// A close frame with this code, as a client says it (masked) or a service.
#[must_use]
pub fn close(code: u16, masked: bool) -> Vec<u8> {
    frame(CLOSE, &code.to_be_bytes(), masked)
}

/// A ping, which the other side answers.
#[must_use]
pub fn ping(masked: bool) -> Vec<u8> {
    frame(PING, b"", masked)
}

/// The mask hides nothing here: it keeps caches in between from reading frames as HTTP, which so few bytes are not.
fn frame(opcode: u8, payload: &[u8], masked: bool) -> Vec<u8> {
    let mut frame = vec![FIN | opcode, u8::try_from(payload.len()).unwrap_or(125)];
    if masked {
        frame[1] |= 0x80;
        frame.extend_from_slice(&[0; 4]);
    }
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(fin: bool, opcode: u8, length: usize, masked: bool) -> Vec<u8> {
        let mut frame = vec![if fin { FIN } else { 0 } | opcode];
        let mask = if masked { 0x80 } else { 0 };
        match length {
            0..=125 => frame.push(mask | u8::try_from(length).unwrap()),
            126..=65535 => {
                frame.push(mask | 126);
                frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        if masked {
            frame.extend_from_slice(&[1, 2, 3, 4]);
        }
        frame.extend(std::iter::repeat_n(b'x', length));
        frame
    }

    #[test]
    fn frames_are_followed_in_whatever_parts_they_come() {
        let stream: Vec<u8> = [
            text(true, 1, 5, true),
            text(false, 2, 300, false),
            ping(true),
            text(true, 0, 70_000, true),
            text(true, 1, 0, false),
            close(1000, false),
        ]
        .concat();
        for part in [1, 2, 3, 7, 1000, stream.len()] {
            let mut frames = Frames::new(100_000);
            for bytes in stream.chunks(part) {
                frames.see(bytes).unwrap();
            }
            assert!(frames.between() && frames.is_closing(), "{part}");
        }
        let mut frames = Frames::new(10);
        frames.see(&stream[..3]).unwrap();
        assert!(!frames.between());
    }

    #[test]
    fn a_message_is_as_long_as_its_fragments() {
        let mut frames = Frames::new(10);
        frames.see(&text(false, 1, 6, true)).unwrap();
        frames.see(&text(true, 0, 4, true)).unwrap();
        frames.see(&text(true, 1, 10, true)).unwrap();
        assert_eq!(frames.see(&text(true, 1, 11, true)), Err(Broken::TooLarge));
        let mut frames = Frames::new(10);
        frames.see(&text(false, 1, 6, true)).unwrap();
        frames.see(&text(true, 9, 100, true)).unwrap();
        assert_eq!(frames.see(&text(true, 0, 5, true)), Err(Broken::TooLarge));
        assert_eq!(Frames::new(10).see(&text(true, 1, 1 << 20, false)[..10]), Err(Broken::TooLarge));
        assert_eq!(Frames::new(10).see(&text(false, 9, 1, true)), Err(Broken::Malformed));
    }
}
