//! What stands in files is kept running: started when the gateway starts, found again after a crash of either side, and
//! started once more when it has gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{ClusterId, Failure, ServiceSpec};
use provision::{Data, Found, Name, Provisioner, State};
use tokio::task::JoinSet;

use super::{Job, at, runs_any};
use crate::change::{By, Save};
use crate::service::Service;
use crate::{Clusters, Happening};

/// How often it is looked around.
const LOOK: Duration = Duration::from_secs(1);
/// While nothing is run and nothing is asked for, one look of so many is enough.
const SELDOM: u64 = 30;
/// Between two tries to start what cannot be started: doubled with each, up to the last.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long a look at what one of them runs may take, while which nothing is done about the others.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries to put in order what a crash has left.
const MEND: Duration = Duration::from_secs(5);

/// How a service that the gateway runs is, as far as who runs it can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lifecycle {
    /// One word: `declared`, `starting`, `running`, `restarting`, `ended`, `stopped`, `absent`; `unknown` while who runs it
    /// cannot be asked.
    pub(crate) word: &'static str,
    /// What is to be known of it, where it does not just run.
    pub(crate) says: Option<String>,
}

impl Lifecycle {
    pub(crate) fn declared() -> Self {
        Lifecycle { word: "declared", says: Some("the gateway has not started it yet".to_owned()) }
    }

    /// One that is to run as its file asks, and cannot be started so.
    fn not_started(state: &State, why: &str) -> Self {
        Lifecycle { says: Some(format!("it cannot be started: {why}")), ..Lifecycle::of(state) }
    }

    pub(super) fn of(state: &State) -> Self {
        let with = |code: &Option<i64>| code.map(|code| format!(" with code {code}")).unwrap_or_default();
        let (word, says) = match state {
            State::Running => ("running", None),
            State::Restarting { code, count } => {
                let says = format!(
                    "its program has ended{} and is started again ({count} times by now)",
                    with(code)
                );
                ("restarting", Some(says))
            }
            State::Ended { code } => ("ended", Some(format!("its program has ended{}", with(code)))),
            State::Stopped => ("stopped", Some("it was stopped".to_owned())),
            State::Absent => ("absent", Some("nothing runs there".to_owned())),
        };
        Lifecycle { word, says }
    }
}

/// What was tried with a service that does not run.
struct Tried {
    next: Instant,
    pause: Duration,
    /// What was last started, or found to run; what is asked now may be something else.
    begun: Option<ServiceSpec>,
    /// What could not be started. Something else need not wait until that is tried again.
    failed: Option<ServiceSpec>,
    said: String,
}

impl Tried {
    fn nothing(now: Instant) -> Self {
        Tried { next: now, pause: PAUSE, begun: None, failed: None, said: String::new() }
    }
}

/// Keeps them running until it is dropped.
pub(crate) async fn keep(clusters: Clusters) {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut upkeep = Upkeep {
        clusters,
        tried: HashMap::new(),
        starts: JoinSet::new(),
        is_at_rest: false,
        away: HashMap::new(),
    };
    upkeep.clusters.0.backups.sweep();
    let (mut mended, mut next_mend) = (false, Instant::now());
    let (mut undo_pause, mut next_undo) = (MEND, Instant::now());
    let mut ticks = 0_u64;
    let mut has_told = false;
    loop {
        tick.tick().await;
        ticks += 1;
        let clusters = &upkeep.clusters;
        if adapters::gate::is_shut() || clusters.desk().await.is_err() {
            // Another process runs them.
            continue;
        }
        let is_left = !mended || clusters.operations().has_broken() || clusters.has_left_over();
        if is_left && clusters.0.store.is_ready() && Instant::now() >= next_mend {
            mended = clusters.mend().await;
            clusters.finish_left_over().await;
            next_mend = Instant::now() + MEND;
        }
        clusters.take_away_what_comes_late().await;
        if Instant::now() >= next_undo {
            undo_pause = if clusters.put_back_what_was_there().await {
                MEND
            } else {
                (undo_pause * 2).min(LONGEST_PAUSE)
            };
            next_undo = Instant::now() + undo_pause;
        }
        if !upkeep.is_at_rest || upkeep.has_work() || ticks.is_multiple_of(SELDOM) {
            upkeep.look().await;
        }
        // What a crash has left is in order by now.
        if mended && !has_told {
            has_told = true;
            upkeep.clusters.tell_of_orphans().await;
        }
    }
}

/// What runs, and what is done about what does not.
struct Upkeep {
    clusters: Clusters,
    tried: HashMap<Name, Tried>,
    starts: JoinSet<(Arc<Service>, Result<(), Failure>)>,
    /// The last look found nothing that this gateway has made: nobody need be asked soon again.
    is_at_rest: bool,
    /// Who could not be asked at the last look, and why.
    away: HashMap<&'static str, String>,
}

impl Upkeep {
    /// Whether any file asks for anything to be run.
    fn has_work(&self) -> bool {
        self.clusters.snapshot().clusters.values().any(|cluster| runs_any(&cluster.spec))
    }

    async fn look(&mut self) {
        while let Some(ended) = self.starts.try_join_next() {
            if let Ok((service, result)) = ended {
                self.note_start(&service, result);
            }
        }
        let (found, away) = self.clusters.all_that_runs().await;
        let was_away = std::mem::replace(&mut self.away, away);
        let world = self.clusters.snapshot().clone();
        for service in world.clusters.values().flat_map(|cluster| &cluster.services) {
            // What an operation changes is its business.
            let name = name_of(service);
            let is_anothers = self.clusters.operations().is_busy(&service.cluster).is_some()
                || self.clusters.0.backups.undo_of(&name).is_some();
            if is_anothers {
                // What has become of it is looked at anew.
                self.tried.remove(&name);
            } else if service.spec.is_provisioned() {
                let by = service.spec.provisioner().unwrap_or_default();
                if was_away.contains_key(by) && !self.away.contains_key(by) {
                    // Who is back need not be waited for any more.
                    self.tried.remove(&name);
                }
                self.attend(service, &found);
            }
        }
        if was_away.keys().any(|by| !self.away.contains_key(by)) {
            self.clusters.look_at_refused().await;
        }
        self.tried.retain(|name, _| {
            world.clusters.get(&name.cluster).is_some_and(|cluster| cluster.service(&name.service).is_some())
        });
        self.clusters.take_away_what_is_not_asked_for(&found).await;
        let own = &self.clusters.0.hands.gateway;
        self.is_at_rest = found.iter().all(|(_, found)| found.id.is_empty() || found.gateway != *own);
    }

    /// Notes how one is, and starts it where it should run and does not.
    fn attend(&mut self, service: &Arc<Service>, found: &[(&'static str, Found)]) {
        let name = name_of(service);
        let by = service.spec.provisioner().unwrap_or_default();
        let here = found.iter().find(|(word, found)| *word == by && found.name == name);
        let state = here.map_or(State::Absent, |(_, found)| found.state.clone());
        let hands = &self.clusters.0.hands;
        let (now, is_stopped) = (Instant::now(), hands.is_stopped(&name));
        let tried = self.tried.get(&name).filter(|tried| !tried.said.is_empty() && !is_stopped);
        service.set_lifecycle(match (self.away.get(by), tried) {
            (Some(why), _) => Lifecycle { word: "unknown", says: Some(why.clone()) },
            (None, Some(tried)) => Lifecycle::not_started(&state, &tried.said),
            (None, None) => Lifecycle::of(&state),
        });
        if is_stopped {
            return;
        }
        let tried = self.tried.entry(name.clone()).or_insert_with(|| Tried::nothing(now));
        if tried.failed.as_ref().is_some_and(|failed| *failed != service.spec) {
            *tried = Tried::nothing(now);
        }
        if hands.take_doubt(&name) {
            tried.begun = None;
        }
        // By whom it was stopped is not known: whoever stops it behind the gateway's back is left in peace until the
        // gateway starts anew.
        let is_new = tried.begun.as_ref() != Some(&service.spec);
        let wanted = is_new || matches!(state, State::Absent | State::Ended { .. });
        if wanted && now >= tried.next && hands.begin_start(&name) {
            tried.begun = Some(service.spec.clone());
            let (clusters, service) = (self.clusters.clone(), Arc::clone(service));
            self.starts.spawn(async move {
                let result = clusters.start_again(&service).await;
                clusters.0.hands.end_start(&name);
                (service, result)
            });
        }
    }

    fn note_start(&mut self, service: &Service, result: Result<(), Failure>) {
        let name = &name_of(service);
        let Some(tried) = self.tried.get_mut(name) else { return };
        let said = match &result {
            Ok(()) => {
                tried.pause = PAUSE;
                tried.next = Instant::now() + PAUSE;
                tried.failed = None;
                String::new()
            }
            Err(failure) => {
                tried.begun = None;
                tried.failed = Some(service.spec.clone());
                tried.next = Instant::now() + tried.pause;
                tried.pause = (tried.pause * 2).min(LONGEST_PAUSE);
                failure.detail().to_owned()
            }
        };
        // Once for each reason: it is tried for as long as its file asks for it.
        if said != tried.said && !said.is_empty() {
            tracing::error!(cluster = %name.cluster, service = %name.service, why = said, "a service cannot be started");
            self.clusters.tell_of(name, "service.not_started", said.clone());
        }
        tried.said = said;
    }
}

fn name_of(service: &Service) -> Name {
    Name { cluster: Arc::clone(&service.cluster), service: Arc::clone(&service.name) }
}

impl Clusters {
    /// All that there is, with the word of whoever runs it; and who could not be asked, and why.
    async fn all_that_runs(&self) -> (Vec<(&'static str, Found)>, HashMap<&'static str, String>) {
        let (mut all, mut away) = (Vec::new(), HashMap::new());
        for provisioner in self.0.hands.provisioners() {
            let word = provisioner.word();
            let why = match tokio::time::timeout(PATIENCE, provisioner.list()).await {
                Ok(Ok(found)) => {
                    all.extend(found.into_iter().map(|found| (word, found)));
                    continue;
                }
                Ok(Err(failure)) => failure.detail().to_owned(),
                Err(_) => format!(
                    "What runs by `{word}` cannot be seen: nothing answers within {} s.",
                    PATIENCE.as_secs()
                ),
            };
            tracing::debug!(why, by = word, "cannot look at what runs");
            away.insert(word, why);
        }
        (all, away)
    }

    /// Starts one that its file has, or sees that it runs as that says.
    async fn start_again(&self, service: &Service) -> Result<(), Failure> {
        let _alone = self.0.hands.alone_with(&service.cluster).await;
        // Whoever had it before may have changed or deleted it.
        let name = name_of(service);
        let now = self.snapshot().service(&service.cluster, &service.name).ok().map(|now| now.spec.clone());
        let is_busy = self.operations().is_busy(&service.cluster).is_some();
        let is_put_back = self.0.backups.undo_of(&name).is_some();
        if now.as_ref() != Some(&service.spec) || is_busy || is_put_back || self.0.hands.is_stopped(&name) {
            return Ok(());
        }
        let id: ClusterId =
            service.cluster.parse().map_err(|why: String| Failure::gateway(model::Code::Internal, why))?;
        // A file that goes again keeps its data.
        self.0.hands.nothing_comes_late(&service.cluster);
        let job = self.0.hands.job(&id, &service.name, &service.spec, "upkeep")?;
        self.is_on_its_own_data(&job).await?;
        job.provisioner.fetch(&job.work, &|_| {}).await?;
        let started = job.provisioner.start(&job.work, &|_| {}).await?;
        self.go_to(&id, &job, at(started)).await
    }

    /// Has the world reach it where it is.
    pub(super) async fn go_to(&self, id: &ClusterId, job: &Job, at: super::At) -> Result<(), Failure> {
        let mut desk = self.desk().await?;
        let Some(spec) = self.snapshot().clusters.get(id.as_str()).map(|cluster| cluster.spec.clone()) else {
            return Ok(());
        };
        if !self.0.hands.reach(job.name(), at) {
            return Ok(());
        }
        let by = By { actor: "start".into(), request_id: None };
        self.carry_out(&mut desk, Some(spec), id, Save::Nothing, &by).await
    }

    /// What this gateway has made, and no file asks for any more, ends. Its data stay.
    async fn take_away_what_is_not_asked_for(&self, found: &[(&'static str, Found)]) {
        for (word, found) in found {
            let name = &found.name;
            if found.id.is_empty() || found.gateway != self.0.hands.gateway || !self.is_nobodys(name) {
                continue;
            }
            let _alone = self.0.hands.alone_with(&name.cluster).await;
            // Whoever had the cluster before may have made it his.
            if !self.is_nobodys(name) {
                continue;
            }
            self.0.hands.forget(name);
            for provisioner in self.0.hands.provisioners().iter().filter(|one| one.word() == *word) {
                match provisioner.remove(name, Data::Keep).await {
                    Ok(()) => {}
                    Err(failure) => {
                        tracing::warn!(%failure, cluster = %name.cluster, service = %name.service, "what no file asks for cannot be taken away")
                    }
                }
            }
            let said = "no file asks for it any more; it was taken away, its data are kept".to_owned();
            self.tell_of(name, "service.removed", said);
        }
    }

    /// Whether no file asks for it, and no operation is about to.
    pub(super) fn is_nobodys(&self, name: &Name) -> bool {
        // In this order: an operation that has just ended has changed the world before.
        if self.operations().is_busy(&name.cluster).is_some() || self.0.hands.is_left_over(&name.cluster) {
            return false;
        }
        let world = self.snapshot();
        let asked = world.clusters.get(&name.cluster).and_then(|cluster| cluster.service(&name.service));
        asked.is_none_or(|service| !service.spec.is_provisioned())
    }

    pub(super) fn tell_of(&self, name: &Name, kind: &str, message: String) {
        self.events().tell(Happening {
            kind: kind.to_owned(),
            cluster: Some(name.cluster.to_string()),
            service: Some(name.service.to_string()),
            actor: "upkeep".to_owned(),
            message,
            ..Happening::default()
        });
    }
}

impl super::Hands {
    pub(super) fn provisioners(&self) -> &[Arc<dyn Provisioner>] {
        &self.provisioners
    }
}
