//! Calls that run SQL: statements, batches, transactions.

// What a request says.
mod arguments;
pub(crate) mod bodies;

// What it asks, and what may be written down of it.
mod operations;
mod shape;

// Transactions under way, and what runs in them.
mod statements;
mod transactions;

// What it answers.
mod answer;
pub(crate) mod calls;
pub(crate) mod lifecycle;
mod position;

use bytes::Bytes;
use http::Response;
use model::Failure;

use crate::data::ask::Target;
use crate::data::{Answer, Call};
use crate::query::Query;
pub(crate) use lifecycle::begin;
pub(in crate::data) use operations::shape_of;
pub(crate) use transactions::Transactions;

/// A statement, or a batch of them.
pub(super) async fn run(
    target: &Target<'_>,
    transactions: &Transactions,
    call: Call,
    query: Query<'_>,
    body: &[u8],
) -> Answer {
    match call {
        Call::Query => calls::query(target, transactions, query, body).await,
        Call::Execute => calls::execute(target, transactions, query, body).await,
        _ => calls::batch(target, query, body).await,
    }
}

/// The end of a transaction; `keep` says which.
pub(crate) async fn end(
    target: &Target<'_>,
    transactions: &Transactions,
    query: Query<'_>,
    body: &[u8],
    tx: &str,
    keep: bool,
) -> Result<Response<Bytes>, Failure> {
    if keep {
        lifecycle::commit(target, transactions, query, body, tx).await
    } else {
        lifecycle::rollback(target, transactions, query, body, tx).await
    }
}
