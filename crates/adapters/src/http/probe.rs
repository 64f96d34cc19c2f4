//! Whether an HTTP endpoint is well: it answers a GET as expected, or at least takes a connection.

use std::future::poll_fn;
use std::ops::RangeInclusive;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use model::{Code, Failure};
use wire::http1::{HeadLimits, ResponseHead, client};
use wire::{Error, Line};

use super::pool::{Pool, Unreached};

/// What is asked, and what passes.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) path: Option<Box<str>>,
    pub(super) expect: RangeInclusive<u16>,
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
        let broken = |error: Error| Failure::service(Code::BadGateway, format!("GET {path}: {error}"));
        say(&mut line, pool, path).map_err(broken)?;
        let mut head = ResponseHead::default();
        poll_fn(|cx| poll_head(&mut line, cx, &mut head)).await.map_err(broken)?;
        if self.expect.contains(&head.status) {
            Ok(())
        } else {
            Err(Failure::service(Code::BadGateway, format!("GET {path} answered {}", head.status)))
        }
    }
}

const AGENT: &str = "throome-probe";

fn say(line: &mut Line, pool: &Pool, path: &str) -> Result<(), Error> {
    let host = pool.address();
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
