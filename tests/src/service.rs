//! A service of the tests as its owner sees it: a process that is killed, frozen, started again and told to misbehave.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tempfile::TempDir;

use crate::process::{service_binary, signal};

/// A process of `throome-e2e-service`; killed when dropped.
#[derive(Debug)]
pub struct Service {
    pub name: String,
    pub address: SocketAddr,
    /// `http1`, `h2c` or `grpc`.
    protocol: &'static str,
    dir: TempDir,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    process: Child,
    orders: ChildStdin,
    says: BufReader<ChildStdout>,
}

/// A line of a service's log: what it did with a request, when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Of the clock of [`crate::process::now_us`].
    pub at_us: u64,
    /// `accepted` or `reset` a connection, `read` a head, `done` with a request (before its answer).
    pub what: String,
    pub method: String,
    /// Of the field `X-Shot`.
    pub id: String,
}

impl Service {
    /// Starts one on a free port.
    #[must_use]
    pub fn start(name: &str) -> Service {
        Service::speaking("http1", name)
    }

    /// Starts one that speaks this protocol: `http1`, `h2c` or `grpc`.
    #[must_use]
    pub fn speaking(protocol: &'static str, name: &str) -> Service {
        let dir = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], crate::process::free_port()));
        let mut service = Service { name: name.to_owned(), address, protocol, dir, running: None };
        service.restart();
        service
    }

    /// Starts it again, on the same port, in its normal mode.
    pub fn restart(&mut self) {
        self.kill();
        let mut process = Command::new(service_binary())
            .args([&self.name, &self.address.port().to_string()])
            .arg(self.log_file())
            .arg(self.protocol)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = process.stdin.take().unwrap();
        let says = BufReader::new(process.stdout.take().unwrap());
        self.running = Some(Running { process, orders, says });
        self.hear("ready");
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.process.kill();
            let _ = running.process.wait();
        }
    }

    /// SIGSTOP: connections are taken by the kernel, nothing is answered.
    pub fn freeze(&self) {
        signal(self.pid(), "STOP");
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        signal(self.pid(), "CONT");
    }

    /// From now on it answers like this; the modes stand in `service/mode.rs`.
    pub fn behave(&mut self, mode: &str) {
        let running = self.running.as_mut().unwrap();
        writeln!(running.orders, "{mode}").unwrap();
        self.hear("ok");
    }

    fn hear(&mut self, word: &str) {
        let mut line = String::new();
        self.running.as_mut().unwrap().says.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), word, "{}", self.name);
    }

    fn pid(&self) -> u32 {
        self.running.as_ref().unwrap().process.id()
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// All that it did, also before it was killed.
    #[must_use]
    pub fn deeds(&self) -> Vec<Deed> {
        let Ok(file) = File::open(self.log_file()) else { return Vec::new() };
        let deed = |line: String| {
            let mut words = line.split(' ').map(str::to_owned);
            let mut word = || words.next().unwrap_or_default();
            Deed { at_us: word().parse().unwrap_or(0), what: word(), method: word(), id: word() }
        };
        BufReader::new(file).lines().map(|line| deed(line.unwrap())).collect()
    }

    /// Forgets what it did.
    pub fn forget(&self) {
        fs::OpenOptions::new().write(true).truncate(true).open(self.log_file()).unwrap();
    }

    /// As an endpoint of a cluster file.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{{ host: 127.0.0.1, port: {} }}", self.address.port())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}
