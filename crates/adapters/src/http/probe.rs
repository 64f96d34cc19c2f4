//! Whether an HTTP endpoint is well: it answers a GET as expected, or at least takes a connection.

use std::future::poll_fn;
use std::ops::RangeInclusive;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use model::{Code, Failure};
use wire::body::Next;
use wire::http1::{BodyReader, HeadLimits, ResponseHead, client};
use wire::{Body, Error, Line};

use super::pool::{Pool, Unreached};

/// How much of an answer's body is read.
const READ: usize = 64 * 1024;

/// What is asked, and what passes.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) path: Option<Box<str>>,
    pub(super) expect: RangeInclusive<u16>,
    /// What must stand in the body.
    pub(super) expect_body: Option<Box<str>>,
    /// Whom the endpoint is asked as.
    pub(super) host: Option<Box<str>>,
}

impl Probe {
    /// Asks once, on a connection of its own.
    pub(super) async fn ask(&self, pool: &Pool, timeout: Duration) -> Result<(), Failure> {
        match tokio::time::timeout(timeout, self.exchange(pool)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::service(
                Code::Timeout,
                format!("no answer to the probe within {} ms", timeout.as_millis()),
            )),
        }
    }

    async fn exchange(&self, pool: &Pool) -> Result<(), Failure> {
        let refused =
            |Unreached(error)| Failure::service(Code::BadGateway, format!("cannot connect: {error}"));
        let mut line = pool.line_alone().await.map_err(refused)?;
        let Some(path) = &self.path else { return Ok(()) };
        let own = pool.address().to_string();
        let host = self.host.as_deref().unwrap_or(&own);
        let broken = |error: Error| Failure::service(Code::BadGateway, format!("GET {path}: {error}"));
        say(&mut line, host, path).map_err(broken)?;
        let mut head = ResponseHead::default();
        poll_fn(|cx| poll_head(&mut line, cx, &mut head)).await.map_err(broken)?;
        if !self.expect.contains(&head.status) {
            return Err(Failure::service(Code::BadGateway, format!("GET {path} answered {}", head.status)));
        }
        let Some(wanted) = &self.expect_body else { return Ok(()) };
        let mut search = Search::new(&line, &head, wanted.as_bytes()).map_err(broken)?;
        if poll_fn(|cx| search.poll(cx, &mut line)).await.map_err(broken)? {
            return Ok(());
        }
        let detail = format!("GET {path} answered {} without `{wanted}` in its body", head.status);
        Err(Failure::service(Code::BadGateway, detail))
    }
}

const AGENT: &str = "throome-probe";

fn say(line: &mut Line, host: &str, path: &str) -> Result<(), Error> {
    match line {
        Line::Http1(conn) => {
            conn.outbox.extend_from_slice(
                format!(
                    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {AGENT}\r\nConnection: close\r\n\r\n"
                )
                .as_bytes(),
            );
            Ok(())
        }
        Line::Http2(stream) => {
            let request = http::Request::get(format!("http://{host}{path}"))
                .header("user-agent", AGENT)
                .body(())
                .map_err(|_| Error::Malformed("a path that is none"))?;
            stream.say_request(request, true)
        }
    }
}

fn poll_head(line: &mut Line, cx: &mut Context<'_>, head: &mut ResponseHead) -> Poll<Result<(), Error>> {
    match line {
        Line::Http1(conn) => {
            ready!(conn.poll_flush(cx))?;
            client::poll_head(conn, cx, head, HeadLimits::default(), false)
        }
        Line::Http2(stream) => stream.poll_head(cx, head, HeadLimits::default(), false),
    }
}

/// Looks for a text in the beginning of a body, and reads no further than to where it stands.
struct Search<'w> {
    body: Body,
    wanted: &'w [u8],
    read: Vec<u8>,
}

impl<'w> Search<'w> {
    fn new(line: &Line, head: &ResponseHead, wanted: &'w [u8]) -> Result<Self, Error> {
        let body = match line {
            Line::Http1(_) => Body::Wire(BodyReader::new(head.framing, u64::MAX)?),
            Line::Http2(_) => Body::Stream(u64::MAX),
        };
        Ok(Search { body, wanted, read: Vec::new() })
    }

    /// Whether it is there.
    fn poll(&mut self, cx: &mut Context<'_>, line: &mut Line) -> Poll<Result<bool, Error>> {
        loop {
            let Next::Data(n) = ready!(self.body.poll_next(cx, line, READ))? else {
                return Poll::Ready(Ok(false));
            };
            let taken = n.min(READ - self.read.len());
            // It may stand across what was read before and what has come now.
            let from = (self.read.len() + 1).saturating_sub(self.wanted.len());
            self.read.extend_from_slice(self.body.ready(line, taken));
            self.body.consume(line, taken);
            if self.read[from..].windows(self.wanted.len()).any(|text| text == self.wanted) {
                return Poll::Ready(Ok(true));
            }
            if self.read.len() == READ {
                return Poll::Ready(Ok(false));
            }
        }
    }
}

#[cfg(test)]
mod tests;
