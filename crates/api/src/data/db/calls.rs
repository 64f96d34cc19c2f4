//! Statements, alone and in batches.

use http::Response;
use model::{Code, Failure};
use wire::Body;

use super::answer::Beside;
use super::bodies::{BatchBody, QueryBody, StatementBody};
use super::transactions::{Entry, Transactions};
use super::{answer, operations, position, statements};
use crate::body::read;
use crate::data::Answer;
use crate::data::ask::{Operation, Seat, Target};
use crate::query::Query;

/// Runs a statement for its rows
///
/// Rows are objects by column. Whole numbers beyond 2^53 are text, as are decimals; bytes are base64, JSON is
/// nested, times are RFC 3339; `type` of each column tells them apart. A result of more than a megabyte streams
/// as it is found: should it fail on the way, the connection is cut, so that what arrives whole is whole.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/db/query", operation_id = "dbQuery", tag = "db",
    params(("id" = String, Path, description = "The cluster."),
        ("tx" = Option<String>, Query, description = "A transaction to run it in."),
        ("position" = Option<bool>, Query,
            description = "Whether the answer says how far the engine has come, for `after` of a later query."),
        ("service" = Option<String>, Query, description = "The database, where the cluster has several.")),
    request_body(content = ref("#/components/schemas/SqlQuery")),
    responses((status = 200, description = "The rows.", body = ref("#/components/schemas/SqlRows"))))]
pub(crate) async fn query(
    target: &Target<'_>,
    transactions: &Transactions,
    mut query: Query<'_>,
    body: &[u8],
) -> Answer {
    let (tx, wanted) = (query.text("tx"), position::wanted(&mut query));
    query.done()?;
    let (statement, options) = read::<QueryBody<'_>>(body)?.checked()?;
    let Some(tx) = tx else {
        let ask = operations::Query { statement: &statement, options: &options };
        let (rows, held) = target.open(&ask).await?;
        let beside = if wanted { Beside::Position } else { Beside::Nothing };
        let answered = answer::rows(rows, held, beside, target.room).await;
        // It has only looked, and can be sent again.
        return answered.map_err(|failure| match failure.code() {
            Code::Overloaded if options.read_only => failure.with_retryable(true),
            _ => failure,
        });
    };
    position::not_within(wanted)?;
    if options.after.is_some() {
        let detail = "A transaction stays with the server where it began, however far that has come.";
        return Err(Failure::client(Code::InvalidRequest, detail).with_hint("Leave `after` out."));
    }
    within(target, transactions, &tx, async |entry, seat| {
        let ask = statements::Query { entry, statement: &statement, options: &options };
        let (rows, held) = target.ask_at(seat, &ask).await?;
        answer::rows(rows, held, Beside::Transaction(entry.expires_at()), target.room).await
    })
    .await
}

/// Runs a statement for its effect
///
/// It is never run twice.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/db/execute", operation_id = "dbExecute", tag = "db",
    params(("id" = String, Path, description = "The cluster."),
        ("tx" = Option<String>, Query, description = "A transaction to run it in."),
        ("position" = Option<bool>, Query,
            description = "Whether the answer says how far the engine has come, for `after` of a later query."),
        ("service" = Option<String>, Query, description = "The database, where the cluster has several.")),
    request_body(content = ref("#/components/schemas/SqlStatement")),
    responses((status = 200, description = "How many rows it changed.",
        body = ref("#/components/schemas/SqlAffected"))))]
pub(crate) async fn execute(
    target: &Target<'_>,
    transactions: &Transactions,
    mut query: Query<'_>,
    body: &[u8],
) -> Answer {
    let (tx, wanted) = (query.text("tx"), position::wanted(&mut query));
    query.done()?;
    let statement = read::<StatementBody<'_>>(body)?.checked()?;
    let Some(tx) = tx else {
        let (rows, position) = done(target, &operations::Execute { statement: &statement }, wanted).await?;
        return Ok(answer::affected(rows, None, position));
    };
    position::not_within(wanted)?;
    within(target, transactions, &tx, async |entry, seat| {
        let rows = at(target, seat, &statements::Execute { entry, statement: &statement }).await?;
        Ok(answer::affected(rows, Some(entry.expires_at()), None))
    })
    .await
}

/// Runs statements in one transaction, all of them or none
///
/// A statement that has rows answers as `db/query` does, any other as `db/execute`. When one is refused the
/// detail says which, counted from 1.
#[utoipa::path(post, path = "/api/v1/clusters/{id}/db/batch", operation_id = "dbBatch", tag = "db",
    params(("id" = String, Path, description = "The cluster."),
        ("position" = Option<bool>, Query,
            description = "Whether the answer says how far the engine has come, for `after` of a later query."),
        ("service" = Option<String>, Query, description = "The database, where the cluster has several.")),
    request_body(content = ref("#/components/schemas/SqlBatch")),
    responses((status = 200, description = "What each of them gave, in order.",
        body = ref("#/components/schemas/SqlResults"))))]
pub(crate) async fn batch(target: &Target<'_>, mut query: Query<'_>, body: &[u8]) -> Answer {
    let wanted = position::wanted(&mut query);
    query.done()?;
    let (statements, options) = read::<BatchBody<'_>>(body)?.checked()?;
    let ask = operations::Batch { statements: &statements, options };
    let (results, position) = done(target, &ask, wanted).await?;
    answer::batch(results, position, target.room).await
}

/// A position that was asked for; without one in it, the server could not say.
pub(super) type Position = Option<Option<Box<str>>>;

/// Carries out what ends with its answer, and asks the same server how far it has come where that is wanted.
async fn done<O: Operation>(
    target: &Target<'_>,
    ask: &O,
    wanted: bool,
) -> Result<(O::Answer, Position), Failure> {
    if !wanted {
        return Ok((target.ask(ask).await?, None));
    }
    let (answer, held) = target.open(ask).await?;
    let seat = held.seat();
    held.finish();
    Ok((answer, Some(position::at(seat).await)))
}

/// Runs something in a transaction, and forgets the transaction when that was its end.
async fn within(
    target: &Target<'_>,
    transactions: &Transactions,
    tx: &str,
    run: impl AsyncFnOnce(&Entry, &Seat) -> Result<Response<Body>, Failure>,
) -> Answer {
    let (entry, seat) = transactions.find(target, tx)?;
    let answer = run(&entry, &seat).await;
    transactions.forget_ended(tx, &entry);
    answer
}

/// Asks where the transaction is; the answer is whole.
pub(super) async fn at<O: Operation>(
    target: &Target<'_>,
    seat: &Seat,
    ask: &O,
) -> Result<O::Answer, Failure> {
    let (answer, held) = target.ask_at(seat, ask).await?;
    held.finish();
    Ok(answer)
}
