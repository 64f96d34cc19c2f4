//! An echo of WebSocket messages (RFC 6455): whatever comes in a data frame goes back in one. It knows no extensions and
//! no fragments, and the answer to one client's key only: the one that our load sends.

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The key of RFC 6455, section 1.3, which proxies pass on as it is.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What must be answered to it.
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const ACCEPTED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The answer to a request that asks for a WebSocket with the key that is known here.
#[must_use]
pub fn accepted(head: &[u8]) -> Option<&'static [u8]> {
    memchr::memmem::find(head, KEY.as_bytes()).map(|_| ACCEPTED)
}

/// Echoes until either side closes.
pub async fn echo(mut stream: TcpStream, mut input: BytesMut) -> std::io::Result<()> {
    let mut output = Vec::with_capacity(4096);
    loop {
        while let Some(frame) = take_frame(&mut input) {
            match frame.opcode {
                CLOSE => {
                    push_frame(&mut output, CLOSE, &frame.payload);
                    return stream.write_all(&output).await;
                }
                PING => push_frame(&mut output, PONG, &frame.payload),
                PONG => {}
                opcode => push_frame(&mut output, opcode, &frame.payload),
            }
        }
        if !output.is_empty() {
            stream.write_all(&output).await?;
            output.clear();
        }
        input.reserve(4096);
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

/// One frame with its mask taken off.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub opcode: u8,
    pub payload: BytesMut,
}

/// The next frame, when all of it is there.
pub fn take_frame(input: &mut BytesMut) -> Option<Frame> {
    let (&first, &second) = (input.first()?, input.get(1)?);
    let (length, mut at) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes([*input.get(2)?, *input.get(3)?])), 4),
        127 => (usize::try_from(u64::from_be_bytes(input.get(2..10)?.try_into().ok()?)).ok()?, 10),
        short => (usize::from(short), 2),
    };
    let mask = if second & 0x80 == 0 {
        None
    } else {
        let mask: [u8; 4] = input.get(at..at + 4)?.try_into().ok()?;
        at += 4;
        Some(mask)
    };
    if input.len() < at + length {
        return None;
    }
    input.advance(at);
    let mut payload = input.split_to(length);
    if let Some(mask) = mask {
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
    }
    Some(Frame { opcode: first & 0x0f, payload })
}

/// A whole message as a server sends it: unmasked.
pub fn push_frame(output: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    output.push(0x80 | opcode);
    match u16::try_from(payload.len()) {
        Ok(short @ 0..=125) => output.push(short as u8),
        Ok(length) => {
            output.push(126);
            output.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            output.push(127);
            output.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    output.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_come_back_as_they_were_sent() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let payload = vec![b'a'; length];
            let mut sent = Vec::new();
            push_frame(&mut sent, 2, &payload);
            let mut cut = BytesMut::from(&sent[..sent.len() - 1]);
            assert_eq!(take_frame(&mut cut), None, "{length}");
            let mut whole = BytesMut::from(&sent[..]);
            let frame = take_frame(&mut whole).unwrap();
            assert!(frame.opcode == 2 && frame.payload == payload && whole.is_empty(), "{length}");
        }
    }

    #[test]
    fn a_mask_is_taken_off() {
        let mut input = BytesMut::from(&[0x82, 0x83, 1, 2, 3, 4, b'a' ^ 1, b'b' ^ 2, b'c' ^ 3][..]);
        assert_eq!(take_frame(&mut input).unwrap().payload, "abc");
    }

    #[test]
    fn only_the_known_key_is_accepted() {
        let head = format!("GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: {KEY}\r\n\r\n");
        let answer = std::str::from_utf8(accepted(head.as_bytes()).unwrap()).unwrap();
        assert!(answer.contains(ACCEPT));
        assert_eq!(accepted(b"GET / HTTP/1.1\r\n\r\n"), None);
    }
}
