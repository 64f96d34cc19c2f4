//! The gateway as a process: started on free ports with directories of its own, killed, stopped, started again.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::connection::Connection;
use crate::process::{free_port, gateway_binary, signal};
use crate::reply::Reply;

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(20);

/// Where a gateway's files are and where it listens. It outlives the process.
#[derive(Debug)]
pub struct Layout {
    dir: TempDir,
    pub control: SocketAddr,
    pub traffic: SocketAddr,
    args: Vec<String>,
    /// How many files the gateway may have open; all that the system allows when left out.
    files: Option<u32>,
    /// A command that starts the gateway, given as its last arguments, in its own place.
    wrapper: Vec<String>,
}

impl Default for Layout {
    fn default() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("clusters")).unwrap();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (control, traffic) = (at(free_port()), at(free_port()));
        Layout { dir, control, traffic, args: Vec::new(), files: None, wrapper: Vec::new() }
    }
}

impl Layout {
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    #[must_use]
    pub fn clusters_dir(&self) -> PathBuf {
        self.dir().join("clusters")
    }

    /// The file of a cluster.
    #[must_use]
    pub fn cluster_file(&self, id: &str) -> PathBuf {
        self.clusters_dir().join(id).join("config.yaml")
    }

    /// Writes a cluster file, at once as an editor does.
    pub fn write_cluster(&self, id: &str, text: &str) {
        let path = self.cluster_file(id);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let beside = path.with_extension("new");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, path).unwrap();
    }

    /// Writes the gateway file.
    #[must_use]
    pub fn with_file(self, text: &str) -> Self {
        fs::write(self.dir().join("throome.yaml"), text).unwrap();
        self
    }

    /// Further arguments of `throome serve`.
    #[must_use]
    pub fn with_args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// So many files may the gateway have open.
    #[must_use]
    pub fn with_files(mut self, files: u32) -> Self {
        self.files = Some(files);
        self
    }

    /// The gateway is started by this command, which puts it in its own place (`exec`).
    #[must_use]
    pub fn with_wrapper(mut self, command: &[&str]) -> Self {
        self.wrapper = command.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir().join("stderr")).unwrap_or_default()
    }

    /// The command that starts the gateway here.
    #[must_use]
    pub fn command(&self, verb: &str) -> Command {
        let mut command = match (self.files, self.wrapper.split_first()) {
            (None, None) => Command::new(gateway_binary()),
            (None, Some((program, words))) => {
                let mut wrapped = Command::new(program);
                wrapped.args(words).arg(gateway_binary());
                wrapped
            }
            (Some(files), _) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("ulimit -n {files}; exec \"$0\" \"$@\"")).arg(gateway_binary());
                shell
            }
        };
        command.arg(verb);
        command.args(["--port", &self.control.port().to_string()]);
        command.args(["--proxy-port", &self.traffic.port().to_string()]);
        if !self.args.iter().any(|arg| arg == "--clusters-dir") {
            command.arg("--clusters-dir").arg(self.clusters_dir());
        }
        command.args(&self.args);
        command.current_dir(self.dir()).env_remove("THROOME_TOKEN").env_remove("THROOME_URL");
        command
    }

    /// Starts, expecting that it stops by itself: its exit code and what it said.
    #[must_use]
    pub fn start_in_vain(&self) -> (i32, String) {
        let mut child = self.command("serve").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let end = Instant::now() + START;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > end {
                let _ = child.kill();
                let said = child.wait_with_output().unwrap().stderr;
                panic!("it runs, and should not: {}", String::from_utf8_lossy(&said));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let output = child.wait_with_output().unwrap();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Starts `throome serve` and waits until it answers.
    #[must_use]
    pub fn start(self) -> Gateway {
        self.run("serve")
    }

    /// Starts `throome <verb>` and waits until it answers.
    #[must_use]
    pub fn run(self, verb: &str) -> Gateway {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.dir().join("stderr")).unwrap();
        let out = fs::OpenOptions::new().create(true).append(true).open(self.dir().join("stdout")).unwrap();
        let process = self.command(verb).stdout(out).stderr(log).spawn().unwrap();
        let mut gateway = Gateway { layout: Some(self), process };
        gateway.wait_until_up();
        gateway
    }
}

/// A gateway that runs; killed when dropped.
#[derive(Debug)]
pub struct Gateway {
    layout: Option<Layout>,
    process: Child,
}

impl std::ops::Deref for Gateway {
    type Target = Layout;

    fn deref(&self) -> &Layout {
        self.layout.as_ref().unwrap()
    }
}

impl Gateway {
    fn wait_until_up(&mut self) {
        let end = Instant::now() + START;
        loop {
            let gone = self.process.try_wait().unwrap();
            assert!(gone.is_none(), "the gateway stopped at its start ({gone:?}): {}", self.log());
            assert!(Instant::now() < end, "the gateway does not answer: {}", self.log());
            if let Ok(stream) = TcpStream::connect(self.control) {
                stream.set_read_timeout(Some(START)).unwrap();
                let mut control = Connection::of(stream);
                control.send(request(self.control, "GET", "/health", None));
                // What a gateway had just begun to start when it was killed has its sockets for a moment more.
                if control.try_reply("GET").is_ok_and(|health| health.status == 200) {
                    return;
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What it printed to standard output.
    #[must_use]
    pub fn printed(&self) -> String {
        fs::read_to_string(self.dir().join("stdout")).unwrap_or_default()
    }

    /// kill -9.
    #[must_use]
    pub fn kill(mut self) -> Layout {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.layout.take().unwrap()
    }

    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Whether it has stopped.
    pub fn has_stopped(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().unwrap()
    }

    /// Waits until it has stopped: its exit code, or 128 and the signal that ended it.
    pub fn wait(&mut self, limit: Duration) -> i32 {
        let status =
            crate::process::wait_for("the gateway's end", limit, || self.process.try_wait().unwrap());
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }

    /// A connection to the control door.
    #[must_use]
    pub fn control(&self) -> Connection {
        Connection::open(self.control)
    }

    /// A connection to the traffic door.
    #[must_use]
    pub fn traffic(&self) -> Connection {
        Connection::open(self.traffic)
    }

    /// One call to the control door, on a connection of its own.
    #[must_use]
    #[track_caller]
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        self.control().ask(request(self.control, method, path, body.map(Value::to_string).as_deref()))
    }

    /// GET from the control door, as JSON, answered 200.
    #[must_use]
    #[track_caller]
    pub fn show(&self, path: &str) -> Value {
        self.call("GET", path, None).expect(200).json()
    }

    /// Makes a cluster.
    #[track_caller]
    pub fn create(&self, cluster: &Value) -> Value {
        self.call("POST", "/api/v1/clusters", Some(cluster)).expect(201).json()
    }

    /// GET through the traffic door, on a connection of its own.
    #[must_use]
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.traffic().ask(request(self.traffic, "GET", path, None))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(layout) = &self.layout
            && std::thread::panicking()
        {
            eprintln!("--- the gateway's log\n{}---", layout.log());
        }
    }
}

/// A plain request; a body is JSON.
#[must_use]
pub fn request(to: SocketAddr, method: &str, path: &str, body: Option<&str>) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\n");
    if let Some(body) = body {
        let _ = write!(text, "Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    text + "\r\n" + body.unwrap_or_default()
}
