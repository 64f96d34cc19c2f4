//! One run: a directory of its own for configurations and logs, the binaries that take part, the two cores, and how
//! long everything lasts.

use std::cell::{Cell, OnceCell};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::client::{Connection, get};
use crate::process::{Invocation, Placement, Process};
use crate::wrk::Wrk;

/// For a program to come up; tens of thousands of routes take some of them their time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connections that load comes over.
pub const CONNECTIONS: usize = 50;

/// Which core does what. Load and the service behind share one, so that the contestant has the other to itself.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    pub load: usize,
    pub contestant: usize,
}

/// How often and how long.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub rounds: usize,
    /// Seconds of one round.
    pub seconds: u64,
    /// Seconds of one round where there are many contestants.
    pub short_seconds: u64,
    /// Starts whose time is taken.
    pub starts: usize,
    /// Whether the time that an exchange takes is compared by every protocol, and not by HTTP/1.1 alone.
    pub latencies: bool,
}

impl Pace {
    /// What published figures come from.
    pub const FULL: Self = Self { rounds: 7, seconds: 5, short_seconds: 2, starts: 20, latencies: true };
    /// Published too: all protocols and all peers in one run, in under half an hour.
    pub const PROXY: Self = Self { rounds: 5, seconds: 1, short_seconds: 1, ..Self::FULL };
    /// Whether all of that works, in three minutes.
    pub const LOOK: Self = Self { rounds: 1, seconds: 1, short_seconds: 1, starts: 5, latencies: false };
    /// A first impression while working.
    pub const QUICK: Self = Self { rounds: 3, seconds: 2, short_seconds: 1, starts: 5, latencies: true };
}

/// Our own programs.
#[derive(Debug, Clone)]
pub struct Tools {
    pub backend: PathBuf,
    pub closedloop: PathBuf,
    pub consumers: PathBuf,
    /// The engines used directly.
    pub direct: PathBuf,
    pub crowd: PathBuf,
    /// Peers that come from no package: absent where nobody has said where they are.
    pub envoy: Option<PathBuf>,
    pub traefik: Option<PathBuf>,
    pub caddy: Option<PathBuf>,
    /// Absent when only peers are compared.
    pub throome: Option<PathBuf>,
}

/// Everything a scenario needs.
#[derive(Debug)]
pub struct Rig {
    directory: PathBuf,
    next_directory: Cell<usize>,
    next_port: Cell<u16>,
    certificate: OnceCell<Certificate>,
    pub tools: Tools,
    pub cores: Cores,
    pub pace: Pace,
}

impl Rig {
    /// `directory` must exist and be empty; whoever made it removes it.
    #[must_use]
    pub fn new(directory: &Path, tools: Tools, cores: Cores, pace: Pace) -> Self {
        // Runs that overlap begin their search for ports at different places, below the range that the kernel takes
        // outgoing ports from: a port that was free stays free until it is bound.
        let first = 20_000 + (std::process::id() % 10_000) as u16;
        Self {
            directory: directory.to_owned(),
            next_directory: Cell::new(0),
            next_port: Cell::new(first),
            certificate: OnceCell::new(),
            tools,
            cores,
            pace,
        }
    }

    /// A new directory for one program's files.
    pub fn directory_for(&self, name: &str) -> anyhow::Result<PathBuf> {
        let number = self.next_directory.replace(self.next_directory.get() + 1);
        let path = self.directory.join(format!("{number}-{name}"));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// An address on loopback that nobody listens on.
    pub fn free_address(&self) -> anyhow::Result<SocketAddr> {
        for _ in 0..1_000 {
            let port = self.next_port.get();
            self.next_port.set(if port >= 32_000 { 20_000 } else { port + 1 });
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            if TcpListener::bind(address).is_ok() {
                return Ok(address);
            }
        }
        bail!("a thousand ports in a row are taken")
    }

    /// Where programs under measurement run.
    #[must_use]
    pub fn contestant_core(&self) -> Placement {
        Placement::Core(self.cores.contestant)
    }

    /// Where load and the services behind run.
    #[must_use]
    pub fn load_core(&self) -> Placement {
        Placement::Core(self.cores.load)
    }

    /// wrk on the load core.
    #[must_use]
    pub fn wrk(&self, connections: usize) -> Wrk<'_> {
        Wrk { directory: &self.directory, core: self.cores.load, connections }
    }

    /// Starts the fixed-answer service that proxies stand before, on the load core.
    pub fn start_backend(&self) -> anyhow::Result<Backend> {
        let (address, grpc) = (self.free_address()?, self.free_address()?);
        let arguments = [format!("--listen={address}"), format!("--grpc={grpc}")];
        let invocation = Invocation::new(&self.tools.backend, arguments);
        let log = self.directory_for("backend")?.join("log");
        let mut process = Process::start(&invocation, self.load_core(), &log)?;
        wait_for_success(&mut process, address, "/200b")?;
        Ok(Backend { address, grpc, _process: process })
    }

    /// The certificate that all contestants show, made when it is asked for first.
    pub fn certificate(&self) -> anyhow::Result<&Certificate> {
        if let Some(made) = self.certificate.get() {
            return Ok(made);
        }
        let made = Certificate::make(&self.directory_for("certificate")?)?;
        Ok(self.certificate.get_or_init(|| made))
    }
}

/// The running fixed-answer service; ends when dropped.
#[derive(Debug)]
pub struct Backend {
    pub address: SocketAddr,
    /// Where it answers gRPC.
    pub grpc: SocketAddr,
    _process: Process,
}

/// A certificate of its own making with its key (ECDSA, P-256): the same for everybody.
#[derive(Debug)]
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Both in one file.
    pub both: PathBuf,
}

impl Certificate {
    fn make(directory: &Path) -> anyhow::Result<Self> {
        let file = |name: &str| directory.join(name);
        let made = Self { certificate: file("cert.pem"), key: file("key.pem"), both: file("both.pem") };
        std::fs::write(
            file("request"),
            "[req]\ndistinguished_name = name\nx509_extensions = leaf\nprompt = no\n[name]\nCN = localhost\n\
             [leaf]\nbasicConstraints = critical, CA:FALSE\nsubjectAltName = DNS:localhost, IP:127.0.0.1\n",
        )?;
        let shown = |path: &Path| path.display().to_string();
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
        let mut arguments: Vec<String> =
            ["req", "-x509"].iter().chain(&curve).map(|&word| word.into()).collect();
        let places =
            [("-config", file("request")), ("-out", made.certificate.clone()), ("-keyout", made.key.clone())];
        for (option, path) in places {
            arguments.extend([option.to_owned(), shown(&path)]);
        }
        Invocation::new("openssl", arguments).output(Placement::Anywhere)?;
        let both = [std::fs::read(&made.certificate)?, std::fs::read(&made.key)?].concat();
        std::fs::write(&made.both, both)?;
        Ok(made)
    }
}

/// Asks until the answer is a success, and says why when the process ends or the patience does.
pub fn wait_for_success(process: &mut Process, address: SocketAddr, path: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut last = String::from("nothing was asked yet");
    while Instant::now() < deadline {
        process.check_alive()?;
        match Connection::open(address).and_then(|mut connection| connection.exchange(&get(address, path))) {
            Ok(answer) if answer.is_success() => return Ok(()),
            Ok(answer) => last = format!("status {}", answer.status),
            Err(error) => last = error.to_string(),
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    bail!("http://{address}{path} did not become ready: {last}\n{}", process.last_words())
}

/// Waits until it takes connections, and says why when the process ends or the patience does.
pub fn wait_for_connection(process: &mut Process, address: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = TcpStream::connect(address) {
        process.check_alive()?;
        ensure!(Instant::now() < deadline, "{address}: {error}\n{}", process.last_words());
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Refuses early, with what to do, when a program that a run needs is not installed.
pub fn require_program(name: &str) -> anyhow::Result<()> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers where the paths of ordinary users do not look.
    let found =
        std::env::split_paths(&paths).chain(["/usr/sbin".into()]).any(|path| path.join(name).is_file());
    ensure!(found, "{name} is not installed; run scripts/install-peers.sh (as root) or install it by hand");
    Ok(())
}
