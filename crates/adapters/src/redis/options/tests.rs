//! What a document says of a service, checked and read.

use super::*;
use crate::recipe::tests::connected;

fn found(yaml: &str) -> Vec<String> {
    let mut problems = Problems::new(None);
    check(&connected(yaml), &mut problems);
    problems.into_vec().into_iter().map(|problem| problem.path).collect()
}

fn service(json: serde_json::Value) -> ServiceSpec {
    let mut whole = serde_json::json!({ "type": "redis", "host": "localhost", "port": 6379 });
    for (key, value) in json.as_object().unwrap() {
        whole[key] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

#[test]
fn a_document_is_told_which_key_is_wrong() {
    for (yaml, path) in [
        ("database: mydb", "database"),
        ("{database: 1, options: {db: 2}}", "options.db"),
        ("{mode: cluster, database: 1}", "database"),
        ("{mode: cluster, options: {db: 1}}", "options.db"),
        ("mode: sentinel", "sentinel"),
        ("sentinel: {master: main}", "sentinel"),
        ("{mode: cluster, replicas: [{host: a}]}", "replicas"),
        ("username: app", "username"),
        ("{mode: sentinel, sentinel: {master: m, username: app}}", "sentinel.username"),
        ("pool: {min_connections: 65}", "pool.min_connections"),
        ("pool: {min_connections: 6, max_connections: 5}", "pool.min_connections"),
        ("commands: {allow: [SUBSCRIBE]}", "commands.allow"),
        ("commands: {deny: ['A B C']}", "commands.deny"),
        ("tls: {cert: a.pem}", "tls.cert"),
    ] {
        let wanted: Vec<&str> = [path].into_iter().filter(|path| !path.is_empty()).collect();
        assert_eq!(found(yaml), wanted, "{yaml}");
    }
    for yaml in [
        "{}",
        "{database: '3', options: {db: 3}}",
        "{mode: cluster, database: 0}",
        "{mode: sentinel, sentinel: {master: main, username: a, password: b}}",
        "{username: app, password: secret}",
        "pool: {min_connections: 5, max_connections: 100, max_idle_time: 300}",
        "commands: {allow: [FLUSHDB, CONFIG GET, JSON.SET], deny: [keys]}",
    ] {
        assert_eq!(found(yaml), Vec::<String>::new(), "{yaml}");
    }
}

#[test]
fn what_is_left_out_has_a_default() {
    let options = of(&service(serde_json::json!({}))).unwrap();
    assert!(matches!(options.mode, Mode::Standalone));
    assert_eq!((options.most_connections, options.login.database), (64, 0));
    assert_eq!(options.keep, Keep { least: 0, idle: IDLE, lifetime: LIFETIME });
    assert!(options.login.password.is_none() && options.tls.is_none());
}

#[test]
fn older_files_are_read_as_they_are() {
    let options = of(&service(serde_json::json!({
        "username": "", "password": "", "database": "", "options": { "db": 2 },
        "pool": { "min_connections": 5, "max_connections": 100, "max_idle_time": 300, "max_lifetime": 3600 },
        "tls": { "enabled": false },
    })));
    let options = options.unwrap();
    assert_eq!(options.login.database, 2);
    assert!(options.login.username.is_none() && options.login.password.is_none() && options.tls.is_none());
    assert_eq!((options.keep.least, options.most_connections), (5, 100));
    assert_eq!(options.keep.idle, Duration::from_secs(300));
}

#[test]
fn sentinels_have_a_login_of_their_own() {
    let options = of(&service(serde_json::json!({
        "mode": "sentinel", "password": "of-the-server",
        "sentinel": { "master": "main", "password": "of-the-sentinels" },
    })));
    let options = options.unwrap();
    let Mode::Sentinel { master, login } = &options.mode else { panic!("{:?}", options.mode) };
    assert_eq!((&**master, login.password.as_ref().map(Secret::reveal)), ("main", Some("of-the-sentinels")));
    assert!(!format!("{options:?}").contains("of-the-se"), "{options:?}");
}

#[test]
fn lists_of_commands_are_read_in_any_spelling() {
    let options = of(&service(serde_json::json!({ "commands": { "allow": ["flushdb"], "deny": ["Keys"] } })));
    let options = options.unwrap();
    assert_eq!((options.allow, options.deny), (vec!["FLUSHDB".into()], vec!["KEYS".into()]));
}
