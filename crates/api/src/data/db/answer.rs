//! Answers to statements: put together from the pieces of JSON that the engine has written, whole where they
//! are small, else as they come.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use adapters::sql::{BatchResult, Chunk, Column, HELD_BACK, Piece, Rest, Rows};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use model::{Code, Failure};
use serde::Serialize;
use tokio::sync::mpsc;
use wire::body::Frames;
use wire::{Alarm, Body};

use crate::data::ask::Held;
use crate::respond::{json, with};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answers up to this size have a `Content-Length`. An engine holds back a row more than it must.
const WHOLE: usize = 2 * HELD_BACK;

/// Rows up to this size are copied behind what stands before them; larger ones go as they are.
const COPIED: usize = 64 << 10;

/// The rows of a query. The operation ends with the last of them.
pub(super) fn rows(rows: Rows, held: Held, expires_at: Option<jiff::Timestamp>) -> Response<Body> {
    let Rows { columns, first, rest } = rows;
    let limit = held.seat().service.tactics.timeout;
    let mut text = Text::default();
    head(&columns, &mut text);
    let count = first.rows;
    match rest {
        Rest::End { truncated } => {
            text.attach(first.json);
            tail(Tail { row_count: count, truncated, expires_at }, &mut text.now);
            held.finish();
            text.answer()
        }
        Rest::Stream(pieces) => {
            let frames = Streamed {
                first: first.json.into(),
                pieces,
                count,
                stage: Stage::Rows(held),
                limit,
                alarm: Alarm::default(),
                expires_at,
            };
            with(StatusCode::OK, JSON, Bytes::new()).map(|_| Body::Frames(Box::pin(frames), text.now.into()))
        }
    }
}

/// What each statement of a batch gave.
pub(super) fn batch(results: Vec<BatchResult>) -> Response<Body> {
    let mut text = Text::default();
    text.push(b"{\"results\":[");
    for (at, result) in results.into_iter().enumerate() {
        if at > 0 {
            text.push(b",");
        }
        match result {
            BatchResult::Rows { columns, rows, truncated } => {
                head(&columns, &mut text);
                text.attach(rows.json);
                tail(Tail { row_count: rows.rows, truncated, expires_at: None }, &mut text.now);
            }
            BatchResult::Affected(rows_affected) => {
                written(&Affected { rows_affected, expires_at: None }, &mut text.now);
            }
        }
    }
    text.push(b"]}");
    text.answer()
}

/// How many rows a statement changed.
pub(super) fn affected(rows_affected: u64, expires_at: Option<jiff::Timestamp>) -> Response<Body> {
    json(StatusCode::OK, &Affected { rows_affected, expires_at }).map(Body::Full)
}

#[derive(Serialize)]
struct Affected {
    rows_affected: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<jiff::Timestamp>,
}

/// What stands behind the rows.
#[derive(Serialize)]
struct Tail {
    row_count: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<jiff::Timestamp>,
}

/// What stands before the rows.
fn head(columns: &Arc<[Column]>, text: &mut Text) {
    text.push(b"{\"columns\":[");
    for (at, Column { name, kind }) in columns.iter().enumerate() {
        text.push(if at > 0 { b",{\"name\":" } else { b"{\"name\":" });
        written(name, &mut text.now);
        text.push(b",\"type\":");
        written(kind, &mut text.now);
        text.push(b"}");
    }
    text.push(b"],\"rows\":[");
}

/// Ends the list of rows, and the object around it: the fields of the tail stand in that object.
fn tail(tail: Tail, out: &mut Vec<u8>) {
    out.extend_from_slice(b"],");
    let begin = out.len();
    written(&tail, out);
    out.remove(begin);
}

fn written<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    // Numbers, texts and times can be written, and a vector takes all of it.
    let _ = serde_json::to_writer(out, value);
}

/// An answer as it is put together: large pieces are not copied.
#[derive(Default)]
struct Text {
    done: Vec<Bytes>,
    now: Vec<u8>,
}

impl Text {
    fn push(&mut self, text: &[u8]) {
        self.now.extend_from_slice(text);
    }

    fn attach(&mut self, rows: Vec<u8>) {
        if rows.len() <= COPIED {
            self.now.extend_from_slice(&rows);
        } else {
            self.done.push(std::mem::take(&mut self.now).into());
            self.done.push(rows.into());
        }
    }

    fn answer(mut self) -> Response<Body> {
        let size = self.done.iter().map(Bytes::len).sum::<usize>() + self.now.len();
        self.done.push(self.now.into());
        let body = match self.done.as_mut_slice() {
            [only] => Body::Full(std::mem::take(only)),
            pieces if size <= WHOLE => Body::Full(pieces.concat().into()),
            _ => Body::Frames(Box::pin(Pieces(self.done.into_iter())), Bytes::new()),
        };
        with(StatusCode::OK, JSON, Bytes::new()).map(|_| body)
    }
}

/// What is there already, piece by piece.
struct Pieces(std::vec::IntoIter<Bytes>);

impl Frames for Pieces {
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, wire::Error>>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}

/// Rows as the engine finds them. The engine goes on as the reader takes them, and ends when the reader goes.
struct Streamed {
    first: Bytes,
    pieces: mpsc::Receiver<Result<Piece, Failure>>,
    count: u64,
    stage: Stage,
    /// How long the engine may take for the next piece.
    limit: Duration,
    alarm: Alarm,
    expires_at: Option<jiff::Timestamp>,
}

enum Stage {
    /// More rows come.
    Rows(Held),
    /// The tail was handed out.
    Tail(Held),
    Over,
}

impl Frames for Streamed {
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, wire::Error>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.first))));
        }
        let held = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Rows(held) => held,
            Stage::Tail(held) => {
                held.finish();
                return Poll::Ready(None);
            }
            Stage::Over => return Poll::Ready(None),
        };
        match self.poll_piece(cx) {
            Poll::Pending => {
                self.stage = Stage::Rows(held);
                Poll::Pending
            }
            Poll::Ready(Ok(Piece::Rows(chunk))) => {
                self.stage = Stage::Rows(held);
                Poll::Ready(Some(Ok(self.next_rows(chunk))))
            }
            Poll::Ready(Ok(Piece::End { truncated })) => {
                self.stage = Stage::Tail(held);
                let mut out = Vec::with_capacity(64);
                tail(Tail { row_count: self.count, truncated, expires_at: self.expires_at }, &mut out);
                Poll::Ready(Some(Ok(out.into())))
            }
            Poll::Ready(Err(failure)) => {
                let service = held.seat().service.path();
                tracing::info!(service, %failure, rows = self.count, "a result was cut");
                held.fail(&failure);
                Poll::Ready(Some(Err(wire::Error::Truncated)))
            }
        }
    }
}

impl Streamed {
    /// The next piece that says something, within its time.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, Failure>> {
        loop {
            match self.pieces.poll_recv(cx) {
                Poll::Ready(Some(Ok(Piece::Rows(chunk)))) if chunk.rows == 0 => {}
                Poll::Ready(Some(piece)) => {
                    self.alarm.clear();
                    return Poll::Ready(piece);
                }
                Poll::Ready(None) => {
                    let detail = "The result broke off before its end.";
                    return Poll::Ready(Err(Failure::service(Code::BadGateway, detail)));
                }
                Poll::Pending => break,
            }
        }
        if self.alarm.deadline().is_none() {
            self.alarm.set_after(self.limit);
        }
        self.alarm.poll(cx).map(|()| {
            let detail = format!("No more rows came within {} ms.", self.limit.as_millis());
            Err(Failure::service(Code::Timeout, detail))
        })
    }

    fn next_rows(&mut self, chunk: Chunk) -> Bytes {
        let Chunk { mut json, rows } = chunk;
        if self.count > 0 {
            json.insert(0, b',');
        }
        self.count += rows;
        json.into()
    }
}
