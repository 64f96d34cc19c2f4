//! One request of a client, whichever protocol brought it: carried out, and whatever goes wrong with it put into words.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use clusters::RequestId;
use model::{Code, Failure};
use wire::http1::{self, Known};

use crate::client::Client;
use crate::door::Door;
use crate::{answer, handle, respond};

/// A body that nobody will read is read to its end up to this size; a longer one costs the connection.
const DRAINED: u64 = 64 * 1024;
/// How long that may take: a client that waits for its answer before it goes on must not wait for long.
const SHORTLY: Duration = Duration::from_millis(100);

/// What follows a request.
pub(crate) enum Next {
    /// Another, on the same connection.
    Request,
    /// The end, in good order.
    Farewell,
    /// The end in the middle of an answer, which must not be taken for a whole one.
    Cut,
}

/// Carries out one request.
pub(crate) async fn serve_one(client: &mut Client, door: &Door) -> Next {
    let id = RequestId::take_or_make(client.request.fields.all(Known::RequestId).next());
    let result = match door.calls() {
        None => caught(pin!(handle::handle(client, door, &id))).await,
        Some(calls) => caught(pin!(answer::answer(client, door, calls, &id))).await,
    };
    let failure = match result {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure),
        Err(Panicked) => {
            tracing::error!(request_id = %id, "a request panicked; it alone is lost");
            Some(Failure::gateway(Code::Internal, "The gateway failed at this request."))
        }
    };
    if let Some(failure) = failure {
        if client.answering {
            return Next::Cut;
        }
        // What is too large is not read to its end to be told so.
        if failure.code() == Code::TooLarge || !drained(client).await {
            client.reusable = false;
        }
        respond::refuse(client, door, &id, &failure).await;
        return if client.reusable { Next::Request } else { Next::Farewell };
    }
    if client.reusable && drained(client).await { Next::Request } else { Next::Farewell }
}

/// Reads what is left of a body that nobody wants, so that it is not taken for the next request.
pub(crate) async fn drained(client: &mut Client) -> bool {
    if client.upload_is_over() {
        return true;
    }
    if !client.reusable || client.request.expects_continue || client.line.http2().is_some() {
        return false;
    }
    let Client { line, upload, alarm, .. } = client;
    http1::server::drain(line, &mut upload.body, DRAINED, alarm, SHORTLY).await
}

struct Panicked;

/// A panic ends the request that panicked, and nothing else. The work stays where it is: moved in here, it would have its room
/// twice.
async fn caught<T>(mut work: Pin<&mut impl Future<Output = T>>) -> Result<T, Panicked> {
    std::future::poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_caught_and_told() {
        assert!(caught(pin!(async { 1 })).await.is_ok());
        let panics = async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        };
        assert!(caught(pin!(panics)).await.is_err());
    }
}
