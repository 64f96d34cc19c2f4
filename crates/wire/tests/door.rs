//! The least that is a door: takes requests with the codec and carries them to one service. Stands in for
//! the traffic door, so that the corpus can be run where the codec lives.

use std::net::SocketAddr;
use std::time::Duration;

use throome_wire::http1::client::poll_head;
use throome_wire::http1::fields::HOP_BY_HOP;
use throome_wire::http1::framing::BodyReader;
use throome_wire::http1::server::{await_request, linger, read_head};
use throome_wire::http1::target::check_path;
use throome_wire::http1::{BodyWriter, Framing, HeadLimits, Known, Mask, Pump, RequestHead, ResponseHead};
use throome_wire::{Alarm, Body, Conn, Error, Line, Side, Socket};

use crate::support::conn;

/// Nothing here takes as long; what does is a mistake.
const PATIENCE: Duration = Duration::from_secs(5);
const MOST_BODY: u64 = 1024 * 1024;
/// The fields that the door says for itself.
const OWN: Mask = Mask::of(&[Known::Forwarded, Known::XForwardedFor, Known::RequestId, Known::ClientCert]);

/// Opens a door to the service, on a thread of its own that lasts as long as the tests.
pub(crate) fn open(service: SocketAddr) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        crate::support::runtime().block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(Conn::new(Socket::new(stream)).into(), service));
            }
        });
    });
    address
}

async fn serve(mut client: Line, service: SocketAddr) {
    let mut alarm = Alarm::default();
    let mut head = RequestHead::default();
    loop {
        if await_request(conn(&mut client), &mut alarm, PATIENCE).await.is_err() {
            return;
        }
        let read = read_head(conn(&mut client), &mut head, HeadLimits::default(), &mut alarm, PATIENCE).await;
        let handled = match read {
            Ok(()) => handle(&mut client, &mut head, &mut alarm, service).await,
            Err(error) => Err(error),
        };
        match handled {
            Ok(true) => {}
            Ok(false) => return linger(conn(&mut client), &mut alarm, PATIENCE).await,
            Err(error) => {
                let status = match error {
                    Error::Malformed(_) | Error::Unsayable | Error::Reset(_) | Error::Refused => {
                        "400 Bad Request"
                    }
                    Error::HeadTooLarge => "431 Request Header Fields Too Large",
                    Error::BodyTooLarge => "413 Content Too Large",
                    Error::TimedOut | Error::Trickle => "408 Request Timeout",
                    Error::Closed | Error::Truncated | Error::Io(_) => return,
                };
                refuse(&mut client, status);
                return linger(conn(&mut client), &mut alarm, PATIENCE).await;
            }
        }
    }
}

fn refuse(client: &mut Line, status: &str) {
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    conn(client).outbox.extend_from_slice(answer.as_bytes());
}

/// Carries one request and its answer; says whether the connection takes another.
async fn handle(
    client: &mut Line,
    head: &mut RequestHead,
    alarm: &mut Alarm,
    service: SocketAddr,
) -> Result<bool, Error> {
    check_path(head.path()).map_err(Error::Malformed)?;
    let Some(host) = head.host().map(str::to_owned) else {
        return Err(Error::Malformed("no host to route by"));
    };
    if head.path() == "*" {
        refuse(client, "404 Not Found");
        return Ok(false);
    }
    let mut upstream = Line::from(Conn::new(Socket::connect(&[service]).await?));
    // A request that is not carried to its end must not look like one that is.
    conn(&mut upstream).socket.reset_on_close(true);
    say(head, &host, &mut conn(&mut upstream).outbox);
    let (framing, keep) = (head.framing, head.keep_alive);
    if head.expects_continue {
        conn(client).outbox.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        alarm.set_after(PATIENCE);
        alarm.guard(|cx| client.poll_flush(cx)).await?;
    }
    let writer = if framing == Framing::Chunked { BodyWriter::Chunked } else { BodyWriter::Plain };
    let mut up = Pump::new(Body::Wire(BodyReader::new(framing, MOST_BODY)?), writer);
    alarm.set_after(PATIENCE);
    let carried = alarm.guard(|cx| match up.poll(cx, client, &mut upstream) {
        std::task::Poll::Ready(Err(broken)) if broken.side == Side::Source => {
            std::task::Poll::Ready(Err(broken.error))
        }
        other => other.map(|done| done.map_err(|_| Error::Truncated)),
    });
    carried.await?;
    answer(client, &mut upstream, head.method() == "HEAD", keep, alarm).await?;
    Ok(keep)
}

/// Says a request's head to the service.
fn say(head: &RequestHead, host: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(
        format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", head.method(), head.path_and_query()).as_bytes(),
    );
    head.fields.write(HOP_BY_HOP.and(OWN).and(Mask::of(&[Known::Host, Known::Expect])), out);
    if head.framing == Framing::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    let own = format!(
        "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: {host}\r\n\
         Forwarded: for=127.0.0.1;host=\"{host}\";proto=http\r\nX-Request-Id: 1\r\n\r\n"
    );
    out.extend_from_slice(own.as_bytes());
}

async fn answer(
    client: &mut Line,
    upstream: &mut Line,
    to_head: bool,
    keep: bool,
    alarm: &mut Alarm,
) -> Result<(), Error> {
    let mut head = ResponseHead::default();
    alarm.set_after(PATIENCE);
    alarm.guard(|cx| poll_head(conn(upstream), cx, &mut head, HeadLimits::default(), to_head)).await?;
    conn(client).outbox.extend_from_slice(format!("HTTP/1.1 {} OK\r\n", head.status).as_bytes());
    head.fields.write(HOP_BY_HOP, &mut conn(client).outbox);
    conn(client).outbox.extend_from_slice(if keep { b"\r\n" } else { b"Connection: close\r\n\r\n" });
    let mut down = Pump::new(Body::Wire(BodyReader::new(head.framing, u64::MAX)?), BodyWriter::Plain);
    alarm.set_after(PATIENCE);
    alarm.guard(|cx| down.poll(cx, upstream, client).map_err(|broken| broken.error)).await
}
