//! Settling what was delivered.

use bytes::Bytes;
use http::{Response, StatusCode};
use model::Failure;
use serde::Serialize;
use utoipa::ToSchema;

use super::bodies::AckBody;
use super::operations::{Ack, Ask};
use crate::body::read;
use crate::data::ask::Target;
use crate::query::Query;
use crate::respond::json;

#[derive(Serialize, ToSchema)]
#[schema(as = QueueAcknowledged)]
pub(crate) struct Acknowledged {
    /// How many were settled by this call. What was settled before, or is no longer kept, is not counted.
    acknowledged: u64,
    /// What earlier clients look for.
    status: &'static str,
}

/// Settles messages
///
/// `ack`: done with. `nack`: to come again, after a while. `term`: to the dead letters, which are topic
/// `<topic>.dead`. 1 to 10000 in all. A token that is none of this topic and group fails the call, and then nothing is
/// settled.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/queue/ack", operation_id = "queueAck", tag = "queue",
    params(("id" = String, Path, description = "The cluster."),
        ("service" = Option<String>, Query, description = "The queue, where the cluster has several.")),
    request_body(content = ref("#/components/schemas/QueueAck")),
    responses((status = 200, description = "They are settled.", body = Acknowledged)))]
pub(crate) async fn ack(
    target: &Target<'_>,
    query: Query<'_>,
    body: &[u8],
) -> Result<Response<Bytes>, Failure> {
    query.done()?;
    let settlement = read::<AckBody<'_>>(body)?.settlement()?;
    let acknowledged = target.ask(&Ask(Ack(&settlement))).await?;
    Ok(json(StatusCode::OK, &Acknowledged { acknowledged, status: "success" }))
}
