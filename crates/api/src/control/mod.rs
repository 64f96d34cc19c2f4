//! What the control door answers, one file for each kind of thing; and what their handlers share.

pub(crate) mod activity;
pub(crate) mod backups;
pub(crate) mod clusters;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod kinds;
pub(crate) mod later;
pub(crate) mod legacy;
pub(crate) mod live;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod operations;
pub(crate) mod orphans;
pub(crate) mod routes;
pub(crate) mod services;
pub(crate) mod tokens;
pub(crate) mod validate;

use std::future::Future;
use std::sync::Arc;

use ::clusters::RequestId;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{Request, StatusCode};
use model::{Code, Failure};
use serde::Serialize;

use crate::door::{Door, Told};
use crate::guard::{Caller, changes};
use crate::{respond, stream};

/// An answer with a JSON body.
pub(crate) fn json<T: Serialize + ?Sized>(status: StatusCode, body: &T) -> Response {
    respond::json(status, body).map(Body::from)
}

/// Carries a call of the data API from the control door.
pub(crate) async fn carry(
    State(door): State<Arc<Door>>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    head: http::request::Parts,
    body: Bytes,
) -> Response {
    // What comes too late for a stream has been carried out all the same: only what looks can be sent again.
    let looks = !changes(&head.method);
    let response = door.data.call(Request::from_parts(head, body), caller, id).await;
    if !matches!(response.body(), wire::Body::Frames(..)) {
        return response.map(|body| stream::carried(body, None));
    }
    match Arc::clone(&door.streams).try_acquire_owned() {
        Ok(place) => response.map(|body| stream::carried(body, Some(place))),
        Err(_) => {
            let may = if looks { "" } else { " What was asked may have been carried out all the same." };
            let detail = format!("Streams have taken their share of the control door's connections.{may}");
            let failure = Failure::gateway(Code::Overloaded, detail).with_retryable(looks);
            let failure = failure.with_hint("The data door is made for many of them: `data.port` opens it.");
            Told::from(failure).into_response()
        }
    }
}

/// Carries a change through even when its client goes away in the middle of it.
pub(crate) async fn carried_through<T: Send + 'static>(
    change: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    tokio::spawn(change).await.unwrap_or_else(|error| {
        Err(Failure::gateway(Code::Internal, "The change could not be carried out.").with_cause(error))
    })
}

/// One page of a list that is sorted by a unique text, and the cursor of the next.
fn page<T>(
    mut items: Vec<T>,
    id: impl Fn(&T) -> &str,
    cursor: Option<&str>,
    limit: usize,
) -> (Vec<T>, Option<String>) {
    items.sort_by(|a, b| id(a).cmp(id(b)));
    if let Some(cursor) = cursor {
        items.retain(|item| id(item) > cursor);
    }
    cut(items, |last| id(last).to_owned(), limit)
}

/// The first page of what is left of a list, and the cursor of the next: what it says of its last item.
fn cut<T>(mut items: Vec<T>, says: impl Fn(&T) -> String, limit: usize) -> (Vec<T>, Option<String>) {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(says);
    (items, next)
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn pages_follow_each_other_and_end() {
        let all = || ["d", "a", "c", "b", "e"].map(str::to_owned).to_vec();
        let (first, next) = page(all(), |item| item, None, 2);
        assert_eq!((first, next.as_deref()), (vec!["a".to_owned(), "b".to_owned()], Some("b")));
        let (last, next) = page(all(), |item| item, Some("c"), 2);
        assert_eq!((last, next), (vec!["d".to_owned(), "e".to_owned()], None));
    }
}
