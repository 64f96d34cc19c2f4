//! Cleans a connection on which something was left: ends the statement at the server, reads what is still to come,
//! undoes what is open. Meanwhile it counts as in use.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::super::conn::{Conn, Trouble};
use super::super::failure::Ended;
use super::{Pooled, Shared};

/// How long it may take; a server that is still busy with what nobody wants loses the connection.
const LONGEST: Duration = Duration::from_secs(10);

/// How long the server may take to hear that a statement is to end.
const ASKING: Duration = Duration::from_secs(5);

/// The server's word that it ended a statement as it was asked to.
const CANCELLED: &str = "57014";

/// Cleans it, and puts it to rest if that works. Says what became of the statement.
pub(super) async fn clean(shared: Arc<Shared>, mut pooled: Pooled, place: OwnedSemaphorePermit) -> Ended {
    let mut ended = Ended::Unknown;
    let whole = timeout(LONGEST, set_right(&shared, &mut pooled.conn, &mut ended)).await;
    if matches!(whole, Ok(Ok(()))) && pooled.conn.is_clean() {
        shared.put_to_rest(pooled);
    } else {
        drop(pooled);
    }
    drop(place);
    ended
}

async fn set_right(shared: &Shared, conn: &mut Conn, ended: &mut Ended) -> Result<(), Trouble> {
    if let Some(whose) = conn.cancel() {
        // Both at once: the server may be waiting for somebody to read before it looks up.
        let (asked, rested) = tokio::join!(timeout(ASKING, shared.target.cancel(&whose)), conn.rest());
        match rested {
            Ok(()) => {}
            Err(Trouble::Refused(error)) => {
                if error.code() == CANCELLED {
                    *ended = Ended::Undone;
                }
            }
            Err(trouble) => return Err(trouble),
        }
        match asked {
            Ok(Ok(())) => conn.settle().await?,
            // The word may be on its way still, and would end what somebody else asks next.
            _ => return Err(Trouble::Broken(std::io::ErrorKind::TimedOut.into())),
        }
    }
    conn.clean().await
}
