//! The walk of a request.

use clusters::RequestId;
use model::Failure;

use crate::client::Client;
use crate::door::Door;
use crate::{admit, forward, relay};

/// Carries one request from its head to the last byte of its answer. A failure that comes back was not
/// answered yet, unless `client.answering` says so.
pub(crate) async fn handle(client: &mut Client, door: &Door, id: &RequestId) -> Result<(), Failure> {
    let passage = {
        // One frozen world for this request.
        let world = door.clusters().snapshot();
        // The route in it, and how the request is rewritten.
        admit::admit(&world, &client.request)?
    };
    // The try loop: an endpoint that answers, or the reason why none does.
    let answer = forward::forward(client, door, &passage, id).await?;
    // Its head, then its body to the last byte or the break; only then is the outcome settled.
    relay::relay(client, door, answer, id).await
}
