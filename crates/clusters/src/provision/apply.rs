//! A change of a cluster that starts or stops something, as an operation: all of it happens, or nothing of it stays.
//!
//! Everything is started before the file is written and the world is changed. What is not asked for any more is taken away
//! behind that. Whoever cancels, and whatever fails, before the file is written leads back to where it was.

use std::sync::{Arc, Mutex};

use futures_util::future::try_join_all;
use model::view::{Operation, OperationKind};
use model::{ClusterId, ClusterSpec, Failure};
use provision::{Data, Progress};

use super::settle::{For, Promise};
use super::{At, Job, at, keep_what_was_settled, lock, ready};
use crate::change::{By, Save};
use crate::operations::{Begin, Planned, Running, Touched};
use crate::{Clusters, build};

/// A change that has begun: its operation is written down, and its cluster is nobody else's until it ends.
pub(crate) struct Change {
    clusters: Clusters,
    running: Running,
    /// As it will stand in the file.
    spec: ClusterSpec,
    /// What is to be started, or to become what is asked now.
    start: Vec<Start>,
    /// What was begun of that, in order.
    touched: Mutex<Vec<Touched>>,
    /// What is to be taken away in the end.
    gone: Vec<Job>,
    /// What becomes of the data of that.
    data: Data,
    /// The revision of the cluster that is changed; `None` for one that is new.
    from: Option<u64>,
    by: By,
    _ports: Promise,
}

/// One service to start.
struct Start {
    job: Job,
    /// What runs there now, to which a failure leads back.
    before: Option<Job>,
}

impl Clusters {
    /// Begins a change to this spec, which has provisioned services now or had some before.
    pub(crate) async fn begin_change(
        &self,
        spec: ClusterSpec,
        data: Data,
        by: &By,
    ) -> Result<Change, Failure> {
        let world = self.snapshot().clone();
        let old = world.clusters.get(spec.cluster_id.as_str());
        let old_spec = old.map(|old| &old.spec);
        let mut spec = spec;
        // Said before its ports are looked at, which another change of it may have.
        self.operations().idle(spec.cluster_id.as_str())?;
        if let Some(old) = old_spec {
            keep_what_was_settled(&mut spec, old)?;
        }
        let (spec, ports) = self.settle(spec, old_spec, For::Caller).await?;
        // What could be refused in the end is refused before anything is started.
        self.rehearse(&spec)?;
        let kind = if old.is_some() { OperationKind::ClusterReplace } else { OperationKind::ClusterCreate };
        let cluster = spec.cluster_id.to_string();
        let begin = Begin { kind, cluster, service: None, by: by.clone(), steps: Vec::new() };
        let running = self.operations().begin(begin).await?;
        self.0.hands.nothing_comes_late(spec.cluster_id.as_str());
        let planned = self.changes(&running, &spec, old_spec);
        let (start, gone) = match planned {
            Ok(planned) => planned,
            Err(failure) => {
                running.end(Err(&failure)).await;
                return Err(failure);
            }
        };
        running.add_steps(steps(&start, &gone));
        let (from, by, touched) = (old.map(|old| old.revision), by.clone(), Mutex::default());
        Ok(Change {
            clusters: self.clone(),
            running,
            spec,
            start,
            touched,
            gone,
            data,
            from,
            by,
            _ports: ports,
        })
    }

    /// What has to be started and what has to go.
    fn changes(
        &self,
        running: &Running,
        spec: &ClusterSpec,
        old: Option<&ClusterSpec>,
    ) -> Result<(Vec<Start>, Vec<Job>), Failure> {
        let operation = &running.id();
        let mut before = match old {
            Some(old) => self.0.hands.jobs(old, operation)?,
            None => Vec::new(),
        };
        let mut start = Vec::new();
        for job in self.0.hands.jobs(spec, operation)? {
            self.is_nothing_to_put_back(job.name())?;
            let at = before.iter().position(|old| old.name() == job.name());
            let old = at.map(|at| before.swap_remove(at));
            // What an operator has stopped stays so: it is started as it is asked now when he starts it.
            let is_stopped = old.is_some() && self.0.hands.is_stopped(job.name());
            if !is_stopped && old.as_ref().is_none_or(|old| old.work != job.work) {
                start.push(Start { job, before: old });
            }
        }
        Ok((start, before))
    }
}

/// The steps of one service, in order.
struct Steps {
    fetch: Planned,
    start: Planned,
    ready: Planned,
}

impl Steps {
    fn of(job: &Job) -> Steps {
        let name = &*job.name().service;
        let what = job.work.image.as_deref().unwrap_or(&job.work.recipe.image);
        let by = job.provisioner.word();
        Steps {
            fetch: planned(name, "fetch", format!("{name}: fetch {what}")),
            start: planned(name, "start", format!("{name}: start by {by}")),
            ready: planned(name, "ready", format!("{name}: wait until it answers")),
        }
    }
}

const SAVE: &str = "save and publish";

fn steps(start: &[Start], gone: &[Job]) -> Vec<Planned> {
    let mut steps = Vec::new();
    for one in start {
        let Steps { fetch, start, ready } = Steps::of(&one.job);
        steps.extend([fetch, start, ready]);
    }
    steps.push(Planned { name: SAVE.to_owned(), service: None, action: "save" });
    steps.extend(gone.iter().map(|job| removal(&job.name().service)));
    steps
}

/// What is told when all is done but the taking away, which somebody else does later.
pub(crate) fn not_gone_yet(what: &str, failure: Failure) -> Failure {
    let detail = format!("{what}, but what ran for it could not be taken away yet: {}", failure.detail());
    let later = Failure::gateway(failure.code(), detail);
    later
        .with_hint("The gateway tries again until it is gone; nothing need be done for that.")
        .with_cause(failure)
}

fn removal(service: &str) -> Planned {
    planned(service, "remove", format!("{service}: remove"))
}

pub(super) fn planned(service: &str, action: &'static str, name: String) -> Planned {
    Planned { name, service: Some(service.to_owned()), action }
}

impl Change {
    /// The operation as it is now.
    pub(crate) fn operation(&self) -> Arc<Operation> {
        self.running.view()
    }

    /// Carries it out to its end, whoever waits for it.
    pub(crate) async fn carry(self, save: Save) -> Result<ClusterId, Failure> {
        let alone = self.clusters.0.hands.alone_with(self.spec.cluster_id.as_str()).await;
        let started = tokio::select! {
            biased;
            () = self.running.canceled() => Err(self.running.cancellation()),
            started = self.start_all() => started,
        };
        let noted = match started {
            Ok(()) => self.note_what_goes().await,
            Err(failure) => Err(failure),
        };
        let done = match noted {
            Ok(()) => self.publish(save).await,
            Err(failure) => Err(failure),
        };
        let ended = match done {
            Ok(()) => match self.sweep().await {
                Ok(()) => Ok(()),
                Err(failure) => {
                    let failure = not_gone_yet("The change took place", failure);
                    self.running.leave(&failure);
                    return Err(failure);
                }
            },
            Err(failure) if self.undo().await => Err(failure),
            Err(failure) => {
                // What could not be taken back is taken away behind it, as soon as that can be done.
                self.running.leave(&failure);
                return Err(failure);
            }
        };
        drop(alone);
        self.running.end(ended.as_ref().copied()).await;
        ended.map(|()| self.spec.cluster_id)
    }

    /// Starts everything at once, and waits until all of it answers. The first failure ends the rest.
    async fn start_all(&self) -> Result<(), Failure> {
        try_join_all(self.start.iter().map(|one| self.start(one))).await.map(drop)
    }

    /// Writes the file and changes the world: from here on there is no way back.
    async fn publish(&self, save: Save) -> Result<(), Failure> {
        let step = self.running.step(SAVE);
        let mut desk = self.clusters.desk().await?;
        let id = &self.spec.cluster_id;
        let now = self.clusters.snapshot().clusters.get(id.as_str()).map(|cluster| cluster.revision);
        let written = self.clusters.is_written_meanwhile(&desk, id, &save);
        if now != self.from || written {
            let failure = crate::change::changed_since(&format!("The cluster `{id}`"));
            step.failed(&failure, Vec::new());
            return Err(failure);
        }
        let done = self.clusters.carry_out(&mut desk, Some(self.spec.clone()), id, save, &self.by).await;
        match &done {
            Ok(()) => step.done(""),
            Err(failure) => step.failed(failure, Vec::new()),
        }
        done
    }

    /// On the disk before the file is written: from then on nothing else tells what is to become of their data.
    async fn note_what_goes(&self) -> Result<(), Failure> {
        for job in &self.gone {
            let keeps = self.data == Data::Keep;
            if keeps {
                self.clusters.0.hands.keep(job.name(), &job.spec)?;
            }
            let touched = Touched {
                provisioner: job.provisioner.word().to_owned(),
                service: job.name().service.to_string(),
                had_data: keeps,
                had_it: true,
            };
            self.running.touch(touched).await?;
        }
        Ok(())
    }

    /// Takes away what is not asked for any more.
    async fn sweep(&self) -> Result<(), Failure> {
        for job in &self.gone {
            let name = job.name();
            let step = self.running.step(&removal(&name.service).name);
            let hands = &self.clusters.0.hands;
            hands.forget(name);
            if let Err(failure) = job.provisioner.remove(name, self.data).await {
                step.failed(&failure, Vec::new());
                return Err(failure);
            }
            hands.has_gone(job.provisioner.word(), name, self.data);
            self.clusters.0.backups.end_undo(name);
            step.done(if self.data == Data::Keep { "its data are kept" } else { "its data are gone" });
        }
        Ok(())
    }

    /// Takes back what was begun, the last first. Says whether all of it could be.
    async fn undo(&self) -> bool {
        let mut is_whole = true;
        let touched = lock(&self.touched).clone();
        for touched in touched.iter().rev() {
            let of_it = |one: &&Start| *one.job.name().service == *touched.service;
            let Some(one) = self.start.iter().find(of_it) else { continue };
            let name = one.job.name();
            let undo = planned(&name.service, "undo", format!("{}: take back", name.service));
            self.running.add_steps(vec![undo.clone()]);
            let step = self.running.step(&undo.name);
            self.clusters.0.hands.forget(name);
            let undone = match &one.before {
                Some(before) => before.provisioner.start(&before.work, &|_| {}).await.map(|started| {
                    self.clusters.0.hands.reach(name, at(started));
                }),
                None => {
                    let data = if touched.had_data { Data::Keep } else { Data::Remove };
                    one.job.provisioner.remove(name, data).await
                }
            };
            match undone {
                Ok(()) => step.done(""),
                Err(failure) => {
                    is_whole = false;
                    step.failed(&failure, Vec::new());
                    self.clusters.0.hands.doubt(name);
                }
            }
        }
        is_whole
    }

    /// Starts one service, and waits until it answers.
    async fn start(&self, one: &Start) -> Result<(), Failure> {
        let name = one.job.name();
        let of_it = |failure: Failure| failure.with_service(name.service.as_ref().into());
        let steps = Steps::of(&one.job);
        self.fetch(&one.job, &steps.fetch).await.map_err(of_it)?;
        let at = self.begin(one, &steps.start).await.map_err(of_it)?;
        self.wait(&one.job, &at, &steps.ready).await.map_err(of_it)?;
        self.clusters.0.hands.reach(name, at);
        Ok(())
    }

    async fn fetch(&self, job: &Job, planned: &Planned) -> Result<(), Failure> {
        let step = self.running.step(&planned.name);
        let tell = |progress| match progress {
            Progress::Bytes { done, total } => step.bytes(done, total),
            Progress::Says(text) => step.says(&text),
        };
        let fetched = job.provisioner.fetch(&job.work, &tell).await;
        match &fetched {
            Ok(()) => step.done(""),
            Err(failure) => step.failed(failure, Vec::new()),
        }
        fetched
    }

    async fn begin(&self, Start { job, before }: &Start, planned: &Planned) -> Result<At, Failure> {
        let step = self.running.step(&planned.name);
        let name = job.name();
        let found = match job.provisioner.find(name).await {
            Ok(found) => found,
            Err(failure) => {
                step.failed(&failure, Vec::new());
                return Err(failure);
            }
        };
        let touched = Touched {
            provisioner: job.provisioner.word().to_owned(),
            service: name.service.to_string(),
            had_data: found.as_ref().is_some_and(|found| found.has_data),
            had_it: before.is_some(),
        };
        if !touched.had_data {
            // What is made from now on is made with something else than what was kept once.
            self.clusters.0.hands.drop_kept(job.provisioner.word(), name);
        }
        // On the disk before anything is made: whatever happens then, it is known what to look for.
        self.running.touch(touched.clone()).await?;
        lock(&self.touched).push(touched);
        let tell = |progress| {
            if let Progress::Says(text) = progress {
                step.says(&text);
            }
        };
        match job.provisioner.start(&job.work, &tell).await {
            Ok(started) => {
                let at = at(started);
                step.done(&format!("at {}:{}", at.0, at.1));
                Ok(at)
            }
            Err(failure) => {
                step.failed(&failure, ready::last_lines(job).await);
                Err(failure)
            }
        }
    }

    async fn wait(&self, job: &Job, at: &At, planned: &Planned) -> Result<(), Failure> {
        let step = self.running.step(&planned.name);
        let name = job.name();
        let home = build::home(&self.clusters.0.data_dir, &name.cluster, &name.service);
        let Err(failure) = ready::wait(job, at, &home, self.clusters.0.hands.ready_timeout).await else {
            step.done("");
            return Ok(());
        };
        let last = ready::last_lines(job).await;
        let failure = match last.as_slice() {
            [] => failure,
            lines => failure.with_hint(format!("The last that it said: {}", lines.join(" / "))),
        };
        step.failed(&failure, last);
        Err(failure)
    }
}
