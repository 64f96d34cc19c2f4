//! What a crash has left: operations that nobody goes on with, and things that they have made.
//!
//! What the files say is what there is to be. An operation whose cluster's file says what it wanted took place; whatever else
//! it has made is taken away again.

use model::Failure;
use model::recipe::Dump;
use model::view::{Operation, OperationKind, OperationStatus};
use provision::{Data, Name};

use crate::Clusters;
use crate::operations::{Touched, Unfinished};

impl Clusters {
    /// Ends every operation that the process before has left in the middle.
    /// Says whether all of them have ended.
    pub(crate) async fn mend(&self) -> bool {
        let unfinished = match self.operations().unfinished().await {
            Ok(unfinished) => unfinished,
            Err(failure) => {
                tracing::warn!(%failure, "cannot read which operations were under way");
                return false;
            }
        };
        let mut is_whole = true;
        for left in unfinished {
            match self.take_back(&left).await {
                Ok(()) => self.close_left(&left).await,
                // An engine may come later than the gateway: it is tried again.
                Err(failure) => {
                    is_whole = false;
                    let operation = &left.operation.id;
                    tracing::warn!(%failure, operation, "what a crash has left in the middle cannot be put in order yet");
                }
            }
        }
        is_whole
    }

    /// Takes away what it has made, and no file asks for.
    async fn take_back(&self, Unfinished { operation, touched }: &Unfinished) -> Result<(), Failure> {
        if matches!(operation.kind, OperationKind::ServiceBackup | OperationKind::ServiceRestore) {
            return self.break_off(operation).await;
        }
        for touched in touched {
            if self.asks_for(&operation.cluster, touched) {
                // It is kept running from here on.
                continue;
            }
            let name =
                Name { cluster: operation.cluster.as_str().into(), service: touched.service.as_str().into() };
            let data = if touched.had_data { Data::Keep } else { Data::Remove };
            let Ok(provisioner) = self.0.hands.provisioner(&touched.provisioner) else {
                let by = &touched.provisioner;
                tracing::warn!(%name.cluster, %name.service, by, "what a crash has left stays: this gateway runs nothing by it now");
                continue;
            };
            let _alone = self.0.hands.alone_with(&name.cluster).await;
            provisioner.remove(&name, data).await?;
            self.0.hands.has_gone(provisioner.word(), &name, data);
            self.0.hands.may_come_late(&name, data, provisioner);
        }
        Ok(())
    }

    /// A dump that was being written never was. Who reads one beside a service may go on without us, and put it in place
    /// at any moment: he ends with the service, which is started again as everything is that its file asks for.
    async fn break_off(&self, operation: &Operation) -> Result<(), Failure> {
        let Some(service) = &operation.service else { return Ok(()) };
        let name = Name { cluster: operation.cluster.as_str().into(), service: service.as_str().into() };
        self.0.backups.forget_part(&name, &operation.id);
        if operation.kind == OperationKind::ServiceRestore
            && let Ok(job) = self.job_of(&name.cluster, &name.service, "operator")
            && matches!(job.work.recipe.dump, Dump::Serving { .. })
        {
            let _alone = self.0.hands.alone_with(&name.cluster).await;
            job.provisioner.stop(&name).await?;
        }
        Ok(())
    }

    /// Puts back what was there before restores that have failed, or that a crash has cut off. Says whether none is left.
    pub(crate) async fn put_back_what_was_there(&self) -> bool {
        let mut is_whole = true;
        for (name, id) in self.0.backups.undos() {
            if let Err(failure) = self.put_back(&name, &id).await {
                is_whole = false;
                let (cluster, service) = (&name.cluster, &name.service);
                tracing::error!(%failure, %cluster, %service, backup = id, "what was there before a restore cannot be put back yet");
            }
        }
        is_whole
    }

    async fn put_back(&self, name: &Name, id: &str) -> Result<(), Failure> {
        let _alone = self.0.hands.alone_with(&name.cluster).await;
        // A restore that is under way leads back itself.
        if self.0.backups.undo_of(name).as_deref() != Some(id)
            || self.operations().is_busy(&name.cluster).is_some()
        {
            return Ok(());
        }
        let Ok(job) = self.job_of(&name.cluster, &name.service, "operator") else {
            // The service has gone, and its data with it.
            self.0.backups.end_undo(name);
            return Ok(());
        };
        let before = self.0.backups.get(name, id)?;
        job.provisioner.stop(name).await?;
        let file = self.0.backups.open(&before).await?;
        job.provisioner.put_data(&job.work, Box::pin(file)).await.map_err(|not| not.failure)?;
        self.0.backups.end_undo(name);
        let said = format!("what was there before a restore, the backup `{id}`, was put back");
        self.tell_of(name, "service.put_back", said);
        Ok(())
    }

    async fn close_left(&self, Unfinished { operation, touched }: &Unfinished) {
        let (status, detail) = if self.took_place(&operation.cluster, touched) {
            (OperationStatus::Succeeded, "The gateway ended in the middle of it; its file was written.")
        } else {
            let detail = "The gateway ended in the middle of it; what holds is what the cluster's file says.";
            (OperationStatus::Failed, detail)
        };
        if let Err(failure) = self.operations().close_unfinished(&operation.id, status, detail).await {
            tracing::warn!(%failure, operation = operation.id, "an operation cannot be ended");
        }
    }

    /// Whether a file asks for all that is new. Of what was there before it does not tell whether that is as it was, or as it
    /// was to be.
    fn took_place(&self, cluster: &str, touched: &[Touched]) -> bool {
        let mut new = touched.iter().filter(|touched| !touched.had_it).peekable();
        new.peek().is_some() && new.all(|touched| self.asks_for(cluster, touched))
    }

    /// Whether a file asks for what was touched.
    fn asks_for(&self, cluster: &str, touched: &Touched) -> bool {
        let world = self.snapshot();
        let service = world.clusters.get(cluster).and_then(|cluster| cluster.spec.service(&touched.service));
        service.is_some_and(|service| service.provisioner() == Some(&*touched.provisioner))
    }
}
