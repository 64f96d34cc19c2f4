//! The image of the gateway on a real engine: built from the program that the tests have, started by its own check and by
//! the very line that the first document prints.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use throome_e2e::process::{free_port, gateway_binary, wait_for};
use throome_e2e::{Connection, turn};

use crate::release::{root, said};

const TAG: &str = "akshitmadan/throome:latest";

/// A command of ours on an engine.
fn on(engine: &str, program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(root().join(program));
    command.env("DOCKER_HOST", engine).env_remove("DOCKER_CONTEXT").current_dir(root());
    command
}

/// A script of one's own needs no other's engine: the image has the name that people know.
#[test]
fn the_image_runs_as_the_first_document_says() {
    let _turn = turn::together();
    let docker = engines::own_docker();
    let engine = docker.host();
    said(on(engine, "deploy/docker/build.sh").arg("--binary").arg(gateway_binary()));
    // Healthy by its own check, with a user of its own, a token in its log, and an end on SIGTERM.
    said(&mut on(engine, "deploy/docker/test.sh"));

    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let printed = fs::read_to_string(root().join("tests/documents/000.txt")).unwrap();
    let line = printed.split("```bash\n").find(|block| block.starts_with("docker run -d")).unwrap();
    let line = line.split("```").next().unwrap();
    assert!(line.contains(TAG) && line.contains("--user root"), "{line}");
    let socket = engine.strip_prefix("unix://").unwrap();
    let line = line
        .replace("-p 9000:9000", &format!("-p {port}:9000"))
        .replace("-v /var/run/docker.sock:", &format!("-v {socket}:"));
    let mut shell = Command::new("bash");
    said(
        shell
            .args(["-c", &line])
            .env("DOCKER_HOST", engine)
            .env_remove("DOCKER_CONTEXT")
            .current_dir(dir.path()),
    );
    let log = || both(engine, "throome");
    let token = wait_for("the token in its log", Duration::from_secs(20), || {
        let after = log();
        let after = after.split("shown this once:").nth(1)?.to_owned();
        after.split_whitespace().next().map(str::to_owned)
    });
    let at = ([127, 0, 0, 1], port).into();
    let ask = |path: &str, fields: &str| {
        Connection::open(at).ask(format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{fields}\r\n"))
    };
    assert_eq!(ask("/api/v1/health", "").expect(200).json()["status"], "healthy");
    assert_eq!(ask("/api/v1/clusters", "").status, 401);
    assert_eq!(ask("/api/v1/clusters", &format!("Authorization: Bearer {token}\r\n")).status, 200);
    // It has the engine's socket, and keeps what it keeps in the directory that was given.
    assert_eq!(docker.cli(&["exec", "throome", "throome", "health"]), "healthy");
    assert!(dir.path().join("clusters/.throome").is_dir(), "{}", log());

    runs_services(&docker, at, &token, dir.path());

    // The script that follows its log: lines with their times, until somebody ends it.
    docker.cli(&["rename", "throome", "throome-test"]);
    let mut follow = on(engine, "scripts/monitor-logs.sh");
    let out = dir.path().join("followed");
    let file = fs::File::create(&out).unwrap();
    let mut following = follow.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
    wait_for("lines with times", Duration::from_secs(10), || {
        let said = fs::read_to_string(&out).unwrap();
        said.lines()
            .any(|line| line.starts_with("20") && line.contains("T") && line.contains("Z "))
            .then_some(())
    });
    assert!(following.try_wait().unwrap().is_none(), "it goes on");
    following.kill().unwrap();
    following.wait().unwrap();
    let unknown = on(engine, "scripts/monitor-logs.sh").arg("nobody").output().unwrap();
    let told = String::from_utf8_lossy(&unknown.stderr);
    assert!(!unknown.status.success() && told.contains("no container \"nobody\""), "{told}");
    assert!(told.contains("running are: throome-test"), "{told}");

    docker.cli(&["rm", "--force", "--volumes", "throome-test"]);
    ships_as_a_file(&docker, dir.path());
}

/// A release has the image as a file, from which an engine that has never seen it loads it.
fn ships_as_a_file(docker: &engines::Docker, dir: &Path) {
    let tag = concat!("akshitmadan/throome:", env!("CARGO_PKG_VERSION"));
    let dist = dir.join("dist");
    let mut release = on(docker.host(), env!("CARGO"));
    said(
        release
            .args(["xtask", "release", "--image", "--binary"])
            .arg(gateway_binary())
            .arg("--output")
            .arg(&dist),
    );
    docker.cli(&["rmi", "--force", tag, TAG]);
    said(Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(&dist));
    let mut files = fs::read_dir(&dist).unwrap().map(|entry| entry.unwrap().path());
    let file = files.find(|path| path.to_string_lossy().ends_with(".image.tar.gz")).unwrap();
    docker.cli(&["load", "--input", file.to_str().unwrap()]);
    let version = concat!("throome ", env!("CARGO_PKG_VERSION"));
    assert_eq!(docker.cli(&["run", "--rm", tag, "--version"]), version);
}

/// From inside its container it starts others on the engine, reaches them, finds them again, and takes them away: those that
/// are asked for, and those of a Compose file.
fn runs_services(docker: &engines::Docker, at: SocketAddr, token: &str, dir: &Path) {
    let call = |method: &str, path: &str, body: &str| {
        let length = body.len();
        Connection::open(at).ask(format!(
            "{method} /api/v1/clusters{path} HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {token}\r\nContent-Length: \
             {length}\r\n\r\n{body}"
        ))
    };
    // The first document's body, at a port that nobody has.
    let port = free_port();
    let body = json!({ "name": "my-cluster", "cluster_id": "asked", "config": { "services": { "redis-1": { "type": "redis", "port": port } } } });
    let _ = call("POST", "", &body.to_string()).expect(201);
    let compose = format!(
        "name: imported\nservices:\n  cache:\n    image: redis:7-alpine\n    command: redis-server --requirepass secret-of-compose\n    \
         ports: [\"127.0.0.1:{}:6379\"]\n",
        free_port()
    );
    fs::write(dir.join("compose.yaml"), compose).unwrap();
    said(
        Command::new(gateway_binary())
            .args(["import", "compose.yaml", "--output", "clusters"])
            .current_dir(dir),
    );
    for (cluster, service) in [("asked", "redis-1"), ("imported", "cache")] {
        wait_for("a service that answers", Duration::from_secs(60), || {
            let reply = call("POST", &format!("/{cluster}/cache/set"), r#"{"key":"a","value":"1"}"#);
            (reply.status == 200).then_some(())
        });
        let names = docker.cli(&["ps", "--format", "{{.Names}}"]);
        assert!(names.lines().any(|name| name == format!("throome-{cluster}-{service}")), "{names}");
    }
    // The gateway's own container begins anew: what it runs is where it was.
    docker.cli(&["restart", "throome"]);
    wait_for("the gateway", Duration::from_secs(20), || {
        let health = Command::new("docker")
            .args(["--host", docker.host(), "exec", "throome", "throome", "health"])
            .output()
            .unwrap();
        health.status.success().then_some(())
    });
    for cluster in ["asked", "imported"] {
        let value = wait_for("the value", Duration::from_secs(30), || {
            let reply = call("POST", &format!("/{cluster}/cache/get"), r#"{"key":"a"}"#);
            (reply.status == 200).then(|| reply.json()["value"].clone())
        });
        assert_eq!(value, "1", "{cluster}");
        let _ = call("DELETE", &format!("/{cluster}"), "").expect(200);
    }
    assert_eq!(docker.cli(&["ps", "--all", "--format", "{{.Names}}"]), "throome");
    assert_eq!(docker.cli(&["volume", "ls", "--quiet"]), "");
    let networks = docker.cli(&["network", "ls", "--format", "{{.Name}}"]);
    assert!(!networks.contains("throome"), "{networks}");
}

/// What a container has said on both of its streams.
fn both(engine: &str, container: &str) -> String {
    let output = Command::new("docker").args(["--host", engine, "logs", container]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn without_an_engine_the_scripts_say_what_to_do() {
    let _turn = turn::together();
    for script in ["scripts/monitor-logs.sh", "deploy/docker/build.sh"] {
        let output = on("unix:///nowhere/docker.sock", script).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("the Docker engine does not answer"), "{told}");
        assert!(told.contains("say where it is with DOCKER_HOST"), "{told}");
    }
}

/// The Compose file and the image say the same, and our own reader of such files knows what it is.
#[test]
fn the_compose_file_fits_the_image() {
    let _turn = turn::together();
    let compose = fs::read_to_string(root().join("deploy/docker/docker-compose.yml")).unwrap();
    let dockerfile = fs::read_to_string(root().join("deploy/docker/Dockerfile")).unwrap();
    for (in_image, in_compose) in [
        ("CMD [\"throome\", \"health\"]", "test: [\"CMD\", \"throome\", \"health\"]"),
        ("--interval=10s", "interval: 10s"),
        ("--timeout=5s", "timeout: 5s"),
        ("--start-period=30s", "start_period: 30s"),
        ("VOLUME /app/clusters", "clusters:/app/clusters"),
        ("EXPOSE 9000 8080", "127.0.0.1:9000:9000"),
        ("EXPOSE 9000 8080", "8080:8080"),
    ] {
        assert!(dockerfile.contains(in_image) && compose.contains(in_compose), "{in_image}, {in_compose}");
    }
    let read = said(
        Command::new(gateway_binary()).args(["import"]).arg(root().join("deploy/docker/docker-compose.yml")),
    );
    assert!(read.contains("  throome:\n    type: http\n    host: 127.0.0.1\n    port: 9000\n"), "{read}");
}
