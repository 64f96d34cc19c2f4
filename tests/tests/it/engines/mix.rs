//! Load on all three engines at once, and what must be there afterwards.

use std::collections::BTreeMap;

use ::engines::{Server, secrets};
use serde_json::json;
use throome_e2e::Gateway;
use throome_e2e::calls::{Call, Calls, Told};

use super::BASE;

const KEYS: u64 = 50;
pub(super) const TOPIC: &str = "work";
/// In the order in which they are asked.
pub(super) const ALL: [&str; 5] = ["GET", "INCR", "SELECT", "INSERT", "PUBLISH"];

/// What they need: keys, tables, a topic.
pub(super) fn prepare(redis: &Server, postgres: &Server, gateway: &Gateway) {
    let mut keys = vec!["MSET".to_owned()];
    keys.extend((0..KEYS).flat_map(|key| [format!("k{key}"), format!("value of {key}")]));
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_eq!(redis.redis_cli(&keys), "OK");
    // A table without a key: what is inserted twice is there twice.
    let _ = postgres.psql(&format!(
        "CREATE TABLE written (id bigint); GRANT ALL ON written TO {}",
        secrets::POSTGRES_OWNER.0
    ));
    let _ =
        gateway.call("POST", &format!("{BASE}/queue/topics"), Some(&json!({ "topic": TOPIC }))).expect(201);
}

pub(super) fn load(gateway: &Gateway, per_second: u32) -> Calls {
    Calls::begin(gateway.control, per_second, |number| {
        let of = |what, path, body| Call::post(what, format!("{BASE}{path}"), body);
        match number % 5 {
            0 => of(ALL[0], "/cache/get", json!({ "key": format!("k{}", number % KEYS) })),
            1 => of(ALL[1], "/cache/incr", json!({ "key": format!("n{number}") })),
            2 => {
                let query = "SELECT $1::text AS word, count(*) AS n FROM written";
                of(ALL[2], "/db/query", json!({ "query": query, "args": ["one"], "read_only": true }))
            }
            3 => {
                let query = "INSERT INTO written VALUES ($1)";
                of(ALL[3], "/db/execute", json!({ "query": query, "args": [number] }))
            }
            _ => {
                let message = format!("m{number}");
                of(ALL[4], "/queue/publish", json!({ "topic": TOPIC, "message": message }))
            }
        }
    })
}

/// Every answer is right; nothing is there twice, and all that was answered is there.
pub(super) fn all_is_there_once(told: &[Told], redis: &Server, postgres: &Server) {
    let good = |what: &'static str| told.iter().filter(move |one| one.what == what && one.good());
    for one in good("GET") {
        assert_eq!(one.answer["value"], format!("value of {}", one.number % KEYS), "{}", one.answer);
    }
    for one in good("SELECT") {
        assert_eq!(one.answer["rows"][0]["word"], "one", "{}", one.answer);
    }
    let incremented: Vec<&Told> = told.iter().filter(|one| one.what == "INCR").collect();
    for part in incremented.chunks(500) {
        let keys: Vec<String> = part.iter().map(|one| format!("n{}", one.number)).collect();
        let mut words = vec!["MGET"];
        words.extend(keys.iter().map(String::as_str));
        let said = redis.redis_cli(&words);
        let mut values = said.lines();
        for one in part {
            let value = values.next().unwrap_or_default();
            assert!(value == "1" || (value.is_empty() && !one.good()), "{value:?} for {one}");
        }
    }
    let mut rows: BTreeMap<u64, usize> = BTreeMap::new();
    for line in postgres.psql("SELECT id FROM written").lines() {
        *rows.entry(line.parse().unwrap()).or_default() += 1;
    }
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
