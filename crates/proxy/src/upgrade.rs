//! After a 101: bytes both ways until both have said their last. The connections are never used again.

use clusters::{Attempt, Ending, Outcome, RequestId, Tries};
use model::{Code, Failure};
use tokio::time::Instant;
use wire::http1::tunnel::Tunnel;
use wire::{Error, Line};

use crate::client::Client;
use crate::door::Door;
use crate::respond;

/// Whether the service takes the WebSocket that it was asked for.
pub(crate) fn is_agreed(service: &Line, status: u16) -> bool {
    match service {
        Line::Http1(_) => status == 101,
        Line::Http2(_) => (200..300).contains(&status),
    }
}

/// Switches protocols, as both sides agreed, and passes bytes through. What the client sent before the 101
/// waits in its inbox until now.
pub(crate) async fn tunnel(
    client: &mut Client,
    door: &Door,
    mut service: Line,
    attempt: Attempt,
    tries: Tries,
    id: &RequestId,
) -> Result<(), Failure> {
    // Should the client be gone, the tunnel will find it so.
    let _ = respond::say_switch(client, id);
    client.answering = true;
    client.reusable = false;
    client.request.rest();
    client.response.rest();
    if let Line::Http1(conn) = &mut service {
        conn.outbox = Vec::new();
    }
    // Established: a long life says nothing more of the endpoint's speed or health.
    attempt.end(Outcome::Good);
    let quiet = door.options().limits.stream_timeout;
    let mut tunnel = Tunnel::default();
    let (mut moved, mut progress) = (0, Instant::now());
    let ended = loop {
        client.alarm.set_after(quiet);
        let Client { line, alarm, .. } = &mut *client;
        match alarm.guard(|cx| tunnel.poll(cx, line, &mut service).map(Ok)).await {
            Ok(ended) => break ended,
            Err(_) if tunnel.moved > moved => (moved, progress) = (tunnel.moved, Instant::now()),
            Err(_) => {
                tracing::debug!(request_id = %id, quiet = ?progress.elapsed(), "a quiet tunnel is closed");
                break Ok(());
            }
        }
    };
    match ended {
        Ok(()) => tries.finish(Ending::Success(Some(101))),
        Err((stopped, of_service)) => {
            let ending = match (&stopped.error, of_service) {
                (Error::Io(_), false) => Ending::Cancelled,
                _ => Ending::Failure(Code::BadGateway, Some(101)),
            };
            tries.finish(ending);
        }
    }
    Ok(())
}
