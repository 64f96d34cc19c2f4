//! The live stream as server-sent events: a snapshot, then numbered deltas.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::Response;
use bytes::Bytes;
use clusters::{Following, Next, Piece, Subscription};
use model::Failure;
use model::live::{LiveDelta, LiveSnapshot, Topic};
use model::suggest::nearest;
use tokio::sync::watch;
use tokio::time::Interval;
use utoipa::ToSchema;

use crate::door::{Answer, Door};
use crate::guard::Open;
use crate::query::Query;
use crate::respond;
use crate::stream::{self, HEARTBEAT, Pieces, RECHECK, every};

/// Bytes of a snapshot that are put into one frame: whoever reads slowly holds no more than this of its own.
const PIECE: usize = 16 << 10;

/// What is followed when nothing is said.
const USUAL: [Topic; 4] = [Topic::Clusters, Topic::Services, Topic::Routes, Topic::Events];

/// The data of one event; for the OpenAPI document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the texts are made in `clusters`, from what everybody shares")]
pub(crate) struct LiveEvent {
    /// Of an event `snapshot`.
    snapshot: Option<LiveSnapshot>,
    /// Of an event `delta`.
    delta: Option<LiveDelta>,
}

/// Follows what happens
///
/// Server-sent events. The first is `snapshot`: the topics as they are. Then `delta` after `delta`: `put` and
/// `remove` of things by their key, `append` of what happened. The `id` of an event, sent as `Last-Event-ID` (or
/// `?last_event_id=`), goes on from there; when what followed is not known any more, and whenever a client has fallen
/// too far behind, another `snapshot` says everything anew. A comment comes each ten seconds. Load and latency of
/// endpoints, and `metrics`, are compared once a second, the rest ten times. Of operations at most 2,000 a second are
/// on the stream; `skipped` counts the others.
#[utoipa::path(get, path = "/api/v1/live", operation_id = "live", tag = "activity",
    params(
        ("topics" = Option<String>, Query, description = "Separated by commas: `clusters`, `services`, `routes`, \
            `events`, `activity`, `metrics`; left out, the first four."),
        ("cluster" = Option<String>, Query, description = "Only of this cluster."),
        ("service" = Option<String>, Query, description = "Only of services of this name; clusters and metrics stay."),
        ("last_event_id" = Option<String>, Query, description = "For clients that cannot set the header."),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that was seen.")),
    responses((status = 200, description = "Events, until the client or the gateway closes. The data of each is \
        LiveSnapshot or LiveDelta as JSON, which of them the event's name says.",
        body = LiveEvent, content_type = "text/event-stream")))]
pub(crate) async fn follow(State(door): State<Arc<Door>>, head: Parts) -> Answer {
    let (following, asked) = read(&head.uri)?;
    let header = head.headers.get("last-event-id").and_then(|last| last.to_str().ok()).map(str::to_owned);
    let last = header.or(asked);
    let subscription = door.clusters().follow(following, last.as_deref()).await?;
    let stream = Stream {
        epoch: door.clusters().live_epoch().to_owned(),
        subscription,
        snapshot: Vec::new().into_iter(),
        heartbeat: every(HEARTBEAT),
        recheck: every(RECHECK),
        closing: door.closed(),
        head,
        door,
    };
    let kind = HeaderValue::from_static("text/event-stream");
    let mut response: Response =
        respond::with(StatusCode::OK, kind, Bytes::new()).map(|_| stream::in_pieces(stream));
    // Proxies that gather answers would hold events back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn read(uri: &Uri) -> Result<(Following, Option<String>), Failure> {
    let mut query = Query::of(uri);
    let mut topics = Vec::new();
    match query.text("topics") {
        None => topics.extend(USUAL),
        Some(names) => {
            for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                match Topic::of(name) {
                    Some(topic) if topics.contains(&topic) => {}
                    Some(topic) => topics.push(topic),
                    None => query.fault("topics", &unknown(name)),
                }
            }
            if topics.is_empty() {
                query.fault("topics", "must name what to follow, or be left out");
            }
        }
    }
    let following = Following { topics, cluster: query.text("cluster"), service: query.text("service") };
    let last = query.text("last_event_id");
    query.done()?;
    Ok((following, last))
}

fn unknown(name: &str) -> String {
    let names = Topic::ALL.map(Topic::name);
    match nearest(name, names) {
        Some(near) => format!("knows no topic `{name}` (did you mean `{near}`?)"),
        None => format!("knows no topic `{name}`; there are: {}", names.join(", ")),
    }
}

/// A client that follows, and how far its events have been put into words.
struct Stream {
    epoch: String,
    subscription: Subscription,
    /// What is left of a snapshot.
    snapshot: std::vec::IntoIter<Piece>,
    heartbeat: Interval,
    recheck: Interval,
    closing: watch::Receiver<bool>,
    /// What the client asked with, for the guard.
    head: Parts,
    door: Arc<Door>,
}

impl Stream {
    fn go_on(&mut self, text: &mut String) {
        while text.len() < PIECE {
            let Some(piece) = self.snapshot.next() else { break };
            text.push_str(piece.as_ref());
        }
        if self.snapshot.len() == 0 {
            text.push_str("\n\n");
        }
    }
}

impl Pieces for Stream {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        let mut text = String::new();
        if self.snapshot.len() > 0 {
            self.go_on(&mut text);
            return Some((text.into(), self));
        }
        let Stream { closing, subscription, heartbeat, recheck, .. } = &mut self;
        let closed = async { drop(closing.wait_for(|closing| *closing).await) };
        let next = tokio::select! {
            biased;
            () = closed => return None,
            _ = recheck.tick() => {
                self.door.options.guard.check(&self.head, Open::No).ok()?;
                None
            }
            next = subscription.next() => Some(next),
            _ = heartbeat.tick() => None,
        };
        match next {
            None => text.push_str(": still here\n\n"),
            Some(Next::Snapshot { seq, pieces }) => {
                text = format!("id: {}-{seq}\nevent: snapshot\ndata: ", self.epoch);
                self.snapshot = pieces.into_iter();
                self.go_on(&mut text);
            }
            Some(Next::Deltas(deltas)) => {
                for delta in deltas {
                    let (epoch, seq, data) = (&self.epoch, delta.seq, &delta.data);
                    // Writing into a text cannot fail.
                    let _ = write!(text, "id: {epoch}-{seq}\nevent: delta\ndata: {data}\n\n");
                }
            }
        }
        self.heartbeat.reset();
        Some((text.into(), self))
    }
}
