//! Whether an HTTP endpoint is well: it answers a GET as expected, or at least takes a connection.

use std::future::poll_fn;
use std::ops::RangeInclusive;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use model::{Code, Failure};
use wire::http1::framing::Piece;
use wire::http1::{BodyReader, Framing, HeadLimits, ResponseHead, client};
use wire::{Conn, Error};

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
        let mut conn = pool.connect().await.map_err(refused)?;
        let Some(path) = &self.path else { return Ok(()) };
        let own = pool.address().to_string();
        let host = self.host.as_deref().unwrap_or(&own);
        conn.outbox.extend_from_slice(
            format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: throome-probe\r\nConnection: close\r\n\r\n"
            )
            .as_bytes(),
        );
        let mut head = ResponseHead::default();
        let answer = poll_fn(|cx| {
            ready!(conn.poll_flush(cx))?;
            client::poll_head(&mut conn, cx, &mut head, HeadLimits::default(), false)
        });
        let broke = |error: Error| Failure::service(Code::BadGateway, format!("GET {path}: {error}"));
        answer.await.map_err(broke)?;
        if !self.expect.contains(&head.status) {
            return Err(Failure::service(Code::BadGateway, format!("GET {path} answered {}", head.status)));
        }
        let Some(wanted) = &self.expect_body else { return Ok(()) };
        let mut body = Search::new(head.framing, wanted.as_bytes()).map_err(broke)?;
        if poll_fn(|cx| body.poll(cx, &mut conn)).await.map_err(broke)? {
            return Ok(());
        }
        let detail = format!("GET {path} answered {} without `{wanted}` in its body", head.status);
        Err(Failure::service(Code::BadGateway, detail))
    }
}

/// Looks for a text in the beginning of a body, and reads no further than to where it stands.
struct Search<'w> {
    body: BodyReader,
    wanted: &'w [u8],
    read: Vec<u8>,
}

impl<'w> Search<'w> {
    fn new(framing: Framing, wanted: &'w [u8]) -> Result<Self, Error> {
        Ok(Search { body: BodyReader::new(framing, u64::MAX)?, wanted, read: Vec::new() })
    }

    /// Whether it is there.
    fn poll(&mut self, cx: &mut Context<'_>, conn: &mut Conn) -> Poll<Result<bool, Error>> {
        loop {
            match self.body.next(&mut conn.inbox)? {
                Piece::Data(ready) => {
                    let taken = ready.min(READ - self.read.len());
                    // It may stand across what was read before and what has come now.
                    let from = (self.read.len() + 1).saturating_sub(self.wanted.len());
                    self.read.extend_from_slice(&conn.inbox.filled()[..taken]);
                    conn.inbox.consume(taken);
                    self.body.consumed(taken);
                    if self.read[from..].windows(self.wanted.len()).any(|text| text == self.wanted) {
                        return Poll::Ready(Ok(true));
                    }
                    if self.read.len() == READ {
                        return Poll::Ready(Ok(false));
                    }
                }
                Piece::End => return Poll::Ready(Ok(false)),
                Piece::More => {
                    if ready!(conn.poll_fill(cx, READ))? == 0 && !self.body.ends_with_the_connection() {
                        return Poll::Ready(Err(Error::Truncated));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
