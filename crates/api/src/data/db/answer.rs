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

use super::calls::Position;
use super::position;
use crate::data::ask::{Held, Seat};
use crate::data::room::Room;
use crate::respond::{json, with};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answers up to this size have a `Content-Length`. An engine holds back a row more than it must.
const WHOLE: usize = 2 * HELD_BACK;

/// Rows up to this size are copied behind what stands before them; larger ones go as they are.
const COPIED: usize = 64 << 10;

/// What an answer says beside its rows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Beside {
    Nothing,
    /// When the transaction is rolled back that it stands in.
    Transaction(jiff::Timestamp),
    /// How far the engine has come behind it.
    Position,
}

impl Beside {
    fn expires_at(self) -> Option<jiff::Timestamp> {
        match self {
            Beside::Transaction(at) => Some(at),
            Beside::Nothing | Beside::Position => None,
        }
    }

    /// The position, where it is wanted. The statement must have ended.
    async fn position(self, seat: Seat) -> Position {
        match self {
            Beside::Position => Some(position::at(seat).await),
            Beside::Nothing | Beside::Transaction(_) => None,
        }
    }
}

/// The rows of a query. The operation ends with the last of them.
///
/// # Errors
/// Why the engine could not say all of them, where that is known before the first is told; `overloaded` when there
/// is no room for what nobody has read yet.
pub(super) async fn rows(
    rows: Rows,
    held: Held,
    beside: Beside,
    room: &Room,
) -> Result<Response<Body>, Failure> {
    let Rows { columns, first, rest } = rows;
    let limit = held.seat().service.tactics.timeout;
    let mut text = Text::default();
    head(&columns, &mut text);
    let count = first.rows;
    match rest {
        Rest::End { truncated } => {
            text.attach(first.json);
            let position = beside.position(held.seat()).await;
            let expires_at = beside.expires_at();
            tail(Tail { row_count: count, truncated, expires_at, position }, &mut text.now);
            held.finish();
            text.answer(room).await
        }
        // Nobody is there to send more: all of it waits in memory, as what stands in a transaction does.
        Rest::Stream(mut pieces) if pieces.sender_strong_count() == 0 => {
            text.attach(first.json);
            match collected(&mut pieces, count, &mut text) {
                Ok((row_count, truncated)) => {
                    let position = beside.position(held.seat()).await;
                    let expires_at = beside.expires_at();
                    tail(Tail { row_count, truncated, expires_at, position }, &mut text.now);
                }
                Err(failure) => return Err(cut(held, failure, count)),
            }
            held.finish();
            text.answer(room).await
        }
        Rest::Stream(pieces) => {
            let first = match room.hold_one(first.json.into()).await {
                Ok(first) => first,
                Err(full) => return Err(cut(held, full, count)),
            };
            let frames = Streamed {
                first,
                pieces,
                count,
                stage: Stage::Rows(held),
                limit,
                alarm: Alarm::default(),
                beside,
            };
            let body = Body::Frames(Box::pin(frames), text.now.into());
            Ok(with(StatusCode::OK, JSON, Bytes::new()).map(|_| body))
        }
    }
}

/// The rest of a result that is there already, behind what stands before it; says how many rows there are by now,
/// and whether a limit cut them.
fn collected(
    pieces: &mut mpsc::Receiver<Result<Piece, Failure>>,
    before: u64,
    text: &mut Text,
) -> Result<(u64, bool), Failure> {
    let mut count = before;
    while let Ok(piece) = pieces.try_recv() {
        match piece? {
            Piece::Rows(chunk) if chunk.rows == 0 => {}
            Piece::Rows(Chunk { json, rows }) => {
                if count > 0 {
                    text.push(b",");
                }
                text.attach(json);
                count += rows;
            }
            Piece::End { truncated } => return Ok((count, truncated)),
        }
    }
    Err(broke_off())
}

/// The result failed before any of it was told.
fn cut(held: Held, failure: Failure, rows: u64) -> Failure {
    let service = held.seat().service;
    tracing::info!(service = service.path(), %failure, rows, "a result was cut");
    held.fail(&failure);
    failure.with_service(Arc::clone(&service.name))
}

fn broke_off() -> Failure {
    Failure::service(Code::BadGateway, "The result broke off before its end.")
}

/// What each statement of a batch gave.
///
/// # Errors
/// `overloaded` when there is no room for what nobody has read yet.
pub(super) async fn batch(
    results: Vec<BatchResult>,
    position: Position,
    room: &Room,
) -> Result<Response<Body>, Failure> {
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
                let (expires_at, position) = (None, None);
                tail(Tail { row_count: rows.rows, truncated, expires_at, position }, &mut text.now);
            }
            BatchResult::Affected(rows_affected) => {
                written(&Affected { rows_affected, expires_at: None, position: None }, &mut text.now);
            }
        }
    }
    text.push(b"]");
    if let Some(position) = position {
        text.push(b",\"position\":");
        written(&position, &mut text.now);
    }
    text.push(b"}");
    text.answer(room).await
}

/// How many rows a statement changed.
pub(super) fn affected(
    rows_affected: u64,
    expires_at: Option<jiff::Timestamp>,
    position: Position,
) -> Response<Body> {
    json(StatusCode::OK, &Affected { rows_affected, expires_at, position }).map(Body::Full)
}

#[derive(Serialize)]
struct Affected {
    rows_affected: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<jiff::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Position,
}

/// What stands behind the rows.
#[derive(Serialize)]
struct Tail {
    row_count: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<jiff::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Position,
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

    fn attach(&mut self, mut rows: Vec<u8>) {
        if rows.len() <= COPIED {
            self.now.extend_from_slice(&rows);
        } else {
            self.done.push(std::mem::take(&mut self.now).into());
            // Nothing is kept in memory that is not counted.
            rows.shrink_to_fit();
            self.done.push(rows.into());
        }
    }

    /// Whole, or in pieces that make room as they go.
    async fn answer(mut self, room: &Room) -> Result<Response<Body>, Failure> {
        let size = self.done.iter().map(Bytes::len).sum::<usize>() + self.now.len();
        self.done.push(self.now.into());
        let body = match self.done.as_mut_slice() {
            [only] => Body::Full(std::mem::take(only)),
            pieces if size <= WHOLE => Body::Full(pieces.concat().into()),
            _ => Body::Frames(Box::pin(Pieces(room.hold(self.done).await?.into_iter())), Bytes::new()),
        };
        Ok(with(StatusCode::OK, JSON, Bytes::new()).map(|_| body))
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
    beside: Beside,
}

enum Stage {
    /// More rows come.
    Rows(Held),
    /// All have come, cut or not, and the engine is asked how far it has come.
    Asking(Held, bool, Pin<Box<dyn Future<Output = Position> + Send>>),
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
        loop {
            match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Rows(held) => match self.poll_piece(cx) {
                    Poll::Pending => {
                        self.stage = Stage::Rows(held);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(Piece::Rows(chunk))) => {
                        self.stage = Stage::Rows(held);
                        return Poll::Ready(Some(Ok(self.next_rows(chunk))));
                    }
                    Poll::Ready(Ok(Piece::End { truncated })) => self.stage = self.ended(held, truncated),
                    Poll::Ready(Err(failure)) => return Poll::Ready(Some(Err(self.cut(held, &failure)))),
                },
                Stage::Asking(held, truncated, mut asking) => match asking.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.stage = Stage::Asking(held, truncated, asking);
                        return Poll::Pending;
                    }
                    Poll::Ready(position) => {
                        self.stage = Stage::Tail(held);
                        return Poll::Ready(Some(Ok(self.last(truncated, position))));
                    }
                },
                Stage::Tail(held) => {
                    held.finish();
                    return Poll::Ready(None);
                }
                Stage::Over => return Poll::Ready(None),
            }
        }
    }
}

impl Streamed {
    /// All rows have come.
    fn ended(&self, held: Held, truncated: bool) -> Stage {
        let asking = Box::pin(self.beside.position(held.seat()));
        Stage::Asking(held, truncated, asking)
    }

    fn last(&self, truncated: bool, position: Position) -> Bytes {
        let mut out = Vec::with_capacity(64);
        let expires_at = self.beside.expires_at();
        tail(Tail { row_count: self.count, truncated, expires_at, position }, &mut out);
        out.into()
    }

    fn cut(&self, held: Held, failure: &Failure) -> wire::Error {
        let service = held.seat().service;
        tracing::info!(service = service.path(), %failure, rows = self.count, "a result was cut");
        held.fail(failure);
        wire::Error::Truncated
    }

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
                    return Poll::Ready(Err(broke_off()));
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
