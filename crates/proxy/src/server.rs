//! The life of a client's HTTP/1 connection: one request after the other, until one side has enough.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use clusters::RequestId;
use model::{Code, Failure};
use wire::http1::{Known, server};
use wire::{Error, http1};

use crate::client::Client;
use crate::door::Door;
use crate::{answer, handle, respond};

/// A body that nobody will read is read to its end up to this size; a longer one costs the connection.
const DRAINED: u64 = 64 * 1024;
/// How long that may take: a client that waits for its answer before it goes on must not wait for long.
const SHORTLY: Duration = Duration::from_millis(100);
/// How long a client that is turned away is listened to.
const PATIENCE: Duration = Duration::from_secs(2);

/// Serves a client until its connection is over.
pub(crate) async fn serve(mut client: Box<Client>, door: &Door) {
    loop {
        let client = &mut *client;
        if next_request(client, door).await.is_err() {
            return;
        }
        match serve_one(client, door).await {
            Next::Request if !door.is_closing() => {}
            // An answer whose end is that of the connection was made to end by a reset; elsewhere one would take
            // away what the client has not read yet.
            Next::Cut if client.conn.socket.resets_on_close() => return,
            Next::Request | Next::Farewell | Next::Cut => {
                return server::linger(&mut client.conn, &mut client.alarm, PATIENCE).await;
            }
        }
    }
}

/// Waits for a request and takes its head. A head that is wrong is answered here, and the connection over.
async fn next_request(client: &mut Client, door: &Door) -> Result<(), ()> {
    let limits = &door.options().limits;
    let Client { conn, request, response, .. } = &mut *client;
    if conn.inbox.is_empty() {
        request.rest();
        response.rest();
        conn.rest();
        client.set_idle(true);
        let waited = server::await_request(&mut client.conn, &mut client.alarm, limits.idle_timeout).await;
        client.set_idle(false);
        waited.map_err(drop)?;
    }
    let Client { conn, alarm, request, .. } = &mut *client;
    let taken = server::read_head(conn, request, limits.head, alarm, limits.head_timeout).await;
    let begun = taken.and_then(|()| client.begin(limits.body));
    match begun {
        Ok(()) => Ok(()),
        Err(Error::Closed | Error::Truncated | Error::Io(_)) => Err(()),
        Err(error) => {
            client.reusable = false;
            let id = RequestId::take_or_make(client.request.fields.all(Known::RequestId).next());
            respond::refuse(client, door, &id, &of_head(&error, door)).await;
            server::linger(&mut client.conn, &mut client.alarm, PATIENCE).await;
            Err(())
        }
    }
}

fn of_head(error: &Error, door: &Door) -> Failure {
    match error {
        Error::HeadTooLarge => {
            Failure::client(Code::HeadersTooLarge, "The head of the request is too large.")
                .with_hint("`proxy.limits.head` and `proxy.limits.headers` set how large it may be.")
        }
        Error::BodyTooLarge => respond::body_too_large(door.options().body_setting),
        Error::TimedOut => {
            Failure::client(Code::RequestTimeout, "The head of the request did not arrive in time.")
        }
        other => {
            Failure::client(Code::InvalidRequest, format!("The request is not valid HTTP/1.1: {other}."))
        }
    }
}

/// What follows a request.
enum Next {
    /// Another, on the same connection.
    Request,
    /// The end, in good order.
    Farewell,
    /// The end in the middle of an answer, which must not be taken for a whole one.
    Cut,
}

/// Carries out one request.
async fn serve_one(client: &mut Client, door: &Door) -> Next {
    let id = RequestId::take_or_make(client.request.fields.all(Known::RequestId).next());
    let result = match door.calls() {
        None => caught(handle::handle(client, door, &id)).await,
        Some(calls) => caught(answer::answer(client, door, calls, &id)).await,
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
async fn drained(client: &mut Client) -> bool {
    if client.upload_is_over() {
        return true;
    }
    if !client.reusable || client.request.expects_continue {
        return false;
    }
    http1::server::drain(&mut client.conn, &mut client.upload.body, DRAINED, &mut client.alarm, SHORTLY).await
}

struct Panicked;

/// A panic ends the request that panicked, and nothing else.
async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut work = pin!(work);
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
        assert!(caught(async { 1 }).await.is_ok());
        let panics = async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        };
        assert!(caught(panics).await.is_err());
    }
}
