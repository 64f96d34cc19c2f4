//! The rest of a long result: a task reads it from the server as fast as its client takes it, and ends the statement
//! when the client leaves, or takes too long.

use std::sync::Arc;
use std::time::Duration;

use model::{Code, Failure};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::super::pool::Lease;
use super::read::{Filled, Reader};
use super::{recover, seen_through};
use crate::sql::{Chunk, Piece, Rest, Rows};

/// How much of a result travels at once, in bytes.
const PIECE: usize = 64 << 10;

/// Pieces on their way to a client that is slower than the server.
const PIECES: usize = 4;

type Way = mpsc::Sender<Result<Piece, Failure>>;

/// Gives the beginning of a result away, and the rest as it comes.
pub(in crate::postgres) fn hand_over(lease: Lease, first: Chunk, reader: Reader, longest: Duration) -> Rows {
    let (to, rest) = mpsc::channel(PIECES);
    let columns = Arc::clone(reader.writer.columns());
    tokio::spawn(read_on(lease, reader, to, Instant::now() + longest));
    Rows { columns, first, rest: Rest::Stream(rest) }
}

async fn read_on(mut lease: Lease, mut reader: Reader, to: Way, end: Instant) {
    // Whenever this returns before the end, the lease ends the statement.
    loop {
        let filled = tokio::select! {
            filled = reader.fill(lease.conn(), PIECE) => filled,
            () = to.closed() => return,
            () = sleep_until(end) => {
                // Whoever does not read may not hear it either, and then finds the result cut.
                let _ = to.try_send(Err(too_slow()));
                return;
            }
        };
        let ended = match filled {
            // Pages are for transactions, which do not stream.
            Ok(Filled::Piece | Filled::Page) => None,
            Ok(Filled::Cut) => Some(Ok(())),
            // What is checked at the end of a transaction may fail yet.
            Ok(Filled::End(_)) => match timeout_at(end, lease.conn().rest()).await {
                Ok(rested) => Some(rested),
                Err(_) => return,
            },
            Err(trouble) => Some(Err(trouble)),
        };
        let chunk = reader.writer.take();
        if chunk.rows > 0 && !send(&to, Ok(Piece::Rows(chunk)), end).await {
            return;
        }
        match ended {
            None => {}
            Some(Ok(())) => {
                let truncated = reader.truncated();
                // The connection is free before the client has read the end.
                drop(lease);
                send(&to, Ok(Piece::End { truncated }), end).await;
                return;
            }
            Some(Err(trouble)) => {
                let conn = lease.conn();
                let seen = async {
                    let trouble = recover(conn, trouble).await;
                    seen_through(conn, &reader.terms, trouble).await
                };
                let Ok(trouble) = timeout_at(end, seen).await else { return };
                let failure = reader.failed(trouble, lease.conn());
                drop(lease);
                send(&to, Err(failure), end).await;
                return;
            }
        }
    }
}

/// Whether it was taken.
async fn send(to: &Way, piece: Result<Piece, Failure>, end: Instant) -> bool {
    tokio::select! {
        sent = to.send(piece) => sent.is_ok(),
        () = sleep_until(end) => false,
    }
}

fn too_slow() -> Failure {
    Failure::client(Code::Timeout, "The result was not read in time, and was cut off.")
        .with_hint("Read faster, ask for less, or raise `max_result_time` of the service.")
}
