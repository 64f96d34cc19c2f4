//! The beginning of the world: every file read, every route of the store put in, then the watch.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use model::view::Owner;
use model::{ClusterId, Failure, Problem, RouteSpec};
use policy::Table;
use store::Store;

use crate::change::{By, Desk};
use crate::files::Files;
use crate::history::History;
use crate::snapshot::Snapshot;
use crate::url_routes::refuse_reserved;
use crate::{
    Activity, Clusters, Events, Happening, Inner, Listeners, Operations, Provisioning, build, clock, doors,
    files, history, late, live, named_files, probe, provision, watch,
};

/// Where the world is kept.
pub struct Options {
    /// The directory of cluster files.
    pub dir: PathBuf,
    /// Routes of the API.
    pub store: Store,
    /// Where embedded services keep their files, below `services/`.
    pub data_dir: PathBuf,
    /// What its listeners are called, and where they lead.
    pub listeners: Listeners,
    /// Who can run services.
    pub provisioning: Provisioning,
}

/// Why the world cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Files are wrong: all problems of all files.
    #[error("the cluster files are not valid")]
    Problems(Vec<Problem>),
    /// Something underneath failed.
    #[error("{0}")]
    Failure(#[from] Failure),
    /// The directory cannot be used.
    #[error("cannot use the clusters directory {dir}: {error}")]
    Dir {
        /// Which.
        dir: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

impl Clusters {
    /// Reads everything. A file that is wrong stops the start: all problems of all files are told.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(options: Options) -> Result<Clusters, OpenError> {
        Self::begin(options, false).await
    }

    /// Beside another process, the history is its own until it has ended.
    pub(crate) async fn begin(options: Options, beside: bool) -> Result<Clusters, OpenError> {
        // The clock begins here.
        let _ = clock::now();
        let Options { dir, store, data_dir, listeners, provisioning } = options;
        let unusable = |error| OpenError::Dir { dir: dir.clone(), error };
        let files = Files::new(&dir, Arc::clone(&listeners.of_requests)).map_err(unusable)?;
        files.clean().map_err(unusable)?;
        let (ids, mut problems) = files.ids().map_err(unusable)?;
        let (activity, events) = (Activity::default(), Events::default());
        let history = History::new(store.clone(), &activity);
        let operations = Operations::new(store.clone(), events.clone(), data_dir.clone());
        let clusters = Clusters(Arc::new(Inner {
            world: ArcSwap::default(),
            activity,
            events,
            history,
            operations,
            live: live::Hub::default(),
            traffic: doors::Door::default(),
            control: doors::Door::default(),
            data: doors::Door::default(),
            desk: Arc::default(),
            files,
            listeners,
            store,
            url_routes: ArcSwap::default(),
            hands: provision::Hands::new(provisioning, &data_dir),
            backups: crate::backups::Backups::new(&data_dir),
            data_dir,
            revision: AtomicU64::new(0),
        }));
        let mut desk = clusters.0.desk.lock().await;
        desk.waits_for_store = true;
        for id in ids {
            problems.append(&mut clusters.load(&mut desk, &id).await.map_err(unusable)?);
        }
        drop(desk);
        if !problems.is_empty() {
            return Err(OpenError::Problems(problems));
        }
        clusters.0.listeners.tell(&clusters, None);
        match (clusters.0.store.is_ready(), beside) {
            (true, false) => clusters.take_up_store().await?,
            (true, true) => clusters.take_up_routes().await?,
            (false, _) => {}
        }
        Ok(clusters)
    }

    /// Every problem of every file in the directory; starts nothing.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn check_files(dir: &std::path::Path, listeners: &Listeners) -> std::io::Result<Vec<Problem>> {
        if !dir.exists() {
            return Ok(listeners.check(&[]));
        }
        let files = Files::new(dir, Arc::clone(&listeners.of_requests))?;
        let (ids, mut problems) = files.ids()?;
        let mut routes = Table::new();
        let mut specs = Vec::new();
        for id in ids {
            let Some(text) = files.text(&id)? else { continue };
            if let Err(failure) = refuse_reserved(id.as_str()) {
                problems.push(whole_file(&files, &id, failure.detail().to_owned()));
                continue;
            }
            match files.read(&id, text) {
                Err(mut found) => problems.append(&mut found),
                Ok(read) => {
                    let path = files.path(&id).to_string_lossy().into_owned();
                    let mut named = named_files::problems(&read.spec.services);
                    named_files::locate(&mut named, Some(&path), &read.text);
                    problems.append(&mut named);
                    for (index, route) in read.spec.routes.iter().enumerate() {
                        if let Err(conflict) = routes.add(route, route.cluster.clone()) {
                            let of = routes.get(&conflict.other).map(String::as_str);
                            problems.push(files::clash(Some((&path, &read.text)), index, &conflict, of));
                        }
                    }
                    specs.push(read.spec);
                }
            }
        }
        if problems.is_empty() {
            problems = listeners.check(&specs.iter().collect::<Vec<_>>());
        }
        Ok(problems)
    }

    async fn load(&self, desk: &mut Desk, id: &ClusterId) -> std::io::Result<Vec<Problem>> {
        let Some(text) = self.0.files.text(id)? else { return Ok(Vec::new()) };
        let read = match self.0.files.read(id, text) {
            Ok(read) => read,
            Err(problems) => return Ok(problems),
        };
        let by = By { actor: "start".into(), request_id: None };
        let done = self.carry_out_file(desk, read, id, &by).await;
        match done {
            Ok(()) => Ok(Vec::new()),
            Err(failure) if !failure.problems().is_empty() => Ok(failure.problems().to_vec()),
            Err(failure) => Ok(vec![whole_file(&self.0.files, id, failure.detail().to_owned())]),
        }
    }

    /// Reads what the store has, and puts it into the world.
    ///
    /// # Errors
    /// When the store fails: then it was not all, and this is to be called again.
    pub(crate) async fn take_up_store(&self) -> Result<(), Failure> {
        let mut desk = self.0.desk.lock().await;
        self.take_up_history().await?;
        self.take_up_routes().await?;
        desk.waits_for_store = false;
        Ok(())
    }

    /// Goes on with what is written down of what happens.
    pub(crate) async fn take_up_history(&self) -> Result<(), Failure> {
        self.0.history.begin(self.activity(), self.events()).await?;
        self.finish_deletions().await
    }

    async fn take_up_routes(&self) -> Result<(), Failure> {
        let store = &self.0.store;
        let (routes, url_routes) = (store.routes().await?, store.url_routes().await?);
        self.load_routes(routes);
        self.load_url_routes(url_routes)
    }

    fn load_routes(&self, kept: Vec<RouteSpec>) {
        let world = self.snapshot().clone();
        let (mut routes, mut stranded) = (world.routes.clone(), Vec::new());
        for spec in kept.into_iter().map(Arc::new) {
            let named = self.0.listeners.check_routes([&*spec], false);
            let built = named.and_then(|()| world.cluster(&spec.cluster));
            let built = built.and_then(|c| build::route(spec.clone(), Owner::Api, c));
            let placed = built.and_then(|route| {
                routes.add(&spec, route).map_err(|conflict| crate::change::conflicts(&conflict))
            });
            match placed {
                Ok(()) => {}
                Err(failure) => {
                    self.events().tell(Happening {
                        kind: "route.stranded".to_owned(),
                        cluster: Some(spec.cluster.clone()),
                        route: Some(spec.id.clone()),
                        actor: "start".to_owned(),
                        message: failure.detail().to_owned(),
                        ..Happening::default()
                    });
                    stranded.push(spec);
                }
            }
        }
        self.0.world.store(Arc::new(Snapshot { routes, clusters: world.clusters.clone(), stranded }));
    }

    /// Begins to watch endpoints and files, and to keep what happens, on the calling runtime, until that ends.
    pub fn begin_watch(&self) {
        if !self.0.store.is_ready() {
            tokio::spawn(late::wait(self.clone()));
        }
        tokio::spawn(history::keep(self.clone()));
        tokio::spawn(probe::watch(self.clone()));
        tokio::spawn(provision::keep(self.clone()));
        tokio::spawn(watch::watch(self.clone()));
    }

    /// Lets go of idle connections of the calling core that are too old or closed.
    pub fn sweep(&self) {
        let world = self.snapshot();
        for service in world.clusters.values().flat_map(|cluster| &cluster.services) {
            for endpoint in &service.endpoints {
                endpoint.adapter.sweep();
            }
        }
    }
}

fn whole_file(files: &Files, id: &ClusterId, message: String) -> Problem {
    let file = Some(files.path(id).to_string_lossy().into_owned());
    Problem { message, file, ..Problem::default() }
}
