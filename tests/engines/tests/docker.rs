//! What the tests rely on: engines of one's own run beside the shared one, break and come back as they are told, and end
//! with the test without a trace.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by failing there")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use throome_engines::{Docker, Image, docker, own_docker};

/// What an engine has of the machine, and not in its directory.
struct Traces {
    directory: String,
    number: String,
}

impl Traces {
    fn of(engine: &Docker) -> Traces {
        let number = std::fs::read_to_string(engine.directory().join("number")).unwrap();
        Traces { directory: engine.directory().display().to_string(), number: number.trim().to_owned() }
    }

    /// What there is of it, in words.
    fn found(&self) -> Vec<String> {
        let mut found = Vec::new();
        let range = format!("10.{}.", self.number);
        let group = format!("/throome-docker-{}", self.number);
        let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
        for mount in lines(std::fs::read_to_string("/proc/self/mounts").unwrap()) {
            found.extend(mount.contains(&self.directory).then(|| format!("mount {mount}")));
        }
        for address in lines(said("ip", &["-o", "-4", "address"])) {
            found.extend(address.contains(&range).then(|| format!("link {address}")));
        }
        for rule in lines(said("iptables-save", &[])) {
            found.extend(rule.contains(&range).then(|| format!("rule {rule}")));
        }
        for process in std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path()) {
            let text = |name: &str| {
                String::from_utf8_lossy(&std::fs::read(process.join(name)).unwrap_or_default()).into_owned()
            };
            let (words, groups) = (text("cmdline"), text("cgroup"));
            let ours =
                words.contains(&self.directory) && !words.contains("docker.sh") || groups.contains(&group);
            found.extend(ours.then(|| format!("process {} {words}", process.display())));
        }
        for directory in ["/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"] {
            let path = format!("{directory}{group}");
            found.extend(Path::new(&path).exists().then_some(path));
        }
        found.extend(Path::new(&self.directory).exists().then(|| self.directory.clone()));
        found
    }
}

fn said(program: &str, words: &[&str]) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let output = Command::new(program).args(words).env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn state(engine: &Docker, container: &str) -> String {
    engine.cli(&["inspect", "--format", "{{.State.Status}}", container])
}

#[test]
fn an_engine_of_ones_own_runs_beside_the_shared_one() {
    let (shared, own) = (docker(), own_docker());
    assert_ne!(shared.host(), own.host());
    let run = ["run", "--rm", Image::Tiny.name(), "echo", "hello"];
    assert_eq!(own.cli(&run), "hello");
    assert_eq!(shared.cli(&run), "hello");
    let data = |engine: &Docker| engine.cli(&["info", "--format", "{{.DockerRootDir}}"]);
    assert_ne!(data(&shared), data(&own));
    assert_eq!(own.cli(&["ps", "--all", "--quiet"]), "");
}

#[test]
fn containers_of_a_network_know_each_other_by_name() {
    let engine = own_docker();
    let _ = engine.cli(&["network", "create", "shop"]);
    let tiny = Image::Tiny.name();
    let serve = "echo found > /tmp/index.html; httpd -f -p 80 -h /tmp";
    let _ = engine.cli(&["run", "--detach", "--network=shop", "--name=web", tiny, "sh", "-c", serve]);
    let ask = "for _ in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://web/ && exit; sleep 1; done";
    assert_eq!(engine.cli(&["run", "--rm", "--network=shop", tiny, "sh", "-c", ask]), "found");
}

#[test]
fn what_runs_is_taken_away_with_the_engine() {
    let engine = own_docker();
    let traces = Traces::of(&engine);
    let tiny = Image::Tiny.name();
    let _ = engine.cli(&["network", "create", "shop"]);
    let publish =
        ["--publish=127.0.0.1::80", "--volume=data:/data", "--network=shop", "--memory=64m", "--cpus=0.5"];
    let mut run = vec!["run", "--detach", "--name=web", "--restart=always"];
    run.extend(publish);
    run.extend([tiny, "sleep", "1000"]);
    let _ = engine.cli(&run);
    assert_eq!(state(&engine, "web"), "running");
    let found = traces.found();
    for kind in ["mount ", "link ", "rule ", "process "] {
        assert!(found.iter().any(|trace| trace.starts_with(kind)), "no {kind}in {found:?}");
    }
    drop(engine);
    assert_eq!(traces.found(), Vec::<String>::new());
}

#[test]
fn nothing_is_left_of_an_engine_that_was_killed() {
    let engine = own_docker();
    let traces = Traces::of(&engine);
    let _ = engine.cli(&["network", "create", "shop"]);
    let _ = engine.cli(&[
        "run",
        "--detach",
        "--network=shop",
        "--publish=127.0.0.1::80",
        Image::Tiny.name(),
        "sleep",
        "1000",
    ]);
    engine.kill();
    assert!(engine.try_cli(&["version"]).is_err());
    let alive = traces.found().iter().any(|trace| trace.starts_with("process ") && trace.contains("sleep"));
    assert!(alive, "a container outlives its engine");
    drop(engine);
    // A process that was ended is seen until whoever began it has noticed.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !traces.found().is_empty() && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(traces.found(), Vec::<String>::new());
}

#[test]
fn an_engine_comes_back_with_its_containers() {
    let engine = own_docker();
    for (name, policy) in
        [("always", "--restart=always"), ("unless", "--restart=unless-stopped"), ("never", "--restart=no")]
    {
        let _ = engine.cli(&["run", "--detach", "--name", name, policy, Image::Tiny.name(), "sleep", "1000"]);
    }
    let until_it_runs = |container: &str| {
        let end = Instant::now() + Duration::from_secs(30);
        while state(&engine, container) != "running" {
            assert!(Instant::now() < end, "{container} is {}", state(&engine, container));
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    engine.stop();
    assert!(engine.try_cli(&["version"]).is_err());
    engine.restart();
    until_it_runs("always");
    until_it_runs("unless");
    assert_eq!(state(&engine, "never"), "exited");
    engine.kill();
    engine.restart();
    // Not the second: an engine of 20.10 ends what has outlived it, and takes that for somebody's wish.
    until_it_runs("always");
    assert_eq!(state(&engine, "never"), "exited");
}

#[test]
fn a_frozen_engine_does_not_answer() {
    let engine = own_docker();
    engine.freeze();
    let mut ask = Command::new("docker");
    ask.args(["--host", engine.host(), "version"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut asked = ask.spawn().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(asked.try_wait().unwrap().is_none(), "it has answered");
    engine.thaw();
    assert!(asked.wait().unwrap().success());
}

/// Whoever works on a machine with an engine of its own finds it used, and otherwise as it was.
#[test]
fn an_engine_that_was_there_before_is_used_and_left_alone() {
    let engine = own_docker();
    let tiny = Image::Tiny.name();
    let _ = engine.cli(&["tag", tiny, "somebodys:1"]);
    let _ = engine.cli(&["run", "--detach", "--name=somebodys", tiny, "sleep", "1000"]);
    let directory = std::env::temp_dir().join(format!("throome-elsewhere-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let script = |words: &[&str]| {
        let mut script = Command::new("bash");
        script.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/docker.sh")).args(words);
        script.env_remove("THROOME_SERVERS_DIR").env("TMPDIR", &directory).env("DOCKER_HOST", engine.host());
        let output = script.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    assert_eq!(script(&["start", "tiny"]), (true, format!("DOCKER_HOST={}\n", engine.host())));
    assert_eq!(script(&["status"]), (true, format!("docker: {}, which was there before\n", engine.host())));
    let (killed, said) = script(&["kill"]);
    assert!(!killed && said.contains("was there before, and is left alone"), "{said}");
    let (stopped, said) = script(&["stop"]);
    assert!(stopped, "{said}");
    assert_eq!(state(&engine, "somebodys"), "running");
    assert!(
        engine.try_cli(&["image", "inspect", Image::Redis.name()]).is_err(),
        "what `start` puts there goes"
    );
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
#[should_panic(expected = "is shared with other tests")]
fn the_shared_engine_is_not_broken() {
    docker().kill();
}
