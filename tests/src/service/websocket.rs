//! An upgraded connection that sends back what it gets, byte for byte, after a greeting sent along with the 101.
//!
//! The frames of RFC 6455 are the clients' affair: what is tested is that bytes pass through.

use std::io::Read;
use std::net::{Shutdown, TcpStream};

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
    let accept = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Agreed: yes\r\n\r\nhello";
    if write(stream, accept) == Next::Close {
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
