//! Operations: listed, shown, followed to their end, cancelled.

use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::Response;
use bytes::Bytes;
use clusters::{Begun, By, OperationChanges, OperationFilter};
use model::Failure;
use model::view::{Operation, OperationStatus, OperationStep};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Interval;
use utoipa::ToSchema;

use super::clusters::{accepted, prefers_not_to_wait};
use super::{carried_through, json as answer};
use crate::door::{Answer, Door};
use crate::guard::Open;
use crate::query::Query;
use crate::respond;
use crate::stream::{self, HEARTBEAT, Pieces, RECHECK, every};

/// A page of operations, the latest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct OperationList {
    /// The operations.
    #[schema(value_type = Vec<Operation>)]
    operations: Vec<Arc<Operation>>,
    /// How many this page has.
    count: usize,
    /// `cursor` of the next page; null at the end.
    next_cursor: Option<String>,
}

/// The data of one event; for the OpenAPI document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "each event has one of them as its data")]
pub(crate) struct OperationEvent {
    /// Of an event `operation` or `end`.
    operation: Option<Operation>,
    /// Of an event `step`.
    step: Option<OperationStep>,
}

/// What begins an operation.
pub(crate) type Begins = Pin<Box<dyn Future<Output = Result<Begun, Failure>> + Send>>;

/// Begins, and waits for the end unless that is not wanted.
pub(crate) async fn carry(head: &Parts, begin: Begins) -> Answer {
    let waits = !prefers_not_to_wait(&head.headers);
    let done = carried_through(async move {
        let begun = begin.await?;
        if waits {
            return begun.carry().await;
        }
        let operation = begun.operation();
        // How it ends is the operation's to tell.
        tokio::spawn(async move { drop(begun.carry().await) });
        Ok(operation)
    });
    let operation = done.await?;
    Ok(if waits { answer(StatusCode::OK, &*operation) } else { accepted(&operation) })
}

/// Lists operations
///
/// Changes that take a while. The newest 1,000 are kept, also over a restart.
#[utoipa::path(get, path = "/api/v1/operations", operation_id = "listOperations", tag = "operations",
    params(("cluster" = Option<String>, Query, description = "Only of this cluster."),
        ("status" = Option<String>, Query, description = "Only those that are `running`, `succeeded`, `failed` or `canceled`."),
        ("limit" = Option<u32>, Query, description = "Items in a page, 1 to 1000; 100 when left out."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.")),
    responses((status = 200, description = "Operations, the latest first.", body = OperationList)))]
pub(crate) async fn list(State(door): State<Arc<Door>>, uri: Uri) -> Answer {
    let mut query = Query::of(&uri);
    let (cluster, before) = (query.text("cluster"), query.text("cursor"));
    let status = query.text("status").and_then(|word| {
        let status = OperationStatus::of(&word);
        if status.is_none() {
            let words = OperationStatus::ALL.map(|status| format!("`{}`", status.name())).join(", ");
            query.fault("status", &format!("must be one of {words}, not `{word}`"));
        }
        status
    });
    let limit = query.limit();
    query.done()?;
    let filter = OperationFilter { cluster, status, before };
    let (operations, next_cursor) = door.clusters().operations().list(&filter, limit).await;
    Ok(answer(StatusCode::OK, &OperationList { count: operations.len(), operations, next_cursor }))
}

/// Shows an operation
#[utoipa::path(get, path = "/api/v1/operations/{id}", operation_id = "getOperation", tag = "operations",
    params(("id" = String, Path, description = "The operation.")),
    responses((status = 200, description = "It as it is now.", body = Operation)))]
pub(crate) async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, uri: Uri) -> Answer {
    Query::of(&uri).done()?;
    Ok(answer(StatusCode::OK, &*door.clusters().operations().get(&id).await?))
}

/// Cancels an operation
///
/// What it has made is undone; it has ended when its `status` says so. Twice is the same as once; after its end it is 409
/// `conflict`.
#[utoipa::path(delete, path = "/api/v1/operations/{id}", operation_id = "cancelOperation", tag = "operations",
    params(("id" = String, Path, description = "The operation.")),
    responses((status = 202, description = "It as it is now, on its way to its end.", body = Operation)))]
pub(crate) async fn cancel(
    State(door): State<Arc<Door>>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
    uri: Uri,
) -> Answer {
    Query::of(&uri).done()?;
    let operations = door.clusters().operations().clone();
    let canceled = carried_through(async move { operations.cancel(&id, &by).await }).await?;
    Ok(answer(StatusCode::ACCEPTED, &*canceled))
}

/// Follows an operation
///
/// Server-sent events. The first is `operation`: all of it as it is. Then comes `step` for each step that has changed, ten
/// times a second at most, and `operation` again where something else has. The last is `end`: all of it as it has ended.
/// Whoever comes back is told all of it again. A comment comes each ten seconds.
#[utoipa::path(get, path = "/api/v1/operations/{id}/events", operation_id = "followOperation", tag = "operations",
    params(("id" = String, Path, description = "The operation.")),
    responses((status = 200, description = "Events, until the operation ends. The data of each is Operation or \
        OperationStep as JSON, which of them the event's name says.",
        body = OperationEvent, content_type = "text/event-stream")))]
pub(crate) async fn events(State(door): State<Arc<Door>>, Path(id): Path<String>, head: Parts) -> Answer {
    Query::of(&head.uri).done()?;
    let changes = door.clusters().operations().follow(&id).await?;
    let place = door.place_among_streams("Ask for the operation now and then instead.")?;
    let stream = Stream {
        changes,
        told: None,
        last: 0,
        heartbeat: every(HEARTBEAT),
        recheck: every(RECHECK),
        closing: door.closed(),
        head,
        door,
        _place: place,
    };
    let kind = HeaderValue::from_static("text/event-stream");
    let mut response: Response =
        respond::with(StatusCode::OK, kind, Bytes::new()).map(|_| stream::in_pieces(stream));
    // Proxies that gather answers would hold events back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// A client that follows, and what it has been told.
struct Stream {
    changes: OperationChanges,
    told: Option<Arc<Operation>>,
    /// The number of the last event.
    last: u64,
    heartbeat: Interval,
    recheck: Interval,
    closing: watch::Receiver<bool>,
    /// What the client asked with, for the guard.
    head: Parts,
    door: Arc<Door>,
    _place: OwnedSemaphorePermit,
}

impl Pieces for Stream {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if self.told.as_ref().is_some_and(|told| told.has_ended()) {
            return None;
        }
        let mut text = String::new();
        while text.is_empty() {
            let Stream { closing, changes, heartbeat, recheck, .. } = &mut self;
            let closed = async { drop(closing.wait_for(|closing| *closing).await) };
            let next = tokio::select! {
                biased;
                () = closed => return None,
                _ = recheck.tick() => {
                    self.door.options.guard.check(&self.head, Open::No).ok()?;
                    continue;
                }
                next = changes.next() => Some(next?),
                _ = heartbeat.tick() => changes.now(),
            };
            match next {
                Some(next) => self.tell(&mut text, next),
                None => text.push_str(": still here\n\n"),
            }
        }
        self.heartbeat.reset();
        Some((text.into(), self))
    }
}

impl Stream {
    /// What is new, in events.
    fn tell(&mut self, text: &mut String, now: Arc<Operation>) {
        match self.told.take() {
            Some(_) if now.has_ended() => {}
            Some(told) if same_but_for_steps(&told, &now) => {
                // Steps are never taken away, and those that come stand behind the others.
                for (at, step) in now.steps.iter().enumerate() {
                    if told.steps.get(at) != Some(step) {
                        self.event(text, "step", step);
                    }
                }
            }
            _ => self.event(text, "operation", &*now),
        }
        if now.has_ended() {
            self.event(text, "end", &*now);
        }
        self.told = Some(now);
    }

    fn event(&mut self, text: &mut String, name: &str, data: &impl Serialize) {
        self.last += 1;
        // Views have no keys but texts, and writing into a text cannot fail.
        let data = serde_json::to_string(data).unwrap_or_default();
        let _ = write!(text, "id: {}\nevent: {name}\ndata: {data}\n\n", self.last);
    }
}

fn same_but_for_steps(a: &Operation, b: &Operation) -> bool {
    (a.status, a.canceling, a.steps.len() <= b.steps.len()) == (b.status, b.canceling, true)
}
