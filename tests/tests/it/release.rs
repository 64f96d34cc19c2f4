//! What is shipped: made from the program that the tests have, unpacked as a person would, and run from there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use throome_e2e::gateway::request;
use throome_e2e::process::{free_port, gateway_binary, signal, wait_for};
use throome_e2e::{Connection, turn};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// What a command prints, which must succeed.
#[track_caller]
pub(crate) fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}: {err}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_release_installs_and_runs() {
    let _turn = turn::together();
    let dir = tempfile::tempdir().unwrap();
    let dist = dir.path().join("dist");
    said(
        Command::new(env!("CARGO"))
            .args(["xtask", "release", "--no-image", "--binary"])
            .arg(gateway_binary())
            .arg("--output")
            .arg(&dist)
            .current_dir(root()),
    );
    let sums = said(Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(&dist));
    assert_eq!(sums.matches(": OK").count(), 2, "{sums}");
    let names: Vec<String> =
        fs::read_dir(&dist).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let archive = names.iter().find(|name| name.ends_with(".tar.gz")).unwrap();
    let name = archive.strip_suffix(".tar.gz").unwrap();
    assert!(name.starts_with(concat!("throome-", env!("CARGO_PKG_VERSION"), "-")), "{name}");
    assert_eq!(names.len(), 3, "{names:?}");

    // Installed as the guide says.
    said(Command::new("tar").args(["-xzf", archive]).current_dir(&dist));
    let unpacked = dist.join(name);
    for file in [
        "LICENSE",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "throome.example.yaml",
        "cluster.example.yaml",
        "throome.cdx.json",
        "systemd/throome.service",
        "completions/throome.bash",
        "completions/_throome",
        "completions/throome.fish",
    ] {
        assert!(fs::metadata(unpacked.join(file)).is_ok_and(|file| file.len() > 0), "{file}");
    }
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::copy(unpacked.join("throome"), bin.join("throome")).unwrap();
    std::os::unix::fs::symlink("throome", bin.join("throome-cli")).unwrap();
    let version = concat!("throome ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(said(Command::new(bin.join("throome")).arg("--version")), version);
    assert_eq!(said(Command::new(bin.join("throome-cli")).arg("version")), version);
    said(Command::new("bash").arg("-n").arg(unpacked.join("completions/throome.bash")));

    let (port, proxy) = (free_port(), free_port());
    let log = fs::File::create(dir.path().join("log")).unwrap();
    let mut gateway = Command::new(bin.join("throome"))
        .args(["serve", "--config"])
        .arg(unpacked.join("throome.example.yaml"))
        .args(["--port", &port.to_string(), "--proxy-port", &proxy.to_string(), "--clusters-dir"])
        .arg(dir.path().join("clusters"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    // Its own question, told by the environment alone where it is, as in a container.
    let health = || {
        let mut command = Command::new(bin.join("throome"));
        command
            .arg("health")
            .env("THROOME_PORT", port.to_string())
            .env_remove("THROOME_URL")
            .current_dir(dir.path());
        command.output().unwrap()
    };
    let healthy = wait_for("the installed gateway", Duration::from_secs(10), || {
        let output = health();
        output.status.success().then_some(output.stdout)
    });
    assert_eq!(healthy, b"healthy\n");
    let at = ([127, 0, 0, 1], port).into();
    let reply = Connection::open(at).ask(request(at, "GET", "/health", None)).expect(200).json();
    assert_eq!(reply["status"], "healthy");
    signal(gateway.id(), "TERM");
    let ended = wait_for("its end", Duration::from_secs(10), || gateway.try_wait().unwrap());
    assert!(ended.success(), "{ended}");
    assert_eq!(health().status.code(), Some(6));

    bill(&fs::read_to_string(dist.join(format!("{name}.cdx.json"))).unwrap());
}

/// The bill names what the program is made of with all that one looks for, and nothing that only tests know.
fn bill(text: &str) {
    let bill: Value = serde_json::from_str(text).unwrap();
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    assert_eq!(bill["metadata"]["component"]["name"], "throome");
    let components = bill["components"].as_array().unwrap();
    assert!(components.len() > 50, "{}", components.len());
    for component in components {
        let text = |key: &str| component[key].as_str().unwrap_or_else(|| panic!("no {key}: {component}"));
        assert_eq!(text("purl"), format!("pkg:cargo/{}@{}", text("name"), text("version")));
        assert!(component["licenses"][0]["expression"].is_string(), "{component}");
    }
    let has = |name: &str| components.iter().any(|component| component["name"] == name);
    for name in ["tokio", "rustls", "rdkafka-sys", "libsqlite3-sys", "throome-model"] {
        assert!(has(name), "{name}");
    }
    for name in ["proptest", "insta", "throome-e2e", "winapi"] {
        assert!(!has(name), "{name}");
    }
    // Whoever is depended on is there.
    let known = |purl: &Value| components.iter().any(|component| component["purl"] == *purl);
    for dependency in bill["dependencies"].as_array().unwrap() {
        assert!(dependency["dependsOn"].as_array().unwrap().iter().all(known), "{dependency}");
    }
}

/// The unit as it is shipped: systemd finds nothing wrong with it but that its program is not where it will be.
#[test]
fn systemd_reads_the_unit() {
    let _turn = turn::together();
    let text = fs::read_to_string(root().join("deploy/systemd/throome.service")).unwrap();
    for line in [
        "Type=notify",
        "ExecReload=/bin/kill -USR2 $MAINPID",
        "DynamicUser=yes",
        "StateDirectory=throome",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}");
    }
    // What it says to the program is what the program takes.
    let start = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let mut words = start.split(' ');
    assert_eq!(words.next(), Some("/usr/local/bin/throome"));
    let dir = tempfile::tempdir().unwrap();
    let place = |word: &str| {
        word.replace(
            "/etc/throome/throome.yaml",
            root().join("configs/throome.example.yaml").to_str().unwrap(),
        )
        .replace("/var/lib/throome", dir.path().to_str().unwrap())
    };
    said(Command::new(gateway_binary()).args(words.map(place)).arg("--check"));

    let unit = dir.path().join("throome.service");
    fs::write(&unit, text.replace("/usr/local/bin/throome", gateway_binary().to_str().unwrap())).unwrap();
    let verified = Command::new("systemd-analyze").arg("verify").arg(&unit).output();
    match verified {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => eprintln!("there is no systemd here: the unit was compared, and not verified by it"),
    }
}
