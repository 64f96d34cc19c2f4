//! Whether an HTTP endpoint is well: it answers a GET as expected, or at least takes a connection.

use std::future::poll_fn;
use std::ops::RangeInclusive;
use std::task::ready;
use std::time::Duration;

use model::{Code, Failure};
use wire::http1::{HeadLimits, ResponseHead, client};

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
        let mut conn = pool.connect().await.map_err(refused)?;
        let Some(path) = &self.path else { return Ok(()) };
        conn.outbox.extend_from_slice(
            format!(
                "GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: throome-probe\r\nConnection: close\r\n\r\n",
                pool.address()
            )
            .as_bytes(),
        );
        let mut head = ResponseHead::default();
        let answer = poll_fn(|cx| {
            ready!(conn.poll_flush(cx))?;
            client::poll_head(&mut conn, cx, &mut head, HeadLimits::default(), false)
        });
        answer.await.map_err(|error| Failure::service(Code::BadGateway, format!("GET {path}: {error}")))?;
        if self.expect.contains(&head.status) {
            Ok(())
        } else {
            Err(Failure::service(Code::BadGateway, format!("GET {path} answered {}", head.status)))
        }
    }
}
