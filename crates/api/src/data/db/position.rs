//! How far an engine has come: asked of the server that did the work, so that a later read elsewhere can wait for it.

use std::time::Duration;

use model::{Code, Failure};
use tokio::time::{Instant, timeout_at};

use crate::data::ask::{LAST_WORDS, Seat};
use crate::query::Query;

/// The work is done by then: whoever waits for its answer does not wait for much more.
const LONGEST: Duration = Duration::from_secs(2);

/// Whether a call asks for the position behind it.
pub(super) fn wanted(query: &mut Query<'_>) -> bool {
    query.parse("position", "`true` or `false`").unwrap_or(false)
}

/// What is done in a transaction stands nowhere before that ends.
///
/// # Errors
/// `invalid_request` when the position is asked for all the same.
pub(super) fn not_within(wanted: bool) -> Result<(), Failure> {
    if !wanted {
        return Ok(());
    }
    let detail = "A statement of a transaction has no position: others see what it did when it is committed.";
    Err(Failure::client(Code::InvalidRequest, detail).with_hint("Say `?position=true` with the commit."))
}

/// How far the server there has come. `None` when it cannot say: what was done is done all the same.
pub(super) async fn at(seat: Seat) -> Option<Box<str>> {
    let deadline = Instant::now() + seat.service.tactics.timeout.min(LONGEST);
    let position = seat.endpoint.adapter().sql()?.position(deadline);
    let said = timeout_at(deadline + LAST_WORDS, position).await;
    let failure = match said {
        Ok(Ok(position)) => return Some(position),
        Ok(Err(failure)) => failure,
        Err(_) => Failure::service(Code::Timeout, "It did not say how far it has come."),
    };
    let service = seat.service.path();
    tracing::info!(service, endpoint = %seat.endpoint.label, %failure, "a position is not known");
    None
}
