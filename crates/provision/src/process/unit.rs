//! One service on this machine: what is to be, what is, and the way from one to the other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Failure;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::child::{self, Running, Spawn};
use super::keep;
use super::log::Log;
use super::place::{self, Place};
use super::record::{Made, Record, Wanted};
use super::user::User;
use super::{refuse, table};
use crate::{Found, Name, State};

/// One service. Whoever changes it holds its gate; whoever looks does not.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) name: Name,
    pub(super) place: Place,
    pub(super) log: Log,
    /// One change at a time.
    pub(super) gate: Arc<tokio::sync::Mutex<()>>,
    /// Told when it has said something, or is in another state.
    pub(super) changed: watch::Sender<()>,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    record: Option<Record>,
    running: Option<Arc<Running>>,
    /// What is kept of its ends, while it is about to be started again.
    restarting: Option<(Option<i64>, u64)>,
    keeper: Option<JoinHandle<()>>,
}

impl Unit {
    /// What there is of this service, with what an earlier gateway has left running of it.
    pub(super) fn load(name: Name, place: Place) -> Result<Arc<Unit>, Failure> {
        let log = Log::of(place.log());
        let unit = Arc::new(Unit {
            name,
            place,
            log,
            gate: Arc::default(),
            changed: watch::Sender::new(()),
            now: Mutex::default(),
        });
        unit.look_again()?;
        Ok(unit)
    }

    /// Takes up what another gateway has done since this one looked: it looks after nothing here, or would know.
    pub(super) fn look_again(self: &Arc<Unit>) -> Result<(), Failure> {
        let (known, is_kept) = {
            let now = self.now();
            (now.record.clone(), now.keeper.is_some())
        };
        match place::read::<Record>(&self.place.run()) {
            Some(record) if !is_kept && known.as_ref() != Some(&record) => self.take_up(record),
            _ => Ok(()),
        }
    }

    /// A pid with its moment of start is ours and runs on; what was started in the very moment in which the last gateway
    /// ended, before its pid was written, is found by where its output goes.
    fn take_up(self: &Arc<Unit>, mut record: Record) -> Result<(), Failure> {
        let same_boot = record.boot == table::boot();
        let process = match record.process {
            Some(id) if same_boot => Some(id),
            None if same_boot && record.wanted == Wanted::Running => {
                child::settled(&self.place.lock());
                let found = table::writing_to(&self.log.out());
                found.iter().find(|row| row.group == row.id.pid).map(|row| row.id)
            }
            _ => None,
        };
        let running = match process.map(Running::adopt).transpose() {
            Ok(running) => running.flatten(),
            Err(error) => return Err(refuse::no_start(&self.name, &record.program, error)),
        };
        let Some(running) = running else {
            if let Some(id) = process {
                // It has ended while nobody looked, and what it has left behind would be in its way.
                child::kill_group(id);
            }
            self.now().record = Some(record);
            return Ok(());
        };
        info!(cluster = %self.name.cluster, service = %self.name.service, pid = running.id().pid, "runs on");
        if record.process != Some(running.id()) {
            record.process = Some(running.id());
            place::save(&self.place.run(), &record)?;
        }
        self.now().record = Some(record);
        self.watch(running);
        Ok(())
    }

    /// Whether this very work runs.
    pub(super) fn runs(&self, print: &str) -> bool {
        let now = self.now();
        let same = now
            .record
            .as_ref()
            .is_some_and(|record| record.print == print && record.wanted == Wanted::Running);
        same && now.running.as_ref().is_some_and(|running| running.runs())
    }

    /// As whom it was started; `None` where it was not, or by whoever the gateway is.
    pub(super) fn user(&self) -> Option<User> {
        self.now().record.as_ref().and_then(|record| record.user.clone())
    }

    /// Starts what is recorded, and has it kept running from now on.
    pub(super) fn start(self: &Arc<Unit>, record: Record) -> Result<(), Failure> {
        match self.spawn(record) {
            Ok(running) => self.watch(running),
            Err(failure) => {
                self.want(Wanted::Stopped)?;
                return Err(failure);
            }
        }
        self.tell();
        Ok(())
    }

    fn watch(self: &Arc<Unit>, running: Running) {
        let running = Arc::new(running);
        let mut now = self.now();
        now.running = Some(running.clone());
        now.keeper = Some(tokio::spawn(keep::keep(self.clone(), running)));
    }

    /// Starts it once more, as it was.
    pub(super) fn start_again(&self) -> Result<Arc<Running>, Failure> {
        let record = self.now().record.clone().ok_or_else(|| refuse::nothing(&self.name))?;
        let running = Arc::new(self.spawn(record)?);
        let mut now = self.now();
        now.running = Some(running.clone());
        now.restarting = None;
        drop(now);
        self.tell();
        Ok(running)
    }

    /// The record is there before the process, and knows it after: whatever a crash cuts off, what runs is found again.
    fn spawn(&self, mut record: Record) -> Result<Running, Failure> {
        record.process = None;
        record.wanted = Wanted::Running;
        self.record(&record)?;
        let no_start = |error| refuse::no_start(&self.name, &record.program, error);
        let said = self.log.open().map_err(no_start)?;
        let data = self.place.data();
        let spawn = Spawn {
            program: &record.program,
            args: &record.args,
            env: &record.env,
            lock: &self.place.lock(),
            dir: &data,
            user: record.user.as_ref(),
        };
        let running = Running::spawn(spawn, None, said).map_err(no_start)?;
        record.process = Some(running.id());
        if let Err(failure) = self.record(&record) {
            running.kill();
            return Err(failure);
        }
        Ok(running)
    }

    /// Ends it, with all that it has started, and writes down that it is to stay so.
    pub(super) async fn stop(self: &Arc<Unit>) -> Result<(), Failure> {
        self.want(Wanted::Stopped)?;
        self.leave().await;
        let (running, stop) = {
            let now = self.now();
            (now.running.clone(), now.record.as_ref().map(|record| record.stop))
        };
        if let (Some(running), Some(stop)) = (running, stop)
            && running.end(stop.signal(), stop.grace()).await.is_none()
        {
            return Err(refuse::no_end(&self.name, running.id().pid));
        }
        // What has made itself a group of its own is ended too.
        child::end_strays(self.place.lock(), self.log.out()).await;
        self.now().running = None;
        self.close_log().await;
        self.tell();
        Ok(())
    }

    /// Looks after it no more. It runs on.
    pub(super) async fn leave(&self) {
        let keeper = self.now().keeper.take();
        if let Some(keeper) = keeper {
            keeper.abort();
            let _ = keeper.await;
        }
        self.now().restarting = None;
    }

    /// The same at once, where nobody can wait.
    pub(super) fn let_go(&self) {
        if let Some(keeper) = self.now().keeper.take() {
            keeper.abort();
        }
    }

    /// Says that it has ended and will be started again.
    pub(super) fn restarting(&self, code: Option<i64>, count: u64) {
        let mut now = self.now();
        now.running = None;
        now.restarting = Some((code, count));
        drop(now);
        self.tell();
    }

    /// Forgets what was to run, after that was taken away.
    pub(super) fn forget(&self) {
        *self.now() = Now::default();
        self.tell();
    }

    /// How it is.
    pub(super) fn state(&self) -> State {
        let now = self.now();
        if now.record.is_none() {
            return State::Absent;
        }
        if now.running.as_ref().is_some_and(|running| running.runs()) {
            return State::Running;
        }
        match (now.restarting, &now.keeper) {
            (Some((code, count)), Some(_)) => State::Restarting { code, count },
            // It has ended in this moment, which its keeper is about to see.
            (None, Some(keeper)) if !keeper.is_finished() => State::Restarting { code: None, count: 0 },
            _ => State::Stopped,
        }
    }

    /// What there is of it; `None` where there is nothing.
    pub(super) fn found(&self) -> Option<Found> {
        let state = self.state();
        let has_data = self.place.has_data();
        let now = self.now();
        let (gateway, operation) = match &now.record {
            Some(record) => (record.gateway.clone(), record.operation.clone()),
            None => {
                let made: Option<Made> = place::read(&self.place.made());
                if made.is_none() && !has_data {
                    return None;
                }
                made.map(|made| (made.gateway, made.operation)).unwrap_or_default()
            }
        };
        let port = now.record.as_ref().map(|record| record.port);
        // Between two starts it is still known by its last one.
        let process = now.running.as_ref().map(|running| running.id());
        let process = process.or(now.record.as_ref().and_then(|record| record.process));
        Some(Found {
            name: self.name.clone(),
            gateway,
            operation,
            id: match (process, &now.record) {
                (Some(process), _) => process.pid.to_string(),
                (None, Some(_)) => "0".to_owned(),
                (None, None) => String::new(),
            },
            state,
            has_data,
            port,
            at: now.record.as_ref().map(|record| (reached(record.bind).to_string(), record.port)),
        })
    }

    /// Brings over what it has said, if there is any.
    pub(super) async fn harvest(self: &Arc<Unit>) {
        if !self.log.grown() {
            return;
        }
        let unit = self.clone();
        let brought = tokio::task::spawn_blocking(move || unit.log.harvest()).await;
        self.said(brought);
    }

    /// The same when nobody writes any more.
    pub(super) async fn close_log(self: &Arc<Unit>) {
        if self.place.log().is_dir() {
            let unit = self.clone();
            let brought = tokio::task::spawn_blocking(move || unit.log.close()).await;
            self.said(brought);
        }
    }

    fn said(&self, brought: Result<std::io::Result<()>, tokio::task::JoinError>) {
        if let Ok(Err(error)) = brought {
            warn!(cluster = %self.name.cluster, service = %self.name.service, %error, "the log is not written");
        }
        self.tell();
    }

    fn want(&self, wanted: Wanted) -> Result<(), Failure> {
        let record = self.now().record.clone();
        match record {
            Some(record) if record.wanted != wanted => self.record(&Record { wanted, ..record }),
            _ => Ok(()),
        }
    }

    fn record(&self, record: &Record) -> Result<(), Failure> {
        place::save(&self.place.run(), record)?;
        self.now().record = Some(record.clone());
        Ok(())
    }

    fn tell(&self) {
        self.changed.send_replace(());
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where this machine reaches what listens there.
pub(super) fn reached(bind: IpAddr) -> IpAddr {
    match bind {
        IpAddr::V4(bind) if bind.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(bind) if bind.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        bind => bind,
    }
}
