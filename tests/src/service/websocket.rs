//! An upgraded connection that sends back what it gets, byte for byte, after a greeting sent along with the 101.
//!
//! The frames of RFC 6455 are the clients' affair: what is tested is that bytes pass through.

use std::io::Read;
use std::net::{Shutdown, TcpStream};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::answer::Next;
use crate::request::{Reader, Request, write};

pub(crate) fn serve(request: &Request, stream: &mut TcpStream, reader: &mut Reader) -> Next {
    let asked = request.field("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
        && request.field("connection").is_some_and(|value| value.to_ascii_lowercase().contains("upgrade"));
    if !asked {
        return write(
            stream,
            "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
        );
    }
    let agreed = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Agreed: yes\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\nhello",
        understood(request.field("sec-websocket-key").unwrap_or_default())
    );
    if write(stream, &agreed) == Next::Close {
        return Next::Close;
    }
    let mut part = [0; 16 * 1024];
    loop {
        match reader.read(&mut part) {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                if write(stream, &part[..count]) == Next::Close {
                    break;
                }
            }
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
    Next::Close
}

/// What proves that the key was understood (RFC 6455 4.2.2).
fn understood(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}
