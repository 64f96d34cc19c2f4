//! What becomes of an operation, change by change.

use std::sync::Arc;
use std::time::Duration;

use model::view::Operation;
use tokio::sync::watch;

use super::Operations;

/// How often the store is looked at for one that another gateway carries out.
const LOOK: Duration = Duration::from_secs(1);

/// An operation as it is, then as it is after each change. Changes that come quicker than they are taken are taken
/// together, and each one that is taken has all that there was before.
pub struct Following {
    source: Source,
    /// What was taken last.
    last: Option<Arc<Operation>>,
}

enum Source {
    /// It runs here.
    Here(watch::Receiver<Arc<Operation>>),
    /// It has ended, or another gateway carries it out and notes in the store how far it is.
    Elsewhere(Operations, Arc<Operation>),
}

impl Following {
    pub(super) fn here(mut changes: watch::Receiver<Arc<Operation>>) -> Following {
        changes.mark_changed();
        Following { source: Source::Here(changes), last: None }
    }

    pub(super) fn elsewhere(operations: Operations, now: Arc<Operation>) -> Following {
        Following { source: Source::Elsewhere(operations, now), last: None }
    }

    /// The next change; `None` after the end. Whoever drops this future misses nothing.
    pub async fn next(&mut self) -> Option<Arc<Operation>> {
        if self.last.as_ref().is_some_and(|last| last.has_ended()) {
            return None;
        }
        let next = match &mut self.source {
            Source::Here(changes) => {
                changes.changed().await.ok()?;
                Arc::clone(&changes.borrow_and_update())
            }
            Source::Elsewhere(_, now) if self.last.is_none() => Arc::clone(now),
            Source::Elsewhere(operations, now) => loop {
                tokio::time::sleep(LOOK).await;
                match operations.get(&now.id).await {
                    Ok(found) if found == *now => {}
                    Ok(found) => {
                        *now = Arc::clone(&found);
                        break found;
                    }
                    Err(failure) if failure.retryable() => {}
                    // It is gone, and nothing more will be known of it.
                    Err(_) => return None,
                }
            },
        };
        self.last = Some(Arc::clone(&next));
        Some(next)
    }

    /// It as it is now, where that is more than what was taken: the last words of a step that has nothing to add.
    pub fn now(&mut self) -> Option<Arc<Operation>> {
        let Source::Here(changes) = &mut self.source else { return None };
        let last = self.last.as_ref()?;
        let now = Arc::clone(&changes.borrow_and_update());
        if last.has_ended() || Arc::ptr_eq(&now, last) || now == *last {
            return None;
        }
        self.last = Some(Arc::clone(&now));
        Some(now)
    }
}
