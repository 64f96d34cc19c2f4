//! Native commands: every shape of an answer, what is refused, and what waits.

use std::time::Duration;

use bytes::Bytes;
use engines::Engines;
use model::{Code, Failure, Origin};
use serde_json::json;
use throome_adapters::key_value::Reply;
use tokio::time::Instant;

use crate::{at, connected, kv, native, run, soon, words};

fn text(text: &str) -> Reply {
    Reply::Bytes(Bytes::copy_from_slice(text.as_bytes()))
}

fn list(items: &[&str]) -> Reply {
    Reply::List(items.iter().map(|item| text(item)).collect())
}

/// A beginning of keys that no other run has.
fn mine(name: &str) -> String {
    let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
    format!("native:{}:{nanos}:{name}", std::process::id())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_shapes_that_clients_know() {
    let adapter = connected(at(Engines::shared().redis().port));
    let k = mine("shapes");
    for (line, wanted) in [
        (format!("SET {k}:s v"), Reply::Ok),
        (format!("GET {k}:s"), text("v")),
        (format!("GET {k}:none"), Reply::Nil),
        (format!("APPEND {k}:s w"), Reply::Integer(2)),
        ("PING".to_owned(), Reply::Simple("PONG".into())),
        ("PING hello".to_owned(), text("hello")),
        (format!("HSET {k}:h a 1 b 2"), Reply::Integer(2)),
        // A map, a list of pairs and a number of the third version.
        (format!("HGETALL {k}:h"), list(&["a", "1", "b", "2"])),
        (format!("ZADD {k}:z 1.5 a 2 b"), Reply::Integer(2)),
        (format!("ZRANGE {k}:z 0 -1 WITHSCORES"), list(&["a", "1.5", "b", "2"])),
        (format!("ZSCORE {k}:z a"), text("1.5")),
        (format!("XADD {k}:x 1-1 f v"), text("1-1")),
        (format!("XRANGE {k}:x - +"), Reply::List(vec![Reply::List(vec![text("1-1"), list(&["f", "v"])])])),
        (format!("EXISTS {k}:s {k}:h {k}:none"), Reply::Integer(2)),
        (format!("DEL {k}:s {k}:h {k}:z {k}:x"), Reply::Integer(4)),
    ] {
        assert_eq!(run(&adapter, &line).await.expect("it answers"), wanted, "{line}");
    }
    let body = Bytes::from_static(b"return {1, {redis.error_reply('MINE it broke')}, 'x'}");
    let script = ["EVAL".into(), body, "0".into()];
    let nested = native(&adapter).run(&script, soon());
    let wanted = Reply::List(vec![
        Reply::Integer(1),
        Reply::List(vec![Reply::Error("MINE it broke".into())]),
        text("x"),
    ]);
    assert_eq!(nested.await.expect("it answers"), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_in_the_engines_words() {
    let adapter = connected(at(Engines::shared().redis().port));
    let k = mine("refusals");
    run(&adapter, &format!("RPUSH {k} a")).await.expect("it is a list");
    for (line, code, native, part) in [
        (format!("GET {k}"), Code::CommandFailed, "WRONGTYPE", "wrong kind of value"),
        (format!("INCR {k} 1"), Code::CommandFailed, "ERR", "wrong number of arguments"),
        (
            "EVALSHA 0000000000000000000000000000000000000000 0".to_owned(),
            Code::CommandFailed,
            "NOSCRIPT",
            "",
        ),
        (format!("XREADGROUP GROUP g c STREAMS {k}:x >"), Code::CommandFailed, "NOGROUP", ""),
    ] {
        let failure = run(&adapter, &line).await.expect_err("it is refused");
        assert_eq!((failure.code(), failure.native()), (code, Some(("redis", native))), "{line}: {failure}");
        assert!(failure.detail().contains(part) && !failure.retryable(), "{line}: {failure}");
    }
    let failure = kv(&adapter).get(k.as_bytes()).await.expect_err("it is a list");
    assert_eq!(failure.native(), Some(("redis", "WRONGTYPE")));
    run(&adapter, &format!("DEL {k}")).await.expect("it goes");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_does_not_reach_the_server() {
    let port = Engines::shared().redis().port;
    let adapter = connected(at(port));
    for (line, code) in [
        ("FLUSHALL", Code::PermissionDenied),
        ("CONFIG GET maxmemory", Code::PermissionDenied),
        ("SHUTDOWN NOSAVE", Code::PermissionDenied),
        ("SUBSCRIBE c", Code::UnsupportedCommand),
        ("MULTI", Code::UnsupportedCommand),
        ("SELECT 3", Code::UnsupportedCommand),
        ("NOSUCHCOMMAND", Code::UnsupportedCommand),
    ] {
        let failure = run(&adapter, line).await.expect_err("it is refused");
        assert_eq!(failure.code(), code, "{line}: {failure}");
        assert!(failure.hint().is_some(), "{line} says what to do");
    }
    let mut said = at(port);
    said["commands"] = json!({ "allow": ["config get"], "deny": ["KEYS"] });
    let own = connected(said);
    assert!(matches!(run(&own, "CONFIG GET maxmemory").await, Ok(Reply::List(pair)) if pair.len() == 2));
    assert_eq!(run(&own, "KEYS *").await.expect_err("denied").code(), Code::PermissionDenied);
    assert_eq!(run(&own, "CONFIG RESETSTAT").await.expect_err("denied").code(), Code::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_pipeline_each_has_its_own_end() {
    let adapter = connected(at(Engines::shared().redis().port));
    let k = mine("pipeline");
    let lines = [
        format!("SET {k} 1"),
        format!("LPUSH {k} x"),
        "FLUSHALL".to_owned(),
        format!("INCR {k}"),
        format!("GET {k}"),
    ];
    let commands: Vec<_> = lines.iter().map(|line| words(line)).collect();
    let replies = native(&adapter).run_all(&commands, soon()).await.expect("it was carried out");
    let [set, push, flush, incr, get] = <[_; 5]>::try_from(replies).expect("an end for each");
    assert_eq!(set.expect("set"), Reply::Ok);
    assert_eq!(push.expect_err("no list").native(), Some(("redis", "WRONGTYPE")));
    assert_eq!(flush.expect_err("not allowed").code(), Code::PermissionDenied);
    assert_eq!((incr.expect("incr"), get.expect("get")), (Reply::Integer(2), text("2")));
    assert_eq!(native(&adapter).run_all(&[], soon()).await.expect("nothing").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn together_all_or_none_is_begun() {
    let adapter = connected(at(Engines::shared().redis().port));
    let k = mine("together");
    let together = |lines: Vec<String>| {
        let commands: Vec<_> = lines.iter().map(|line| words(line)).collect();
        let adapter = adapter.clone();
        async move { native(&adapter).run_together(&commands, soon()).await }
    };
    let done = together(vec![format!("SET {k} 1"), format!("LPUSH {k} x"), format!("INCR {k}")]).await;
    let ends: Vec<_> = done.expect("it was begun").into_iter().map(|end| end.ok()).collect();
    assert_eq!(ends, [Some(Reply::Ok), None, Some(Reply::Integer(2))], "one that fails undoes nothing");

    // One that the server does not take discards all of them.
    let failure = together(vec![format!("INCR {k}"), format!("INCR {k} too many")]).await;
    let failure: Failure = failure.expect_err("it was discarded");
    assert_eq!((failure.code(), failure.native()), (Code::CommandFailed, Some(("redis", "ERR"))));
    // One that is not allowed keeps all of them here.
    let failure = together(vec![format!("INCR {k}"), "FLUSHALL".to_owned()]).await;
    assert_eq!(failure.expect_err("it is not allowed").code(), Code::PermissionDenied);
    assert_eq!(run(&adapter, &format!("GET {k}")).await.expect("there"), text("2"));
}

/// Sixteen at once, each of which sees its own two steps and nobody else's between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_comes_between_what_runs_together() {
    let adapter = connected(at(Engines::shared().redis().port));
    let k = mine("between");
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (adapter, k) = (adapter.clone(), k.clone());
            tokio::spawn(async move {
                let commands = [words(&format!("INCR {k}")), words(&format!("INCR {k}"))];
                for _ in 0..50 {
                    let done = native(&adapter).run_together(&commands, soon()).await.expect("it is done");
                    let [Ok(Reply::Integer(a)), Ok(Reply::Integer(b))] = done.as_slice() else {
                        panic!("{done:?}");
                    };
                    assert_eq!(a + 1, *b);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics");
    }
    assert_eq!(run(&adapter, &format!("GET {k}")).await.expect("there"), text("1600"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_that_waits_holds_nobody_up() {
    let engines = Engines::own();
    let server = engines.redis();
    let adapter = connected(at(server.port));
    let k = mine("waits");
    let waiting = {
        let (adapter, line) = (adapter.clone(), format!("BLPOP {k} 5"));
        tokio::spawn(async move {
            let sort = native(&adapter).sort(&words(&line)).expect("it is known");
            assert_eq!((sort.waits, sort.reads), (Duration::from_secs(5), false));
            native(&adapter).run(&words(&line), soon() + sort.waits).await
        })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(server.redis_cli(&["INFO", "clients"]).matches("blocked_clients:1").count(), 1);
    let began = Instant::now();
    assert_eq!(run(&adapter, "PING").await.expect("it answers"), Reply::Simple("PONG".into()));
    assert!(kv(&adapter).get(k.as_bytes()).await.expect("it answers").is_none());
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    run(&adapter, &format!("RPUSH {k} v")).await.expect("it is pushed");
    assert_eq!(waiting.await.expect("no panic").expect("it came"), list(&[&k, "v"]));

    // Nothing comes: nothing is the answer.
    assert_eq!(run(&adapter, &format!("BLPOP {k} 0.1")).await.expect("it ends"), Reply::Nil);

    // A client that leaves takes its place on the server with it, and takes no message away.
    let line = words(&format!("BLPOP {k} 0"));
    let left = tokio::time::timeout(Duration::from_millis(200), native(&adapter).run(&line, soon())).await;
    assert!(left.is_err(), "nothing came");
    crate::eventually("the server forgets it", Duration::from_secs(2), || async {
        server.redis_cli(&["INFO", "clients"]).contains("blocked_clients:0")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_answers_as_one() {
    let nodes = Engines::own().redis_cluster();
    let endpoints: Vec<_> = nodes.iter().map(|node| at(node.port)).collect();
    let said = json!({ "endpoints": endpoints, "mode": "cluster", "commands": { "allow": ["FLUSHALL"] } });
    let adapter = connected(said);
    let sets: Vec<_> = (0..60).map(|n| words(&format!("SET key:{n} {n}"))).collect();
    let replies = native(&adapter).run_all(&sets, soon()).await.expect("all nodes answer");
    assert!(replies.into_iter().all(|reply| reply.is_ok_and(|reply| reply == Reply::Ok)));
    for node in &nodes {
        assert_ne!(node.redis_cli(&["DBSIZE"]), "0", "every node has some of them");
    }
    assert_eq!(run(&adapter, "DBSIZE").await.expect("all answer"), Reply::Integer(60));
    assert!(matches!(run(&adapter, "KEYS key:*").await, Ok(Reply::List(keys)) if keys.len() == 60));
    assert_eq!(walked(&adapter, "MATCH key:* COUNT 7").await, 60);
    assert_eq!(walked(&adapter, "TYPE list").await, 0);
    let failure = run(&adapter, "SCAN nonsense").await.expect_err("no cursor");
    assert_eq!((failure.code(), failure.native()), (Code::CommandFailed, Some(("redis", "ERR"))));
    for wide in ["DBSIZE", "KEYS *", "SCAN 0", "FLUSHALL"] {
        let together = [words("INCR {t}:none"), words(wide)];
        let failure = native(&adapter).run_together(&together, soon()).await.expect_err("not of one node");
        assert_eq!(failure.code(), Code::UnsupportedCommand, "{wide}: {failure}");
    }
    assert_eq!(run(&adapter, "EXISTS {t}:none").await.expect("it answers"), Reply::Integer(0));

    let apart = run(&adapter, "MGET key:1 key:2").await.expect_err("two slots");
    assert_eq!(apart.native(), Some(("redis", "CROSSSLOT")));
    for line in ["DEL key:1 key:2", "EVAL return{1} 2 key:1 key:2", "SUNIONSTORE key:1 key:2 key:3"] {
        told_to_the_client(&run(&adapter, line).await.expect_err("two slots"));
    }
    let tagged = [words("SET {t}:a 1"), words("INCR {t}:a")];
    let done = native(&adapter).run_together(&tagged, soon()).await.expect("one slot");
    assert!(matches!(done.as_slice(), [Ok(Reply::Ok), Ok(Reply::Integer(2))]), "{done:?}");

    let load = vec!["SCRIPT".into(), "LOAD".into(), Bytes::from_static(b"return KEYS[1]")];
    let Ok(Reply::Bytes(sha)) = native(&adapter).run(&load, soon()).await else {
        panic!("a script is loaded")
    };
    for n in 0..9 {
        let call = vec!["EVALSHA".into(), sha.clone(), "1".into(), Bytes::from(format!("key:{n}"))];
        let reply = native(&adapter).run(&call, soon()).await.expect("every node has the script");
        assert_eq!(reply, text(&format!("key:{n}")));
    }
    run(&adapter, "FLUSHALL").await.expect("it is allowed here");
    assert_eq!(run(&adapter, "DBSIZE").await.expect("all answer"), Reply::Integer(0));
}

/// Keys at several places are the fault of who asks: nothing of it is the servers' doing, or goes away by asking again.
fn told_to_the_client(failure: &Failure) {
    assert_eq!((failure.code(), failure.origin()), (Code::CommandFailed, Origin::Client), "{failure}");
    assert_eq!(failure.native(), Some(("redis", "CROSSSLOT")), "{failure}");
    assert!(!failure.retryable() && failure.hint().is_some_and(|hint| hint.contains("{cart}")), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_over_several_slots_is_its_clients_fault() {
    let nodes = Engines::own().redis_cluster();
    let adapter = connected(json!({ "endpoints": [at(nodes[0].port)], "mode": "cluster" }));
    run(&adapter, "SET a 0").await.expect("it is set");
    let calls = || {
        let stats = nodes.iter().map(|node| node.redis_cli(&["INFO", "commandstats"]));
        stats.filter(|stats| stats.contains("cmdstat_multi:")).count()
    };
    for together in [
        vec![words("SET a 1"), words("SET b 2")],
        vec![words("PING"), words("GET a"), words("EVAL return{1} 1 b")],
        // Of one node, and yet of two slots.
        vec![words("SET a 1"), words("SET foo 2")],
    ] {
        let failure = native(&adapter).run_together(&together, soon()).await.expect_err("two slots");
        told_to_the_client(&failure);
    }
    assert_eq!(calls(), 0, "nothing of it was sent");
    // What only the server can tell, it tells: a key that is empty may be none, and second keys are not looked at.
    for together in [
        vec![words("SET a 1"), vec!["SET".into(), Bytes::new(), "2".into()]],
        vec![words("SET a 1"), words("MSET a 2 b 2")],
        vec![words("SET a 1"), words("DEL a foo")],
    ] {
        let failure = native(&adapter).run_together(&together, soon()).await.expect_err("two slots");
        told_to_the_client(&failure);
    }
    assert_eq!(run(&adapter, "GET a").await.expect("it is there"), text("0"), "nothing of it was done");
}

/// How many keys a walk over all of them finds.
async fn walked(adapter: &std::sync::Arc<dyn throome_adapters::Adapter>, options: &str) -> usize {
    let (mut cursor, mut found) = ("0".to_owned(), std::collections::BTreeSet::new());
    loop {
        let reply = run(adapter, &format!("SCAN {cursor} {options}")).await.expect("a step");
        let Reply::List(step) = reply else { panic!("{reply:?}") };
        let [Reply::Bytes(next), Reply::List(keys)] = step.as_slice() else { panic!("{step:?}") };
        found.extend(keys.iter().map(|key| format!("{key:?}")));
        cursor = String::from_utf8(next.to_vec()).expect("digits");
        if cursor == "0" {
            return found.len();
        }
    }
}

/// A slot moves while keys of it are asked for: every answer is right all along.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_followed_while_they_move() {
    let nodes = Engines::own().redis_cluster();
    let adapter = connected(json!({ "endpoints": [at(nodes[0].port)], "mode": "cluster" }));
    let key = |n: u32| format!("{{moving}}:{n}");
    for n in 0..4 {
        run(&adapter, &format!("SET {} {n}", key(n))).await.expect("it is set");
    }
    let slot = nodes[0].redis_cli(&["CLUSTER", "KEYSLOT", "moving"]);
    let ids: Vec<_> = nodes.iter().map(|node| node.redis_cli(&["CLUSTER", "MYID"])).collect();
    let has = |node: &engines::Server| node.redis_cli(&["CLUSTER", "COUNTKEYSINSLOT", &slot]) == "4";
    let from = nodes.iter().position(has).expect("one has them");
    let to = (from + 1) % nodes.len();
    let cli = |node: usize, words: &[&str]| nodes[node].redis_cli(words);
    cli(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids[from]]);
    cli(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids[to]]);
    let port = nodes[to].port.to_string();
    for n in 0..2 {
        cli(from, &["MIGRATE", "127.0.0.1", &port, &key(n), "0", "2000"]);
    }
    for n in 0..4 {
        assert_eq!(run(&adapter, &format!("GET {}", key(n))).await.expect("followed"), text(&n.to_string()));
    }
    assert!(
        kv(&adapter)
            .set(b"{moving}:new", throome_adapters::key_value::Value::plain("x"), Default::default())
            .await
            .expect("it is set where the slot goes")
    );
    for n in 2..4 {
        cli(from, &["MIGRATE", "127.0.0.1", &port, &key(n), "0", "2000"]);
    }
    for node in [to, from] {
        cli(node, &["CLUSTER", "SETSLOT", &slot, "NODE", &ids[to]]);
    }
    for n in 0..4 {
        assert_eq!(run(&adapter, &format!("GET {}", key(n))).await.expect("moved"), text(&n.to_string()));
    }
}
