//! What an operator does to a service that the gateway runs: restart, stop, start; and what it has said.

use std::sync::Arc;

use futures_util::StreamExt;
use model::view::{Operation, OperationKind};
use model::{Code, Failure};
use provision::{Ask, Line, Lines, Name, State};

use super::apply::planned;
use super::begun::Begun;
use super::upkeep::Lifecycle;
use super::{Job, ready};
use crate::change::By;
use crate::operations::{Begin, Planned, Running};
use crate::{Clusters, probe};

/// What is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It ends and begins again.
    Restart,
    /// It ends, and stays so.
    Stop,
    /// It begins.
    Start,
}

impl Act {
    fn kind(self) -> OperationKind {
        match self {
            Act::Restart => OperationKind::ServiceRestart,
            Act::Stop => OperationKind::ServiceStop,
            Act::Start => OperationKind::ServiceStart,
        }
    }

    fn steps(self, name: &str) -> Vec<Planned> {
        let stop = || planned(name, "stop", format!("{name}: stop"));
        let start = || planned(name, "start", format!("{name}: start"));
        let ready = || planned(name, "ready", format!("{name}: wait until it answers"));
        match self {
            Act::Restart => vec![stop(), start(), ready()],
            Act::Stop => vec![stop()],
            Act::Start => vec![start(), ready()],
        }
    }
}

impl Clusters {
    /// Begins to restart, stop or start a service that the gateway runs. It is carried through whoever waits.
    ///
    /// # Errors
    /// `not_found`, `conflict` when the gateway does not run it or something else is done to its cluster.
    pub async fn act(
        &self,
        id: &str,
        name: &str,
        act: Act,
        reason: Option<&str>,
        by: By,
    ) -> Result<Begun, Failure> {
        // While another program takes this one's place, one of the two waits here, and the other is told so.
        drop(self.desk().await?);
        let job = self.job_of(id, name, "operator")?;
        self.is_nothing_to_put_back(job.name())?;
        let begin = Begin {
            kind: act.kind(),
            cluster: id.to_owned(),
            service: Some(name.to_owned()),
            by,
            steps: act.steps(name),
        };
        let running = self.operations().begin(begin).await?;
        let reason = reason.map(str::to_owned);
        let operation = running.view();
        let acting = Acting { clusters: self.clone(), running, job, act, reason };
        Ok(Begun::new(operation, acting.carry()))
    }

    /// The job of a service that the gateway runs.
    pub(crate) fn job_of(&self, id: &str, name: &str, operation: &str) -> Result<Job, Failure> {
        let world = self.snapshot();
        let service = world.service(id, name)?;
        if !service.spec.is_provisioned() {
            let detail = format!("The gateway does not run `{id}/{name}`: it only connects to it.");
            return Err(Failure::client(Code::Conflict, detail)
                .with_hint("`provision: true` in place of its `host` has the gateway run it."));
        }
        self.0.hands.job(&world.cluster(id)?.spec.cluster_id, name, &service.spec, operation)
    }

    /// What a service that the gateway runs has said.
    ///
    /// # Errors
    /// `not_found`, `conflict` when the gateway does not run it, or what hinders reading it.
    pub async fn logs(&self, id: &str, name: &str, ask: &Ask) -> Result<Lines, Failure> {
        drop(self.desk().await?);
        let job = self.job_of(id, name, "operator")?;
        let lines = job.provisioner.logs(job.name(), ask).await?;
        let masked = move |line: Line| Line { text: job.work.masked(line.text), ..line };
        Ok(Box::pin(lines.map(move |line| line.map(&masked))))
    }
}

/// How far it has come.
enum Ended {
    /// All of it is done.
    Through,
    /// Somebody has cancelled, while it ran or not.
    Canceled { runs: bool },
}

/// A restart, a stop or a start that has begun.
struct Acting {
    clusters: Clusters,
    running: Running,
    job: Job,
    act: Act,
    reason: Option<String>,
}

impl Acting {
    async fn carry(self) -> Result<Arc<Operation>, Failure> {
        let done = self.all().await;
        let last = self.running.end(done.as_ref().copied()).await;
        done.map(|()| last)
    }

    async fn all(&self) -> Result<(), Failure> {
        let hands = &self.clusters.0.hands;
        let name = self.job.name();
        let _alone = tokio::select! {
            biased;
            () = self.running.canceled() => return Err(self.running.cancellation()),
            alone = hands.alone_with(&name.cluster) => alone,
        };
        // Whoever had the cluster before may have changed or deleted it.
        let now = self.clusters.job_of(&name.cluster, &name.service, &self.job.work.operation)?;
        if now.work != self.job.work {
            return Err(crate::change::changed_since(&format!("The service `{}`", name.service)));
        }
        let was_stopped = hands.is_stopped(name);
        let ended = self.carry_out().await;
        let led_back = match &ended {
            Ok(Ended::Canceled { runs }) => self.lead_back(*runs, was_stopped).await,
            Ok(Ended::Through) | Err(_) => Ok(()),
        };
        if ended.is_err() || led_back.is_err() {
            // How far it came is not known: unless it was stopped, it is to run as its file asks.
            if self.act == Act::Stop {
                hands.set_stopped(name, was_stopped)?;
            }
            hands.doubt(name);
        }
        led_back?;
        match ended? {
            Ended::Through => Ok(()),
            Ended::Canceled { .. } => Err(self.running.cancellation()),
        }
    }

    /// Does it, as long as nobody cancels. What has been told to end is let end, and what begins is let begin: a half of
    /// either could not be led back from.
    async fn carry_out(&self) -> Result<Ended, Failure> {
        let hands = &self.clusters.0.hands;
        let name = self.job.name();
        // Said first: whoever keeps it running must not start what is being stopped.
        if self.act == Act::Stop {
            hands.set_stopped(name, true)?;
        }
        if self.act != Act::Start {
            self.step("stop", self.stop()).await?;
            if self.running.is_canceled() {
                return Ok(Ended::Canceled { runs: false });
            }
        }
        if self.act == Act::Stop {
            self.show(&State::Stopped).await;
            return Ok(Ended::Through);
        }
        hands.set_stopped(name, false)?;
        self.step("start", self.begin()).await?;
        tokio::select! {
            biased;
            () = self.running.canceled() => return Ok(Ended::Canceled { runs: true }),
            ready = self.step("ready", self.wait()) => ready?,
        }
        self.show(&State::Running).await;
        Ok(Ended::Through)
    }

    /// From its end on it is told as it is, and asked or not: whoever has waited for that goes by it.
    async fn show(&self, state: &State) {
        let Name { cluster, service } = self.job.name();
        let Ok(service) = self.clusters.snapshot().service(cluster, service).cloned() else { return };
        service.set_lifecycle(Lifecycle::of(state));
        match state {
            State::Running => probe::until_in(&service).await,
            _ => probe::take_out(&service),
        }
    }

    /// It is as it was before somebody has cancelled: stopped, or begun again. Nobody waits until it answers.
    async fn lead_back(&self, runs: bool, was_stopped: bool) -> Result<(), Failure> {
        if runs != was_stopped {
            return Ok(());
        }
        let hands = &self.clusters.0.hands;
        let service = &self.job.name().service;
        let back = planned(service, "undo", format!("{service}: take back"));
        self.running.add_steps(vec![back.clone()]);
        hands.set_stopped(self.job.name(), was_stopped)?;
        if was_stopped { self.take(&back, self.stop()).await } else { self.take(&back, self.begin()).await }
    }

    async fn stop(&self) -> Result<String, Failure> {
        self.job.provisioner.stop(self.job.name()).await.map(|()| String::new())
    }

    async fn begin(&self) -> Result<String, Failure> {
        self.clusters.start_there(&self.job).await
    }

    async fn wait(&self) -> Result<String, Failure> {
        self.clusters.until_ready(&self.job).await.map(|()| String::new())
    }

    async fn step(
        &self,
        action: &str,
        work: impl Future<Output = Result<String, Failure>>,
    ) -> Result<(), Failure> {
        let steps = self.act.steps(&self.job.name().service);
        match steps.iter().find(|planned| planned.action == action) {
            Some(planned) => self.take(planned, work).await,
            None => Ok(()),
        }
    }

    async fn take(
        &self,
        planned: &Planned,
        work: impl Future<Output = Result<String, Failure>>,
    ) -> Result<(), Failure> {
        let step = self.running.step(&planned.name);
        if let Some(reason) = &self.reason {
            step.says(reason);
        }
        match work.await {
            Ok(said) => {
                step.done(&said);
                Ok(())
            }
            Err(failure) => {
                step.failed(&failure, ready::last_lines(&self.job).await);
                Err(failure.with_service(self.job.name().service.as_ref().into()))
            }
        }
    }
}
