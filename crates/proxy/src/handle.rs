//! The walk of a request.

use clusters::{RequestId, Rescue};
use model::Failure;

use crate::admit::{Passage, Refused, Way};
use crate::client::Client;
use crate::door::Door;
use crate::{admit, forward, mirror, relay, respond, websocket};

/// Carries one request from its head to the last byte of its answer. A failure that comes back was not
/// answered yet, unless `client.answering` says so.
pub(crate) async fn handle(client: &mut Client, door: &Door, id: &RequestId) -> Result<(), Failure> {
    let passage = {
        // One frozen world for this request.
        let world = door.clusters().snapshot();
        // The route in it, and how the request is rewritten.
        admit::admit(&world, &client.request, &client.peer, door.options())
    };
    let passage = match passage {
        Ok(passage) => passage,
        Err(Refused { failure, remaining }) => {
            client.remaining = remaining;
            return Err(failure);
        }
    };
    client.remaining = passage.remaining;
    if client.request.upgrade {
        websocket::check_origin(&client.request)?;
    }
    let service = match &passage.way {
        Way::Service(service) => service,
        // The gateway answers by itself.
        Way::Redirect { status, location } => {
            return Box::pin(respond::redirect(client, door, &passage, *status, location, id)).await;
        }
        Way::Fixed => return Box::pin(respond::fixed(client, door, &passage, id)).await,
    };
    // A copy of it, where the route has it so, goes its own way.
    if let Some(mirror) = passage.route.mirror(clusters::seed()) {
        Box::pin(mirror::mirror(client, door, &passage, mirror, id)).await?;
    }
    // The try loop: an endpoint that answers, or the reason why none does.
    let answer = match forward::forward(client, door, &passage, service, id).await {
        Ok(answer) => answer,
        // Rare, and as large as all the rest: an idle connection would hold the room for it.
        Err(failure) => return Box::pin(rescue(client, door, &passage, failure, id)).await,
    };
    // Its head, then its body to the last byte or the break; only then is the outcome settled.
    relay::relay(client, door, &passage, answer, id).await
}

/// What the route has in place of a service that cannot answer; else the failure.
async fn rescue(
    client: &mut Client,
    door: &Door,
    passage: &Passage,
    failure: Failure,
    id: &RequestId,
) -> Result<(), Failure> {
    match passage.route.rescue(&failure, forward::may_repeat(client)) {
        None => Err(failure),
        Some(Rescue::Fixed(fixed)) => respond::fixed_as(client, door, passage, fixed, id).await,
        Some(Rescue::Service(service)) => {
            let answer = forward::forward(client, door, passage, service, id).await?;
            relay::relay(client, door, passage, answer, id).await
        }
    }
}
