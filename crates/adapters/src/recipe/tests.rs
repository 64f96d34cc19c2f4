//! Sites and services for the tests of recipes, a recipe as one text, and what holds for every kind that is run.

use std::fmt::Write;

use model::recipe::{Dump, Recipe, Run, Site, Within};
use model::tree::{Entry, Node, Value};
use model::{Secret, ServiceSpec};
use serde_json::json;

use crate::{DRIVERS, settle};

/// The site of a container that is reached at port 7001.
pub(crate) fn container() -> Site {
    Site {
        within: Within::Container { name: "throome-shop-db".to_owned() },
        config: "/throome".to_owned(),
        port: 7001,
        host: "localhost".to_owned(),
    }
}

/// The site of a process that listens on port 7001.
pub(crate) fn process() -> Site {
    Site {
        within: Within::Process { data: "/p/shop/db/data".to_owned() },
        config: "/p/shop/db/config".to_owned(),
        ..container()
    }
}

/// A service of these keys, which say enough.
pub(crate) fn spec(json: serde_json::Value) -> ServiceSpec {
    serde_json::from_value(json).unwrap()
}

/// The mapping of a service that says where it is, beside this.
pub(crate) fn connected(yaml: &str) -> Node {
    let mut node = model::yaml::parse(yaml).unwrap();
    let host = Entry::new("host", Node::new(Value::Text("db.internal".to_owned())));
    let Value::Map(entries) = &mut node.value else { panic!("{yaml} is no mapping") };
    entries.push(host);
    node
}

/// All of a recipe, what is secret too.
pub(crate) fn shown(recipe: &Recipe) -> String {
    let mut out = format!("image {}\n", recipe.image);
    for preparation in &recipe.prepare {
        writeln!(out, "once {}", preparation.what).unwrap();
        run(&mut out, &preparation.run);
        if let Some(input) = &preparation.input {
            writeln!(out, "input {input}").unwrap();
        }
    }
    run(&mut out, &recipe.run);
    writeln!(out, "data {}\nports {} {}", recipe.data, recipe.port, recipe.network_port).unwrap();
    writeln!(out, "stop {:?} {:?}", recipe.stop.signal, recipe.stop.grace).unwrap();
    writeln!(out, "dump {}", recipe.dump.format()).unwrap();
    if let Dump::Serving { save, load, .. } = &recipe.dump {
        for (what, run) in [("save", save), ("load", load)] {
            // What its script is told.
            writeln!(out, "{what} {}", run.args[3..].join(" ")).unwrap();
        }
    }
    for file in &recipe.files {
        write!(out, "--- {}\n{}", file.name, file.text.reveal()).unwrap();
    }
    out
}

fn run(out: &mut String, run: &Run) {
    let words: Vec<&str> =
        std::iter::once(run.program.as_str()).chain(run.args.iter().map(String::as_str)).collect();
    writeln!(out, "run {}", words.join(" ")).unwrap();
    for (name, value) in &run.env {
        writeln!(out, "env {name}={value}").unwrap();
    }
}

#[test]
fn every_kind_that_is_run_has_a_recipe_for_every_site_and_tells_no_secret() {
    let mut count = 0;
    for driver in DRIVERS {
        let asked = ServiceSpec::of_kind(driver.name());
        let Some(runs) = driver.runs() else {
            assert_eq!(driver.recipe(&asked, &container()), None, "{} is not run", driver.name());
            continue;
        };
        count += 1;
        let settled = settle(runs, &asked, "docker", runs.port, Secret::new("canary-secret"));
        for site in [container(), process()] {
            let name = driver.name();
            let recipe = driver.recipe(&settled, &site).unwrap_or_else(|| panic!("{name}: {site:?}"));
            // Debug masks files, and nothing else.
            assert!(!format!("{recipe:?}").contains("canary-secret"), "{name}: {recipe:?}");
            let is_in_a_file = recipe.files.iter().any(|file| file.text.reveal().contains("canary-secret"));
            assert_eq!(is_in_a_file, runs.password, "{name}");
            assert!(recipe.data.starts_with('/') && recipe.port > 0 && recipe.network_port > 0, "{name}");
            assert_eq!(driver.recipe(&settled, &site).as_ref(), Some(&recipe), "{name}: always the same");
            for input in recipe.prepare.iter().filter_map(|preparation| preparation.input.as_ref()) {
                assert!(recipe.files.iter().any(|file| file.name == *input), "{name}: {input}");
            }
            let is_in_a_container = matches!(site.within, Within::Container { .. });
            assert!(recipe.prepare.is_empty() || !is_in_a_container, "{name}: images prepare themselves");
            assert!(is_in_a_container || recipe.port == site.port, "{name}");
        }
        if runs.password {
            assert_eq!(driver.recipe(&asked, &process()), None, "not settled: {}", driver.name());
        }
    }
    assert_eq!(count, if cfg!(feature = "kafka") { 3 } else { 2 });
}

/// A document, and the paths of what is told of it.
#[test]
fn a_server_that_the_gateway_runs_is_not_everything_that_one_could_connect_to() {
    for (service, expected) in [
        (json!({ "type": "redis" }), vec![]),
        (json!({ "type": "redis", "port": 6379 }), vec![]),
        (json!({ "type": "redis", "username": "app", "database": 3 }), vec![]),
        (
            json!({ "type": "redis", "provision": "docker", "host": "localhost", "port": 6379, "username": "app" }),
            vec![],
        ),
        (json!({ "type": "redis", "username": "a b" }), vec!["username"]),
        (json!({ "type": "redis", "mode": "standalone", "tls": { "enabled": false } }), vec![]),
        (json!({ "type": "redis", "mode": "cluster" }), vec!["mode"]),
        (json!({ "type": "redis", "mode": "sentinel", "sentinel": { "master": "m" } }), vec!["mode"]),
        (json!({ "type": "redis", "tls": { "enabled": true } }), vec!["tls"]),
        (
            json!({ "type": "redis", "run": { "env": { "REDIS_PASSWORD": "x", "TZ": "UTC" } } }),
            vec!["run.env.REDIS_PASSWORD"],
        ),
        (json!({ "type": "postgres", "port": 5432, "database": "mydb", "sslmode": "prefer" }), vec![]),
        (json!({ "type": "postgres", "sslmode": "require" }), vec!["sslmode"]),
        (json!({ "type": "postgres", "tls": { "ca": "ca.pem" } }), vec!["tls"]),
        (
            json!({ "type": "postgres", "username": "pg_me", "database": "template1" }),
            vec!["username", "database"],
        ),
        (json!({ "type": "postgres", "database": "d".repeat(64) }), vec!["database"]),
        (
            json!({ "type": "postgres", "run": { "env": { "POSTGRES_PASSWORD": "x", "PGDATA": "x" } } }),
            vec!["run.env.POSTGRES_PASSWORD", "run.env.PGDATA"],
        ),
        #[cfg(feature = "kafka")]
        (json!({ "type": "kafka", "port": 9092, "run": { "env": { "KAFKA_HEAP_OPTS": "-Xmx1g" } } }), vec![]),
        #[cfg(feature = "kafka")]
        (
            json!({ "type": "kafka", "username": "a", "password": "b", "sasl": {} }),
            vec!["username", "password", "sasl"],
        ),
        #[cfg(feature = "kafka")]
        (
            json!({ "type": "kafka", "tls": { "enabled": true }, "run": { "bind": "0.0.0.0" } }),
            vec!["run.bind", "tls"],
        ),
        #[cfg(feature = "kafka")]
        (
            json!({ "type": "kafka", "run": { "env": { "KAFKA_NUM_PARTITIONS": "3" } } }),
            vec!["run.env.KAFKA_NUM_PARTITIONS"],
        ),
        (json!({ "type": "http", "port": 80 }), vec![""]),
    ] {
        let body = json!({ "name": "Shop", "services": { "db": service } });
        let mut problems = model::Problems::default();
        model::read::read_creation(&body, &crate::Registry, &mut problems);
        let problems = problems.into_vec();
        let told: Vec<&str> = problems
            .iter()
            .map(|problem| problem.path.trim_start_matches("services.db").trim_start_matches('.'))
            .collect();
        assert_eq!(told, expected, "{body}: {problems:?}");
    }
}
