//! What is answered: by the path, or by the mode for the paths of load.

use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::mode::Mode;
use crate::request::{Reader, Request, write};
use crate::{reset, websocket};

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Stay,
    Close,
}

/// The length of an answer under load.
pub(crate) const LOAD: usize = 2_048;

/// What is said before the body is read.
pub(crate) fn before_body(request: &Request, stream: &mut TcpStream) -> Next {
    if request.field("expect").is_some() {
        if request.path() == "/refuse" {
            write(
                stream,
                "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
            return Next::Close;
        }
        return write(stream, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    if request.path() == "/early" {
        // An answer before the body was read, and no more interest in it.
        write(stream, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        std::thread::sleep(Duration::from_millis(300));
        return Next::Close;
    }
    Next::Stay
}

pub(crate) fn answer(
    request: &Request,
    name: &str,
    mode: Mode,
    stream: &mut TcpStream,
    reader: &mut Reader,
) -> Next {
    match request.path() {
        "/healthz" if mode == Mode::Sick => write(stream, "HTTP/1.1 500 Sick\r\nContent-Length: 0\r\n\r\n"),
        "/healthz" => write(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        "/load" => load(request, name, mode, stream),
        "/bytes" => bytes(request, stream),
        "/chunks" => chunks(request, stream),
        "/until-close" => {
            write(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end");
            Next::Close
        }
        "/until-reset" => {
            write(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the");
            std::thread::sleep(Duration::from_millis(50));
            reset(stream);
            Next::Close
        }
        "/status" => status(request, stream),
        "/hints" => {
            write(stream, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
            std::thread::sleep(Duration::from_millis(50));
            echo(request, name, stream)
        }
        "/hop-by-hop" => write(
            stream,
            "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Kept: yes\r\n\
             Proxy-Authenticate: none\r\nContent-Length: 2\r\n\r\nok",
        ),
        "/events" => events(request, stream),
        "/ws" => websocket::serve(request, stream, reader),
        "/slow" => {
            std::thread::sleep(Duration::from_millis(request.param("ms").unwrap_or(1_000)));
            echo(request, name, stream)
        }
        _ => echo(request, name, stream),
    }
}

/// The request, as it arrived.
fn echo(request: &Request, name: &str, stream: &mut TcpStream) -> Next {
    let body = &request.body;
    let pairs = |fields: &[(String, String)]| -> Vec<Value> {
        fields.iter().map(|(name, value)| json!([name, value])).collect()
    };
    let answer = json!({
        "service": name,
        "method": request.method,
        "target": request.target,
        "fields": pairs(&request.fields),
        "length": body.length,
        "sum": body.sum,
        "body": String::from_utf8_lossy(&body.begin),
        "trailers": pairs(&body.trailers),
    })
    .to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Service: {name}\r\nContent-Length: {}\r\n\r\n",
        answer.len()
    );
    write(stream, if request.method == "HEAD" { head } else { head + &answer })
}

/// An answer whose every byte the load knows: the id over and over.
fn load(request: &Request, name: &str, mode: Mode, stream: &mut TcpStream) -> Next {
    let id = format!("{} ", request.id());
    let body = id.repeat(LOAD / id.len() + 1)[..LOAD].to_owned();
    let head = |length: usize| {
        format!(
            "HTTP/1.1 200 OK\r\nX-Service: {name}\r\nX-Shot: {}\r\nContent-Length: {length}\r\n\r\n",
            request.id()
        )
    };
    let half = format!("{}{}", head(LOAD), &body[..LOAD / 2]);
    match mode {
        Mode::Normal | Mode::Sick | Mode::Impatient | Mode::ResetOnAccept => {
            write(stream, head(LOAD) + &body)
        }
        Mode::ResetInBody => {
            write(stream, half);
            std::thread::sleep(Duration::from_millis(5));
            reset(stream);
            Next::Close
        }
        Mode::CloseInBody => {
            write(stream, half);
            Next::Close
        }
        Mode::CloseInChunks => {
            write(
                stream,
                format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n{}", &body[..LOAD / 2]),
            );
            Next::Close
        }
        Mode::Trickle => trickle(&head(LOAD), body.as_bytes(), stream),
        Mode::Short => write(stream, format!("{}{}", head(LOAD), &body[..LOAD - 100])),
        Mode::Long => {
            let stranger = "HTTP/1.1 200 OK\r\nX-Stranger: yes\r\nContent-Length: 8\r\n\r\nstranger";
            write(stream, head(LOAD) + &body + stranger)
        }
        Mode::Eat => Next::Close,
        Mode::Fail => write(stream, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 6\r\n\r\nfailed"),
        Mode::Late => {
            std::thread::sleep(Duration::from_secs(2));
            write(stream, head(LOAD) + &body)
        }
        Mode::Slow => {
            std::thread::sleep(Duration::from_millis(50));
            write(stream, head(LOAD) + &body)
        }
        Mode::HalfClose => {
            let _ = stream.shutdown(Shutdown::Write);
            std::thread::sleep(Duration::from_secs(2));
            Next::Close
        }
        Mode::Garbage => {
            write(stream, "It is a lovely day, is it not?\r\n\r\n");
            Next::Close
        }
    }
}

fn trickle(head: &str, body: &[u8], stream: &mut TcpStream) -> Next {
    let mut next = write(stream, head);
    for part in body.chunks(10) {
        if next == Next::Close {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
        next = write(stream, part);
    }
    next
}

/// `n` bytes of known length, in parts with pauses of `ms` between them when it is said.
fn bytes(request: &Request, stream: &mut TcpStream) -> Next {
    let count = request.param("n").unwrap_or(0);
    let mut next = write(stream, format!("HTTP/1.1 200 OK\r\nContent-Length: {count}\r\n\r\n"));
    let part = [b'x'; 64 * 1024];
    let mut left = count;
    while left > 0 && next == Next::Stay && request.method != "HEAD" {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(part.len());
        next = write(stream, &part[..most]);
        left -= most as u64;
        if let Some(pause) = request.param("ms") {
            std::thread::sleep(Duration::from_millis(pause));
        }
    }
    next
}

/// `n` chunks and a trailer.
fn chunks(request: &Request, stream: &mut TcpStream) -> Next {
    let mut next = write(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n");
    for number in 0..request.param("n").unwrap_or(3) {
        if next == Next::Stay {
            let chunk = format!("chunk {number}\n");
            next = write(stream, format!("{:x}\r\n{chunk}\r\n", chunk.len()));
            std::thread::sleep(Duration::from_millis(request.param("ms").unwrap_or(0)));
        }
    }
    if next == Next::Stay { write(stream, "0\r\nX-Sum: 42\r\n\r\n") } else { next }
}

fn status(request: &Request, stream: &mut TcpStream) -> Next {
    let status = request.param("code").unwrap_or(200);
    let head = match status {
        204 | 304 => format!("HTTP/1.1 {status} Nothing\r\nETag: \"1\"\r\n\r\n"),
        _ => format!("HTTP/1.1 {status} Something\r\nContent-Length: 4\r\n\r\nbody"),
    };
    write(stream, head)
}

/// Events, each sent only `ms` after the one before; `n` of them.
fn events(request: &Request, stream: &mut TcpStream) -> Next {
    let mut next = write(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    for number in 0..request.param("n").unwrap_or(3) {
        if number > 0 {
            std::thread::sleep(Duration::from_millis(request.param("ms").unwrap_or(500)));
        }
        if next == Next::Stay {
            let event = format!("id: {number}\ndata: event {number}\n\n");
            next = write(stream, format!("{:x}\r\n{event}\r\n", event.len()));
        }
    }
    if next == Next::Stay { write(stream, "0\r\n\r\n") } else { next }
}
