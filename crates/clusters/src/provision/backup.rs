//! What a service that the gateway runs holds, written into a file and put back from one.
//!
//! Who can dump while he serves is asked to (`Dump::Serving`); of the others the data are copied while they stand still. A
//! restore puts all of a dump in place of all that there is, or changes nothing.

use std::sync::Arc;

use aws_lc_rs::digest;
use model::recipe::{Dump, Run};
use model::view::{Backup, BackupOrigin, Operation, OperationKind};
use model::{Code, Failure};
use provision::{Name, NotPut};
use tokio::io::AsyncReadExt;

use super::apply::planned;
use super::begun::Begun;
use super::metered::Metered;
use super::{Hands, Job, ready};
use crate::Clusters;
use crate::backups::{Writing, hexadecimal, unreadable};
use crate::change::By;
use crate::operations::{Begin, Planned, Running, Step};

/// The last word to who loads a dump that is of another service.
const ELSEWHERE: &str = "elsewhere";

/// How much of a dump is read at once when it is checked.
const PIECE: usize = 64 << 10;

/// Where a dump is that is to be put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The cluster of the service that it is of.
    pub cluster: String,
    /// That service.
    pub service: String,
    /// Its id.
    pub backup: String,
}

impl Clusters {
    /// Begins to write what a service holds into a file, whose id is that of the operation.
    ///
    /// # Errors
    /// `not_found`, `conflict` when the gateway does not run it, when it has to run and does not, or when something else is
    /// done to its cluster.
    pub async fn back_up(
        &self,
        id: &str,
        name: &str,
        reason: Option<&str>,
        by: By,
    ) -> Result<Begun, Failure> {
        let job = self.job_to_dump(id, name).await?;
        let steps = match dump(&job) {
            Dump::Serving { .. } => vec![Stage::Dump],
            Dump::AtRest { .. } if self.0.hands.is_stopped(job.name()) => vec![Stage::Dump],
            Dump::AtRest { .. } => vec![Stage::Stop, Stage::Dump, Stage::Start, Stage::Ready],
        };
        self.begin_moving(job, None, &steps, reason, by).await
    }

    /// Begins to put what a dump has in place of what a service holds.
    ///
    /// # Errors
    /// As [`Clusters::back_up`]; `conflict` when the dump is of something else.
    pub async fn restore(
        &self,
        id: &str,
        name: &str,
        source: &Source,
        reason: Option<&str>,
        by: By,
    ) -> Result<Begun, Failure> {
        let job = self.job_to_dump(id, name).await?;
        let of = Name { cluster: source.cluster.as_str().into(), service: source.service.as_str().into() };
        let backup = self.0.backups.get(&of, &source.backup)?;
        let format = dump(&job).format();
        if backup.kind != job.spec.kind || backup.format != format {
            let (id, kind, own) = (&backup.id, &backup.kind, &job.spec.kind);
            let detail = format!(
                "The backup `{id}` is of a `{kind}` (`.{}`), and `{name}` is a `{own}` (`.{format}`).",
                backup.format
            );
            return Err(Failure::client(Code::Conflict, detail));
        }
        let steps = match dump(&job) {
            Dump::Serving { .. } => vec![Stage::Check, Stage::Load, Stage::Ready],
            Dump::AtRest { .. } => {
                vec![Stage::Check, Stage::Stop, Stage::Keep, Stage::Load, Stage::Start, Stage::Ready]
            }
        };
        self.begin_moving(job, Some(backup), &steps, reason, by).await
    }

    /// The job of a service, where its dump can be made or loaded now.
    async fn job_to_dump(&self, id: &str, name: &str) -> Result<Job, Failure> {
        drop(self.desk().await?);
        let job = self.job_of(id, name, "operator")?;
        self.is_nothing_to_put_back(job.name())?;
        if matches!(dump(&job), Dump::Serving { .. }) && self.0.hands.is_stopped(job.name()) {
            let detail = format!("`{id}/{name}` is stopped: it is asked for its data while it runs.");
            return Err(Failure::client(Code::Conflict, detail)
                .with_hint(format!("`throome service start {id}/{name}` starts it.")));
        }
        Ok(job)
    }

    /// Nothing else is done to what a restore has left in the middle.
    pub(super) fn is_nothing_to_put_back(&self, name: &Name) -> Result<(), Failure> {
        let Some(id) = self.0.backups.undo_of(name) else { return Ok(()) };
        let Name { cluster, service } = name;
        let detail = format!(
            "A restore of `{cluster}/{service}` has failed, and what was there before, the backup `{id}`, is still to be put back."
        );
        Err(Failure::client(Code::Conflict, detail)
            .with_hint("It is tried until it succeeds; the gateway's log says what hinders it."))
    }

    async fn begin_moving(
        &self,
        job: Job,
        back: Option<Backup>,
        stages: &[Stage],
        reason: Option<&str>,
        by: By,
    ) -> Result<Begun, Failure> {
        let name = job.name().clone();
        let steps = stages.iter().map(|stage| stage.of(&name)).collect();
        let kind = back.as_ref().map_or(OperationKind::ServiceBackup, |_| OperationKind::ServiceRestore);
        let begin = Begin {
            kind,
            cluster: name.cluster.to_string(),
            service: Some(name.service.to_string()),
            by,
            steps,
        };
        let running = self.operations().begin(begin).await?;
        let reason = reason.map(str::to_owned);
        let operation = running.view();
        let moving = Moving { clusters: self.clone(), running, job, back, reason };
        Ok(Begun::new(operation, moving.carry()))
    }

    /// The dumps of a service, the newest first. It need not be there any more.
    ///
    /// # Errors
    /// `not_found` where there is neither the service nor any dump of it.
    pub fn backups(&self, id: &str, name: &str) -> Result<Vec<Backup>, Failure> {
        let all = self.0.backups.list(&named(id, name))?;
        if all.is_empty() {
            self.snapshot().service(id, name)?;
        }
        Ok(all)
    }

    /// One of them.
    ///
    /// # Errors
    /// `not_found`.
    pub fn backup(&self, id: &str, name: &str, backup: &str) -> Result<Backup, Failure> {
        self.0.backups.get(&named(id, name), backup)
    }

    /// Its file.
    ///
    /// # Errors
    /// What hinders reading it.
    pub async fn open_backup(&self, backup: &Backup) -> Result<tokio::fs::File, Failure> {
        self.0.backups.open(backup).await
    }

    /// Takes one away.
    ///
    /// # Errors
    /// `not_found`; `conflict` while an operation is under way in its cluster.
    pub fn remove_backup(&self, id: &str, name: &str, backup: &str) -> Result<(), Failure> {
        self.operations().idle(id)?;
        let name = named(id, name);
        if self.0.backups.undo_of(&name).as_deref() == Some(backup) {
            self.is_nothing_to_put_back(&name)?;
        }
        self.0.backups.remove(&name, backup)
    }

    /// Begins to take a dump that somebody brings for a service that is there.
    ///
    /// # Errors
    /// `not_found`; `conflict` when the gateway does not run the service, or there is a dump of this id.
    pub async fn receive_backup(&self, id: &str, name: &str, backup: &str) -> Result<Receiving, Failure> {
        drop(self.desk().await?);
        let job = self.job_of(id, name, "operator")?;
        let format = dump(&job).format();
        let writing =
            self.0.backups.write(job.name(), backup, &job.spec.kind, format, BackupOrigin::Upload)?;
        Ok(Receiving(writing))
    }
}

fn named(cluster: &str, service: &str) -> Name {
    Name { cluster: cluster.into(), service: service.into() }
}

fn dump(job: &Job) -> &Dump {
    &job.work.recipe.dump
}

/// A dump that somebody brings. Dropped before it is kept, it never was.
pub struct Receiving(Writing);

impl Receiving {
    /// Takes a piece of it.
    ///
    /// # Errors
    /// What hinders writing it.
    pub async fn take(&mut self, piece: &[u8]) -> Result<(), Failure> {
        use tokio::io::AsyncWriteExt;
        match self.0.write_all(piece).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.0.failed(&error)),
        }
    }

    /// That was all.
    ///
    /// # Errors
    /// What hinders writing it; `invalid_request` for nothing at all.
    pub async fn keep(self) -> Result<Backup, Failure> {
        if self.0.bytes() == 0 {
            return Err(Failure::client(Code::InvalidRequest, "The dump is empty.")
                .with_hint("Send the file as the body of the request."));
        }
        self.0.keep().await
    }
}

/// The stages of both.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Check,
    Stop,
    Dump,
    Keep,
    Load,
    Start,
    Ready,
    Undo,
}

impl Stage {
    fn of(self, name: &Name) -> Planned {
        let (action, what) = match self {
            Stage::Check => ("check", "check the dump"),
            Stage::Stop => ("stop", "stop"),
            Stage::Dump => ("dump", "write the dump"),
            Stage::Keep => ("keep", "keep what is there"),
            Stage::Load => ("load", "load the dump"),
            Stage::Start => ("start", "start"),
            Stage::Ready => ("ready", "wait until it answers"),
            Stage::Undo => ("undo", "put back what was there"),
        };
        planned(&name.service, action, format!("{}: {what}", name.service))
    }
}

/// A dump that is being written or put back.
struct Moving {
    clusters: Clusters,
    running: Running,
    job: Job,
    /// What is put back; `None` where what is there is written.
    back: Option<Backup>,
    reason: Option<String>,
}

impl Moving {
    async fn carry(self) -> Result<Arc<Operation>, Failure> {
        let _alone = self.clusters.0.hands.alone_with(&self.job.name().cluster).await;
        let done = match (self.is_as_it_was(), &self.back) {
            (Err(failure), _) => Err(failure),
            (Ok(()), None) => self.back_up().await,
            (Ok(()), Some(backup)) => self.restore(backup).await,
        };
        let last = self.running.end(done.as_ref().copied()).await;
        done.map(|()| last)
    }

    /// Whoever had the cluster before may have changed or deleted it.
    fn is_as_it_was(&self) -> Result<(), Failure> {
        let name = self.job.name();
        let now = self.clusters.job_of(&name.cluster, &name.service, &self.job.work.operation)?;
        if now.work == self.job.work {
            return Ok(());
        }
        Err(crate::change::changed_since(&format!("The service `{}`", name.service)))
    }

    async fn back_up(&self) -> Result<(), Failure> {
        match dump(&self.job) {
            Dump::Serving { save, .. } => {
                self.unless_canceled(self.step(Stage::Dump, async |step| self.save(save, step).await)).await
            }
            Dump::AtRest { .. } if self.hands().is_stopped(self.job.name()) => {
                self.unless_canceled(self.copy(Stage::Dump, BackupOrigin::Backup)).await
            }
            Dump::AtRest { .. } => {
                self.stop_unless_canceled().await?;
                let copied = self.unless_canceled(self.copy(Stage::Dump, BackupOrigin::Backup)).await;
                // It serves again, whatever became of the dump.
                copied.and(self.start().await)
            }
        }
    }

    async fn restore(&self, backup: &Backup) -> Result<(), Failure> {
        self.unless_canceled(self.check(backup)).await?;
        match dump(&self.job) {
            Dump::Serving { load, .. } => {
                // Broken off, it puts things back itself.
                let loads = self.step(Stage::Load, async |step| self.load(load, backup, step).await);
                self.unless_canceled(loads).await?;
                self.ready().await
            }
            Dump::AtRest { .. } => {
                let is_stopped = self.hands().is_stopped(self.job.name());
                self.stop_unless_canceled().await?;
                let kept = self.unless_canceled(self.copy(Stage::Keep, BackupOrigin::Restore)).await;
                let replaced = match kept {
                    Ok(()) => self.replace(backup, is_stopped).await,
                    Err(failure) => Err(failure),
                };
                match replaced {
                    Ok(()) => Ok(()),
                    // Nothing has changed, or what was there is there again.
                    Err(failure) if self.clusters.0.backups.undo_of(self.job.name()).is_none() => {
                        self.serve_again(is_stopped).await;
                        Err(failure)
                    }
                    Err(failure) => Err(failure),
                }
            }
        }
    }

    /// Puts the dump in place of what is there, which was kept, and has it served. What fails leads back.
    async fn replace(&self, backup: &Backup, is_stopped: bool) -> Result<(), Failure> {
        let (backups, name) = (&self.clusters.0.backups, self.job.name());
        // From here on a crash leads back, too.
        backups.begin_undo(name, &self.running.id())?;
        let mut is_lost = true;
        let loaded = self.step(Stage::Load, async |step| {
            self.put(backup, step).await.map_err(|not| {
                is_lost = not.is_lost;
                not.failure
            })
        });
        let served = match loaded.await {
            Err(failure) if !is_lost => {
                backups.end_undo(name);
                return Err(failure);
            }
            Ok(()) if !is_stopped => self.start().await,
            loaded => loaded,
        };
        match served {
            Ok(()) => {
                backups.end_undo(name);
                Ok(())
            }
            // Where that fails it is tried again (`upkeep`).
            Err(failure) => {
                let _ = self.put_back().await;
                Err(failure)
            }
        }
    }

    /// Reads all of the dump: one that has suffered on its disk is not put in place of anything.
    async fn check(&self, backup: &Backup) -> Result<(), Failure> {
        self.step(Stage::Check, async |step| {
            let mut file = Metered::new(self.clusters.0.backups.open(backup).await?, step, backup.bytes);
            let mut digest = digest::Context::new(&digest::SHA256);
            let mut piece = vec![0; PIECE];
            loop {
                let read = file
                    .read(&mut piece)
                    .await
                    .map_err(|error| unreadable(&self.clusters.0.backups.file(backup), &error))?;
                if read == 0 {
                    break;
                }
                digest.update(&piece[..read]);
            }
            if hexadecimal(digest.finish().as_ref()) != backup.sha256 {
                let detail = format!("The file of the backup `{}` is not what was written.", backup.id);
                return Err(Failure::client(Code::Conflict, detail)
                    .with_hint("Its SHA-256 is another one: take another backup."));
            }
            Ok(String::new())
        })
        .await
    }

    /// Asks who serves for his dump.
    async fn save(&self, save: &Run, step: &Step) -> Result<String, Failure> {
        let mut writing = self.writing(BackupOrigin::Backup)?;
        let out = Box::pin(Metered::new(&mut writing, step, 0));
        self.job.provisioner.beside(&self.job.work, save, None, Some(out)).await?;
        kept(writing).await
    }

    /// Gives a dump to who serves.
    async fn load(&self, load: &Run, backup: &Backup, step: &Step) -> Result<String, Failure> {
        let file = self.clusters.0.backups.open(backup).await?;
        let input = Box::pin(Metered::new(file, step, backup.bytes));
        let mut load = load.clone();
        let name = self.job.name();
        if backup.origin == BackupOrigin::Upload
            || backup.cluster != *name.cluster
            || backup.service != *name.service
        {
            // Who owns what in it, and may do what, may be nobody here.
            load.args.push(ELSEWHERE.to_owned());
        }
        self.job.provisioner.beside(&self.job.work, &load, Some(input), None).await?;
        Ok(String::new())
    }

    /// Copies the data of what stands still.
    async fn copy(&self, stage: Stage, origin: BackupOrigin) -> Result<(), Failure> {
        self.step(stage, async |step| {
            let mut writing = self.writing(origin)?;
            let out = Box::pin(Metered::new(&mut writing, step, 0));
            self.job.provisioner.take_data(&self.job.work, out).await?;
            kept(writing).await
        })
        .await
    }

    /// Puts the data of a dump in place of those of what stands still.
    async fn put(&self, backup: &Backup, step: &Step) -> Result<String, NotPut> {
        let file = self.clusters.0.backups.open(backup).await?;
        let input = Box::pin(Metered::new(file, step, backup.bytes));
        self.job.provisioner.put_data(&self.job.work, input).await?;
        Ok(String::new())
    }

    /// What was loaded is not there whole, or does not serve: what was there before is put back.
    async fn put_back(&self) -> Result<(), Failure> {
        let name = self.job.name();
        self.running.add_steps(vec![Stage::Undo.of(name)]);
        self.step(Stage::Undo, async |step| {
            self.job.provisioner.stop(name).await?;
            let before = self.clusters.0.backups.get(name, &self.running.id())?;
            self.put(&before, step).await.map_err(|not| not.failure)?;
            self.clusters.0.backups.end_undo(name);
            Ok(String::new())
        })
        .await
    }

    /// It is what it was, also where that does not answer; what does not start is tried again (`upkeep`).
    async fn serve_again(&self, is_stopped: bool) {
        if !is_stopped && self.clusters.start_there(&self.job).await.is_ok() {
            let _ = self.clusters.until_ready(&self.job).await;
        }
    }

    async fn stop_unless_canceled(&self) -> Result<(), Failure> {
        if self.running.is_canceled() { Err(self.running.cancellation()) } else { self.stop().await }
    }

    async fn stop(&self) -> Result<(), Failure> {
        self.step(Stage::Stop, async |_| {
            self.job.provisioner.stop(self.job.name()).await.map(|()| String::new())
        })
        .await
    }

    async fn start(&self) -> Result<(), Failure> {
        self.step(Stage::Start, async |_| self.clusters.start_there(&self.job).await).await?;
        self.ready().await
    }

    async fn ready(&self) -> Result<(), Failure> {
        self.step(Stage::Ready, async |_| self.clusters.until_ready(&self.job).await.map(|()| String::new()))
            .await
    }

    async fn step(
        &self,
        stage: Stage,
        work: impl AsyncFnOnce(&Step) -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        let step = self.running.step(&stage.of(self.job.name()).name);
        if let Some(reason) = &self.reason {
            step.says(reason);
        }
        match work(&step).await {
            Ok(said) => {
                step.done(&said);
                Ok(())
            }
            Err(failure) => {
                // What a program has said of its own failure is in the failure; of a service that does not answer it is here.
                let last = match stage {
                    Stage::Start | Stage::Ready => ready::last_lines(&self.job).await,
                    _ => Vec::new(),
                };
                step.failed(&failure, last);
                Err(failure.with_service(self.job.name().service.as_ref().into()))
            }
        }
    }

    async fn unless_canceled(&self, work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
        tokio::select! {
            biased;
            () = self.running.canceled() => Err(self.running.cancellation()),
            done = work => done,
        }
    }

    fn writing(&self, origin: BackupOrigin) -> Result<Writing, Failure> {
        let format = dump(&self.job).format();
        let (name, kind) = (self.job.name(), &self.job.spec.kind);
        self.clusters.0.backups.write(name, &self.running.id(), kind, format, origin)
    }

    fn hands(&self) -> &Hands {
        &self.clusters.0.hands
    }
}

async fn kept(writing: Writing) -> Result<String, Failure> {
    let backup = writing.keep().await?;
    Ok(format!("backup {} has {} bytes", backup.id, backup.bytes))
}
