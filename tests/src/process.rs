//! Processes and the machine: where the binaries are, free ports, signals, memory, the common clock.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

/// `THROOME_BIN`, or the gateway that `cargo build --profile fast -p throome` has made.
///
/// # Panics
/// When it is not there, saying how to make it.
#[must_use]
pub fn gateway_binary() -> PathBuf {
    let built = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/fast/throome");
    let path = std::env::var_os("THROOME_BIN").map_or_else(built, PathBuf::from);
    assert!(
        path.is_file(),
        "{} is not there: `cargo build --profile fast -p throome` makes it, THROOME_BIN names another",
        path.display()
    );
    path.canonicalize().unwrap()
}

/// The service that this package builds, beside the directory of the tests.
pub fn service_binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(|deps| deps.parent()).unwrap().join("throome-e2e-service");
    assert!(path.is_file(), "{} is not there: `cargo build -p throome-e2e` makes it", path.display());
    path
}

/// A port of the loopback that nobody listens on, and that nobody else is given: neither by tests that run side by side,
/// nor by another run of them on the same machine. A port is free for a moment before its server listens, and gateways that
/// listen on the same port by SO_REUSEPORT share what comes.
#[must_use]
pub fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static BLOCK: OnceLock<TcpListener> = OnceLock::new();
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = BLOCK.get_or_init(own_block).local_addr().unwrap().port();
    loop {
        let port = base + 1 + NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS - 1);
        // On every address: a server that a test puts on all of them wants it there.
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

/// Ports of a process. They are below the range from which the kernel takes the ports of connections, and the first five
/// blocks are below those that `scripts/servers.sh` takes.
const PORTS: u16 = 500;
const BLOCKS: u16 = 20;

/// A block of ports that no other run of tests has, for as long as this process lives: who listens on its first one has it.
fn own_block() -> TcpListener {
    (0..BLOCKS)
        .find_map(|at| TcpListener::bind(("127.0.0.1", 10_000 + at * PORTS)).ok())
        .expect("there are not as many runs of tests at once")
}

/// Sends a signal (`TERM`, `KILL`, `STOP`, `CONT`) to a process.
pub fn signal(pid: u32, name: &str) {
    let done = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    assert!(done.success(), "kill -{name} {pid}");
}

/// Memory of a process that is resident, in KiB.
#[must_use]
pub fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The largest that a process's memory was while something went on, beyond what it was before, in KiB.
#[derive(Debug)]
pub struct Memory {
    pid: u32,
    before: u64,
    most: u64,
}

impl Memory {
    /// Begins to watch a process.
    #[must_use]
    pub fn of(pid: u32) -> Memory {
        let before = resident_kib(pid);
        Memory { pid, before, most: before }
    }

    /// Looks once more.
    pub fn look(&mut self) {
        self.most = self.most.max(resident_kib(self.pid));
    }

    /// How much more it was at most.
    #[must_use]
    pub fn grew(&self) -> u64 {
        self.most - self.before
    }
}

/// Microseconds of the clock that all processes share.
#[must_use]
pub fn now_us() -> u64 {
    u64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap()
}

/// Waits until `holds` says something, looking often.
///
/// # Panics
/// When it does not within `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, mut holds: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = holds() {
            return found;
        }
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
