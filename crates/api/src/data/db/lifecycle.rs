//! The beginning of a transaction, and its two ends.

use bytes::Bytes;
use http::{Response, StatusCode};
use model::Failure;
use serde::Serialize;
use utoipa::ToSchema;

use super::bodies::{BeginBody, NoBody};
use super::calls::{Position, at};
use super::operations::Begin;
use super::position;
use super::statements::{Commit, Rollback};
use super::transactions::{Limits, Transactions};
use crate::body::read_or_default;
use crate::data::ask::Target;
use crate::query::Query;
use crate::respond::json;

type Answer = Result<Response<Bytes>, Failure>;

#[derive(Serialize, ToSchema)]
#[schema(as = SqlTransactionBegun)]
pub(crate) struct Open<'a> {
    /// What `?tx=` of later calls says. Whoever knows it can use the transaction.
    tx: &'a str,
    /// When it is rolled back if nothing runs in it until then. Each call moves it, up to the end of the longest time that
    /// a transaction may be open, and says so.
    #[schema(value_type = String, format = DateTime)]
    expires_at: jiff::Timestamp,
}

/// Begins a transaction
///
/// `?tx=` on `db/query` and `db/execute` runs statements in it, one at a time: another waits for its turn, and
/// is `busy` when that does not come in time. Left idle it is rolled back, and so it is when a client goes away
/// while its statement runs, and a minute after it began, whatever runs in it then. Some engines let one transaction write at a time: others wait meanwhile.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/db/transactions", operation_id = "dbBegin", tag = "db",
    params(("id" = String, Path, description = "The cluster."),
        ("service" = Option<String>, Query, description = "The database, where the cluster has several.")),
    request_body(content = ref("#/components/schemas/SqlTransaction")),
    responses((status = 201, description = "It is open.", body = Open)))]
pub(crate) async fn begin(
    target: &Target<'_>,
    transactions: &Transactions,
    query: Query<'_>,
    body: &[u8],
) -> Answer {
    query.done()?;
    let (options, idle) = read_or_default::<BeginBody<'_>>(body)?.checked()?;
    let room = transactions.room()?;
    let (begun, held) = target.open(&Begin { options }).await?;
    // It keeps others waiting: what the service allows can be shortened and not stretched.
    let idle_limit = idle.map_or(begun.idle_limit, |idle| idle.min(begun.idle_limit));
    let limits = Limits { idle: idle_limit, life: begun.life_limit };
    let (tx, entry) = transactions.keep(target, begun.transaction, held.opened(), limits, room)?;
    Ok(json(StatusCode::CREATED, &Open { tx: &tx, expires_at: entry.expires_at() }))
}

#[derive(Serialize, ToSchema)]
#[schema(as = SqlTransactionEnded)]
pub(crate) struct Ended<'a> {
    tx: &'a str,
    /// `committed` or `rolled_back`.
    status: &'static str,
    /// How far the engine has come, where that was asked for; null where it could not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    position: Position,
}

/// Ends a transaction and keeps what it did
///
/// It is over afterwards, also when this fails: what it did is then undone, unless the answer is lost or late.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/db/transactions/{tx}/commit", operation_id = "dbCommit",
    tag = "db",
    params(("id" = String, Path, description = "The cluster."),
        ("tx" = String, Path, description = "The transaction."),
        ("position" = Option<bool>, Query,
            description = "Whether the answer says how far the engine has come, for `after` of a later query."),
        ("service" = Option<String>, Query, description = "The database, where the cluster has several.")),
    responses((status = 200, description = "It is kept.", body = Ended),
        (status = 404, description = "`transaction_ended`: it was committed, rolled back, idle for too long, or open for too long.",
            body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn commit(
    target: &Target<'_>,
    transactions: &Transactions,
    mut query: Query<'_>,
    body: &[u8],
    tx: &str,
) -> Answer {
    let wanted = position::wanted(&mut query);
    query.done()?;
    read_or_default::<NoBody>(body)?;
    let (entry, seat) = transactions.find(target, tx)?;
    let committed = at(target, &seat, &Commit { entry: &entry }).await;
    transactions.forget_ended(tx, &entry);
    committed?;
    let position = if wanted { Some(position::at(seat).await) } else { None };
    Ok(json(StatusCode::OK, &Ended { tx, status: "committed", position }))
}

/// Ends a transaction and undoes what it did
#[utoipa::path(post, path = "/api/v1/clusters/{id}/db/transactions/{tx}/rollback", operation_id = "dbRollback",
    tag = "db",
    params(("id" = String, Path, description = "The cluster."),
        ("tx" = String, Path, description = "The transaction."),
        ("service" = Option<String>, Query, description = "The database, where the cluster has several.")),
    responses((status = 200, description = "It is undone.", body = Ended),
        (status = 404, description = "`transaction_ended`: it was committed, rolled back, idle for too long, or open for too long.",
            body = ref("#/components/schemas/ProblemDocument"), content_type = "application/problem+json")))]
pub(crate) async fn rollback(
    target: &Target<'_>,
    transactions: &Transactions,
    query: Query<'_>,
    body: &[u8],
    tx: &str,
) -> Answer {
    query.done()?;
    read_or_default::<NoBody>(body)?;
    let (entry, seat) = transactions.find(target, tx)?;
    let rolled_back = at(target, &seat, &Rollback { entry: &entry }).await;
    transactions.forget_ended(tx, &entry);
    rolled_back.map(|()| json(StatusCode::OK, &Ended { tx, status: "rolled_back", position: None }))
}
