//! Answers that are large, deep, or in no alphabet: each is its own caller's affair and nobody else's.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engines::Engines;
use model::{Code, Origin};
use serde_json::json;
use throome_adapters::key_value::Reply;
use tokio::time::Instant;

use crate::{at, connected, kv, native, run, soon, words};

const MIB: usize = 1 << 20;

/// A value of so many bytes, made by the server itself.
fn fill(server: &engines::Server, key: &str, bytes: usize) {
    assert_eq!(server.redis_cli(&["SETRANGE", key, &(bytes - 1).to_string(), "x"]), bytes.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_that_is_too_large_is_said_and_harms_nobody() {
    let engines = Engines::own();
    let server = engines.redis();
    fill(&server, "large", 400 * MIB);
    fill(&server, "fits", 40 * MIB);
    let push = "for n = 1, 1000000 do redis.call('RPUSH', 'list', 'item') end";
    let _ = server.redis_cli(&["EVAL", push, "0"]);
    let adapter = connected(at(server.port));
    kv(&adapter).incr(b"n", 1).await.expect("it answers");

    let failure = kv(&adapter).get(b"large").await.expect_err("there is no space for it");
    assert_eq!((failure.code(), failure.origin()), (Code::TooLarge, Origin::Client), "{failure}");
    assert!(
        !failure.retryable() && failure.hint().is_some_and(|hint| hint.contains("GETRANGE")),
        "{failure:?}"
    );
    let twice = "EVAL return{redis.call('GET',KEYS[1]),redis.call('GET',KEYS[1])} 1 fits";
    for line in ["GET large", "LRANGE list 0 -1", "MGET large fits", twice] {
        assert_eq!(run(&adapter, line).await.expect_err("no space").code(), Code::TooLarge, "{line}");
    }
    assert!(matches!(run(&adapter, "GETRANGE large 5 9").await, Ok(Reply::Bytes(part)) if part.len() == 5));
    assert!(matches!(run(&adapter, "LRANGE list 0 9").await, Ok(Reply::List(items)) if items.len() == 10));
    let fits = kv(&adapter).get(b"fits").await.expect("it fits").expect("it is there");
    assert_eq!(fits.bytes.len(), 40 * MIB);

    // Those of one pipeline share the space, and each that still fits is given.
    let pipeline = ["GET fits", "INCR done", "GET fits", "GET small", "INCR done"].map(words);
    let ends = native(&adapter).run_all(&pipeline, soon()).await.expect("it was carried out");
    let codes: Vec<_> = ends.iter().map(|end| end.as_ref().err().map(model::Failure::code)).collect();
    assert_eq!(codes, [None, None, Some(Code::TooLarge), None, None]);
    assert!(matches!(ends[4], Ok(Reply::Integer(2))), "it was done");
    let together = native(&adapter).run_together(&["GET large", "INCR done"].map(words), soon()).await;
    let failure = together.expect_err("the answer is one");
    assert!(failure.code() == Code::TooLarge && failure.detail().contains("carried out"), "{failure}");
    assert_eq!(server.redis_cli(&["GET", "done"]), "3");
}

/// Whoever shares the connection with callers of what is too large has every answer, and every write is done once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn others_on_the_connection_go_on() {
    let engines = Engines::own();
    let server = engines.redis();
    fill(&server, "large", 100 * MIB);
    let mut said = at(server.port);
    said["pool"] = json!({ "max_connections": 1 });
    let adapter = connected(said);
    let others: Vec<_> = (0..8)
        .map(|_| {
            let adapter = Arc::clone(&adapter);
            tokio::spawn(async move {
                for _ in 0..100 {
                    // A connection that was closed with nothing of this on it is asked for again by the try loop.
                    while let Err(failure) = kv(&adapter).incr(b"n", 1).await {
                        assert!(failure.retryable(), "{failure}");
                    }
                }
            })
        })
        .collect();
    for _ in 0..10 {
        match kv(&adapter).get(b"large").await {
            Err(failure) if failure.code() == Code::TooLarge || failure.retryable() => {}
            other => panic!("{other:?}"),
        }
    }
    for other in others {
        other.await.expect("every answer came");
    }
    assert_eq!(server.redis_cli(&["GET", "n"]), "800");
}

/// Shapes and bytes that only scripts and strange keys bring about.
#[tokio::test(flavor = "multi_thread")]
async fn strange_answers_are_answers() {
    let engines = Engines::own();
    let server = engines.redis();
    let adapter = connected(at(server.port));
    run(&adapter, "SET k v").await.expect("it answers");
    let before = server.redis_cli(&["INFO", "stats"]);
    let connections = |info: &str| {
        info.lines().find(|line| line.starts_with("total_connections_received")).map(str::to_owned)
    };
    let mut strange: Vec<Bytes> = words("XREADGROUP GROUP g c STREAMS");
    strange.extend([Bytes::from_static(b"\xff\xfe"), Bytes::from_static(b">")]);
    let failure = native(&adapter).run(&strange, soon()).await.expect_err("there is no such stream");
    assert_eq!(failure.native(), Some(("redis", "NOGROUP")));
    let script = |body: &'static [u8]| vec!["EVAL".into(), Bytes::from_static(body), "0".into()];
    let status = native(&adapter).run(&script(b"return redis.status_reply('\xff')"), soon()).await;
    assert_eq!(status.expect("it answers"), Reply::Bytes(Bytes::from_static(b"\xff")));
    let deep = script(b"local t = 1 for n = 1, 200 do t = {t} end return t");
    let failure = native(&adapter).run(&deep, soon()).await.expect_err("nobody could read it");
    assert_eq!(failure.code(), Code::TooLarge, "{failure}");
    assert_eq!(run(&adapter, "GET k").await.expect("it answers"), Reply::Bytes("v".into()));
    let after = server.redis_cli(&["INFO", "stats"]);
    let (before, after) = (connections(&before).expect("told"), connections(&after).expect("told"));
    let count =
        |line: &str| line.trim().rsplit(':').next().and_then(|n| n.parse::<u32>().ok()).expect("a number");
    // redis-cli is one of them.
    assert!(count(&after) <= count(&before) + 2, "{before} {after}");
}

/// However they spell how long, and whatever groups are called, they keep nobody else waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commands_that_wait_never_hold_up_others() {
    let engines = Engines::own();
    let server = engines.redis();
    let adapter = connected(at(server.port));
    run(&adapter, "XGROUP CREATE s block $ MKSTREAM").await.expect("it is made");
    for line in [
        "BLPOP nothing 0x3",
        "XREADGROUP GROUP block c BLOCK 3000 STREAMS s >",
        "XREADGROUP GROUP block BLOCK BLOCK 3000 STREAMS s >",
        "XREADGROUP COUNT 1 BLOCK 3000 GROUP block c STREAMS s >",
    ] {
        let waiting = tokio::spawn({
            let (adapter, line) = (Arc::clone(&adapter), words(line));
            async move { native(&adapter).run(&line, soon()).await }
        });
        crate::eventually("it waits", Duration::from_secs(2), || async {
            waiting.is_finished() || server.redis_cli(&["INFO", "clients"]).contains("blocked_clients:1")
        })
        .await;
        let began = Instant::now();
        run(&adapter, "PING").await.expect("it answers");
        assert!(began.elapsed() < Duration::from_secs(1), "{line} held up others for {:?}", began.elapsed());
        waiting.abort();
        let _ = waiting.await;
        crate::eventually("it is forgotten", Duration::from_secs(5), || async {
            server.redis_cli(&["INFO", "clients"]).contains("blocked_clients:0")
        })
        .await;
    }
}
