//! Keys and rows whose traces tell how often a write was done: a counter that is raised once is 1, and a table without a
//! key has a row for each insert.

use std::collections::BTreeMap;

use ::engines::{Server, secrets};

/// Keys that are there to be read.
pub(super) const KEYS: u64 = 50;

/// An insert into the table, of its one argument.
pub(super) const INSERT: &str = "INSERT INTO written VALUES ($1)";

/// A key that is there to be read, and its value.
pub(super) fn key(number: u64) -> (String, String) {
    (format!("k{}", number % KEYS), format!("value of {}", number % KEYS))
}

/// The key of a write, which has it for itself.
pub(super) fn own_key(number: u64) -> String {
    format!("n{number}")
}

/// Writes down the keys that are there to be read.
pub(super) fn fill(redis: &Server) {
    let mut words = vec!["MSET".to_owned()];
    words.extend((0..KEYS).map(key).flat_map(|(key, value)| [key, value]));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(redis.redis_cli(&words), "OK");
}

/// Makes the table.
pub(super) fn make_table(postgres: &Server) {
    let owner = secrets::POSTGRES_OWNER.0;
    let _ = postgres.psql(&format!("CREATE TABLE written (id bigint); GRANT ALL ON written TO {owner}"));
}

/// What stands under the keys of these writes; nothing where there is none.
pub(super) fn values(redis: &Server, numbers: &[u64]) -> BTreeMap<u64, String> {
    let mut there = BTreeMap::new();
    for part in numbers.chunks(500) {
        let keys: Vec<String> = part.iter().copied().map(own_key).collect();
        let mut words = vec!["MGET"];
        words.extend(keys.iter().map(String::as_str));
        let said = redis.redis_cli(&words);
        let mut values = said.lines();
        there.extend(part.iter().map(|number| (*number, values.next().unwrap_or_default().to_owned())));
    }
    there
}

/// How many rows each insert has left.
pub(super) fn rows(postgres: &Server) -> BTreeMap<u64, usize> {
    let mut there = BTreeMap::new();
    for line in postgres.psql("SELECT id FROM written").lines() {
        *there.entry(line.parse().unwrap()).or_default() += 1;
    }
    there
}
