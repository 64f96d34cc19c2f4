//! Compose files as people have them, and the clusters that become of them.

mod files;

use std::io;

use model::Problem;

use super::{Around, Imported, compose};

/// Imports it beside these files, in an environment where `FROM_ENV` is set.
fn import_with(text: &str, files: &[(&str, &str)], profiles: &[&str]) -> Result<Imported, Vec<Problem>> {
    let profiles: Vec<String> = profiles.iter().map(|name| (*name).to_owned()).collect();
    let around = Around {
        file: "compose.yaml",
        directory: Some("My_Shop"),
        name: None,
        profiles: &profiles,
        env: &|name| (name == "FROM_ENV").then(|| "from-env".to_owned()),
        files: &|name| {
            let found = files.iter().find(|(known, _)| *known == name);
            found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| io::ErrorKind::NotFound.into())
        },
    };
    compose(text, &around)
}

#[track_caller]
fn imported(text: &str) -> Imported {
    import_with(text, &[], &[]).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// The document without its head of comments.
fn body(imported: &Imported) -> &str {
    imported.text.split_once("\n\n").unwrap().1
}

#[track_caller]
fn told(text: &str) -> Vec<String> {
    match import_with(text, &[], &[]) {
        Ok(imported) => panic!("{}", imported.text),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_blog_with_a_database_of_another_kind() {
    let blog = imported(files::BLOG);
    assert_eq!(
        body(&blog),
        "cluster_id: blog\nservices:\n  wordpress:\n    type: http\n    host: 127.0.0.1\n    port: 8080\n  cache:\n    \
         type: redis\n    provision: docker\n    password: s3cret\n    run:\n      image: redis:7-alpine\n"
    );
    let notes = blog.notes.join("\n");
    for said in [
        "db: left out: `mysql:8.0`: the gateway has no kind for it",
        "wordpress: is run by Compose as before",
        "cache: command: --maxmemory: not taken over",
        "cache: volumes: the data in cache-data are not taken over",
        "cache: restart: not taken over: the gateway starts again what ends",
        "phpmyadmin: left out: it belongs to the profile `debug`",
    ] {
        assert!(notes.contains(said), "{said}:\n{notes}");
    }
    // Each of them stands in the file too.
    assert!(blog.notes.iter().all(|note| blog.text.contains(&format!("#   - {note}\n"))), "{}", blog.text);
}

#[test]
fn a_profile_that_is_asked_for_comes_along() {
    for profiles in [&["debug"][..], &["*"]] {
        let blog = import_with(files::BLOG, &[], profiles).unwrap();
        assert!(blog.services.contains(&"phpmyadmin".to_owned()), "{:?}", blog.services);
    }
}

#[test]
fn a_stack_of_streams() {
    let stack = imported(files::STREAMS);
    assert_eq!(
        body(&stack),
        "cluster_id: my-shop\nname: My_Shop\nservices:\n  broker:\n    type: kafka\n    provision: docker\n    \
         host: localhost\n    port: 9092\n  local:\n    type: kafka\n    provision: docker\n    host: localhost\n    \
         port: 29092\n    run:\n      image: apache/kafka:3.9.1\n  ui:\n    type: http\n    \
         host: 127.0.0.1\n    port: 8090\n    health:\n      path: /actuator/health\n"
    );
    let notes = stack.notes.join("\n");
    for said in [
        "zookeeper: left out: `confluentinc/cp-zookeeper:7.6.0`: the gateway runs brokers that need no ZooKeeper",
        "broker: `confluentinc/cp-kafka:7.6.0` is set up in a way of its own",
        "broker: ports: 29092 of the container is not published",
        "broker: environment: KAFKA_ADVERTISED_LISTENERS, KAFKA_BROKER_ID, KAFKA_ZOOKEEPER_CONNECT: not taken over",
        "broker: is published on this machine alone, where Compose had all",
        "local: is published on this machine alone, where Compose had one",
        "schema-registry: left out: its port 8081 is published at another one each time",
    ] {
        assert!(notes.contains(said), "{said}:\n{notes}");
    }
}

#[test]
fn anchors_bases_and_files_around_it() {
    let around = [
        ("common.yml", files::COMMON),
        (".env", "DB_PORT=5433\nUNUSED='x'\nDB_NAME=orders\n"),
        ("db.env", "POSTGRES_DB=from-file\nTZ=Europe/Berlin\n"),
        ("secrets/db", "p@ss$word${}\n"),
    ];
    let app = import_with(files::ANCHORS, &around, &[]).unwrap();
    assert_eq!(
        body(&app),
        "cluster_id: orders\nservices:\n  api:\n    type: http\n    host: 127.0.0.1\n    port: 3000\n    health:\n      \
         path: /health\n  db:\n    type: postgres\n    provision: docker\n    host: localhost\n    port: 5433\n    username: app\n    \
         password: p@ss$$word$${}\n    database: orders\n    run:\n      image: postgres:16-alpine\n      env:\n        TZ: \
         Europe/Berlin\n      memory: 512mb\n      cpus: 1.5\n  reports:\n    type: postgres\n    provision: docker\n    \
         username: postgres\n    password: from-env\n    database: postgres\n    run:\n      image: postgres:17\n"
    );
    let notes = app.notes.join("\n");
    for said in [
        "db: volumes: ./init.sql is not run; type it in when the cluster is there",
        "worker: left out: it publishes no port",
        "api: ports: 9229 of the container is left out",
        "the variable `NOBODY` is set nowhere, and is taken as empty",
        "include: the files that it names are not read",
    ] {
        assert!(notes.contains(said), "{said}:\n{notes}");
    }
    // What is written reads back: the password is what the secret holds.
    let mut read = model::yaml::parse(&app.text).unwrap();
    let mut problems = model::Problems::default();
    model::expand::expand(&mut read, &|_| None, &mut problems);
    assert!(problems.is_empty());
    assert_eq!(read.to_json()["services"]["db"]["password"], "p@ss$word${}");
    // A note names what was left out, and never what it holds.
    assert!(!notes.contains("p@ss") && !notes.contains("from-env"), "{notes}");
}

#[test]
fn passwords_are_found_where_people_write_them() {
    for (service, password) in [
        ("image: redis\n    command: redis-server --requirepass hunter2 --appendonly yes", Some("hunter2")),
        ("image: redis\n    command: [redis-server, --requirepass, hunter2]", Some("hunter2")),
        (
            "image: redis\n    command: [sh, -c, 'exec redis-server --requirepass \"hunter2\"']",
            Some("hunter2"),
        ),
        (
            "image: redis\n    command: sh -c 'redis-server --requirepass $$REDIS_PASS'\n    environment: [REDIS_PASS=hunter2]",
            Some("hunter2"),
        ),
        ("image: valkey/valkey:8\n    command: valkey-server --requirepass=hunter2", Some("hunter2")),
        ("image: bitnami/redis\n    environment: { REDIS_PASSWORD: hunter2 }", Some("hunter2")),
        // The official image does not look at it.
        ("image: redis\n    environment: { REDIS_PASSWORD: hunter2 }", None),
        ("image: postgres\n    environment:\n      - POSTGRES_PASSWORD=hunter2", Some("hunter2")),
        ("image: postgres\n    environment: { POSTGRES_PASSWORD: 12345 }", Some("12345")),
        ("image: bitnami/postgresql\n    environment: { POSTGRESQL_PASSWORD: hunter2 }", Some("hunter2")),
        ("image: postgres\n    environment: { POSTGRES_HOST_AUTH_METHOD: trust }", None),
        ("image: apache/kafka", None),
    ] {
        let found = imported(&format!("services:\n  a:\n    {service}\n"));
        let document = model::yaml::parse(&found.text).unwrap().to_json();
        assert_eq!(document["services"]["a"]["password"].as_str(), password, "{service}\n{}", found.text);
        let notes = found.notes.join("\n");
        let says_none = notes.contains("has no password there");
        assert_eq!(says_none, password.is_none() && !service.contains("kafka"), "{service}: {notes}");
        assert!(!notes.contains("hunter2"), "{notes}");
    }
}

#[test]
fn ports_in_every_form() {
    for (ports, expected) in [
        ("- 6380:6379", (Some(6380), None)),
        ("- \"127.0.0.1:6380:6379\"", (Some(6380), None)),
        ("- \"192.168.1.4:6380:6379\"", (Some(6380), None)),
        ("- \"0.0.0.0:6380:6379\"", (Some(6380), Some("0.0.0.0"))),
        ("- { target: 6379, published: 6380, protocol: tcp, mode: host }", (Some(6380), None)),
        ("- { target: 6379, published: \"6380\", host_ip: 127.0.0.1 }", (Some(6380), None)),
        ("- 6379", (None, None)),
        ("- 8001:8001\n      - 6380:6379", (Some(6380), None)),
        // Only one is published: it must be that, whatever it leads to.
        ("- 6380:7000", (Some(6380), None)),
        ("- 6380-6381:6379-6380", (Some(6380), None)),
        ("- 6380:6379/udp", (None, None)),
    ] {
        let found = imported(&format!("services:\n  a:\n    image: redis\n    ports:\n      {ports}\n"));
        let document = model::yaml::parse(&found.text).unwrap().to_json();
        let a = &document["services"]["a"];
        assert_eq!((a["port"].as_u64(), a["run"]["bind"].as_str()), expected, "{ports}\n{}", found.text);
        assert_eq!(a["host"].as_str(), a["port"].is_u64().then_some("localhost"), "{ports}");
    }
}

#[test]
fn what_stands_before_http_and_what_does_not() {
    for (service, port) in [
        ("image: nginx\n    ports: [\"8080:80\"]", Some(8080)),
        ("build: .\n    ports: [\"3000:3000\", \"9229:9229\"]", Some(3000)),
        ("build: .\n    ports: [\"2222:22\", \"8081:80\"]", Some(8081)),
        // Its own probe says which of them speaks HTTP.
        (
            "build: .\n    ports: [\"9000:9000\", \"9001:9001\"]\n    healthcheck: { test: curl -f http://localhost:9001/live }",
            Some(9001),
        ),
        // An image that is built here is what the file makes of it, whatever its name.
        ("build: .\n    image: redis\n    ports: [\"8080:80\"]", Some(8080)),
        ("image: nginx\n    ports: [\"443:443\"]", None),
        ("image: nginx\n    expose: [80]", None),
        ("image: app\n    network_mode: host", None),
        ("image: atmoz/sftp\n    ports: [\"2222:22\"]", None),
        ("image: mongo\n    ports: [\"27017:27017\"]", None),
        ("image: rabbitmq:3-management\n    ports: [\"15672:15672\"]", None),
    ] {
        let text = format!("services:\n  a:\n    {}\n", service);
        let found = imported(&text);
        let document = model::yaml::parse(&found.text).unwrap().to_json();
        assert_eq!(document["services"]["a"]["port"].as_u64(), port, "{service}\n{}", found.text);
        assert_eq!(
            found.notes.iter().any(|note| note.starts_with("a: left out: ")),
            port.is_none(),
            "{service}"
        );
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, expected) in [
        (
            "",
            &[
                "compose.yaml:1:1: services: is no mapping of services (give a Compose file, with its services below `services:`)",
            ][..],
        ),
        (
            "version: '3'\nservices: []\n",
            &[
                "compose.yaml:2:11: services: is no mapping of services (give a Compose file, with its services below `services:`)",
            ],
        ),
        (
            "services:\n  a:\n\timage: redis\n",
            &["compose.yaml:3:1: services.a: the line is indented with a tab (indent with spaces)"],
        ),
        (
            "services:\n  a:\n    image:redis\n    ports: []\n",
            &["compose.yaml:3:10: services: a space is missing after `image:` (write `image: redis`)"],
        ),
        (
            "services:\n  a: redis\n",
            &["compose.yaml:2:6: services.a: is no mapping (write its keys below its name, `image:` first)"],
        ),
        (
            "services:\n  a: { image: redis, ports: 6379 }\n",
            &["compose.yaml:2:29: services.a.ports: must be a list"],
        ),
        (
            "services:\n  a:\n    image: redis\n    environment:\n      X: ${NEED:?set it in .env}\n",
            &[
                "compose.yaml:5:10: services.a.environment.X: needs the variable `NEED`: set it in .env (set it, or write NEED=… into .env)",
            ],
        ),
        (
            "services:\n  a:\n    extends: b\n",
            &["compose.yaml:3:14: services.a.extends: names the service `b`, which is not in this file"],
        ),
        (
            "services:\n  a:\n    extends: { service: b, file: gone.yml }\n",
            &["compose.yaml:3:14: services.a.extends: gone.yml cannot be read: entity not found"],
        ),
        (
            "services:\n  a: *base\n",
            &["compose.yaml:2:6: services.a: no value above has an anchor (`&name`) of this name"],
        ),
    ] {
        assert_eq!(told(text), expected, "{text}");
    }
    let circle = told("services:\n  a: { extends: b }\n  b: { extends: a }\n");
    assert!(circle.iter().all(|one| one.contains("leads back to where it began")), "{circle:?}");
}

#[test]
fn names_are_made_to_fit_and_told() {
    let found =
        imported("name: My App!\nservices:\n  Main.DB:\n    image: postgres\n  main-db:\n    image: redis\n");
    assert_eq!(
        (found.id.as_str(), found.services.as_slice()),
        ("my-app", &["main-db".to_owned(), "main-db-2".to_owned()][..])
    );
    assert!(
        found.notes.iter().any(|note| note.contains("Main.DB: is called `main-db` here")),
        "{:?}",
        found.notes
    );
    assert!(found.text.contains("\nname: My App!\n"), "{}", found.text);
}

/// Whatever is written, something is said: parts of real files, cut and put together.
#[test]
fn no_file_makes_it_panic() {
    let whole = [files::BLOG, files::STREAMS, files::ANCHORS];
    for (text, other) in whole.iter().zip(whole.iter().cycle().skip(1)) {
        let lines: Vec<&str> = text.lines().collect();
        for at in 0..lines.len() {
            let cut = [&lines[..at], &lines[at + 1..]].concat().join("\n");
            let _ = import_with(&cut, &[("common.yml", files::COMMON)], &["*"]);
            let mixed =
                lines[..at].join("\n") + "\n" + &other.lines().skip(at).collect::<Vec<_>>().join("\n");
            let _ = import_with(&mixed, &[("common.yml", &mixed)], &[]);
            let emptied = lines[..at].join("\n")
                + "\n"
                + lines[at].split(':').next().unwrap()
                + ":\n"
                + &lines[at + 1..].join("\n");
            let _ = import_with(&emptied, &[], &["*"]);
        }
    }
    for value in [
        "~", "[]", "{}", "7", "true", "[~]", "[[]]", "[{}]", "{ a: ~ }", "\"\"", "[\"\"]", "-1", "é", "[é:é]",
    ] {
        for key in [
            "image",
            "build",
            "ports",
            "environment",
            "env_file",
            "command",
            "volumes",
            "secrets",
            "deploy",
            "healthcheck",
            "extends",
            "profiles",
            "mem_limit",
            "cpus",
        ] {
            for image in ["redis", "postgres", "bitnami/kafka", "nginx"] {
                let _ = import_with(
                    &format!("services:\n  a:\n    image: {image}\n")
                        .replace(&format!("    {key}: {image}\n"), "")
                        .replace("  a:\n", &format!("  a:\n    {key}: {value}\n")),
                    &[],
                    &[],
                );
            }
        }
    }
}

#[test]
fn a_comment_ends_with_its_line() {
    let found = imported("services:\n  \"a\\nservices: {}\":\n    image: redis\n    \"x\\ny\": 1\n");
    let document = model::yaml::parse(&found.text).unwrap().to_json();
    assert_eq!(document["services"].as_object().map(serde_json::Map::len), Some(1), "{}", found.text);
}
