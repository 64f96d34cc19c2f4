//! What a service that the gateway runs has said, as lines of text.

use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::Response;
use bytes::Bytes;
use clusters::{Ask, Line, Lines};
use hyper::body::Frame;
use model::Failure;
use tokio::sync::OwnedSemaphorePermit;

use crate::door::{Answer, Door};
use crate::guard::Open;
use crate::query::Query;
use crate::respond;
use crate::stream::{self, RECHECK};

/// Lines when nothing is said.
const TAIL: usize = 100;
/// Lines at most.
const MOST: usize = 100_000;
/// What is put into one frame, while there is more.
const PIECE: usize = 16 << 10;

/// Shows what a service has said
///
/// Of a service that the gateway runs: lines of text, the oldest first. With `follow` they go on as they come, until the
/// service ends or the client leaves.
#[utoipa::path(get, path = "/api/v1/clusters/{id}/services/{name}/logs", operation_id = "serviceLogs", tag = "services",
    params(("id" = String, Path, description = "The cluster."),
        ("name" = String, Path, description = "The service."),
        ("tail" = Option<String>, Query, description = "The last so many lines, or `all`; 100 when left out."),
        ("since" = Option<String>, Query, description = "Only what was said since then: a time as RFC 3339, or a length of \
            time such as `10m`."),
        ("timestamps" = Option<bool>, Query, description = "Whether each line begins with its time; `true` when left out."),
        ("follow" = Option<bool>, Query, description = "Whether it goes on.")),
    responses((status = 200, description = "The lines.", body = String, content_type = "text/plain")))]
pub(crate) async fn show(
    State(door): State<Arc<Door>>,
    Path((id, name)): Path<(String, String)>,
    head: Parts,
) -> Answer {
    let (ask, timestamps) = read(&head.uri)?;
    let place =
        ask.follow.then(|| door.place_among_streams("Ask without `follow`, now and then.")).transpose()?;
    let lines = door.clusters().logs(&id, &name, &ask).await?;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    let over = place.map(|place| Box::pin(over(door, head, place)) as Over);
    let body = Said { lines, timestamps, over, end: None };
    let mut response: Response = respond::with(StatusCode::OK, kind, Bytes::new()).map(|_| Body::new(body));
    // Proxies that gather answers would hold lines back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn read(uri: &Uri) -> Result<(Ask, bool), Failure> {
    let mut query = Query::of(uri);
    let tail = match query.text("tail").as_deref() {
        None => Some(TAIL),
        Some("all") => None,
        Some(text) => match text.parse() {
            Ok(tail) if tail <= MOST => Some(tail),
            _ => {
                query.fault("tail", &format!("must be `all` or a whole number up to {MOST}, not `{text}`"));
                None
            }
        },
    };
    let since = match query.text("since") {
        None => None,
        Some(text) => match time(&text) {
            Some(time) => Some(time),
            None => {
                query
                    .fault("since", &format!("must be a time as RFC 3339 or a length of time, not `{text}`"));
                None
            }
        },
    };
    let timestamps = query.parse("timestamps", "`true` or `false`").unwrap_or(true);
    let follow = query.parse("follow", "`true` or `false`").unwrap_or(false);
    query.done()?;
    Ok((Ask { tail, since, follow }, timestamps))
}

/// A time, or how long ago it was.
fn time(text: &str) -> Option<jiff::Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let ago: model::Span = text.parse().ok()?;
    jiff::Timestamp::now().checked_sub(jiff::SignedDuration::try_from(ago.0).ok()?).ok()
}

/// Comes when one that follows is to end although there may be more to say.
type Over = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The gateway ends, or whoever follows may not any more.
async fn over(door: Arc<Door>, head: Parts, _place: OwnedSemaphorePermit) {
    let (mut closing, mut recheck) = (door.closed(), stream::every(RECHECK));
    let is_refused = async {
        loop {
            recheck.tick().await;
            if door.options.guard.check(&head, Open::No).is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = closing.wait_for(|closing| *closing) => {}
        () = is_refused => {}
    }
}

/// Lines on their way out.
struct Said {
    lines: Lines,
    timestamps: bool,
    /// Of one that follows.
    over: Option<Over>,
    /// What it ends with, once all lines before are out.
    end: Option<Result<(), Failure>>,
}

impl HttpBody for Said {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if let Some(end) = self.end.replace(Ok(())) {
            // An answer that was cut must not look whole.
            return Poll::Ready(end.err().map(Err));
        }
        self.end = None;
        // Asked first: a service that talks all the time would never let it end.
        if self.over.as_mut().is_some_and(|over| over.as_mut().poll(cx).is_ready()) {
            self.end = Some(Ok(()));
            return Poll::Ready(None);
        }
        let mut text = String::new();
        while text.len() < PIECE {
            match self.lines.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(line))) => write_line(&mut text, &line, self.timestamps),
                Poll::Ready(ended) => {
                    let end = ended.map_or(Ok(()), |failed| failed.map(drop));
                    if text.is_empty() {
                        self.end = Some(Ok(()));
                        return Poll::Ready(end.err().map(Err));
                    }
                    self.end = Some(end);
                    break;
                }
                Poll::Pending if text.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Some(Ok(Frame::data(text.into()))))
    }
}

fn write_line(text: &mut String, line: &Line, timestamps: bool) {
    // Writing to a text cannot fail.
    let _ = if timestamps {
        writeln!(text, "{:.3} {}", line.time, line.text)
    } else {
        writeln!(text, "{}", line.text)
    };
}
