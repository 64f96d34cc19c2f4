//! The rest of a deletion, once a cluster's file is gone: what runs for it, its data and its routes. Whatever hinders that, and
//! a crash, puts it off, and no more.

use model::{Code, Failure};
use provision::Data;
use store::Deletion;

use crate::{Clusters, build};

impl Clusters {
    /// Takes away what is left of a cluster whose file is gone.
    pub(crate) async fn finish(
        &self,
        Deletion { cluster, with_data }: &Deletion,
        had: Option<&[(String, String)]>,
    ) -> Result<(), Failure> {
        self.0.store.delete_routes_of(cluster).await?;
        let data = if *with_data { Data::Remove } else { Data::Keep };
        self.take_away(cluster, had, data).await?;
        for (name, _) in self.0.backups.undos().iter().filter(|(name, _)| *name.cluster == **cluster) {
            self.0.backups.end_undo(name);
        }
        let removed = if *with_data { self.remove_data(cluster).await } else { Ok(()) };
        // A cluster may take the same name from here on: what could not be removed is said once, and left.
        self.0.store.end_deletion(cluster).await?;
        removed
    }

    /// Finishes deletions that a crash cut short. One whose file is still there did not take place.
    pub(crate) async fn finish_deletions(&self) -> Result<(), Failure> {
        for deletion in self.0.store.deletions().await? {
            if self.snapshot().clusters.contains_key(&*deletion.cluster) {
                self.0.store.end_deletion(&deletion.cluster).await?;
            } else if let Err(failure) = self.finish(&deletion, None).await {
                tracing::warn!(cluster = deletion.cluster, %failure, "a deletion is not finished yet");
                self.0.hands.leave_over(&deletion.cluster, None);
            }
        }
        Ok(())
    }

    /// Whether anything is left of a deleted cluster.
    pub(crate) fn has_left_over(&self) -> bool {
        !self.0.hands.left_over().is_empty()
    }

    /// Takes away what is left of deleted clusters, as far as that can be done now.
    pub(crate) async fn finish_left_over(&self) {
        for (cluster, _) in self.0.hands.left_over() {
            if let Err(failure) = self.finish_left_over_of(&cluster).await {
                tracing::debug!(cluster, %failure, "what is left of a deleted cluster cannot be taken away yet");
            }
        }
    }

    /// Takes away what is left of a deleted cluster before its name is taken again.
    pub(crate) async fn nothing_is_left_of(&self, cluster: &str) -> Result<(), Failure> {
        let left = self.0.hands.left_over().into_iter().find(|(name, _)| name == cluster);
        let is_known = left.is_some_and(|(_, had)| had.is_some());
        match self.finish_left_over_of(cluster).await {
            // After a crash it is not known whether there is anything at all.
            Err(failure) if is_known => {
                let detail = format!(
                    "Something is left of the deleted cluster `{cluster}`, and cannot be taken away yet: {}",
                    failure.detail()
                );
                Err(Failure::gateway(failure.code(), detail).with_cause(failure))
            }
            _ => Ok(()),
        }
    }

    /// Takes away what is left of this cluster, if it is a deleted one.
    async fn finish_left_over_of(&self, cluster: &str) -> Result<(), Failure> {
        let hands = &self.0.hands;
        let left = || hands.left_over().into_iter().find(|(name, _)| name == cluster);
        if left().is_none() {
            return Ok(());
        }
        let _alone = hands.alone_with(cluster).await;
        // Whoever had it before may have done it.
        let Some((_, had)) = left() else { return Ok(()) };
        let deletions = self.0.store.deletions().await?;
        if let Some(deletion) = deletions.iter().find(|deletion| deletion.cluster == cluster)
            && !self.snapshot().clusters.contains_key(cluster)
        {
            self.finish(deletion, had.as_deref()).await?;
        }
        hands.nothing_left_over(cluster);
        Ok(())
    }

    async fn remove_data(&self, id: &str) -> Result<(), Failure> {
        let dir = build::cluster_data(&self.0.data_dir, id);
        match tokio::fs::remove_dir_all(&dir).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let detail =
                    format!("The cluster is deleted; its data in `{}` is not: {error}.", dir.display());
                Err(Failure::gateway(Code::Internal, detail))
            }
            _ => Ok(()),
        }
    }
}
