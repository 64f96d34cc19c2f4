//! The use of a connection: given back whole, or cleaned in the background by nobody's leave.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;

use super::super::conn::Conn;
use super::super::failure::Ended;
use super::{Pooled, Shared, clean};

/// How long whoever gives up waits to hear what became of the statement: the caller's own time is over.
const LAST_WORD: Duration = Duration::from_millis(35);

/// A connection in use.
pub(in crate::postgres) struct Lease {
    shared: Arc<Shared>,
    /// Taken when the lease ends.
    held: Option<(Pooled, OwnedSemaphorePermit)>,
}

impl Lease {
    pub(super) fn new(shared: Arc<Shared>, pooled: Pooled, place: OwnedSemaphorePermit) -> Self {
        Lease { shared, held: Some((pooled, place)) }
    }

    /// The connection.
    pub(in crate::postgres) fn conn(&mut self) -> &mut Conn {
        match &mut self.held {
            Some((pooled, _)) => &mut pooled.conn,
            None => unreachable!("a lease holds its connection until it ends"),
        }
    }

    /// Ends whatever runs on it, and says what became of that if it is heard soon.
    pub(in crate::postgres) async fn end(mut self) -> Ended {
        let Some((pooled, place)) = self.held.take() else { return Ended::Unknown };
        let (told, heard) = oneshot::channel();
        tokio::spawn(clean::clean(Arc::clone(&self.shared), pooled, place, Some(told)));
        match timeout(LAST_WORD, heard).await {
            Ok(Ok(ended)) => ended,
            _ => Ended::Unknown,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some((pooled, place)) = self.held.take() else { return };
        if pooled.conn.is_clean() {
            self.shared.put_to_rest(pooled);
        } else if !pooled.conn.is_broken()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(clean::clean(Arc::clone(&self.shared), pooled, place, None));
        }
    }
}
