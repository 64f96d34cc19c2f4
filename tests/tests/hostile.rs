//! The hostile corpus against the traffic door of the real binary, with the limits it has by default.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by failing there")]

#[path = "../hostile/runner/mod.rs"]
mod runner;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A gateway with one route that leads everything to one service; stopped when dropped.
struct Gateway {
    process: Child,
    traffic: SocketAddr,
    _files: tempfile::TempDir,
}

impl Gateway {
    fn start(service: SocketAddr) -> Gateway {
        let files = tempfile::tempdir().unwrap();
        let cluster = files.path().join("clusters/hostile");
        std::fs::create_dir_all(&cluster).unwrap();
        let port = service.port();
        // Without probes the service sees what the door lets through and nothing else.
        let spec = format!(
            "name: Hostile\nhealth: {{ enabled: false }}\nservices:\n  app: {{ type: http, host: 127.0.0.1, port: {port} }}\n\
             routes:\n  - {{ id: all, path: \"/*\", service: app }}\n"
        );
        std::fs::write(cluster.join("config.yaml"), spec).unwrap();
        let (control, traffic) = (free_port(), free_port());
        let mut process = Command::new(binary())
            .arg("serve")
            .args(["--port", &control.to_string(), "--proxy-port", &traffic.to_string()])
            .arg("--clusters-dir")
            .arg(files.path().join("clusters"))
            .arg("--data-dir")
            .arg(files.path().join("data"))
            .current_dir(files.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let traffic = SocketAddr::from(([127, 0, 0, 1], traffic));
        let begin = Instant::now();
        while TcpStream::connect(traffic).is_err() {
            assert!(process.try_wait().unwrap().is_none(), "the gateway stopped at its start");
            assert!(begin.elapsed() < Duration::from_secs(20), "the gateway does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Gateway { process, traffic, _files: files }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `THROOME_BIN`, or the binary of the same build as this test.
fn binary() -> PathBuf {
    let built = || std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("throome");
    let path = std::env::var_os("THROOME_BIN").map_or_else(built, PathBuf::from);
    assert!(
        path.is_file(),
        "{} is not there: `cargo build` makes it, THROOME_BIN names another",
        path.display()
    );
    path
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn what_is_hostile_is_refused_and_what_is_odd_arrives_whole() {
    let cases = runner::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile"));
    let service = runner::Service::start();
    let gateway = Gateway::start(service.address);
    let wrong = runner::run(gateway.traffic, &service, &cases);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
