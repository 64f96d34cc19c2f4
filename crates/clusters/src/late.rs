//! A store that is late: what it has comes into the world when it does, and what needs it waits until then.

use std::time::Duration;

use model::{Code, Failure};
use tokio::sync::MutexGuard;

use crate::change::Desk;
use crate::{Clusters, Happening};

/// How often it is looked for.
const PAUSE: Duration = Duration::from_secs(1);

/// Waits for the store, and takes up what it has.
pub(crate) async fn wait(clusters: Clusters) {
    until_it_has_come(&clusters, || clusters.try_store()).await;
}

/// Waits for a store whose routes are here already, and takes up the rest.
pub(crate) async fn wait_again(clusters: Clusters) {
    until_it_has_come(&clusters, || clusters.try_tokens_and_history()).await;
}

async fn until_it_has_come<T: Future<Output = Result<(), String>>>(
    clusters: &Clusters,
    attempt: impl Fn() -> T,
) {
    let mut said = String::new();
    while let Err(why) = attempt().await {
        // Once for each reason: it may take days.
        if why != said {
            tracing::error!(why, "the store is away: what runs goes on, and what is kept in it is missing");
            said = why;
        }
        tokio::time::sleep(PAUSE).await;
    }
    let message = "The store has come: its routes, tokens and history are there.".to_owned();
    let (kind, actor) = ("store.found".to_owned(), "start".to_owned());
    clusters.events().tell(Happening { kind, actor, message, ..Happening::default() });
}

impl Clusters {
    async fn try_store(&self) -> Result<(), String> {
        self.0.store.begin().await.map_err(|error| error.to_string())?;
        self.take_up_store().await.map_err(|failure| failure.detail().to_owned())
    }

    async fn try_tokens_and_history(&self) -> Result<(), String> {
        let mut desk = self.0.desk.lock().await;
        let taken = self.take_up_tokens_and_history(&mut desk).await;
        taken.map_err(|failure| failure.detail().to_owned())
    }

    /// What another process has changed until it was done; then changes may go on.
    pub(crate) async fn take_up_tokens_and_history(&self, desk: &mut Desk) -> Result<(), Failure> {
        self.0.store.look_again().await?;
        self.take_up_history().await?;
        desk.waits_for_store = false;
        Ok(())
    }

    /// The right to change what is kept in the store, once that has come: before, nobody knows which ids and numbers
    /// are taken.
    pub(crate) async fn desk_with_store(&self) -> Result<MutexGuard<'_, Desk>, Failure> {
        let desk = self.desk().await?;
        if !desk.waits_for_store {
            return Ok(desk);
        }
        Err(not_come())
    }
}

/// What whoever wants to change something is told.
pub(crate) fn not_come() -> Failure {
    Failure::gateway(Code::Busy, "The store has not come yet: nothing was changed.")
        .with_hint("`/health` says how it is. What cluster files ask for runs already.")
}
