//! Cleans a connection on which something was left: ends the statement at the server, reads what is still to come,
//! undoes what is open. Meanwhile it counts as in use.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};
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

/// Cleans it, and puts it to rest if that works. Whoever still listens is told what became of the statement as soon
/// as that is known.
pub(super) async fn clean(
    shared: Arc<Shared>,
    mut pooled: Pooled,
    place: OwnedSemaphorePermit,
    told: Option<oneshot::Sender<Ended>>,
) {
    let counted = Ending::of(&shared);
    let whole = timeout(LONGEST, set_right(&shared, &mut pooled.conn, told)).await;
    if matches!(whole, Ok(Ok(()))) && pooled.conn.is_clean() {
        shared.put_to_rest(pooled);
    } else {
        drop(pooled);
    }
    drop(counted);
    drop(place);
}

/// Counted as long as it takes.
struct Ending(Arc<Shared>);

impl Ending {
    fn of(shared: &Arc<Shared>) -> Self {
        shared.ending.fetch_add(1, Ordering::Relaxed);
        Ending(Arc::clone(shared))
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.ending.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn set_right(
    shared: &Shared,
    conn: &mut Conn,
    told: Option<oneshot::Sender<Ended>>,
) -> Result<(), Trouble> {
    if let Some(whose) = conn.cancel() {
        let rest = async {
            let rested = conn.rest().await;
            let undone = matches!(&rested, Err(Trouble::Refused(error)) if error.code() == CANCELLED);
            if let Some(told) = told {
                // Nobody need listen any more.
                let _ = told.send(if undone { Ended::Undone } else { Ended::Unknown });
            }
            match rested {
                Ok(()) | Err(Trouble::Refused(_)) => Ok(()),
                Err(trouble) => Err(trouble),
            }
        };
        // Both at once: the server may be waiting for somebody to read before it looks up.
        let (asked, rested) = tokio::join!(timeout(ASKING, shared.target.cancel(&whose)), rest);
        rested?;
        match asked {
            Ok(Ok(())) => conn.settle().await?,
            // The word may be on its way still, and would end what somebody else asks next.
            _ => return Err(Trouble::Broken(std::io::ErrorKind::TimedOut.into())),
        }
    }
    conn.clean().await
}
