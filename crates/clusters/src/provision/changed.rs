//! A change of a cluster as whoever asks for it sees it: done at once, or under way as an operation; and one that a file asks
//! for, for whose services nobody waits.

use std::sync::Arc;

use model::view::Operation;
use model::{ClusterId, ClusterSpec, Failure, ServiceSpec};
use provision::Data;
use tokio::sync::MutexGuard;

use super::{Change, For, keep_what_was_settled, runs_any};
use crate::change::{By, Desk, Save};
use crate::files::Read;
use crate::{Clusters, Shown, named_files};

/// A change of a cluster: carried out, or under way as an operation.
pub enum Changed {
    /// It is done.
    Now(Shown),
    /// Something has to be started for it.
    Under(Box<Underway>),
}

impl std::fmt::Debug for Changed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Changed::Now(shown) => f.debug_tuple("Now").field(shown).finish(),
            Changed::Under(underway) => f.debug_tuple("Under").field(&underway.operation().id).finish(),
        }
    }
}

/// A change that takes its time. It does nothing until it is carried out, and ends when it is dropped.
pub struct Underway {
    change: Change,
    save: Save,
}

impl Underway {
    /// The operation as it is now.
    #[must_use]
    pub fn operation(&self) -> Arc<Operation> {
        self.change.operation()
    }

    /// Carries it to its end.
    ///
    /// # Errors
    /// What failed; then everything is as it was.
    pub async fn carry(self, clusters: &Clusters) -> Result<Shown, Failure> {
        let id = self.change.carry(self.save).await?;
        clusters.await_verdicts(&id).await;
        clusters.show(id.as_str())
    }
}

impl Clusters {
    /// Carries a change out, or begins it where something has to be started or taken away for it.
    pub(crate) async fn change_to(
        &self,
        mut desk: MutexGuard<'_, Desk>,
        spec: ClusterSpec,
        data: Data,
        save: Save,
        by: By,
    ) -> Result<Changed, Failure> {
        let id = spec.cluster_id.clone();
        let old = self.snapshot().clusters.get(id.as_str()).is_some_and(|old| runs_any(&old.spec));
        if old || runs_any(&spec) {
            let change = self.begin_change(spec, data, &by).await?;
            return Ok(Changed::Under(Box::new(Underway { change, save })));
        }
        self.operations().idle(id.as_str())?;
        self.carry_out(&mut desk, Some(spec), &id, save, &by).await?;
        drop(desk);
        self.await_verdicts(&id).await;
        self.show(id.as_str()).map(Changed::Now)
    }

    /// The spec as a change to it would have it, with what stays of what was settled; or what the change would be refused for
    /// before anything of it is begun.
    pub(crate) async fn as_changed(
        &self,
        mut spec: ClusterSpec,
        old: Option<&ClusterSpec>,
    ) -> Result<ClusterSpec, Failure> {
        if !runs_any(&spec) && !old.is_some_and(runs_any) {
            return Ok(spec);
        }
        self.operations().idle(spec.cluster_id.as_str())?;
        if let Some(old) = old {
            keep_what_was_settled(&mut spec, old)?;
        }
        let settled = self.would_settle(spec.clone(), old).await?;
        for job in self.0.hands.jobs(&settled, "plan")? {
            self.is_nothing_to_put_back(job.name())?;
        }
        Ok(spec)
    }

    /// Carries out what a file asks for. What it leaves open of services that the gateway runs is written into it; they are
    /// started behind that, and for as long as it asks for them.
    pub(crate) async fn carry_out_file(
        &self,
        desk: &mut Desk,
        read: Read,
        id: &ClusterId,
        by: &By,
    ) -> Result<(), Failure> {
        // Remembered whatever becomes of it: what is wrong is told with its place in this text.
        desk.texts.insert(id.clone(), read.text.clone());
        let done = self.carry_out_read(desk, read, id, by).await;
        done.map_err(|failure| match desk.texts.get(id) {
            Some(text) => named_files::located(failure, &self.0.files.path(id).to_string_lossy(), text),
            None => failure,
        })
    }

    async fn carry_out_read(
        &self,
        desk: &mut Desk,
        read: Read,
        id: &ClusterId,
        by: &By,
    ) -> Result<(), Failure> {
        let world = self.snapshot().clone();
        let old = world.clusters.get(id.as_str()).map(|old| &old.spec);
        let whose = if by.actor == "start" { For::Start } else { For::File };
        let (spec, is_new) = self.settle_file(read.spec, old, whose).await?;
        let stays = |name: &str| spec.service(name).is_some_and(ServiceSpec::is_provisioned);
        let goes = |(name, _): &&(String, ServiceSpec)| !stays(name);
        self.keep_with_data(id, old.iter().flat_map(|old| &old.services).filter(goes))?;
        let save = if is_new { Save::Edit } else { Save::Read(read.text) };
        self.carry_out(desk, Some(spec), id, save, by).await
    }
}
