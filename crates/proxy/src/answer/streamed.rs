//! An answer of our own on a stream of HTTP/2.

use std::pin::Pin;

use bytes::Bytes;
use http::header::CONNECTION;
use http::response::Parts;
use http::{HeaderValue, Response};
use model::Failure;
use wire::body::Frames;
use wire::http1::date;
use wire::{Body, Error, Line};

use super::{gone, is_endless, next_frame};
use crate::client::Client;
use crate::door::Door;

/// Says an answer, to its last byte.
pub(super) async fn say(
    client: &mut Client,
    door: &Door,
    mut head: Parts,
    body: Body,
) -> Result<(), Failure> {
    let has_body = !client.request.is_head && !matches!(head.status.as_u16(), 204 | 304);
    let endless = is_endless(&head.headers);
    head.headers.remove(CONNECTION);
    let mut now = Vec::new();
    date::write(&mut now);
    if let Ok(now) = HeaderValue::from_bytes(&now) {
        head.headers.insert(http::header::DATE, now);
    }
    if let Body::Full(bytes) = &body {
        head.headers.insert(http::header::CONTENT_LENGTH, bytes.len().into());
    }
    let ends = !has_body || body.is_empty();
    client.answering = true;
    if let Line::Http2(stream) = &mut client.line {
        stream.say_response(Response::from_parts(head, ()), ends).map_err(|error| gone(&error))?;
    }
    match body {
        _ if ends => Ok(()),
        Body::Full(bytes) => send(client, door, bytes, true).await,
        Body::Frames(frames, first) => send_frames(client, door, frames, first, endless).await,
        Body::Empty | Body::Wire(_) | Body::Stream(_) => Ok(()),
    }
}

async fn send_frames(
    client: &mut Client,
    door: &Door,
    mut frames: Pin<Box<dyn Frames>>,
    first: Bytes,
    endless: bool,
) -> Result<(), Failure> {
    send(client, door, first, false).await?;
    while let Some(bytes) = next_frame(client, &mut frames, endless).await? {
        send(client, door, bytes, false).await?;
    }
    match &mut client.line {
        Line::Http2(stream) => stream.end(&[]).map_err(|error| gone(&error)),
        Line::Http1(_) => Ok(()),
    }
}

/// Sends bytes as the client takes them.
async fn send(client: &mut Client, door: &Door, mut bytes: Bytes, last: bool) -> Result<(), Failure> {
    let write_timeout = door.options().limits.write_timeout;
    while !bytes.is_empty() {
        client.alarm.set_after(write_timeout);
        let Client { line: Line::Http2(stream), alarm, .. } = &mut *client else { return Ok(()) };
        let room = alarm.guard(|cx| stream.poll_room(cx, bytes.len())).await.map_err(|error| gone(&error))?;
        let piece = bytes.split_to(room);
        stream.send(piece, last && bytes.is_empty()).map_err(|error: Error| gone(&error))?;
    }
    Ok(())
}
