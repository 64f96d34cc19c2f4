//! By processes: programs that are not there, do not start, end, never answer, find no room, and directories that do not go.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use throome_e2e::process::wait_for;

use super::super::{By, House, LONG, gone};
use super::{Blocked, act, as_before, came_to_nothing, document, failed_at, next_try, once_idle, put, runs};

/// Programs in front of the real ones, which do as a file beside them and their environment say.
struct Programs {
    dir: TempDir,
}

/// A program that nobody can start.
const NO_PROGRAM: &str = "#!/nowhere/interpreter\n";

impl Programs {
    fn new() -> Programs {
        let dir = tempfile::tempdir().unwrap();
        // Whoever runs them is not root.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let programs = Programs { dir };
        for (name, real) in real() {
            programs.write(&name, &Self::wrapper(&programs.dir.path().join("fault"), &real));
        }
        programs
    }

    /// It runs the real one, unless it is told otherwise.
    fn wrapper(fault: &Path, real: &Path) -> String {
        format!(
            "#!/bin/sh\n\
             fault=$THROOME_TEST$(cat {} 2>/dev/null)\n\
             case \"$fault\" in\n\
             ends) echo 'it ends at once' >&2; exit 3;;\n\
             hangs) exec sleep 600;;\n\
             full) echo 'could not write: No space left on device' >&2; exit 1;;\n\
             esac\n\
             exec {} \"$@\"\n",
            fault.display(),
            real.display()
        )
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// From here on `redis-server` cannot be started at all; says how it was.
    fn break_redis(&self) -> String {
        let before = fs::read_to_string(self.dir.path().join("redis-server")).unwrap();
        self.write("redis-server", NO_PROGRAM);
        before
    }

    /// What all of them do from here on; nothing but what they are for, where it is empty.
    fn all_do(&self, fault: &str) {
        let path = self.dir.path().join("fault");
        fs::write(&path, fault).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn house(&self) -> House {
        let path = format!("PATH={}:{}", self.dir.path().display(), std::env::var("PATH").unwrap());
        House::with(None, By::Processes, None, "15s", &["env", "-u", "KAFKA_HOME", &path])
    }
}

/// Where the real programs are.
fn real() -> Vec<(String, PathBuf)> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let postgres = versions.map(|version| version.path().join("bin")).max().expect("PostgreSQL is installed");
    let redis = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|dir| dir.join("redis-server"))
        .find(|path| path.is_file())
        .expect("redis-server is installed");
    let of_postgres = ["postgres", "initdb"].map(|name| (name.to_owned(), postgres.join(name)));
    of_postgres.into_iter().chain([("redis-server".to_owned(), redis)]).collect()
}

/// Costs some 20 s, of which 15 for the one that never answers.
#[test]
fn a_creation_comes_to_nothing_and_the_next_succeeds() {
    let programs = Programs::new();
    let house = programs.house();
    let redis =
        |fault: &str| json!({ "cache": { "type": "redis", "run": { "env": { "THROOME_TEST": fault } } } });
    let postgres = |_: &str| json!({ "db": { "type": "postgres" } });
    type Services<'s> = &'s dyn Fn(&str) -> Value;
    let cases: [(&str, Services<'_>, &str, &str, &str); 4] = [
        ("it ends", &redis, "ends", "ready", "its program has ended"),
        ("it never answers", &redis, "hangs", "ready", "did not answer within 15 s"),
        ("its data find no room", &postgres, "full", "start", "No space left on device"),
        ("its preparation ends", &postgres, "ends", "start", "it ends at once"),
    ];
    for (what, services, fault, step, says) in cases {
        if step == "start" {
            programs.all_do(fault);
        }
        let body = house.body("made", &services(fault));
        let answer = once_idle(&house, "POST", "/api/v1/clusters", Some(&body));
        failed_at(&house, "made", what, &answer, step, says);
        programs.all_do("");
        came_to_nothing(&house, "made", what);
        next_try(&house, "made", &house.body("made", &services("")), what);
    }
    let whole = programs.break_redis();
    let body = house.body("made", &redis(""));
    let answer = once_idle(&house, "POST", "/api/v1/clusters", Some(&body));
    failed_at(&house, "made", "it does not start", &answer, "start", "cannot be started");
    programs.write("redis-server", &whole);
    came_to_nothing(&house, "made", "it does not start");
    next_try(&house, "made", &body, "it does not start");

    let blocked = Blocked::file_of(&house, "made");
    let answer = once_idle(&house, "POST", "/api/v1/clusters", Some(&body));
    failed_at(&house, "made", "its file cannot be written", &answer, "save", "config.yaml");
    drop(blocked);
    came_to_nothing(&house, "made", "its file cannot be written");
    next_try(&house, "made", &body, "its file cannot be written");

    let kafka = house.body("made", &json!({ "cache": { "type": "redis" }, "queue": { "type": "kafka" } }));
    let answer = once_idle(&house, "POST", "/api/v1/clusters", Some(&kafka));
    failed_at(&house, "made", "its program is not installed", &answer, "fetch", "is not on this machine");
    came_to_nothing(&house, "made", "its program is not installed");
    next_try(&house, "made", &body, "its program is not installed");
}

/// Costs some 10 s.
#[test]
fn a_change_leads_back_to_what_it_was() {
    let programs = Programs::new();
    let house = programs.house();
    house.create("change", &json!({ "cache": { "type": "redis" } }));
    house.set("change", "a", "1");
    let file = house.file("change");
    let before = document(&house, "change");
    let broken = json!({ "env": { "THROOME_TEST": "ends" } });

    let mut changed = before.clone();
    changed["services"]["cache"]["run"] = broken.clone();
    let answer = put(&house, "change", &changed);
    failed_at(&house, "change", "what is changed ends", &answer, "ready", "its program has ended");
    as_before(&house, "change", &file, "what is changed ends");

    let mut added = before.clone();
    added["services"]["second"] =
        house.body("x", &json!({ "s": { "type": "redis" } }))["config"]["services"]["s"].clone();
    let mut fails = added.clone();
    fails["services"]["second"]["run"] = broken;
    let answer = put(&house, "change", &fails);
    failed_at(&house, "change", "what is added ends", &answer, "ready", "its program has ended");
    as_before(&house, "change", &file, "what is added ends");
    let no_second = || !house.left("change").iter().any(|one| one.contains("second"));
    assert!(no_second(), "{:?}", house.left("change"));

    drop(put(&house, "change", &added).expect(200));
    let mount = Mount::within(&house, "change", "second");
    let answer = put(&house, "change", &before);
    failed_at(&house, "change", "its data do not go", &answer, "remove", "The change took place");
    drop(mount);
    wait_for("nothing of the second is left", LONG, || {
        let dir =
            house.gateway().clusters_dir().join(".throome/processes").join(house.id("change")).join("second");
        (!dir.exists()).then_some(())
    });
    as_before(&house, "change", &file, "its data do not go");
}

/// Costs some 10 s.
#[test]
fn a_restart_that_fails_is_resumed_and_a_deletion_is_seen_through() {
    let programs = Programs::new();
    let house = programs.house();
    let services = json!({ "cache": { "type": "redis" } });
    house.create("act", &services);
    house.set("act", "a", "1");
    for verb in ["restart", "start"] {
        if verb == "start" {
            drop(act(&house, "act", "stop").expect(200));
        }
        let whole = programs.break_redis();
        let answer = act(&house, "act", verb);
        failed_at(&house, "act", verb, &answer, "start", "cannot be started");
        programs.write("redis-server", &whole);
        runs(&house, "act", verb);
    }
    programs.all_do("ends");
    let answer = act(&house, "act", "restart");
    failed_at(&house, "act", "restart: it ends", &answer, "ready", "its program has ended");
    programs.all_do("");
    runs(&house, "act", "restart: it ends");
    drop(act(&house, "act", "restart").expect(200));

    let mount = Mount::within(&house, "act", "cache");
    let answer = house.call("DELETE", &format!("/api/v1/clusters/{}", house.id("act")), None);
    assert!(
        answer.status >= 500 && answer.text().contains("The cluster is deleted, but"),
        "{}",
        answer.text()
    );
    let again = house.body("act", &services);
    let refused = house.call("POST", "/api/v1/clusters", Some(&again));
    assert!(refused.text().contains("Something is left of the deleted cluster"), "{}", refused.text());
    drop(mount);
    gone(&house, "act");
    next_try(&house, "act", &again, "deletion: its data do not go");
}

/// A file system in the data of a service, without which they cannot be removed.
struct Mount(PathBuf);

impl Mount {
    fn within(house: &House, name: &str, service: &str) -> Mount {
        let dirs =
            house.gateway().clusters_dir().join(".throome/processes").join(house.id(name)).join(service);
        let dir = dirs.join("data/held");
        fs::create_dir(&dir).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&dir).status().unwrap();
        assert!(done.success(), "this test needs root, to mount {}", dir.display());
        Mount(dir)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Data are moved aside before they go.
        let beside = self.0.parent().and_then(|data| data.parent()).map(|place| place.join("removed/held"));
        let held = [Some(self.0.clone()), beside].into_iter().flatten().find(|dir| dir.exists());
        let _ = held.map(|dir| Command::new("umount").arg(dir).status());
    }
}
