//! Runs the scenarios and writes the report: progress on stderr, the report on stdout or into a file. What is measured
//! and what it means is in the library.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Parser, ValueEnum};
use throome_bench::contestants::{Proxy, throome::Door};
use throome_bench::report::{self, Section};
use throome_bench::rig::{Cores, Pace, Rig, Tools};
use throome_bench::scenarios::{self, Lineup, cache, publish, sql};
use throome_bench::{process, versions};

/// Compares Throome with its peers on this machine; every figure is read as a ratio.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to compare; everything when left out
    #[arg(value_enum)]
    what: Vec<What>,
    /// Fewer and shorter rounds, for a first impression
    #[arg(long)]
    quick: bool,
    /// Write the report here, and only when everything that was asked for ran; printed when left out. Of a report that
    /// is there, sections that were not asked for stay
    #[arg(long)]
    output: Option<PathBuf>,
    /// Rounds in each comparison, instead of the usual number
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of each round, instead of the usual ones
    #[arg(long)]
    seconds: Option<u64>,
    /// Whom it is compared with; all of them when left out, without the last two in a quick run
    #[arg(long, value_enum, value_delimiter = ',')]
    peers: Vec<Peer>,
    /// The peers that come from no package; scripts/bench-peers.sh fetches them and says where they are
    #[arg(long, env = "ENVOY")]
    envoy: Option<PathBuf>,
    #[arg(long, env = "TRAEFIK")]
    traefik: Option<PathBuf>,
    #[arg(long, env = "CADDY")]
    caddy: Option<PathBuf>,
    /// The throome binary; by default the one beside this program
    #[arg(long)]
    throome: Option<PathBuf>,
    /// Who is judged; a peer in Throome's place tries the measurement itself
    #[arg(long, value_enum, default_value_t = Subject::Throome)]
    subject: Subject,
    /// Where data calls of the cache go
    #[arg(long, value_enum, value_delimiter = ',', default_value = "data,control")]
    cache_door: Vec<CacheDoor>,
    /// What Throome keeps cached values in
    #[arg(long, value_enum, value_delimiter = ',', default_value = "memory,redis")]
    cache_services: Vec<CacheService>,
    /// What Throome's database is
    #[arg(long, value_enum, value_delimiter = ',', default_value = "sqlite,postgres")]
    sql_services: Vec<SqlService>,
    /// What Throome's queue is
    #[arg(long, value_enum, value_delimiter = ',', default_value = "log,kafka")]
    queue_services: Vec<QueueService>,
    /// Also compare 50,000 routes
    #[arg(long)]
    many_routes: bool,
    /// The core that load and services run on
    #[arg(long, default_value_t = 0)]
    load_core: usize,
    /// The core that the program under measurement has to itself
    #[arg(long, default_value_t = 1)]
    contestant_core: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// All that is proxied, with 50,000 routes: http, latency, tls, http2, grpc, websocket, events and routes
    Proxy,
    Http,
    Latency,
    Tls,
    Http2,
    Grpc,
    Websocket,
    Events,
    Routes,
    Cache,
    Sql,
    Publish,
    Fanout,
    Start,
    Idle,
    Websockets,
    Edits,
}

impl What {
    /// What has no meaning for a peer in Throome's place.
    fn is_about_data(self) -> bool {
        matches!(self, Self::Cache | Self::Sql | Self::Publish | Self::Fanout | Self::Edits)
    }

    fn is_about_proxying(self) -> bool {
        match self {
            Self::Http
            | Self::Latency
            | Self::Tls
            | Self::Http2
            | Self::Grpc
            | Self::Websocket
            | Self::Events
            | Self::Routes => true,
            Self::Proxy
            | Self::Cache
            | Self::Sql
            | Self::Publish
            | Self::Fanout
            | Self::Start
            | Self::Idle
            | Self::Websockets
            | Self::Edits => false,
        }
    }

    fn is_asked_for(self, arguments: &Arguments) -> bool {
        let asked = &arguments.what;
        // A peer in Throome's place has no data API to compare, unless that was asked for by name.
        let applies = matches!(arguments.subject, Subject::Throome) || !self.is_about_data();
        asked.contains(&self)
            || (asked.is_empty() && applies)
            || (asked.contains(&Self::Proxy) && self.is_about_proxying())
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Subject {
    Throome,
    Nginx,
    Haproxy,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Peer {
    Nginx,
    Haproxy,
    Envoy,
    Traefik,
    Caddy,
}

impl From<Peer> for Proxy {
    fn from(peer: Peer) -> Self {
        match peer {
            Peer::Nginx => Self::Nginx,
            Peer::Haproxy => Self::Haproxy,
            Peer::Envoy => Self::Envoy,
            Peer::Traefik => Self::Traefik,
            Peer::Caddy => Self::Caddy,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CacheDoor {
    Control,
    Data,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CacheService {
    Memory,
    Redis,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SqlService {
    Sqlite,
    Postgres,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum QueueService {
    Log,
    Kafka,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let directory = tempfile::Builder::new().prefix("throome-bench-").tempdir()?;
    stop_on_signals(directory.path())?;
    let mut rig = rig(&arguments, directory.path())?;
    let (sections, failures) = run_all(&arguments, &mut rig);
    let page = report::page("Benchmarks", &introduction(&arguments), &with_versions(&rig, sections));
    match &arguments.output {
        Some(path) if failures.is_empty() => write_whole(path, &beside_what_stays(path, &arguments, page)?)?,
        _ => std::io::stdout().write_all(page.as_bytes())?,
    }
    if !failures.is_empty() {
        bail!("not everything ran, so nothing was written to a file:\n{}", failures.join("\n"));
    }
    Ok(())
}

fn run_all(arguments: &Arguments, rig: &mut Rig) -> (Vec<Section>, Vec<String>) {
    let (mut sections, mut failures) = (Vec::new(), Vec::new());
    for what in What::value_variants() {
        if *what != What::Proxy && what.is_asked_for(arguments) {
            rig.pace = pace(*what, arguments);
            match run(*what, arguments, rig) {
                Ok(its) => sections.extend(its),
                Err(error) => failures.push(format!("{what:?}: {error:#}")),
            }
        }
    }
    // Of a few parts it would take the place of one that has them all.
    if arguments.what.is_empty() || arguments.what.contains(&What::Proxy) {
        let glance = scenarios::glance::section(&sections, subject(arguments).name());
        sections.splice(0..0, glance);
    }
    (sections, failures)
}

fn subject(arguments: &Arguments) -> Proxy {
    match arguments.subject {
        Subject::Throome => Proxy::Throome,
        Subject::Nginx => Proxy::Nginx,
        Subject::Haproxy => Proxy::Haproxy,
    }
}

fn run(what: What, arguments: &Arguments, rig: &Rig) -> anyhow::Result<Vec<Section>> {
    let peers = match (&arguments.peers[..], arguments.quick) {
        ([], false) => Peer::value_variants(),
        ([], true) => &[Peer::Nginx, Peer::Haproxy, Peer::Envoy],
        (named, _) => named,
    };
    let peers: Vec<Proxy> = peers.iter().map(|peer| (*peer).into()).collect();
    let lineup = Lineup::of(subject(arguments), &peers);
    let packaged = Lineup::of(subject(arguments), &[Proxy::Nginx, Proxy::Haproxy]);
    let section = match what {
        What::Http => scenarios::http::run(rig, &lineup),
        What::Latency => scenarios::latency::run(rig, &lineup),
        What::Proxy => bail!("`proxy` stands for several parts"),
        What::Tls => scenarios::tls::run(rig, &lineup),
        What::Http2 => scenarios::http2::run(rig, &lineup),
        What::Grpc => scenarios::grpc::run(rig, &lineup),
        What::Websocket => scenarios::websocket::run(rig, &lineup),
        What::Events => scenarios::events::run(rig, &lineup),
        What::Routes
            if arguments.many_routes || (arguments.what.contains(&What::Proxy) && !arguments.quick) =>
        {
            scenarios::routes::run(rig, &lineup, &[1, 500, 5_000, 50_000])
        }
        What::Routes => scenarios::routes::run(rig, &lineup, &[1, 500, 5_000]),
        What::Sql => return arguments.sql_services.iter().map(|its| sql::run(rig, (*its).into())).collect(),
        What::Publish => {
            return arguments.queue_services.iter().map(|its| publish::run(rig, (*its).into())).collect();
        }
        What::Fanout => scenarios::fanout::run(rig),
        What::Start => scenarios::start::run(rig, &packaged),
        What::Idle => scenarios::idle::run(rig, &packaged),
        What::Websockets => scenarios::websockets::run(rig, &packaged),
        What::Edits => scenarios::edits::run(rig),
        What::Cache => {
            let door = |door: &CacheDoor| match door {
                CacheDoor::Control => Door::Control,
                CacheDoor::Data => Door::Data,
            };
            let doors: Vec<Door> = arguments.cache_door.iter().map(door).collect();
            let services = arguments.cache_services.iter();
            return services.map(|its| cache::run(rig, (*its).into(), &doors)).collect();
        }
    };
    Ok(vec![section?])
}

impl From<CacheService> for cache::Service {
    fn from(service: CacheService) -> Self {
        match service {
            CacheService::Memory => Self::Memory,
            CacheService::Redis => Self::Redis,
        }
    }
}

impl From<SqlService> for sql::Service {
    fn from(service: SqlService) -> Self {
        match service {
            SqlService::Sqlite => Self::Sqlite,
            SqlService::Postgres => Self::Postgres,
        }
    }
}

impl From<QueueService> for publish::Service {
    fn from(service: QueueService) -> Self {
        match service {
            QueueService::Log => Self::Log,
            QueueService::Kafka => Self::Kafka,
        }
    }
}

fn rig(arguments: &Arguments, directory: &Path) -> anyhow::Result<Rig> {
    let own = std::env::current_exe()?;
    let beside = own.parent().context("this program lies in no directory")?;
    let throome = match arguments.subject {
        Subject::Nginx | Subject::Haproxy => None,
        Subject::Throome => {
            let path = arguments.throome.clone().unwrap_or_else(|| beside.join("throome"));
            if !path.is_file() {
                bail!(
                    "there is no throome binary at {}; build it, or name it with --throome",
                    path.display()
                );
            }
            Some(path)
        }
    };
    let tools = Tools {
        backend: beside.join("backend"),
        closedloop: beside.join("closedloop"),
        consumers: beside.join("consumers"),
        direct: beside.join("direct"),
        crowd: beside.join("crowd"),
        envoy: arguments.envoy.clone(),
        traefik: arguments.traefik.clone(),
        caddy: arguments.caddy.clone(),
        throome,
    };
    let cores = Cores { load: arguments.load_core, contestant: arguments.contestant_core };
    Ok(Rig::new(directory, tools, cores, Pace::FULL))
}

/// Parts with many rows have shorter rounds, and so has everything in a run of all that is proxied.
fn pace(what: What, arguments: &Arguments) -> Pace {
    let is_long = matches!(what, What::Tls | What::Http2 | What::Grpc | What::Websocket | What::Events);
    let is_proxy = arguments.what.contains(&What::Proxy);
    let mut pace = match arguments.quick {
        false if is_proxy || is_long => Pace::PROXY,
        false => Pace::FULL,
        true if is_proxy => Pace::LOOK,
        true => Pace::QUICK,
    };
    pace.rounds = arguments.rounds.unwrap_or(pace.rounds).max(1);
    if let Some(seconds) = arguments.seconds {
        (pace.seconds, pace.short_seconds) = (seconds.max(1), seconds.max(1));
    }
    pace
}

fn introduction(arguments: &Arguments) -> String {
    let pace = if arguments.quick {
        "\n\nThis was a quick run: good for a first impression, not for publishing."
    } else {
        ""
    };
    format!(
        "Written by `make bench`. Absolute figures belong to one machine and one hour; read the ratios. A ratio is \
         taken round by round against whichever peer was best in that round, and the median of the rounds stands \
         here. CPU is user and system time of all processes of a program, from the process counters, divided by \
         completed requests. One error in any round makes a ratio void, unless it is of a peer that costs over 1.5 times the \
         best one's processor time, which is in no ratio. Where the load core was full while a contestant \
         used under 90 % of its own in most rounds, the contestant was not at its limit: for a peer that makes the ratio \
         void, for Throome it makes it a bound (\"≥\"). Void ratios stay, in brackets. Rows that we lose stay too.{pace}"
    )
}

fn with_versions(rig: &Rig, mut sections: Vec<Section>) -> Vec<Section> {
    sections.push(Section {
        title: "What ran where".to_owned(),
        about: "The configuration of each program stands in `benches/src/contestants`.".to_owned(),
        tables: vec![versions::table(rig)],
    });
    sections
}

/// A whole run begins the report anew; parts take the place of the same parts in the one that is there.
fn beside_what_stays(path: &Path, arguments: &Arguments, page: String) -> anyhow::Result<String> {
    if arguments.what.is_empty() {
        return Ok(page);
    }
    match std::fs::read_to_string(path) {
        Ok(old) => Ok(report::renewed(&old, &page)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(page),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Beside the target first and renamed then, so that a report is never half there.
fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(directory)?;
    let mut file = tempfile::Builder::new().permissions(readable_by_all()).tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

fn readable_by_all() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}

/// An interruption ends everything that was started and removes its files. Waiting for one needs a thread of its own,
/// since the main one blocks in measurements.
fn stop_on_signals(directory: &Path) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let directory = directory.to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        });
        process::stop_all();
        // The process ends here; a directory that is left behind is all that could go wrong.
        let _ = std::fs::remove_dir_all(&directory);
        std::process::exit(130);
    });
    Ok(())
}
