//! After a 101: bytes both ways until both have said their last. The connections are never used again.

use clusters::{Attempt, Ending, Outcome, RequestId, Tries};
use model::{Code, Failure};
use tokio::time::Instant;
use wire::http1::tunnel::Tunnel;
use wire::{Conn, Error};

use crate::client::Client;
use crate::door::Door;
use crate::respond;

/// Switches protocols, as both sides agreed, and passes bytes through. What the client sent before the 101
/// waits in its inbox until now.
pub(crate) async fn tunnel(
    client: &mut Client,
    door: &Door,
    mut service: Conn,
    attempt: Attempt,
    tries: Tries,
    id: &RequestId,
) -> Result<(), Failure> {
    respond::say_switch(client, id);
    client.answering = true;
    client.reusable = false;
    client.request.rest();
    client.response.rest();
    service.outbox = Vec::new();
    // Established: a long life says nothing more of the endpoint's speed or health.
    attempt.end(Outcome::Good);
    let quiet = door.options().limits.stream_timeout;
    let mut tunnel = Tunnel::default();
    let (mut moved, mut progress) = (0, Instant::now());
    let ended = loop {
        client.alarm.set_after(quiet);
        let Client { conn, alarm, .. } = &mut *client;
        match alarm.guard(|cx| tunnel.poll(cx, conn, &mut service).map(Ok)).await {
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
                (Error::Io(_) | Error::Truncated, false) => Ending::Cancelled,
                _ => Ending::Failure(Code::BadGateway, Some(101)),
            };
            tries.finish(ending);
        }
    }
    Ok(())
}
