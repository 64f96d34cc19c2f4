//! The gateway, from its settings to its last request.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use cli::ServeArgs;
use clusters::{Clusters, OpenError};
use model::Problem;
use store::Store;
use telemetry::logging;
use wire::cores;

use crate::certificates::Watch;
use crate::config::{self, Config};
use crate::settings::Settings;
use crate::shutdown::Closing;
use crate::{doors, traffic};

/// `throome serve`.
pub(crate) fn serve(args: ServeArgs) -> ExitCode {
    run(&args, |_| Ok(()))
}

/// Reads, checks, runs until stopped. `ready` is called when everything listens.
pub(crate) fn run(args: &ServeArgs, ready: impl FnOnce(&Running<'_>) -> anyhow::Result<()>) -> ExitCode {
    let config = match config::read(args) {
        Ok(config) => config,
        Err(problems) => return tell(&problems),
    };
    let problems = config::check_certificates(&config.settings);
    if !problems.is_empty() {
        return tell(&problems);
    }
    if args.check {
        return check(&config);
    }
    match start(&config, ready) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stopped::Problems(problems)) => tell(&problems),
        Err(Stopped::Error(error)) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What listens, for whoever greets the person at the terminal.
pub(crate) struct Running<'r> {
    pub(crate) clusters: &'r Clusters,
    pub(crate) control: SocketAddr,
    pub(crate) traffic: SocketAddr,
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

fn start(config: &Config, ready: impl FnOnce(&Running<'_>) -> anyhow::Result<()>) -> Result<(), Stopped> {
    let settings = &config.settings;
    begin_logging(settings)?;
    crate::descriptors::raise_limit();
    for name in &config.unknown_names {
        tracing::warn!(name, "a name in the environment looks like a setting and is none");
    }
    let workers = match settings.proxy.workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        workers => workers,
    };
    cores::set_count(workers);
    // Control has threads of its own: traffic at any load leaves it its share of the processor.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let _lock = crate::lock::take(&settings.data_dir())?;
    let store = open_store(settings, &runtime).context("cannot open the store")?;
    let options = clusters::Options {
        dir: settings.gateway.clusters_dir.clone(),
        store: store.clone(),
        data_dir: settings.data_dir(),
    };
    let clusters = runtime.block_on(Clusters::open(options)).map_err(|error| match error {
        OpenError::Problems(problems) => Stopped::Problems(problems),
        other => Stopped::Error(other.into()),
    })?;
    let grace = settings.server.shutdown_timeout.0;
    let closing = runtime.block_on(async { Closing::listen() })?;
    let control = doors::address(&settings.server.host, settings.server.port)?;
    let listener = wire::socket::listen(control, false)
        .with_context(|| traffic::in_use("control door", control, "server.port"))?;
    let calls = api::Data::new(clusters.clone(), store.clone(), settings.errors.timeout_status);
    let mut certificates = Watch::new(settings.data_dir());
    let on_cores = doors::of_cores(settings, &clusters, &store, &calls, &mut certificates)?;
    let options = doors::control(settings, &clusters, &store, &calls, &mut certificates)?;
    let traffic = on_cores[0].address;
    let cores = traffic::begin(&on_cores, &clusters, &closing, grace)?;
    runtime.block_on(async {
        clusters.begin_watch();
        certificates.begin(&clusters);
    });
    let served = runtime.block_on(async {
        doors::ensure_token_in_time(settings, &store).await?;
        let (end, streams) = (closing.clone(), calls.clone());
        tokio::spawn(async move {
            end.wait().await;
            streams.close();
        });
        let serving = tokio::spawn(api::serve(listener, options, closing.clone().wait(), grace));
        let handle = tokio::runtime::Handle::current();
        let running = Running { clusters: &clusters, control, traffic, runtime: &handle };
        let data = on_cores.iter().find(|door| door.setting == "data.port");
        let data = data.map_or_else(|| "off".to_owned(), |door| door.address.to_string());
        tracing::info!(%control, %traffic, data, workers, "serving");
        tokio::task::block_in_place(|| ready(&running))?;
        serving.await??;
        anyhow::Ok(())
    });
    // All doors or none: what went wrong is said below.
    closing.close();
    cores.join()?;
    // All doors are closed: nothing more happens that would have to be remembered.
    runtime.block_on(clusters.close());
    runtime.block_on(clusters.end_history());
    runtime.block_on(store.close());
    runtime.shutdown_timeout(Duration::from_secs(1));
    served?;
    tracing::info!("stopped");
    Ok(())
}

/// The store that the settings name. One that is away for now does not keep the gateway from starting.
fn open_store(settings: &Settings, runtime: &tokio::runtime::Runtime) -> Result<Store, store::Error> {
    let url = settings.store.url.reveal();
    let Ok(Some(_)) = store::place(url) else { return Store::open(&settings.data_dir()) };
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

/// Reads all, reports all, starts nothing.
fn check(config: &Config) -> ExitCode {
    match Clusters::check_files(&config.settings.gateway.clusters_dir) {
        Ok(problems) if problems.is_empty() => {
            eprintln!("everything is valid");
            ExitCode::SUCCESS
        }
        Ok(problems) => tell(&problems),
        Err(error) => {
            eprintln!("error: cannot read {}: {error}", config.settings.gateway.clusters_dir.display());
            ExitCode::FAILURE
        }
    }
}

/// Every problem on a line of its own; exit code 8 is "invalid configuration".
fn tell(problems: &[Problem]) -> ExitCode {
    for problem in problems {
        eprintln!("error: {problem}");
    }
    let count = problems.len();
    eprintln!("{count} problem{}; nothing was started", if count == 1 { "" } else { "s" });
    ExitCode::from(8)
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
