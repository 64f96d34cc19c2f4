//! The history of changes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use clusters::EventFilter;
use model::event::Event;
use serde::Serialize;
use utoipa::ToSchema;

use super::activity::TIME;
use super::json as answer;
use crate::door::{Answer, Door};
use crate::query::Query;

/// A page of changes, the latest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventList {
    /// The changes.
    events: Vec<Event>,
    /// How many this page has.
    count: usize,
    /// `cursor` of the next page; null at the end.
    next_cursor: Option<String>,
}

/// Lists changes of state and configuration
///
/// The latest 20,000 are kept, also over a restart.
#[utoipa::path(get, path = "/api/v1/events", operation_id = "listEvents", tag = "activity",
    params(("cluster" = Option<String>, Query, description = "Only of this cluster."),
        ("service" = Option<String>, Query, description = "Only of this service."),
        ("kind" = Option<String>, Query, description = "Only those that begin so: `breaker.`, `cluster.created`."),
        ("actor" = Option<String>, Query, description = "Only those that this one decided: `api`, `token:NAME`, `probe`, …"),
        ("since" = Option<String>, Query, description = "Only those of then or later; RFC 3339."),
        ("limit" = Option<u32>, Query, description = "Items in a page, 1 to 1000; 100 when left out."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.")),
    responses((status = 200, description = "Changes, the latest first.", body = EventList)))]
pub(crate) async fn list(State(door): State<Arc<Door>>, uri: Uri) -> Answer {
    let mut query = Query::of(&uri);
    let filter = EventFilter {
        cluster: query.text("cluster"),
        service: query.text("service"),
        kind: query.text("kind"),
        actor: query.text("actor"),
        since: query.parse("since", TIME),
        before: query.parse("cursor", "the `next_cursor` of a page"),
    };
    let limit = query.limit();
    query.done()?;
    let (events, next) = door.clusters().event_page(&filter, limit).await;
    let next_cursor = next.map(|next| next.to_string());
    Ok(answer(StatusCode::OK, &EventList { count: events.len(), events, next_cursor }))
}
