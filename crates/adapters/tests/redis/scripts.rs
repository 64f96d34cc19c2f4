//! Scripts answer in words of their own: what these look like moves nobody but who sent them.

use bytes::Bytes;
use engines::{Engines, secrets};
use model::{Code, Failure, Origin, Role};
use serde_json::json;
use throome_adapters::key_value::Reply;
use tokio::net::TcpListener;

use crate::{at, connected, kv, native, probe, run, soon, words};

fn script(body: &str) -> Vec<Bytes> {
    vec!["EVAL".into(), Bytes::copy_from_slice(body.as_bytes()), "1".into(), "k".into()]
}

/// A script that has written, and then says this.
fn says(words: &str) -> Vec<Bytes> {
    script(&format!("redis.call('INCR', KEYS[1]) return redis.error_reply('{words}')"))
}

fn is_its_own(failure: &Failure, code: &str) {
    assert_eq!((failure.code(), failure.origin()), (Code::CommandFailed, Origin::Client), "{failure}");
    assert!(!failure.retryable() && !failure.wants_primary(), "{failure:?}");
    assert_eq!(failure.native(), Some(("redis", code)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_script_says_is_no_word_of_the_server() {
    let engines = Engines::own();
    let server = engines.redis();
    let adapter = connected(at(server.port));
    probe(&adapter).await.expect("it is well");
    let codes =
        ["BUSY", "LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOAUTH", "MOVED", "ASK"];
    for code in codes {
        let said = says(&format!("{code} 1 locked by another"));
        let failure = native(&adapter).run(&said, soon()).await.expect_err("it failed");
        is_its_own(&failure, code);
        let ends =
            native(&adapter).run_all(std::slice::from_ref(&said), soon()).await.expect("it was carried out");
        is_its_own(ends[0].as_ref().expect_err("it failed"), code);
        let ends = native(&adapter).run_together(&[said], soon()).await.expect("it was carried out");
        is_its_own(ends[0].as_ref().expect_err("it failed"), code);
    }
    assert_eq!(server.redis_cli(&["GET", "k"]), (codes.len() * 3).to_string(), "each was done once");
    assert_eq!(adapter.seen().map(|seen| seen.role), Some(Role::Primary), "it is what it was");
}

/// A replica refuses what a script writes in its own words, and those count.
#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_writes_is_sent_to_a_primary() {
    let engines = Engines::own();
    let _primary = engines.redis();
    let replica = connected(at(engines.redis_replica().port));
    let failure = native(&replica).run(&script("return redis.call('INCR', KEYS[1])"), soon()).await;
    let failure = failure.expect_err("it only reads");
    assert!(failure.wants_primary() && failure.retryable(), "{failure:?}");
}

/// Whoever is asked gets the credentials of the service: no script decides who that is.
#[tokio::test(flavor = "multi_thread")]
async fn no_script_sends_the_gateway_anywhere() {
    let nodes = Engines::own().redis_cluster();
    let adapter = connected(json!({ "endpoints": [at(nodes[0].port)], "mode": "cluster" }));
    run(&adapter, "SET k 0").await.expect("it answers");
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = elsewhere.local_addr().expect("it is bound").port();
    for code in ["MOVED", "ASK"] {
        let said = says(&format!("{code} 1 127.0.0.1:{port}"));
        is_its_own(&native(&adapter).run(&said, soon()).await.expect_err("it failed"), code);
        let ends =
            native(&adapter).run_all(&[said, words("GET k")], soon()).await.expect("it was carried out");
        is_its_own(ends[0].as_ref().expect_err("it failed"), code);
    }
    let came = tokio::time::timeout(std::time::Duration::from_millis(300), elsewhere.accept()).await;
    assert!(came.is_err(), "nobody came");
    assert_eq!(
        run(&adapter, "GET k").await.expect("it answers"),
        Reply::Bytes("4".into()),
        "each was done once"
    );

    let said = says("READONLY not today");
    is_its_own(&native(&adapter).run(&said, soon()).await.expect_err("it failed"), "READONLY");
    native(&adapter).run_together(&[said], soon()).await.expect("it was carried out");
    assert!(adapter.seen().is_none(), "a cluster is no replica");
}

/// Where MULTI is refused, a server would do one by one what stands behind it.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_transactions_has_nothing_done() {
    let engines = Engines::own();
    let server = engines.redis();
    let _ = server.redis_cli(&[
        "ACL",
        "SETUSER",
        "single",
        "on",
        ">single-secret",
        "~*",
        "+@read",
        "+@write",
        "+@connection",
    ]);
    let mut said = at(server.port);
    said["username"] = json!("single");
    said["password"] = json!("single-secret");
    let adapter = connected(said);
    run(&adapter, "INCR n").await.expect("it may write");
    for _ in 0..2 {
        let failure = native(&adapter).run_together(&["INCR n", "INCR n"].map(words), soon()).await;
        let failure = failure.expect_err("it may not");
        assert_eq!((failure.code(), failure.native()), (Code::PermissionDenied, Some(("redis", "NOPERM"))));
    }
    assert_eq!(server.redis_cli(&["GET", "n"]), "1", "nothing was done");
    let _ = server.redis_cli(&["ACL", "SETUSER", "single", "+@transaction"]);
    let ends =
        native(&adapter).run_together(&["INCR n", "INCR n"].map(words), soon()).await.expect("it may now");
    assert!(matches!(ends[1], Ok(Reply::Integer(3))), "{ends:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_denies_anything_is_asked_about_scripts() {
    let server = Engines::shared().redis_auth();
    let mut said = at(server.port);
    said["username"] = json!(secrets::REDIS_APP.0);
    said["password"] = json!(secrets::REDIS_APP.1);
    said["commands"] = json!({ "deny": ["KEYS"] });
    let keys = script("return redis.call('KEYS', 'no-such-key')");
    let failure =
        native(&connected(said.clone())).run(&keys, soon()).await.expect_err("it could list all keys");
    assert_eq!(failure.code(), Code::PermissionDenied);
    assert!(failure.hint().is_some_and(|hint| hint.contains("commands.allow")), "{failure:?}");
    said["commands"]["allow"] = json!(["EVAL"]);
    let own = connected(said);
    assert_eq!(native(&own).run(&keys, soon()).await.expect("it is allowed"), Reply::List(Vec::new()));
    kv(&own).get(b"k").await.expect("what is no native command goes on");
}
