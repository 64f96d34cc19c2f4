//! The contract of keys and values, with every way to reach a server.

use engines::{Engines, secrets};
use model::{Code, Origin};
use serde_json::json;
use throome_adapters::key_value::suite;

use crate::{at, connected, kv, probe};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_server() {
    suite::run(&connected(at(Engines::shared().redis().port))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_connection_for_everybody() {
    let mut said = at(Engines::shared().redis().port);
    said["pool"] = json!({ "max_connections": 1 });
    suite::run(&connected(said)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tls_with_a_user_and_another_database() {
    let tls = Engines::shared().redis_auth().tls();
    let adapter = connected(json!({
        "host": "localhost", "port": tls.port, "username": secrets::REDIS_APP.0,
        "password": secrets::REDIS_APP.1, "options": { "db": 3 }, "tls": { "ca": tls.ca },
    }));
    probe(&adapter).await.expect("it is well");
    suite::run(&adapter).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tls_with_a_certificate_of_ours() {
    let tls = Engines::shared().redis_mtls().tls();
    let said = |more: serde_json::Value| {
        let mut said = json!({
            "host": "127.0.0.1", "port": tls.port, "username": secrets::REDIS_APP.0,
            "password": secrets::REDIS_APP.1, "tls": { "ca": tls.ca },
        });
        for (key, value) in more.as_object().expect("a mapping") {
            said["tls"][key] = value.clone();
        }
        connected(said)
    };
    let shown = json!({ "cert": tls.client_cert, "key": tls.client_key });
    suite::run(&said(shown.clone())).await;
    let refused = probe(&said(json!({}))).await.expect_err("the server wants a certificate");
    assert_eq!(refused.origin(), Origin::Service);

    let with = |key: &str, value: serde_json::Value| {
        let mut shown = shown.clone();
        shown[key] = value;
        said(shown)
    };
    let wrong = probe(&with("sni", json!("elsewhere.example"))).await.expect_err("it has another name");
    assert!(wrong.detail().contains("tls"), "{wrong}");
    probe(&with("sni", json!("localhost"))).await.expect("it has this name too");
    probe(&with("verify", json!(false))).await.expect("nothing is checked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn behind_sentinels() {
    let engines = Engines::shared().redis_sentinel();
    let endpoints: Vec<_> = engines.sentinels.iter().map(|sentinel| at(sentinel.port)).collect();
    let said = json!({
        "endpoints": endpoints, "mode": "sentinel", "sentinel": { "master": secrets::SENTINEL_MASTER },
    });
    let adapter = connected(said.clone());
    probe(&adapter).await.expect("it is well");
    suite::run(&adapter).await;

    let mut unknown = said;
    unknown["sentinel"]["master"] = json!("nobody");
    let failure = probe(&connected(unknown)).await.expect_err("there is none of this name");
    assert!(failure.detail().contains("`nobody`"), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster() {
    let nodes = Engines::shared().redis_cluster();
    let adapter = connected(json!({ "endpoints": [at(nodes[1].port)], "mode": "cluster" }));
    probe(&adapter).await.expect("it is well");
    suite::run(&adapter).await;
}

/// Whatever is wrong with credentials is said, and the credentials are not.
#[tokio::test]
async fn wrong_credentials_are_said_and_not_shown() {
    let server = Engines::shared().redis_auth();
    for (username, password, native) in [
        (Some("app"), Some("canary-secret"), "WRONGPASS"),
        (None, Some("canary-secret"), "WRONGPASS"),
        (None, None, "NOAUTH"),
    ] {
        let mut said = at(server.port);
        said["username"] = json!(username);
        said["password"] = json!(password);
        let adapter = connected(said);
        for failure in [
            probe(&adapter).await.expect_err("it is not let in"),
            kv(&adapter).get(b"k").await.expect_err("it is not let in"),
        ] {
            assert_eq!((failure.code(), failure.origin()), (Code::BadGateway, Origin::Service), "{failure}");
            assert_eq!(failure.native().map(|(_, code)| code), Some(native), "{failure}");
            assert!(failure.retryable(), "nothing of the command has left");
            assert!(!format!("{failure} {failure:?}").contains("canary"), "{failure:?}");
        }
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_said() {
    let mut said = at(Engines::shared().redis().port);
    said["database"] = json!("900");
    let failure = probe(&connected(said)).await.expect_err("there are sixteen");
    assert!(failure.detail().contains("no such database"), "{failure}");
}

/// A user who may only read reads, and is told what it may not.
#[tokio::test]
async fn a_user_who_may_not_write_is_told() {
    let server = Engines::shared().redis_auth();
    let mut said = at(server.port);
    said["username"] = json!(secrets::REDIS_READER.0);
    said["password"] = json!(secrets::REDIS_READER.1);
    let adapter = connected(said);
    probe(&adapter).await.expect("it may not ask for the role, and is well all the same");
    assert_eq!(kv(&adapter).get(b"absent").await.expect("it may read"), None);
    let failure = kv(&adapter).incr(b"n", 1).await.expect_err("it may not write");
    assert_eq!(failure.code(), Code::PermissionDenied);
    assert_eq!(failure.native(), Some(("redis", "NOPERM")));
}
