//! The gateway, from its settings to its last request.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use cli::ServeArgs;
use clusters::{Changes, Clusters, OpenError};
use model::Problem;
use store::Store;
use telemetry::logging;
use tokio::sync::oneshot;
use wire::cores;

use crate::certificates::Watch;
use crate::config::{self, Config};
use crate::handover::{self, Keep, Leaving, Predecessor};
use crate::hands::Hands;
use crate::settings::Settings;
use crate::shutdown::Closing;
use crate::{doors, listeners, traffic};

/// `throome serve`.
pub(crate) fn serve(args: ServeArgs) -> ExitCode {
    run(&args, |_| Ok(()))
}

/// Reads, checks, runs until stopped. `ready` is called when everything listens.
pub(crate) fn run(args: &ServeArgs, ready: impl FnOnce(&Running<'_>) -> anyhow::Result<()>) -> ExitCode {
    let mut before = match handover::predecessor() {
        Ok(before) => before,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let (code, why) = run_after(args, &mut before, ready);
    if let (Some(before), Some(why)) = (before, why) {
        before.refuse(&why);
    }
    code
}

/// The same in the place of another process, if there is one, which is still there when this fails. Says why it did.
fn run_after(
    args: &ServeArgs,
    before: &mut Option<Predecessor>,
    ready: impl FnOnce(&Running<'_>) -> anyhow::Result<()>,
) -> (ExitCode, Option<String>) {
    let config = match config::read(args) {
        Ok(config) => config,
        Err(problems) => return tell(&problems),
    };
    let problems = config::check_certificates(&config.settings, &config.said);
    if args.check {
        return (check(&config, problems), None);
    }
    if !problems.is_empty() {
        return tell(&problems);
    }
    match start(&config, before, ready) {
        Ok(()) => (ExitCode::SUCCESS, None),
        Err(Stopped::Problems(problems)) => tell(&problems),
        Err(Stopped::Error(error)) => {
            eprintln!("error: {error:#}");
            (ExitCode::FAILURE, Some(format!("{error:#}")))
        }
    }
}

/// What listens, for whoever greets the person at the terminal.
pub(crate) struct Running<'r> {
    pub(crate) clusters: &'r Clusters,
    pub(crate) control: SocketAddr,
    pub(crate) traffic: SocketAddr,
    pub(crate) settings: &'r Settings,
    pub(crate) runtime: &'r tokio::runtime::Handle,
}

enum Stopped {
    Problems(Vec<Problem>),
    Error(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Stopped::Error(error.into())
    }
}

fn start(
    config: &Config,
    before: &mut Option<Predecessor>,
    ready: impl FnOnce(&Running<'_>) -> anyhow::Result<()>,
) -> Result<(), Stopped> {
    let settings = &config.settings;
    begin_logging(settings)?;
    crate::descriptors::raise_limit();
    for name in &config.unknown_names {
        tracing::warn!(name, "a name in the environment looks like a setting and is none");
    }
    let workers = begin_cores(settings);
    // Control has threads of its own: traffic at any load leaves it its share of the processor.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let data_dir = settings.data_dir();
    let lock = take_data_dir(&data_dir, before.as_ref())?;
    let store = open_store(settings, &runtime, before.is_some()).context("cannot open the store")?;
    let listeners = listeners::known(settings);
    let hands = Hands::of(settings, &data_dir)?;
    let world = open_clusters(settings, &store, &runtime, listeners.clone(), &hands, before.is_some())?;
    let (clusters, changes) = world;
    let grace = settings.server.shutdown_timeout.0;
    let closing = runtime.block_on(async { Closing::listen() })?;
    let sockets = before.as_ref().map(Predecessor::sockets).unwrap_or_default();
    let control = doors::address(&settings.server.host, settings.server.port)?;
    let listener =
        sockets.one(control).with_context(|| traffic::in_use("control door", control, "server.port"))?;
    let calls = api::Data::new(clusters.clone(), store.clone(), settings.errors.timeout_status);
    let mut certificates = Watch::new(data_dir.clone());
    let on_cores = doors::of_cores(settings, &clusters, &store, &calls, &listeners, &mut certificates)?;
    let options = doors::control(settings, &clusters, &store, &calls, &mut certificates)?;
    let traffic = on_cores[0].address;
    let cores = traffic::begin(&on_cores, &sockets, &clusters, &closing, grace)?;
    runtime.block_on(async {
        clusters.begin_watch();
        certificates.begin(&clusters, &closing);
    });
    let served = runtime.block_on(async {
        doors::ensure_token_in_time(settings, &store).await?;
        let (end, streams, held) = (closing.clone(), calls.clone(), sockets.clone());
        tokio::spawn(async move {
            end.wait().await;
            streams.close();
            held.let_go();
        });
        let heard = closing.clone().wait_as_door(handover::PATIENCE);
        let mut serving = tokio::spawn(api::serve(listener, options, heard, grace));
        let (give, given) = oneshot::channel();
        let leaving = tokio::spawn(Leaving::listen(&clusters, &closing, &sockets, &data_dir)?.watch(give));
        let handle = tokio::runtime::Handle::current();
        let running = Running { clusters: &clusters, control, traffic, settings, runtime: &handle };
        let data = on_cores.iter().find(|door| door.setting == traffic::DATA);
        let data = data.map_or_else(|| "off".to_owned(), |door| door.address.to_string());
        tracing::info!(%control, %traffic, data, workers, "serving");
        match (before.take(), changes) {
            (Some(before), Some(changes)) => {
                before.take_over(&clusters, &store, grace, changes, &data_dir, &lock)?
            }
            _ => tokio::task::block_in_place(|| ready(&running))?,
        }
        handover::notify::ready();
        tokio::select! {
            biased;
            Ok(changes) = given => {
                // From here on the other program keeps them running.
                hands.leave().await;
                handover::let_go(changes, &clusters, &calls, &closing, &data_dir, &lock).await;
                serving.await??;
                return anyhow::Ok(true);
            }
            ended = &mut serving => ended??,
        }
        // A program that was being started in this one's place is stopped too.
        leaving.await?;
        anyhow::Ok(false)
    });
    // All doors or none: what went wrong is said below.
    closing.close();
    cores.join()?;
    // All doors are closed: nothing more happens that would have to be remembered.
    if !matches!(served, Ok(true)) {
        runtime.block_on(hands.end());
        runtime.block_on(clusters.close());
        runtime.block_on(clusters.end_history());
    }
    // Also when another process has it too: answers to requests with a key were kept in it until now.
    runtime.block_on(store.close());
    runtime.shutdown_timeout(Duration::from_secs(1));
    served?;
    tracing::info!("stopped");
    Ok(())
}

/// How many threads carry traffic: one for each core, unless a setting says otherwise.
fn begin_cores(settings: &Settings) -> usize {
    let workers = match settings.proxy.workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        workers => workers,
    };
    cores::set_count(workers);
    workers
}

/// The data directory for this process alone; later, when the process whose place it takes has it.
fn take_data_dir(dir: &Path, before: Option<&Predecessor>) -> anyhow::Result<Keep> {
    if before.is_some_and(|before| before.uses(dir)) {
        return Ok(Keep::default());
    }
    let lock = crate::lock::take(dir)?;
    handover::forget_left(dir);
    Ok(Keep::new(Some(lock).into()))
}

/// The world. In another process's place its changes wait until that has let go of them.
fn open_clusters(
    settings: &Settings,
    store: &Store,
    runtime: &tokio::runtime::Runtime,
    listeners: clusters::Listeners,
    hands: &Hands,
    beside: bool,
) -> Result<(Clusters, Option<Changes>), Stopped> {
    let options = clusters::Options {
        dir: settings.gateway.clusters_dir.clone(),
        store: store.clone(),
        data_dir: settings.data_dir(),
        listeners,
        provisioning: hands.provisioning.clone(),
    };
    let opened = runtime.block_on(async {
        if !beside {
            return Ok((Clusters::open(options).await?, None));
        }
        let clusters = Clusters::open_beside(options).await?;
        let changes = clusters.hold_changes().await;
        Ok((clusters, Some(changes)))
    });
    opened.map_err(|error| match error {
        OpenError::Problems(problems) => Stopped::Problems(problems),
        other => Stopped::Error(other.into()),
    })
}

/// The store that the settings name, which another process may have too.
fn open_store(
    settings: &Settings,
    runtime: &tokio::runtime::Runtime,
    beside: bool,
) -> Result<Store, store::Error> {
    let url = settings.store.url.reveal();
    let store = match store::place(url) {
        Ok(Some(_)) => open_store_at(url, settings, runtime)?,
        _ => Store::open(&settings.data_dir())?,
    };
    if beside {
        store.shares_keys();
    }
    Ok(store)
}

/// One that is away for now does not keep the gateway from starting.
fn open_store_at(
    url: &str,
    settings: &Settings,
    runtime: &tokio::runtime::Runtime,
) -> Result<Store, store::Error> {
    let usual = store::Pool::default();
    let max = settings.store.pool.max.unwrap_or(usual.max);
    let idle = settings.store.pool.idle.unwrap_or(usual.idle).min(max);
    let store = Store::at(url, store::Pool { max, idle })?;
    match runtime.block_on(store.begin()) {
        Err(error) if error.is_passing() => {
            tracing::warn!(%error, "the gateway starts without its store, and looks for it");
            Ok(store)
        }
        begun => begun.map(|()| store),
    }
}

/// Reads all, reports all, also what was found before, and starts nothing.
fn check(config: &Config, mut problems: Vec<Problem>) -> ExitCode {
    match Clusters::check_files(&config.settings.gateway.clusters_dir, &listeners::known(&config.settings)) {
        Ok(found) => {
            problems.extend(found.into_iter().map(|found| config.said.locate(found)));
            if !problems.is_empty() {
                return tell(&problems).0;
            }
            eprintln!("everything is valid");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: cannot read {}: {error}", config.settings.gateway.clusters_dir.display());
            ExitCode::FAILURE
        }
    }
}

/// Every problem on a line of its own; exit code 8 is "invalid configuration".
fn tell(problems: &[Problem]) -> (ExitCode, Option<String>) {
    for problem in problems {
        eprintln!("error: {problem}");
    }
    let count = problems.len();
    eprintln!("{count} problem{}; nothing was started", if count == 1 { "" } else { "s" });
    let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
    (ExitCode::from(8), Some(words.join("; ")))
}

fn begin_logging(settings: &Settings) -> anyhow::Result<()> {
    let format =
        if settings.logging.format == "json" { logging::Format::Json } else { logging::Format::Text };
    let to = match settings.logging.output_path.as_str() {
        "stderr" => logging::To::Stderr,
        "stdout" => logging::To::Stdout,
        path => logging::To::File(Path::new(path)),
    };
    logging::begin(&settings.logging.level, format, to).context("cannot begin to log")
}
