//! Listeners: those that carry bytes to a service, those behind a proxy that says who its clients are, and routes that
//! answer on one of them.

mod carried;
mod ended;
mod introduced;
mod named;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use throome_e2e::process::{free_port, wait_for};
use throome_e2e::{Gateway, Layout};

/// Where the listener of a test is.
fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A gateway whose one further listener, called `wire`, says this besides its address; and that address.
fn listening(listener: &str, proxy: &str, cluster: &str) -> (Layout, SocketAddr) {
    let port = free_port();
    let layout = Layout::default()
        .with_file(&format!(
            "server: {{ shutdown_timeout: 1s }}\nproxy:\n  {proxy}\n  listeners: [ {{ name: wire, host: 127.0.0.1, port: \
             {port}, {listener} }} ]\n"
        ))
        .with_args(&["--config", "throome.yaml"]);
    layout.write_cluster("shop", cluster);
    (layout, at(port))
}

/// A cluster with one service of kind `tcp` at these ports, probed often.
fn cluster_of(ports: &[u16], more: &str) -> String {
    let endpoints: Vec<String> =
        ports.iter().map(|port| format!("{{ host: 127.0.0.1, port: {port} }}")).collect();
    format!(
        "health: {{ interval: 200ms }}\nservices:\n  app: {{ type: tcp, endpoints: [ {} ]{more} }}\n",
        endpoints.join(", ")
    )
}

const TO_APP: &str = "protocol: tcp, cluster: shop, service: app";

/// A series of `/metrics` that begins so, as a number; 0 where it is not there.
fn metric(gateway: &Gateway, begins: &str) -> u64 {
    let text = gateway.call("GET", "/metrics", None).expect(200).text();
    let line = text.lines().find_map(|line| line.strip_prefix(begins));
    line.map_or(0, |rest| rest.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Events of this kind.
fn events(gateway: &Gateway, kind: &str) -> Vec<Value> {
    let shown = gateway.show(&format!("/api/v1/events?kind={kind}"));
    shown["events"].as_array().unwrap_or_else(|| panic!("{shown}")).clone()
}

/// A server of a few lines: each connection is handed to this function, in a thread of its own.
struct Plain {
    port: u16,
}

impl Plain {
    fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Plain {
        let port = free_port();
        let listener = TcpListener::bind(at(port)).unwrap();
        let serve = std::sync::Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serve = std::sync::Arc::clone(&serve);
                std::thread::spawn(move || serve(stream));
            }
        });
        Plain { port }
    }

    /// Says first which one it is, then whatever it is told.
    fn named(name: &'static str) -> Plain {
        Plain::start(move |mut stream| {
            let _ = stream.write_all(name.as_bytes());
            let mut part = [0; 4096];
            while let Ok(n @ 1..) = stream.read(&mut part) {
                if stream.write_all(&part[..n]).is_err() {
                    return;
                }
            }
            let _ = stream.shutdown(Shutdown::Both);
        })
    }
}

/// A program that listens on a port, with a directory of its own; ended when dropped.
struct Program {
    port: u16,
    process: Child,
    _dir: tempfile::TempDir,
}

impl Program {
    /// HAProxy: its frontend and backend follow the defaults; `PORT` is where it listens.
    fn haproxy(frontend: &str) -> Program {
        let port = free_port();
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "defaults\n  timeout connect 5s\n  timeout client 20s\n  timeout server 20s\n{}\n",
            frontend.replace("PORT", &port.to_string())
        );
        let conf = dir.path().join("haproxy.cfg");
        std::fs::write(&conf, text).unwrap();
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(conf);
        Program::start(command, port, dir)
    }

    /// nginx that listens by the PROXY protocol, and says who the client is.
    fn nginx() -> Program {
        let port = free_port();
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display();
        let text = format!(
            "daemon off; master_process off; error_log stderr; pid {at}/pid; events {{}}\n\
             http {{ access_log off; client_body_temp_path {at}; proxy_temp_path {at}; fastcgi_temp_path {at};\n\
             uwsgi_temp_path {at}; scgi_temp_path {at};\n\
             server {{ listen 127.0.0.1:{port} proxy_protocol;\n\
             location / {{ return 200 \"$proxy_protocol_addr $proxy_protocol_server_port\"; }} }} }}\n"
        );
        let conf = dir.path().join("conf");
        std::fs::write(&conf, text).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir.path()).arg("-c").arg(conf);
        Program::start(command, port, dir)
    }

    fn start(mut command: Command, port: u16, dir: tempfile::TempDir) -> Program {
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap_or_else(|error| {
            panic!("{command:?}: {error}; scripts/install-peers.sh installs it");
        });
        wait_for("the program's port", Duration::from_secs(10), || TcpStream::connect(at(port)).ok());
        Program { port, process, _dir: dir }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection from this address of the loopback.
fn connect_from(source: [u8; 4], to: SocketAddr) -> TcpStream {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn connect(to: SocketAddr) -> TcpStream {
    connect_from([127, 0, 0, 1], to)
}

/// Everything until the end, or how the connection broke.
fn rest(stream: &mut TcpStream) -> Result<Vec<u8>, std::io::Error> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).map(|_| all)
}

/// Reads just so many bytes.
fn read(stream: &mut TcpStream, len: usize) -> String {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Says something and reads its echo.
fn echoes(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
    assert_eq!(read(stream, text.len()), text);
}
