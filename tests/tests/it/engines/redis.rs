//! Redis with a replica. Reads are answered whatever happens to one of the two; a write is done once or not at all,
//! and what was answered is there.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use ::engines::{Engines, Server};
use serde_json::json;
use throome_e2e::calls::{Call, Calls, Told, counts};
use throome_e2e::process::{now_us, wait_for};
use throome_e2e::{Gateway, Layout, turn};

use super::ledger::{self, KEYS, key, own_key};
use super::{BASE, SLACK, facts, failed_clearly, failing_until, none_failed, until_healthy, until_replaced};

/// Calls a second: four of five are reads.
const RATE: u32 = 100;
/// What a call may take, over all its tries.
const TIMEOUT: Duration = Duration::from_secs(2);

const READ: &str = "GET";
const INCR: &str = "INCR";
const APPEND: &str = "APPEND";

/// What a write may be told while there is nobody to write to: there is always room on the one connection.
const CODES: [&str; 4] = ["timeout", "no_endpoint", "breaker_open", "bad_gateway"];

struct Pair {
    primary: Server,
    replica: Server,
    gateway: Gateway,
    _engines: Engines,
}

fn pair() -> Pair {
    let engines = Engines::own();
    let (primary, replica) = (engines.redis(), engines.redis_replica());
    ledger::fill(&primary);
    wait_for("a replica that has it all", Duration::from_secs(5), || {
        (replica.redis_cli(&["DBSIZE"]) == KEYS.to_string()).then_some(())
    });
    let layout = Layout::default();
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  cache:\n    type: redis\n    host: 127.0.0.1\n    port: {}\n    replicas: [ {{ host: 127.0.0.1, \
             port: {} }} ]\nrouting: {{ timeout_ms: {} }}\n",
            primary.port,
            replica.port,
            TIMEOUT.as_millis()
        ),
    );
    let gateway = layout.start();
    until_healthy(&gateway, Duration::from_secs(5));
    Pair { primary, replica, gateway, _engines: engines }
}

/// Reads of keys that are there, and writes of which each has a key of its own.
fn load(gateway: &Gateway) -> Calls {
    Calls::begin(gateway.control, RATE, |number| match number % 10 {
        3 => {
            let body = json!({ "key": own_key(number) });
            Call::post(INCR, format!("{BASE}/cache/incr"), body)
        }
        7 => {
            let body = json!(["APPEND", own_key(number), format!("<{number}>")]);
            Call::post(APPEND, format!("{BASE}/cache/command"), body)
        }
        _ => {
            let body = json!({ "key": key(number).0 });
            Call::post(READ, format!("{BASE}/cache/get"), body)
        }
    })
    .flowing()
}

fn is_write(told: &&Told) -> bool {
    told.what != READ
}

/// What a write leaves when it was done once.
fn once(told: &Told) -> String {
    if told.what == INCR { "1".to_owned() } else { format!("<{}>", told.number) }
}

fn reads_are_right(told: &[Told]) {
    none_failed(told, READ);
    for one in told.iter().filter(|one| one.what == READ && one.good()) {
        assert_eq!(one.answer["value"], key(one.number).1, "{}", one.answer);
    }
}

/// Looks at what every write has left at this server: nothing is there twice. Gives those that were answered and are
/// not there.
fn nothing_is_there_twice<'t>(server: &Server, told: &'t [Told]) -> Vec<&'t Told> {
    let writes: Vec<&Told> = told.iter().filter(is_write).collect();
    let numbers: Vec<u64> = writes.iter().map(|one| one.number).collect();
    let there = ledger::values(server, &numbers);
    let mut lost = Vec::new();
    for one in writes {
        let value = &there[&one.number];
        assert!(value.is_empty() || *value == once(one), "done twice: {value}; {one}");
        if one.good() && value.is_empty() {
            lost.push(one);
        }
    }
    lost
}

fn goes_on(gateway: &Gateway) {
    let set = json!({ "key": "after", "value": "all" });
    let _ = gateway.call("POST", &format!("{BASE}/cache/set"), Some(&set)).expect(200);
}

/// Primary and replica have the same keys in different places: a place in the tables of one says nothing to the other.
#[test]
fn a_walk_over_keys_finds_all_of_them_beside_a_replica() {
    let _turn = turn::together();
    let Pair { primary, gateway, _engines, .. } = pair();
    let fill = "for n = 1, 3000 do redis.call('SET', 'walk:' .. n, n) redis.call('SADD', 'members', 'member:' .. n) end";
    let _ = primary.redis_cli(&["EVAL", fill, "0"]);
    for round in 0..3 {
        let (mut found, mut cursor) = (BTreeSet::new(), String::new());
        loop {
            let page = gateway.show(&format!("{BASE}/cache/keys?match=walk:*&limit=100{cursor}"));
            found.extend(page["keys"].as_array().unwrap().iter().map(ToString::to_string));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(found.len(), 3000, "in round {round}");
    }
    for (walk, options, wanted) in [("SCAN", json!(["MATCH", "walk:*"]), 3000), ("SSCAN", json!([]), 3000)] {
        let (mut found, mut cursor) = (BTreeSet::new(), "0".to_owned());
        loop {
            let mut words =
                if walk == "SCAN" { vec![json!(walk)] } else { vec![json!(walk), json!("members")] };
            words.push(json!(cursor));
            words.extend(options.as_array().unwrap().iter().cloned());
            words.extend([json!("COUNT"), json!(100)]);
            let reply =
                gateway.call("POST", &format!("{BASE}/cache/command"), Some(&json!(words))).expect(200);
            let result = reply.json()["result"].take();
            found.extend(result[1].as_array().unwrap().iter().map(ToString::to_string));
            cursor = result[0].as_str().unwrap().to_owned();
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(found.len(), wanted, "{walk}");
    }
}

#[test]
fn a_replica_of_redis_is_killed_and_comes_back() {
    let _turn = turn::alone();
    let Pair { primary, replica, gateway, _engines } = pair();
    let load = load(&gateway);
    sleep(Duration::from_secs(1));
    replica.kill();
    sleep(Duration::from_secs(3));
    let during = facts(&gateway, "cache");
    replica.restart();
    let back = until_healthy(&gateway, Duration::from_secs(10));
    sleep(Duration::from_secs(1));
    let told = load.finish();
    println!("replica killed: {}; healthy {back:?} after its start", counts(&told));
    reads_are_right(&told);
    // Whoever may be written to was there all the time.
    none_failed(&told, INCR);
    none_failed(&told, APPEND);
    assert!(nothing_is_there_twice(&primary, &told).is_empty());
    assert_eq!(during["status"], "DEGRADED", "{during:#}");
    let reason = during["endpoints"][1]["reason"].as_str().unwrap();
    assert!(reason.contains("refused"), "{reason}");
}

#[test]
fn a_primary_of_redis_is_frozen() {
    let _turn = turn::alone();
    let Pair { primary, replica: _replica, gateway, _engines } = pair();
    let load = load(&gateway);
    sleep(Duration::from_secs(1));
    primary.freeze();
    sleep(Duration::from_secs(5));
    let during = facts(&gateway, "cache");
    primary.thaw();
    let thawed = now_us();
    let back = until_healthy(&gateway, Duration::from_secs(10));
    sleep(Duration::from_secs(2));
    let told = load.finish();
    let failing = failing_until(&told, INCR, thawed).max(failing_until(&told, APPEND, thawed));
    println!(
        "primary frozen: {}; writes failed for {failing:?} after, healthy {back:?} after",
        counts(&told)
    );
    reads_are_right(&told);
    for what in [INCR, APPEND] {
        failed_clearly(&told, what, &CODES, TIMEOUT + SLACK);
    }
    assert!(nothing_is_there_twice(&primary, &told).is_empty(), "answered, and lost");
    assert!(told.iter().filter(is_write).filter(|one| !one.good()).count() > 20, "{}", counts(&told));
    assert!(failing < Duration::from_secs(4), "{failing:?}");
    assert_eq!(during["status"], "DEGRADED", "{during:#}");
}

#[test]
fn a_replica_of_redis_is_promoted_and_the_old_primary_comes_back() {
    let _turn = turn::alone();
    let Pair { primary, replica, gateway, _engines } = pair();
    let load = load(&gateway);
    sleep(Duration::from_secs(1));
    // It sends its replica all that it has answered before it ends.
    primary.stop();
    sleep(Duration::from_secs(6));
    let leaderless = facts(&gateway, "cache");
    assert_eq!(replica.redis_cli(&["REPLICAOF", "NO", "ONE"]), "OK");
    let promoted = now_us();
    sleep(Duration::from_secs(4));
    // By mistake it comes back as what it was.
    primary.restart();
    let (replaced, found) = until_replaced(&gateway, "cache", &primary);
    sleep(Duration::from_secs(3));
    let told = load.finish();
    let failing = failing_until(&told, INCR, promoted).max(failing_until(&told, APPEND, promoted));
    println!(
        "replica promoted: {}; writes failed for {failing:?} after, the old primary found out {found:?} after its start",
        counts(&told)
    );
    reads_are_right(&told);
    for what in [INCR, APPEND] {
        failed_clearly(&told, what, &CODES, TIMEOUT + SLACK);
    }
    assert!(failing < Duration::from_secs(3), "{failing:?}");
    let lost = nothing_is_there_twice(&replica, &told);
    assert!(lost.is_empty(), "answered, and lost: {lost:?}");
    // What was written after the promotion is at nobody's but the new one's.
    let since: Vec<Told> = told.iter().filter(|one| one.at_us > promoted).cloned().collect();
    let at_the_old = nothing_is_there_twice(&primary, &since);
    let good = since.iter().filter(is_write).filter(|one| one.good()).count();
    assert_eq!(at_the_old.len(), good, "the old primary was written to");
    assert!(good > 50, "{good}");
    let reason = replaced["reason"].as_str().unwrap();
    assert!(reason.contains("promoted in its place"), "{reason}");
    assert_eq!(leaderless["status"], "DEGRADED", "somebody answers reads: {leaderless:#}");
    goes_on(&gateway);
}
