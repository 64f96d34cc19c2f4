//! Services that the gateway runs itself: who runs each, as which work, and where the gateway reaches it.
//!
//! A change that starts or stops something is an operation (`apply`). The file of a cluster is what counts: what stands in one
//! is kept running (`upkeep`), and what was begun and stands in none is taken away again (`mend`, `behind`).
//! What services hold goes into files and comes back (`backup`); what is left of those that nobody asks for is offered (`orphans`).

mod act;
mod apply;
mod backup;
mod begun;
mod behind;
mod changed;
mod kept;
mod mend;
mod metered;
mod orphans;
mod ready;
mod settle;
mod upkeep;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use adapters::{Driver, Registry};
use model::provision::{RunSpec, keep_settled, provision_conflicts};
use model::{ClusterId, ClusterSpec, Code, Failure, ServiceSpec};
use provision::{Data, Found, Name, Provisioner, Started, Work};
use tokio::sync::OwnedMutexGuard;

use crate::Clusters;

pub use act::Act;
use apply::Change;
pub(crate) use apply::not_gone_yet;
pub use backup::{Receiving, Source};
pub use begun::Begun;
pub use changed::{Changed, Underway};
pub use orphans::Place as OrphanPlace;
pub(crate) use settle::For;
pub(crate) use upkeep::{Lifecycle, keep};

/// Who can run services.
#[derive(Clone)]
pub struct Provisioning {
    /// In the order in which they are taken where a document leaves it open.
    pub provisioners: Vec<Arc<dyn Provisioner>>,
    /// How long what was started may take until it answers.
    pub ready_timeout: Duration,
    /// The id of this gateway, which stands on all that it makes.
    pub gateway: String,
}

impl Default for Provisioning {
    /// Nobody.
    fn default() -> Self {
        Provisioning {
            provisioners: Vec::new(),
            ready_timeout: Duration::from_secs(60),
            gateway: String::new(),
        }
    }
}

/// What is known of the services that the gateway runs.
pub(crate) struct Hands {
    provisioners: Vec<Arc<dyn Provisioner>>,
    ready_timeout: Duration,
    /// By which what this gateway has made is known from what others have.
    gateway: String,
    /// Where the gateway reaches each, once it was started.
    reached: Mutex<HashMap<Name, At>>,
    /// Ports that operations under way are going to use.
    promised: Arc<Mutex<HashSet<u16>>>,
    /// Services that are being started to be kept running.
    starting: Mutex<HashSet<Name>>,
    /// Services of which it is not known how they were left: they are started anew, which leaves those alone that run.
    doubtful: Mutex<HashSet<Name>>,
    /// Clusters that are deleted, and of which something is left: with what their files had, where that is known.
    left_over: Mutex<HashMap<String, LeftOver>>,
    /// What was taken away behind a crash, and may appear once more.
    late: Mutex<Vec<behind::Late>>,
    /// Held by whoever starts, stops or takes away what is run for a cluster. Whoever needs the desk too takes this first.
    turns: Mutex<HashMap<Arc<str>, Arc<tokio::sync::Mutex<()>>>>,
    /// A file for each service that an operator has stopped: it stays so over restarts of the gateway.
    stopped: PathBuf,
    /// A file for what each provisioner has of each service of which only data are left.
    kept: PathBuf,
}

/// The word of whoever runs containers.
const CONTAINERS: &str = "docker";

/// What the file of a deleted cluster had: names of services, and by what they were run.
pub(crate) type LeftOver = Option<Vec<(String, String)>>;

/// An address at which something is reached.
pub(crate) type At = (String, u16);

/// A service to run, and by whom.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) provisioner: Arc<dyn Provisioner>,
    pub(crate) driver: &'static dyn Driver,
    /// As settled.
    pub(crate) spec: ServiceSpec,
    pub(crate) work: Work,
}

impl Job {
    pub(crate) fn name(&self) -> &Name {
        &self.work.name
    }
}

impl Hands {
    pub(crate) fn new(
        Provisioning { provisioners, ready_timeout, gateway }: Provisioning,
        data_dir: &Path,
    ) -> Self {
        Hands {
            provisioners,
            ready_timeout,
            gateway,
            reached: Mutex::default(),
            promised: Arc::default(),
            starting: Mutex::default(),
            doubtful: Mutex::default(),
            left_over: Mutex::default(),
            late: Mutex::default(),
            turns: Mutex::default(),
            stopped: data_dir.join("stopped"),
            kept: data_dir.join("kept"),
        }
    }

    /// The one that a document names.
    pub(crate) fn provisioner(&self, word: &str) -> Result<&Arc<dyn Provisioner>, Failure> {
        self.provisioners.iter().find(|one| one.word() == word).ok_or_else(|| {
            Failure::client(Code::InvalidConfig, format!("This gateway runs nothing by `{word}`."))
                .with_hint(format!("`provision.{word}.enabled` of the gateway's settings is false."))
        })
    }

    /// The first that can run anything now, or why none can. A file takes the first there is: it may come yet.
    async fn preferred(&self, asked: &ServiceSpec, whose: For) -> Result<&Arc<dyn Provisioner>, Failure> {
        if let Some(key) = asked.run.as_ref().and_then(RunSpec::needs_container) {
            return self.provisioner(CONTAINERS).map_err(|failure| {
                let detail = format!("`run.{key}` is for containers. {}", failure.detail());
                Failure::client(failure.code(), detail)
            });
        }
        let mut why = Vec::new();
        for one in &self.provisioners {
            match one.ready().await {
                Ok(()) => return Ok(one),
                Err(failure) => why.push(format!("{}: {}", one.word(), failure.detail())),
            }
        }
        if let (For::File | For::Start, Some(first)) = (whose, self.provisioners.first()) {
            return Ok(first);
        }
        let why = if why.is_empty() { "none is enabled".to_owned() } else { why.join(" ") };
        Err(Failure::client(Code::Conflict, format!("Nothing here can run a service ({why})."))
            .with_hint("Start a Docker Engine, give the service a `host`, or take an embedded kind."))
    }

    /// What a settled service is run as.
    pub(crate) fn job(
        &self,
        cluster: &ClusterId,
        name: &str,
        spec: &ServiceSpec,
        operation: &str,
    ) -> Result<Job, Failure> {
        let name = Name { cluster: cluster.shared(), service: name.into() };
        let failed = |why: String| Failure::gateway(Code::Internal, why);
        let word = spec.provisioner().ok_or_else(|| failed("A service was not settled.".to_owned()))?;
        let provisioner = Arc::clone(self.provisioner(word)?);
        let port = spec.port.ok_or_else(|| failed("A service was given no port.".to_owned()))?;
        let driver = adapters::driver(&spec.kind);
        let driver = driver.ok_or_else(|| failed(format!("There is no kind `{}`.", spec.kind)))?;
        let recipe = driver.recipe(spec, &provisioner.site(&name, port));
        let recipe = recipe.ok_or_else(|| failed(format!("The gateway cannot run `{}`.", spec.kind)))?;
        let run = spec.run.clone().unwrap_or_default();
        let work = Work {
            name,
            recipe,
            image: run.image.clone(),
            env: run.env.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            memory: run.memory_bytes(),
            cpus: run.cpus,
            bind: spec.bind(),
            port,
            secret: spec.password.clone(),
            operation: operation.to_owned(),
        };
        Ok(Job { provisioner, driver, spec: spec.clone(), work })
    }

    /// The jobs of a settled cluster.
    pub(crate) fn jobs(&self, spec: &ClusterSpec, operation: &str) -> Result<Vec<Job>, Failure> {
        let run = spec.services.iter().filter(|(_, service)| service.is_provisioned());
        run.map(|(name, service)| self.job(&spec.cluster_id, name, service, operation)).collect()
    }

    /// Where the gateway reaches this service, where that is not what its file says.
    pub(crate) fn at(&self, cluster: &str, service: &str) -> Option<At> {
        let name = Name { cluster: cluster.into(), service: service.into() };
        lock(&self.reached).get(&name).cloned()
    }

    /// Notes where it is reached. Says whether that is new.
    fn reach(&self, name: &Name, at: At) -> bool {
        let before = lock(&self.reached).insert(name.clone(), at.clone());
        before.as_ref() != Some(&at)
    }

    /// Waits until nobody else starts, stops or takes away anything of this cluster.
    pub(crate) async fn alone_with(&self, cluster: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = lock(&self.turns);
            // Nobody holds or waits for those that only this map has.
            turns.retain(|name, turn| Arc::strong_count(turn) > 1 || **name == *cluster);
            Arc::clone(turns.entry(cluster.into()).or_default())
        };
        turn.lock_owned().await
    }

    fn begin_start(&self, name: &Name) -> bool {
        lock(&self.starting).insert(name.clone())
    }

    fn end_start(&self, name: &Name) {
        lock(&self.starting).remove(name);
    }

    fn doubt(&self, name: &Name) {
        lock(&self.doubtful).insert(name.clone());
    }

    fn take_doubt(&self, name: &Name) -> bool {
        lock(&self.doubtful).remove(name)
    }

    /// Something is left of a deleted cluster.
    pub(crate) fn leave_over(&self, cluster: &str, had: LeftOver) {
        lock(&self.left_over).insert(cluster.to_owned(), had);
    }

    /// What is left of deleted clusters.
    pub(crate) fn left_over(&self) -> Vec<(String, LeftOver)> {
        lock(&self.left_over).iter().map(|(cluster, had)| (cluster.clone(), had.clone())).collect()
    }

    pub(crate) fn nothing_left_over(&self, cluster: &str) {
        lock(&self.left_over).remove(cluster);
    }

    fn is_left_over(&self, cluster: &str) -> bool {
        lock(&self.left_over).contains_key(cluster)
    }

    fn forget(&self, name: &Name) {
        lock(&self.reached).remove(name);
    }

    /// This provisioner has taken it away: nothing that was noted of it means anything, but for what its data were made with.
    fn has_gone(&self, by: &str, name: &Name, data: Data) {
        self.forget(name);
        let _ = std::fs::remove_file(self.mark(name));
        if data == Data::Remove {
            self.drop_kept(by, name);
        }
    }

    fn mark(&self, name: &Name) -> PathBuf {
        self.stopped.join(format!("{}@{}", name.cluster, name.service))
    }

    /// Whether an operator has stopped it.
    pub(crate) fn is_stopped(&self, name: &Name) -> bool {
        self.mark(name).exists()
    }

    fn set_stopped(&self, name: &Name, stopped: bool) -> Result<(), Failure> {
        let mark = self.mark(name);
        let done = if stopped {
            std::fs::create_dir_all(&self.stopped).and_then(|()| std::fs::write(&mark, b""))
        } else {
            match std::fs::remove_file(&mark) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        };
        done.map_err(|error| {
            Failure::gateway(Code::Internal, format!("Cannot write `{}`: {error}.", mark.display()))
        })
    }
}

impl Clusters {
    /// A file's spec with what it leaves open, and whether that has to be written into it.
    pub(crate) async fn settle_file(
        &self,
        spec: ClusterSpec,
        old: Option<&ClusterSpec>,
        whose: For,
    ) -> Result<(ClusterSpec, bool), Failure> {
        if !runs_any(&spec) {
            return Ok((spec, false));
        }
        let mut kept = spec.clone();
        if let Some(old) = old {
            keep_what_was_settled(&mut kept, old)?;
        }
        let (settled, _ports) = self.settle(kept, old, whose).await?;
        let is_new = settled != spec;
        Ok((settled, is_new))
    }

    /// Whether whoever would have to take the services of this cluster away can do so now.
    pub(crate) async fn hands_are_there(&self, spec: &ClusterSpec) -> Result<(), Failure> {
        let words: HashSet<&str> =
            spec.services.iter().filter_map(|(_, service)| service.provisioner()).collect();
        for word in words {
            self.0.hands.provisioner(word)?.ready().await.map_err(|failure| {
                let detail =
                    format!("Nothing was deleted, since its services cannot be: {}", failure.detail());
                Failure::gateway(failure.code(), detail)
            })?;
        }
        Ok(())
    }

    /// Takes away all that is run for this cluster, by whatever: what this gateway has made, and what its file had, where
    /// that is known. What cannot be taken away does not keep the rest.
    pub(crate) async fn take_away(
        &self,
        cluster: &str,
        had: Option<&[(String, String)]>,
        data: Data,
    ) -> Result<(), Failure> {
        let mut first = Ok(());
        for provisioner in &self.0.hands.provisioners {
            let had = had.map(|had| had.iter().filter(|(_, word)| word == provisioner.word()));
            let had: Option<HashSet<&str>> = had.map(|had| had.map(|(name, _)| &**name).collect());
            let found = match provisioner.list().await {
                Ok(found) => found,
                // Not there at all: then nothing of this cluster is run by it, as far as is known.
                Err(_) if had.as_ref().is_some_and(HashSet::is_empty) => continue,
                Err(failure) => {
                    first = first.and(Err(failure));
                    continue;
                }
            };
            let had = had.unwrap_or_default();
            let is_ours = |found: &Found| {
                let made = found.gateway == self.0.hands.gateway;
                &*found.name.cluster == cluster && (made || had.contains(&*found.name.service))
            };
            let mut names: HashSet<Name> =
                found.into_iter().filter(is_ours).map(|found| found.name).collect();
            names.extend(had.iter().map(|name| Name { cluster: cluster.into(), service: (*name).into() }));
            for name in names {
                match provisioner.remove(&name, data).await {
                    Ok(()) => self.0.hands.has_gone(provisioner.word(), &name, data),
                    Err(failure) => first = first.and(Err(failure)),
                }
            }
            first = first.and(provisioner.tidy(cluster).await);
        }
        first
    }
}

impl Clusters {
    /// Keeps what the data of these services were made with.
    pub(crate) fn keep_with_data<'s>(
        &self,
        cluster: &ClusterId,
        services: impl IntoIterator<Item = &'s (String, ServiceSpec)>,
    ) -> Result<(), Failure> {
        for (name, spec) in services.into_iter().filter(|(_, spec)| spec.is_provisioned()) {
            let name = Name { cluster: cluster.shared(), service: name.as_str().into() };
            self.0.hands.keep(&name, spec)?;
        }
        Ok(())
    }
}

/// What was settled of services that are run further stays, where their new document does not say; where it says what they
/// cannot become, it is refused.
fn keep_what_was_settled(new: &mut ClusterSpec, old: &ClusterSpec) -> Result<(), Failure> {
    keep_settled(new, old);
    let conflicts = provision_conflicts(old, new, &Registry);
    if conflicts.is_empty() { Ok(()) } else { Err(crate::change::refused(conflicts)) }
}

/// Whether any of its services is run by the gateway.
pub(crate) fn runs_any(spec: &ClusterSpec) -> bool {
    spec.services.iter().any(|(_, service)| service.is_provisioned())
}

fn at(started: Started) -> At {
    (started.host, started.port)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole between any two statements, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
