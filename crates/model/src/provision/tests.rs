//! What is settled, kept and refused of services that the gateway runs.

use serde_json::{Value, json};

use super::*;
use crate::read::{read_creation, read_replacement};
use crate::secrets::{keep_secrets, masked};
use crate::testing::{TestKinds, lines};

fn service(json: Value) -> ServiceSpec {
    serde_json::from_value(json).unwrap()
}

fn runs() -> Runs {
    TestKinds.find("net").unwrap().runs().unwrap()
}

fn settled(asked: &ServiceSpec) -> ServiceSpec {
    settle(runs(), asked, "docker", 7000, Secret::new("made"))
}

#[test]
fn what_is_left_open_is_settled() {
    for (asked, expected) in [
        (
            json!({ "type": "net" }),
            json!({ "type": "net", "provision": "docker", "host": "localhost", "port": 7000, "username": "root", "password": "made" }),
        ),
        (
            json!({ "type": "net", "provision": true, "username": "", "password": "" }),
            json!({ "type": "net", "provision": "docker", "host": "localhost", "port": 7000, "username": "root", "password": "made" }),
        ),
        (
            json!({ "type": "net", "provision": true, "host": "host.docker.internal", "port": 7000, "username": "me",
                "password": "said", "database": "shop", "run": { "memory": "512mb" }, "pool": { "max": 3 } }),
            json!({ "type": "net", "provision": "docker", "run": { "memory": "512mb" }, "host": "localhost", "port": 7000,
                "username": "me", "password": "said", "database": "shop", "pool": { "max": 3 } }),
        ),
    ] {
        let once = settled(&service(asked.clone()));
        assert_eq!(crate::secrets::revealed(&once), expected, "{asked}");
        let again = settle(runs(), &once, "docker", 7000, Secret::new("another"));
        assert_eq!(again, once);
        assert_eq!(once.provisioner(), Some("docker"));
    }
    let nobody = Runs { username: None, password: false, ..runs() };
    let settled = settle(nobody, &service(json!({ "type": "net" })), "process", 1, Secret::new("made"));
    assert_eq!((settled.username, settled.password), (None, None));
}

#[test]
fn a_document_says_whether_the_gateway_runs_it() {
    for (asked, is_run) in [
        (json!({ "type": "net" }), true),
        (json!({ "type": "net", "port": 7 }), true),
        (json!({ "type": "net", "provision": true }), true),
        (json!({ "type": "net", "provision": "process" }), true),
        (json!({ "type": "net", "provision": true, "host": "localhost", "port": 7 }), true),
        (json!({ "type": "net", "host": "localhost", "port": 7 }), false),
        (json!({ "type": "net", "provision": false, "host": "localhost", "port": 7 }), false),
        (json!({ "type": "net", "endpoints": [{ "host": "h", "port": 7 }] }), false),
        (json!({ "type": "mem" }), false),
        (json!({ "type": "mem", "provision": true }), false),
    ] {
        let body = json!({ "name": "Shop", "services": { "db": asked } });
        let input = read_creation(&body, &TestKinds, &mut Problems::default()).unwrap();
        assert_eq!(input.services[0].1.is_provisioned(), is_run, "{asked}");
    }
}

#[test]
fn what_only_a_container_can_heed_is_named() {
    let run = |json: Value| -> RunSpec { serde_json::from_value(json).unwrap() };
    assert_eq!(run(json!({ "env": { "A": "b" }, "bind": "0.0.0.0" })).needs_container(), None);
    assert_eq!(run(json!({ "memory": "6mb", "cpus": 2 })).needs_container(), Some("memory"));
}

/// A cluster whose service `db` is run with these keys.
fn cluster(db: Value) -> ClusterSpec {
    let body = json!({ "name": "Shop", "services": { "db": db } });
    let mut problems = Problems::default();
    let input = read_creation(&body, &TestKinds, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
    let mut spec = input.settle("shop".parse().unwrap(), jiff::Timestamp::UNIX_EPOCH);
    for (_, service) in spec.services.iter_mut().filter(|(_, service)| service.is_provisioned()) {
        *service = settled(service);
    }
    spec
}

/// What becomes of it by a body that replaces it.
fn replaced(old: &ClusterSpec, services: &Value) -> ClusterSpec {
    let body = json!({ "name": "Shop", "services": services });
    let mut problems = Problems::default();
    let mut input =
        read_replacement(&body, &TestKinds, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
    assert_eq!(keep_secrets(&mut input, old), []);
    input.settle(old.cluster_id.clone(), old.created_at)
}

fn conflicts_of(old: &ClusterSpec, services: &Value) -> Vec<String> {
    let mut new = replaced(old, services);
    let conflicts = provision_conflicts(old, &new, &TestKinds);
    keep_settled(&mut new, old);
    assert_eq!(provision_conflicts(old, &new, &TestKinds), conflicts, "what is not said is no conflict");
    conflicts.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_shown_of_a_service_that_runs_can_be_sent_back() {
    let old = cluster(json!({ "type": "net", "run": { "memory": "1gb", "cpus": 2, "env": { "A": "b" } } }));
    let shown = masked(&old, &TestKinds);
    assert!(!shown.to_string().contains("made"), "{shown}");
    assert_eq!(conflicts_of(&old, &shown["services"]), [""; 0]);
    assert_eq!(replaced(&old, &shown["services"]), old);
}

#[test]
fn what_a_document_does_not_say_stays_as_it_was_settled() {
    let old = cluster(json!({ "type": "net", "username": "me" }));
    for (now, port) in [
        (json!({ "type": "net" }), 7000),
        (json!({ "type": "net", "provision": true, "port": 7001 }), 7001),
        (json!({ "type": "net", "provision": "docker", "host": "localhost", "port": 7002 }), 7002),
    ] {
        let mut new = replaced(&old, &json!({ "db": now }));
        keep_settled(&mut new, &old);
        let expected = ServiceSpec { port: Some(port), ..old.services[0].1.clone() };
        assert_eq!(new.services[0].1, expected, "{now}");
    }
    // One that is somewhere else from now on has nothing of it.
    let asked = replaced(&old, &json!({ "db": { "type": "net", "host": "db.internal" } }));
    let mut new = asked.clone();
    keep_settled(&mut new, &old);
    assert_eq!(new, asked);
}

#[test]
fn what_data_were_made_with_cannot_change() {
    const WAY_OUT: &str = "(leave it as it was; or delete the service, with its data, and make it anew)";
    let old = cluster(json!({ "type": "net", "database": "shop" }));
    let made = "cannot change: the server's data were made with what it was";
    for (now, expected) in [
        (json!({ "type": "net" }), vec![]),
        (json!({ "type": "net", "password": "***" }), vec![]),
        (json!({ "type": "net", "run": { "image": "other:1" }, "pool": { "max": 4 } }), vec![]),
        (json!({ "type": "net", "host": "db.internal" }), vec![]),
        (
            json!({ "type": "net", "password": "other" }),
            vec![format!("services.db.password: {made} {WAY_OUT}")],
        ),
        (
            json!({ "type": "net", "username": "me", "database": "till" }),
            vec![
                format!("services.db.username: {made} {WAY_OUT}"),
                format!("services.db.database: {made} {WAY_OUT}"),
            ],
        ),
        (
            json!({ "type": "net", "provision": "process" }),
            vec![format!(
                "services.db.provision: cannot change: its data are kept by `docker`, where `process` has none {WAY_OUT}"
            )],
        ),
        (
            json!({ "type": "mem" }),
            vec![format!(
                "services.db.type: cannot change: the gateway runs a `net` with data under this name {WAY_OUT}"
            )],
        ),
    ] {
        let told = conflicts_of(&old, &json!({ "db": now }));
        assert_eq!(told, expected, "{now}");
        assert!(!told.concat().contains("other"), "{told:?}");
    }
    assert_eq!(conflicts_of(&old, &json!({})), [""; 0]);
    // What nobody ran before may be anything.
    let old = cluster(json!({ "type": "net", "host": "h", "password": "p" }));
    assert_eq!(conflicts_of(&old, &json!({ "db": { "type": "net" } })), [""; 0]);
}

#[test]
fn a_client_that_always_says_false_means_nothing_by_it() {
    let read = |services: Value| {
        let mut problems = Problems::default();
        let body = json!({ "name": "Shop", "config": { "services": services } });
        let input = read_creation(&body, &TestKinds, &mut problems);
        (input.map(|input| input.services), lines(problems))
    };
    let (services, told) = read(json!({ "db": { "type": "net", "port": 7, "provision": false } }));
    assert_eq!(told, [""; 0]);
    let (_, service) = &services.unwrap()[0];
    assert!(service.is_provisioned());
    assert_eq!(service.port, Some(7));
    let (services, _) = read(json!({ "db": { "type": "net", "host": "h", "provision": false } }));
    assert_eq!(services.unwrap()[0].1.provision, Some(Provision::Asked(false)), "where it is, is said");
    let (_, told) = read(json!({ "web": { "type": "bare", "port": 7, "provision": false } }));
    assert_eq!(told, ["config.services.web: needs a `host` or `endpoints`, since `provision` is false"]);
}

#[test]
fn what_was_settled_is_written_beside_what_a_person_wrote() {
    let text = "# Ours.\nservices:\n  db:     # the books\n    type: net\n    pool: { max: 3 }\n  cache: { type: mem, provision: true }\n";
    let read = |text: &str| {
        let node = crate::yaml::parse(text).unwrap();
        let input = crate::read::read_cluster(&node, &TestKinds, &mut Problems::default()).unwrap();
        input.settle("shop".parse().unwrap(), jiff::Timestamp::UNIX_EPOCH)
    };
    let mut spec = read(text);
    let (_, db) = &mut spec.services[0];
    *db = settled(db);
    let written = crate::write::file_text(&spec, Some(text), &TestKinds, &|_| None);
    assert_eq!(read(&written), spec, "{written}");
    for kept in [
        "# Ours.",
        "# the books",
        "provision: docker",
        "port: 7000",
        "password: made",
        "mem, provision: true",
    ] {
        assert!(written.contains(kept), "{kept} is not in {written}");
    }
}

#[test]
fn what_cannot_be_on_data_that_were_kept_is_named() {
    let kept = settled(&service(json!({ "type": "net", "username": "me" })));
    let told = |asked: Value| -> Vec<String> {
        let conflicts = kept_conflicts(&kept, &service(asked), "db", "name it otherwise", &TestKinds);
        conflicts.iter().map(ToString::to_string).collect()
    };
    assert_eq!(told(json!({ "type": "net" })), [""; 0]);
    assert_eq!(told(json!({ "type": "net", "username": "me", "port": 1 })), [""; 0]);
    let key = |key| {
        format!(
            "services.db.{key}: is not what the data that are kept under this name were made with (name it otherwise)"
        )
    };
    assert_eq!(told(json!({ "type": "net", "username": "you" })), [key("username")]);
    let expected =
        "services.db.type: cannot be `mem`: data of a `net` are kept under this name (name it otherwise)";
    assert_eq!(told(json!({ "type": "mem", "username": "you" })), [expected]);
}
