//! `import` and `health` as they are typed.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::gateway::Gateway;
use super::{ran, ran_by};
use crate::terminal::People;

const COMPOSE: &str = "name: shop\nservices:\n  web:\n    build: .\n    ports: [\"3000:3000\"]\n  mail:\n    image: rabbitmq:3\n";

#[test]
fn a_cluster_is_printed_or_written_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("compose.yaml");
    fs::write(&file, COMPOSE).unwrap();
    let file = file.to_str().unwrap();
    let printed = ran(&["throome", "import", file]).ended(0);
    assert!(printed.out.ends_with(
        "cluster_id: shop\nservices:\n  web:\n    type: http\n    host: 127.0.0.1\n    port: 3000\n"
    ));
    assert!(
        printed.err.contains("note: mail: left out: `rabbitmq:3`: the gateway has no kind for it"),
        "{}",
        printed.err
    );

    let clusters = dir.path().join("clusters");
    let line = ["throome", "import", file, "--output", clusters.to_str().unwrap()];
    let wrote = ran(&line).ended(0);
    let made = clusters.join("shop/config.yaml");
    assert_eq!(fs::read_to_string(&made).unwrap(), printed.out);
    assert!(wrote.out.is_empty() && wrote.err.contains("cluster `shop` with web"), "{wrote:?}");
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(made.as_path()), mode(clusters.join("shop").as_path())), (0o600, 0o700));
    let left: Vec<_> = fs::read_dir(clusters.join("shop")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");

    // What is there stays, whatever it is.
    fs::write(&made, "mine\n").unwrap();
    let again = ran(&line).ended(5);
    assert!(again.err.contains("is there already") && again.err.contains("--name"), "{}", again.err);
    assert_eq!(fs::read_to_string(&made).unwrap(), "mine\n");
    ran(&[&line[..], &["--name", "second"]].concat()).ended(0);
    assert!(clusters.join("second/config.yaml").is_file());

    // What Compose would read unasked is named.
    fs::write(dir.path().join("compose.override.yaml"), "services: {}\n").unwrap();
    assert!(
        ran(&["throome", "import", file]).ended(0).err.contains("note: compose.override.yaml is beside it")
    );
}

#[test]
fn what_stands_beside_the_file_is_read() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("My Shop")).unwrap();
    let file = dir.path().join("My Shop/docker-compose.yml");
    fs::write(&file, "services:\n  web:\n    image: nginx\n    ports: [\"${PORT}:80\"]\n").unwrap();
    fs::write(dir.path().join("My Shop/.env"), "PORT=8081\n").unwrap();
    let printed = ran(&["throome", "import", file.to_str().unwrap()]).ended(0);
    assert!(printed.out.contains("cluster_id: my-shop\nname: My Shop\n"), "{}", printed.out);
    assert!(printed.out.contains("port: 8081\n"), "{}", printed.out);
}

#[test]
fn standard_input_will_do() {
    let printed = ran_by(&["throome", "import", "-", "--name", "Shop"], COMPOSE, People::default()).ended(0);
    assert!(printed.out.starts_with("# Made from standard input by `throome import`.\n"), "{}", printed.out);
    assert!(printed.out.contains("cluster_id: shop\nname: Shop\n"), "{}", printed.out);
}

#[test]
fn what_cannot_be_imported_is_told() {
    for (line, input, code, told) in [
        (&["import", "nowhere.yaml"][..], "", 3, "cannot read nowhere.yaml"),
        (
            &["import", "-"],
            "services:\n  a:\n\tb: 1\n",
            8,
            "standard input:3:1: services.a: the line is indented with a tab",
        ),
        (
            &["import", "-"],
            "services:\n  a: { image: mysql }\n",
            8,
            "has no service that a cluster could have",
        ),
        (&["import", "-", "-o", "json"], COMPOSE, 2, "a cluster file has one form only"),
        (&["import", "-", "--url", "http://gateway"], COMPOSE, 2, "and this one asks none"),
        (&["import"], "", 2, "FILE"),
    ] {
        let line = [&["throome"], line].concat();
        let ran = ran_by(&line, input, People::default()).ended(code);
        assert!(ran.err.contains(told) && ran.out.is_empty(), "{line:?}: {ran:?}");
    }
}

#[test]
fn health_needs_no_token_and_has_a_code_for_each_answer() {
    let well = Gateway::new(&[("GET /api/v1/health", 200, r#"{"status":"healthy"}"#)]);
    let ran = well.ran(&["health"]).ended(0);
    assert_eq!(ran.out, "healthy\n");
    assert_eq!(well.ran(&["health", "-o", "json"]).ended(0).out, "{\n  \"status\": \"healthy\"\n}\n");
    let ill = Gateway::new(&[("GET /api/v1/health", 503, r#"{"status":"unhealthy"}"#)]);
    assert_eq!(ill.ran(&["health"]).ended(9).out, "unhealthy\n");
}
