//! Load on all three engines at once, and what must be there afterwards.

use std::time::Duration;

use ::engines::Server;
use serde_json::json;
use throome_e2e::Gateway;
use throome_e2e::calls::{Call, Calls, Told};
use throome_e2e::process::wait_for;

use super::BASE;
use super::ledger::{self, INSERT, key, own_key};

pub(super) const TOPIC: &str = "work";
/// In the order in which they are asked.
pub(super) const ALL: [&str; 5] = ["GET", "INCR", "SELECT", "INSERT", "PUBLISH"];

/// What they need: keys, tables, a topic.
pub(super) fn prepare(redis: &Server, postgres: &Server, gateway: &Gateway) {
    ledger::fill(redis);
    ledger::make_table(postgres);
    let _ =
        gateway.call("POST", &format!("{BASE}/queue/topics"), Some(&json!({ "topic": TOPIC }))).expect(201);
}

pub(super) fn load(gateway: &Gateway, per_second: u32) -> Calls {
    Calls::begin(gateway.control, per_second, call).flowing()
}

/// One after the other; the number is in what it writes.
fn call(number: u64) -> Call {
    let of = |what, path, body| Call::post(what, format!("{BASE}{path}"), body);
    match number % 5 {
        0 => of(ALL[0], "/cache/get", json!({ "key": key(number).0 })),
        1 => of(ALL[1], "/cache/incr", json!({ "key": own_key(number) })),
        2 => {
            let query = "SELECT $1::text AS word, count(*) AS n FROM written";
            of(ALL[2], "/db/query", json!({ "query": query, "args": ["one"], "read_only": true }))
        }
        3 => of(ALL[3], "/db/execute", json!({ "query": INSERT, "args": [number] })),
        _ => {
            let message = format!("m{number}");
            of(ALL[4], "/queue/publish", json!({ "topic": TOPIC, "message": message }))
        }
    }
}

/// Waits until each of them is answered again as it should be.
#[track_caller]
pub(super) fn until_all_is_answered(gateway: &Gateway, limit: Duration) {
    // None of those that the load comes to: another each time, and of the same kind.
    for (kind, what) in (0..).zip(ALL) {
        let mut numbers = (1_000_000_000 + kind..).step_by(ALL.len());
        wait_for(what, limit, || {
            let Call { method, path, body, .. } = call(numbers.next()?);
            (gateway.call(method, &path, body.as_ref()).status == 200).then_some(())
        });
    }
}

/// Every answer is right; nothing is there twice, and all that was answered is there.
pub(super) fn all_is_there_once(told: &[Told], redis: &Server, postgres: &Server) {
    let good = |what: &'static str| told.iter().filter(move |one| one.what == what && one.good());
    for one in good("GET") {
        assert_eq!(one.answer["value"], key(one.number).1, "{}", one.answer);
    }
    for one in good("SELECT") {
        assert_eq!(one.answer["rows"][0]["word"], "one", "{}", one.answer);
    }
    let incremented = || told.iter().filter(|one| one.what == "INCR");
    let numbers: Vec<u64> = incremented().map(|one| one.number).collect();
    let values = ledger::values(redis, &numbers);
    for one in incremented() {
        let value = &values[&one.number];
        assert!(value == "1" || (value.is_empty() && !one.good()), "{value:?} for {one}");
    }
    let rows = ledger::rows(postgres);
    for one in told.iter().filter(|one| one.what == "INSERT") {
        let count = rows.get(&one.number).copied().unwrap_or_default();
        assert!(count == 1 || (count == 0 && !one.good()), "{count} rows for {one}");
    }
    let mut places = std::collections::BTreeSet::new();
    for one in good("PUBLISH") {
        let place = &one.answer["results"][0];
        assert!(places.insert(place["offset"].as_u64().unwrap()), "two messages in one place: {place}");
    }
}
