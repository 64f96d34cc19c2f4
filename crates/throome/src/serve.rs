//! The gateway, from its settings to its last request.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use cli::ServeArgs;
use clusters::{Clusters, OpenError};
use model::Problem;
use proxy::{Door, TrustedProxies};
use store::Store;
use telemetry::logging;
use wire::cores;
use wire::http1::HeadLimits;

use crate::config::{self, Config};
use crate::settings::Settings;
use crate::shutdown::Closing;
use crate::traffic;

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
    let store = Store::open(&settings.data_dir()).context("cannot open the store")?;
    let options = clusters::Options { dir: settings.gateway.clusters_dir.clone(), store: store.clone() };
    let clusters = runtime.block_on(Clusters::open(options)).map_err(|error| match error {
        OpenError::Problems(problems) => Stopped::Problems(problems),
        other => Stopped::Error(other.into()),
    })?;
    let grace = settings.server.shutdown_timeout.0;
    let closing = runtime.block_on(async { Closing::listen() })?;
    let control = listen_on(&settings.server.host, settings.server.port)?;
    let listener = wire::socket::listen(control, false)
        .with_context(|| traffic::in_use("control door", control, "server.port"))?;
    let door = Door::new(clusters.clone(), door_options(settings)?);
    let address = listen_on(&settings.proxy.host, settings.proxy.port)?;
    let traffic = traffic::begin(address, &door, &clusters, &closing, grace)?;
    runtime.block_on(async { clusters.begin_watch() });
    let served = runtime.block_on(async {
        let options = control_options(settings, &clusters, &store).await?;
        let serving = tokio::spawn(api::serve(listener, options, closing.clone().wait(), grace));
        let handle = tokio::runtime::Handle::current();
        let running = Running { clusters: &clusters, control, traffic: address, runtime: &handle };
        tracing::info!(%control, traffic = %address, workers, "serving");
        tokio::task::block_in_place(|| ready(&running))?;
        serving.await??;
        anyhow::Ok(())
    });
    // Both doors or none: what went wrong is said below.
    closing.close();
    traffic.join()?;
    runtime.block_on(store.close());
    runtime.shutdown_timeout(Duration::from_secs(1));
    served?;
    tracing::info!("stopped");
    Ok(())
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

/// Whether a host is reached from this machine only.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn listen_on(host: &str, port: u16) -> anyhow::Result<SocketAddr> {
    let host = if host == "localhost" { "127.0.0.1" } else { host };
    let ip: IpAddr = host.parse().map_err(|_| anyhow!("`{host}` is not an address to listen on"))?;
    Ok(SocketAddr::new(ip, port))
}

fn door_options(settings: &Settings) -> anyhow::Result<proxy::Options> {
    let limits = &settings.proxy.limits;
    Ok(proxy::Options {
        limits: proxy::Limits {
            head: HeadLimits { bytes: limits.head, fields: limits.headers },
            body: limits.body,
            connections: limits.connections,
            head_timeout: limits.head_timeout.0,
            body_timeout: limits.body_timeout.0,
            write_timeout: limits.write_timeout.0,
            idle_timeout: limits.idle_timeout.0,
            stream_timeout: limits.stream_timeout.0,
        },
        trusted_proxies: TrustedProxies::parse(settings.proxy.trusted_proxies.iter().map(String::as_str))
            .map_err(|why| anyhow!(why))?,
        timeout_status: settings.errors.timeout_status,
    })
}

/// The control door's options. Beyond loopback a token is required: made at the first start, printed once.
async fn control_options(
    settings: &Settings,
    clusters: &Clusters,
    store: &Store,
) -> anyhow::Result<api::Options> {
    let loopback = is_loopback(&settings.server.host);
    let token_required = !loopback && settings.auth.mode == "auto";
    if token_required && let Some(token) = store.ensure_admin_token().await? {
        show_token(token.reveal());
    }
    if !loopback && !token_required {
        tracing::warn!(host = settings.server.host, "the control door lets anybody in who can reach it");
    }
    Ok(api::Options {
        clusters: clusters.clone(),
        guard: api::GuardOptions {
            loopback,
            token_required,
            public_metrics: settings.monitoring.public,
            own_origins: Vec::new(),
            store: store.clone(),
        },
        limits: api::Limits {
            body: settings.server.max_body,
            read_timeout: settings.server.read_timeout.0,
            write_timeout: settings.server.write_timeout.0,
            ..api::Limits::default()
        },
        metrics_path: settings.monitoring.enabled.then(|| settings.monitoring.metrics_path.clone()),
        timeout_status: settings.errors.timeout_status,
        version: env!("CARGO_PKG_VERSION"),
        dashboard_enabled: settings.dashboard.enabled,
    })
}

/// The one time that the token is seen. Standard error, as the log: whoever reads it may use it.
fn show_token(token: &str) {
    eprintln!("\nThe token of the control door, shown this once:\n\n    {token}\n");
    eprintln!("Clients send it as `Authorization: Bearer …`; the CLI reads THROOME_TOKEN.\n");
}
