//! Changes of the world: one at a time, each checked whole, built beside the running world, saved, and
//! published last. What fails on the way leaves nothing behind.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use adapters::Registry;
use model::view::{Owner, Plan};
use model::{ClusterId, ClusterSpec, Code, Failure, Problem, Problems, RouteSpec};
use policy::Conflict;
use provision::Data;
use serde_json::Value;
use store::Deletion;

use crate::provision::{Changed, not_gone_yet};
use crate::route::Route;
use crate::service::Service;
use crate::snapshot::{Cluster, Snapshot};
use crate::url_routes::refuse_reserved;
use crate::{Clusters, Happening, build, files, named_files, plan, probe};

/// Who asked for a change.
#[derive(Debug, Clone)]
pub struct By {
    /// `api`, `token:NAME` where the API knows whose token it was, `file`, `start`.
    pub actor: Cow<'static, str>,
    /// The request that did.
    pub request_id: Option<String>,
}

impl By {
    pub(crate) fn file() -> Self {
        By { actor: "file".into(), request_id: None }
    }
}

/// What the one who changes the world holds: nobody else does meanwhile.
#[derive(Default)]
pub(crate) struct Desk {
    /// The text of each cluster's file as it was last read or written, refused ones too.
    pub(crate) texts: HashMap<ClusterId, String>,
    /// Texts that were refused, and why: what stood in their way may go. A file that cannot be read has none.
    pub(crate) refused: HashMap<ClusterId, (Option<String>, String)>,
    /// Files that are gone, and since when they are missed.
    pub(crate) gone: HashMap<ClusterId, Instant>,
    /// The store has not come yet: nobody knows what it has.
    pub(crate) waits_for_store: bool,
    /// Another process changes the world from here on.
    pub(crate) given_away: bool,
}

impl Clusters {
    /// Creates a cluster from a body of the API, and waits for the first verdict on its endpoints.
    ///
    /// # Errors
    /// `invalid_config` or `not_built` with every problem, `already_exists`, or what hinders saving it.
    pub async fn create(&self, body: &Value, by: By) -> Result<Changed, Failure> {
        let mut problems = Problems::default();
        let Some(input) = model::read::read_creation(body, &Registry, &mut problems) else {
            return Err(refused(problems.into_vec()));
        };
        let named = input.cluster_id.is_some();
        let choose = || {
            let name = input.name.as_deref().unwrap_or_default();
            input.cluster_id.clone().unwrap_or_else(|| self.fresh_id(name))
        };
        // Of one that had this name something may be left, which must not become a part of this one.
        self.nothing_is_left_of(choose().as_str()).await?;
        let desk = self.desk().await?;
        let id = choose();
        let taken = self.snapshot().clusters.contains_key(id.as_str()) || self.0.files.path(&id).exists();
        if taken && named {
            return Err(Failure::client(Code::AlreadyExists, format!("There is a cluster `{id}` already."))
                .with_hint("Choose another `cluster_id`, or replace that one with PUT."));
        }
        let spec = input.settle(id.clone(), jiff::Timestamp::now());
        if self.0.store.is_ready() {
            // A deletion of this name that did not end must not be finished at the cost of this one.
            self.0.store.end_deletion(id.as_str()).await?;
        }
        self.change_to(desk, spec, Data::Keep, Save::New, by).await
    }

    /// Replaces a cluster by a body of the API; comments, order and `${…}` of its file survive.
    ///
    /// # Errors
    /// As for creating, `not_found`, or `precondition_failed` when it was changed since `if_match`.
    pub async fn replace(
        &self,
        id: &str,
        body: &Value,
        if_match: Option<u64>,
        data: Data,
        by: By,
    ) -> Result<Changed, Failure> {
        let desk = self.desk().await?;
        let spec = self.replacement(id, body)?;
        self.matches(id, if_match)?;
        self.change_to(desk, spec, data, Save::Edit, by).await
    }

    /// What a replacement would do. Nothing is promised by it: a port that is free may be somebody else's when it comes.
    ///
    /// # Errors
    /// As for replacing, as far as that is known before anything is begun.
    pub async fn plan(&self, id: &str, body: &Value) -> Result<Plan, Failure> {
        let known = self.snapshot().clusters.get(id).cloned();
        if let Some(old) = known.as_ref().map(|known| &known.spec) {
            let spec = self.as_changed(self.replacement(id, body)?, Some(old)).await?;
            // What stays as it is keeps what it has read.
            refuse_files(spec.services.iter().filter(|(name, service)| old.service(name) != Some(service)))?;
            return Ok(plan::plan(Some(old), Some(&spec)));
        }
        // A plan for a cluster that is not there yet is a plan to create it.
        let id: ClusterId = id.parse().map_err(|why: String| Failure::client(Code::InvalidRequest, why))?;
        let mut problems = Problems::default();
        let input = model::read::read_creation(&called(body, &id), &Registry, &mut problems);
        let input = input.ok_or_else(|| refused(problems.into_vec()))?;
        let spec = self.as_changed(input.settle(id, jiff::Timestamp::now()), None).await?;
        refuse_files(&spec.services)?;
        Ok(plan::plan(None, Some(&spec)))
    }

    /// Deletes a cluster, with its file and the routes of the API that lead to it.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, or what hinders taking its file away.
    pub async fn delete(&self, id: &str, if_match: Option<u64>, data: Data, by: By) -> Result<(), Failure> {
        let _alone = self.0.hands.alone_with(id).await;
        let mut desk = self.desk_with_store().await?;
        refuse_reserved(id)?;
        let gone = Arc::clone(self.snapshot().cluster(id)?);
        let id = gone.spec.cluster_id.clone();
        self.matches(id.as_str(), if_match)?;
        self.operations().idle(id.as_str())?;
        // Whoever has to take its services away is asked first: a cluster whose containers stay is not deleted.
        self.hands_are_there(&gone.spec).await?;
        let deletion = Deletion { cluster: id.to_string(), with_data: data == Data::Remove };
        if data == Data::Keep {
            self.keep_with_data(&id, &gone.spec.services)?;
        }
        self.0.store.begin_deletion(&deletion).await?;
        if let Err(failure) = self.carry_out(&mut desk, None, &id, Save::Remove, &by).await {
            self.0.store.end_deletion(id.as_str()).await?;
            return Err(failure);
        }
        // Whoever still holds an adapter must not write into the files of a cluster that takes the same name.
        for adapter in gone.adapters() {
            if let Err(failure) = adapter.close().await {
                // Its data go all the same: whoever comes to this name later must not find half of them.
                tracing::warn!(cluster = deletion.cluster, %failure, "a service did not close in good order");
            }
        }
        let run =
            gone.spec.services.iter().filter_map(|(name, service)| {
                service.provisioner().map(|word| (name.clone(), word.to_owned()))
            });
        let had: Vec<(String, String)> = run.collect();
        let finished = self.finish(&deletion, Some(&had)).await;
        finished.map_err(|failure| {
            self.0.hands.leave_over(id.as_str(), Some(had));
            not_gone_yet("The cluster is deleted", failure)
        })
    }

    /// Lets go of every file of every service, when the gateway stops.
    pub async fn close(&self) {
        let world = self.snapshot().clone();
        for adapter in world.clusters.values().flat_map(|cluster| cluster.adapters()) {
            if let Err(failure) = adapter.close().await {
                tracing::warn!(%failure, "a service did not close in good order");
            }
        }
    }

    /// Every problem of a document that asks for a cluster, as a JSON body.
    #[must_use]
    pub fn check(&self, body: &Value) -> Vec<Problem> {
        let mut problems = Problems::default();
        let input = model::read::read_creation(body, &Registry, &mut problems);
        let node = model::tree::Node::from_json(body);
        model::read::check_listeners(&node, &self.0.listeners.of_requests, &mut problems);
        for problem in input.iter().flat_map(|input| named_files::problems(&input.services)) {
            problems.push(problem);
        }
        problems.into_vec()
    }

    /// Every problem of a document that asks for a cluster, as the text of its file.
    #[must_use]
    pub fn check_text(&self, text: &str) -> Vec<Problem> {
        match crate::files::parse(text, "", None, Some(&self.0.listeners.of_requests)) {
            Ok(input) => {
                let mut problems = named_files::problems(&input.services);
                named_files::locate(&mut problems, None, text);
                problems
            }
            Err(mut problems) => {
                problems.iter_mut().for_each(|problem| problem.file = None);
                problems
            }
        }
    }

    fn replacement(&self, id: &str, body: &Value) -> Result<ClusterSpec, Failure> {
        let world = self.snapshot();
        let old = &world.cluster(id)?.spec;
        let mut problems = Problems::default();
        let Some(mut input) = model::read::read_replacement(body, &Registry, &mut problems) else {
            return Err(refused(problems.into_vec()));
        };
        let masks = model::secrets::keep_secrets(&mut input, old);
        if !masks.is_empty() {
            return Err(refused(masks));
        }
        let mut spec = input.settle(old.cluster_id.clone(), old.created_at);
        spec.created_at = old.created_at;
        Ok(spec)
    }

    fn matches(&self, id: &str, if_match: Option<u64>) -> Result<(), Failure> {
        let world = self.snapshot();
        let revision = world.cluster(id)?.revision;
        match if_match {
            Some(asked) if asked != revision => Err(changed_since(&format!("The cluster `{id}`"))),
            _ => Ok(()),
        }
    }

    fn fresh_id(&self, name: &str) -> ClusterId {
        loop {
            let id = ClusterId::from_name(name, &format!("{:04x}", crate::choice::random() & 0xffff));
            if !self.snapshot().clusters.contains_key(id.as_str()) && !self.0.files.path(&id).exists() {
                return id;
            }
        }
    }

    /// Whether somebody has written the file of a cluster since it was last looked at.
    pub(crate) fn is_written_meanwhile(&self, desk: &Desk, id: &ClusterId, save: &Save) -> bool {
        let present = self.0.files.text(id).ok().flatten();
        match save {
            Save::New => present.is_some(),
            Save::Edit => present.as_ref() != desk.texts.get(id),
            Save::Remove | Save::Read(_) | Save::Gone | Save::Nothing => false,
        }
    }

    /// What would be refused of a change before anything of it is begun.
    pub(crate) fn rehearse(&self, spec: &ClusterSpec) -> Result<(), Failure> {
        let id = &spec.cluster_id;
        refuse_reserved(id.as_str())?;
        self.0.listeners.check_routes(spec.routes.iter().map(|route| &**route), true)?;
        let before = self.snapshot().clone();
        let old = before.clusters.get(id.as_str()).map(|old| &**old);
        let built = build::cluster(spec.clone(), old, 0, &self.ground())?;
        replaced(&before, id, Some(Arc::new(built)), false).map(drop).map_err(|refusal| refusal.failure(None))
    }

    /// Builds, saves and publishes one cluster as asked, or its absence.
    pub(crate) async fn carry_out(
        &self,
        desk: &mut Desk,
        asked: Option<ClusterSpec>,
        id: &ClusterId,
        save: Save,
        by: &By,
    ) -> Result<(), Failure> {
        refuse_reserved(id.as_str())?;
        let routes = asked.iter().flat_map(|spec| &spec.routes).map(|route| &**route);
        self.0.listeners.check_routes(routes, true)?;
        let before = self.snapshot().clone();
        let old = before.clusters.get(id.as_str());
        let plan = plan::plan(old.map(|old| &old.spec), asked.as_ref());
        let built = asked.map(|spec| {
            // Where a service is reached is nobody's change.
            let same = old.filter(|_| matches!(save, Save::Nothing)).map(|old| old.revision);
            let (old, revision) = (old.map(|c| &**c), same.unwrap_or_else(|| self.next_revision()));
            build::cluster(spec, old, revision, &self.ground())
        });
        let built = built.transpose()?.map(Arc::new);
        let forget = matches!(save, Save::Remove);
        // At a start its file is read: it is not new, and the history tells when it was.
        let known = by.actor == "start" && matches!(save, Save::Read(_) | Save::Edit);
        let path = self.0.files.path(id).to_string_lossy().into_owned();
        let file = if let Save::Read(text) = &save { Some((path.as_str(), text.as_str())) } else { None };
        let after = replaced(&before, id, built.clone(), forget).map_err(|refusal| refusal.failure(file))?;
        self.save(desk, id, built.as_deref(), save).await?;
        self.0.world.store(Arc::new(after));
        if let Some(cluster) = &built {
            build::set_weights(cluster);
            // One that has gone contests nothing any more.
            cluster.services.iter().for_each(|service| service.elect());
        }
        if plan.changes {
            let verb = match (old.is_some(), built.is_some()) {
                (false, _) if known => "loaded",
                (false, _) => "created",
                (true, true) => "changed",
                (true, false) => "deleted",
            };
            let words: Vec<String> = plan
                .steps
                .iter()
                .map(|s| format!("{} {} {} ({})", s.action, s.what, s.name, s.detail))
                .collect();
            self.events().tell(Happening {
                kind: format!("cluster.{verb}"),
                cluster: Some(id.to_string()),
                actor: by.actor.to_string(),
                message: words.join("; "),
                request_id: by.request_id.clone(),
                ..Happening::default()
            });
            self.0.listeners.tell(self, Some(id.as_str()));
        }
        Ok(())
    }

    async fn save(
        &self,
        desk: &mut Desk,
        id: &ClusterId,
        built: Option<&Cluster>,
        save: Save,
    ) -> Result<(), Failure> {
        let files = self.0.files.clone();
        let mut written = None;
        let work = match (save, built) {
            (Save::Read(text), _) => {
                desk.texts.insert(id.clone(), text);
                return Ok(());
            }
            (Save::Gone, _) => {
                desk.texts.remove(id);
                return Ok(());
            }
            (Save::Nothing, _) => return Ok(()),
            (Save::Remove, _) | (_, None) => {
                let id = id.clone();
                tokio::task::spawn_blocking(move || files.remove(&id))
            }
            (Save::New | Save::Edit, Some(cluster)) => {
                let env = |name: &str| std::env::var(name).ok();
                let present = desk.texts.get(id).map(String::as_str);
                let text = model::write::file_text(&cluster.spec, present, &Registry, &env);
                written = Some(text.clone());
                let holds_secret = model::secrets::holds_secret(&cluster.spec, &Registry);
                let id = id.clone();
                tokio::task::spawn_blocking(move || files.write(&id, &text, holds_secret))
            }
        };
        let done = work
            .await
            .map_err(|error| Failure::gateway(Code::Internal, "A write panicked.").with_cause(error))?;
        done.map_err(|error| {
            let path = self.0.files.path(id);
            Failure::gateway(Code::Internal, format!("Cannot write `{}`: {error}.", path.display()))
                .with_hint("Nothing was changed. Check the directory's owner, mode and free space.")
        })?;
        match written {
            Some(text) => desk.texts.insert(id.clone(), text),
            None => desk.texts.remove(id),
        };
        Ok(())
    }

    pub(crate) async fn await_verdicts(&self, id: &ClusterId) {
        let services = match self.snapshot().clusters.get(id.as_str()) {
            Some(cluster) => cluster.services.clone(),
            None => return,
        };
        probe::first_verdicts(&services).await;
    }

    /// Rises with each change, also across restarts.
    pub(crate) fn next_revision(&self) -> u64 {
        let now = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(0);
        let last = &self.0.revision;
        let next = |last: u64| Some(now.max(last + 1));
        let before = last.fetch_update(
            std::sync::atomic::Ordering::Relaxed,
            std::sync::atomic::Ordering::Relaxed,
            next,
        );
        now.max(before.unwrap_or(0) + 1)
    }
}

/// How a change of a cluster is kept.
pub(crate) enum Save {
    /// As a new file.
    New,
    /// By editing its file.
    Edit,
    /// Its file is taken away.
    Remove,
    /// It came from its file, whose text this is.
    Read(String),
    /// Its file has gone.
    Gone,
    /// What stands in its file is right as it is.
    Nothing,
}

/// The world with one cluster put in place of the old one, or taken out; then routes of the API that led
/// there are kept for when it comes back, unless they are to be forgotten too.
fn replaced(
    before: &Snapshot,
    id: &ClusterId,
    built: Option<Arc<Cluster>>,
    forget: bool,
) -> Result<Snapshot, Refusal> {
    let mut clusters = before.clusters.clone();
    let mut routes = before.routes.clone();
    let mut stranded = before.stranded.clone();
    // Routes of the API that lead here, also those that led nowhere because the cluster was not there.
    let back: Vec<Arc<RouteSpec>> = stranded.extract_if(.., |spec| spec.cluster == id.as_str()).collect();
    let asked: HashMap<&str, &Arc<RouteSpec>> =
        built.iter().flat_map(|cluster| &cluster.spec.routes).map(|spec| (spec.id.as_str(), spec)).collect();
    let mut of_api = Vec::new();
    let mut kept = HashSet::new();
    for route in before.routes.iter().filter(|route| route.spec.cluster == id.as_str()) {
        let is_asked =
            route.owner == Owner::Api || asked.get(&*route.id).is_some_and(|spec| **spec == route.spec);
        if is_asked && built.as_ref().is_some_and(|cluster| leads_into(route, cluster)) {
            kept.insert(&*route.id);
            continue;
        }
        if route.owner == Owner::Api {
            of_api.push(Arc::clone(&route.spec));
        }
        routes.remove(&route.id);
    }
    match built {
        None => {
            clusters.remove(id.as_str());
            stranded.extend(back.into_iter().chain(of_api).filter(|_| !forget));
        }
        Some(cluster) => {
            let mut clashes = Vec::new();
            for (index, spec) in cluster.spec.routes.iter().enumerate() {
                if kept.contains(spec.id.as_str()) {
                    continue;
                }
                let route = build::route_after(&before.routes, Arc::clone(spec), Owner::File, &cluster);
                let route = route.map_err(Refusal::Failure)?;
                if let Err(conflict) = routes.add(spec, route) {
                    let of = routes.get(&conflict.other).map(|other| other.spec.cluster.clone());
                    clashes.push(Clash { index, conflict, of });
                }
            }
            if !clashes.is_empty() {
                return Err(Refusal::Clashes(clashes));
            }
            for spec in back {
                // Its place may have been taken meanwhile; then it stays where it was, and the cluster is none the worse.
                let built = build::route(Arc::clone(&spec), Owner::Api, &cluster).ok();
                if built.and_then(|route| routes.add(&spec, route).ok()).is_none() {
                    stranded.push(spec);
                }
            }
            for spec in of_api {
                match build::route_after(&before.routes, Arc::clone(&spec), Owner::Api, &cluster) {
                    Ok(route) => {
                        let added = routes.add(&spec, route);
                        added.map_err(|conflict| Refusal::Failure(conflicts(&conflict)))?;
                    }
                    Err(_) => stranded.push(spec),
                }
            }
            clusters.insert(cluster.spec.cluster_id.shared(), cluster);
        }
    }
    Ok(Snapshot { routes, clusters, stranded })
}

/// Whether a running route holds just the services that the new cluster has.
fn leads_into(route: &Route, cluster: &Cluster) -> bool {
    let is_one_of =
        |service: &Arc<Service>| cluster.service(&service.name).is_some_and(|own| Arc::ptr_eq(own, service));
    route.services().all(is_one_of)
}

/// Why a cluster cannot take its place in the world.
enum Refusal {
    Failure(Failure),
    /// Routes of its file that match the same as others.
    Clashes(Vec<Clash>),
}

/// A route of a file that cannot stand beside another.
struct Clash {
    /// Its place in the file.
    index: usize,
    conflict: Conflict,
    /// The cluster of the other.
    of: Option<String>,
}

impl Refusal {
    /// In words; with line and column where the file is at hand.
    fn failure(self, file: Option<(&str, &str)>) -> Failure {
        let clashes = match self {
            Refusal::Failure(failure) => return failure,
            Refusal::Clashes(clashes) => clashes,
        };
        if let (None, [Clash { conflict, .. }]) = (file, clashes.as_slice()) {
            return conflicts(conflict);
        }
        let told =
            clashes.iter().map(|clash| files::clash(file, clash.index, &clash.conflict, clash.of.as_deref()));
        Failure::invalid(Code::Conflict, told.collect())
    }
}

pub(crate) fn conflicts(conflict: &Conflict) -> Failure {
    Failure::client(Code::Conflict, conflict.message.clone())
        .with_hint(format!("`throome route get {}` shows the other one.", conflict.other))
}

pub(crate) fn changed_since(what: &str) -> Failure {
    Failure::client(Code::PreconditionFailed, format!("{what} was changed since it was read."))
        .with_hint("Read it again, and repeat the change on what is there now.")
}

/// A body that creates the cluster of this id, which need not say it again.
fn called<'b>(body: &'b Value, id: &ClusterId) -> Cow<'b, Value> {
    let mut body = Cow::Borrowed(body);
    let is_said = ["/cluster_id", "/config/cluster_id"].iter().any(|at| body.pointer(at).is_some());
    if body.is_object() && !is_said {
        body.to_mut()["cluster_id"] = id.as_str().into();
    }
    body
}

/// Refuses services that name files which cannot be used.
fn refuse_files<'s>(
    services: impl IntoIterator<Item = &'s (String, model::ServiceSpec)>,
) -> Result<(), Failure> {
    let problems = named_files::problems(services);
    if problems.is_empty() { Ok(()) } else { Err(refused(problems)) }
}

/// All problems in one failure; when everything in the way belongs to a later stage, it says just that.
pub(crate) fn refused(problems: Vec<Problem>) -> Failure {
    let later = !problems.is_empty() && problems.iter().all(|problem| problem.not_built);
    Failure::invalid(if later { Code::NotBuilt } else { Code::InvalidConfig }, problems)
}
