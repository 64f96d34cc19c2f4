//! Whether a gRPC endpoint is well: it answers `grpc.health.v1.Health/Check` with SERVING, or at least takes a connection.

use std::future::poll_fn;
use std::time::Duration;

use http::header::{CONTENT_TYPE, TE};
use model::{Code, Failure};
use wire::body::Next;
use wire::http1::{HeadLimits, ResponseHead};
use wire::http2::Stream;
use wire::{Body, Error, Line};

use crate::http::{Pool, Unreached};

const METHOD: &str = "/grpc.health.v1.Health/Check";
/// An answer is a few bytes.
const MOST: u64 = 1024;

/// Asks once, on a connection of its own.
pub(super) async fn ask(pool: &Pool, name: Option<&str>, timeout: Duration) -> Result<(), Failure> {
    match tokio::time::timeout(timeout, exchange(pool, name)).await {
        Ok(result) => result,
        Err(_) => Err(Failure::service(
            Code::Timeout,
            format!("no answer to the probe within {} ms", timeout.as_millis()),
        )),
    }
}

async fn exchange(pool: &Pool, name: Option<&str>) -> Result<(), Failure> {
    let bad = |detail: String| Failure::service(Code::BadGateway, detail);
    let line = pool.line_alone().await;
    let mut line = line.map_err(|Unreached(error)| bad(format!("cannot connect: {error}")))?;
    let Some(name) = name else { return Ok(()) };
    let checked = match &mut line {
        Line::Http2(stream) => say(stream, pool, name),
        Line::Http1(_) => Err(Error::Malformed("HTTP/1")),
    };
    let broken = |error: Error| bad(format!("{METHOD}: {error}"));
    checked.map_err(broken)?;
    let (status, answer) = answer(&mut line).await.map_err(broken)?;
    match (status.as_deref(), serving(&answer)) {
        (Some("0"), Some(1)) => Ok(()),
        (Some("0"), status) => {
            let word = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"]
                .get(usize::try_from(status.unwrap_or(0)).unwrap_or(usize::MAX))
                .unwrap_or(&"something unknown");
            Err(bad(format!("{METHOD} answered {word}")))
        }
        (Some(status), _) => Err(bad(format!("{METHOD} ended with grpc-status {status}"))),
        (None, _) => Err(bad(format!("{METHOD} ended without a grpc-status"))),
    }
}

/// Says the call whole: a head, and one message.
fn say(stream: &mut Stream, pool: &Pool, name: &str) -> Result<(), Error> {
    let request = http::Request::post(format!("http://{}{METHOD}", pool.address()))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header("user-agent", "throome-probe")
        .body(())
        .map_err(|_| Error::Malformed("a request that cannot be said"))?;
    stream.say_request(request, false)?;
    stream.say_last(question(name).into());
    Ok(())
}

/// `HealthCheckRequest { service = 1 }` in the frame of a message: uncompressed, its length, its bytes.
fn question(name: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !name.is_empty() {
        message.push(0x0a);
        varint(name.len(), &mut message);
        message.extend_from_slice(name.as_bytes());
    }
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(&message);
    frame
}

fn varint(mut number: usize, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or(0));
}

/// The status of a call, and the bytes of its answer.
async fn answer(line: &mut Line) -> Result<(Option<String>, Vec<u8>), Error> {
    let mut head = ResponseHead::default();
    poll_fn(|cx| match line {
        Line::Http2(stream) => stream.poll_head(cx, &mut head, HeadLimits::default(), false),
        Line::Http1(_) => std::task::Poll::Ready(Err(Error::Malformed("HTTP/1"))),
    })
    .await?;
    let (mut body, mut bytes) = (Body::Stream(MOST), Vec::new());
    while let Next::Data(n) = poll_fn(|cx| body.poll_next(cx, line, 0)).await? {
        bytes.extend_from_slice(body.ready(line, n));
        body.consume(line, n);
    }
    let text = String::from_utf8_lossy(body.trailers(line)).to_ascii_lowercase();
    let of_trailers =
        text.lines().find_map(|line| Some(line.strip_prefix("grpc-status:")?.trim().to_owned()));
    let of_head = || head.fields.get("grpc-status").map(|value| String::from_utf8_lossy(value).into_owned());
    Ok((of_trailers.or_else(of_head), bytes))
}

/// `HealthCheckResponse { status = 1 }` out of a message's frame; 0 is left out on the wire.
fn serving(answer: &[u8]) -> Option<u64> {
    let (&compressed, rest) = answer.split_first()?;
    let (length, message) = rest.split_first_chunk::<4>()?;
    if compressed != 0 || usize::try_from(u32::from_be_bytes(*length)).ok()? != message.len() {
        return None;
    }
    match message {
        [] => Some(0),
        [0x08, status, ..] => Some(u64::from(*status)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_protobuf_has_them() {
        assert_eq!(question(""), [0, 0, 0, 0, 0]);
        assert_eq!(question("a.B"), [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
        assert_eq!(question(&"x".repeat(200))[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 1]);
        assert_eq!(serving(&[0, 0, 0, 0, 2, 8, 1]), Some(1));
        assert_eq!(serving(&[0, 0, 0, 0, 0]), Some(0));
        assert_eq!(serving(&[1, 0, 0, 0, 2, 8, 1]), None);
        assert_eq!(serving(&[0, 0, 0]), None);
    }
}
