//! The shape of document 000, as it stands: by containers, by processes where there is no engine, and by what lives in the
//! gateway, for which one word of each service changes. Clients notice nothing of it.

use serde_json::{Value, json};

use super::{By, House, gone};

/// The same file for all; only the words for the three kinds are filled in.
fn shape(words: [&str; 3]) -> String {
    let [cache, database, queue] = words;
    format!(
        "name: my-cluster\nservices:\n  redis-1:\n    type: {cache}\n  postgres-1:\n    type: {database}\n  kafka-1:\n    type: {queue}\n"
    )
}

/// Costs some 30 s: Kafka begins twice, and its image may have to be loaded.
#[test]
fn one_word_says_where_services_live() {
    let networked = shape(["redis", "postgres", "kafka"]);
    let embedded = shape(["memory", "sqlite", "log"]);
    let differ = networked.lines().zip(embedded.lines()).filter(|(one, other)| one != other);
    assert!(differ.clone().all(|(line, _)| line.trim().starts_with("type: ")) && differ.count() == 3);
    let houses = [(By::Containers, &networked), (By::Processes, &networked), (By::Processes, &embedded)];
    let mut told = Vec::new();
    for (by, file) in houses {
        let house = House::new(by);
        house.gateway().write_cluster(&house.id("shape"), file);
        house.healthy("shape");
        told.push(calls(&house));
        let settled = house.file("shape");
        let is_run = file == &networked;
        assert_eq!(settled.matches(&format!("provision: {}", by.word())).count(), if is_run { 3 } else { 0 });
        if !is_run {
            assert_eq!(&settled, file, "nothing is left open of what lives in the gateway");
        }
        house.delete("shape", false);
        gone(&house, "shape");
    }
    assert!(told.windows(2).all(|two| two[0] == two[1]), "{told:#?}");
}

/// What document 000's clients do, and what they are told.
fn calls(house: &House) -> Vec<Value> {
    let data = |call: &str, body: Value| house.data("shape", call, &body);
    data("cache/set", json!({ "key": "user:123", "value": "John Doe", "ttl": 60 }));
    let value = data("cache/get", json!({ "key": "user:123" }))["value"].clone();
    data("db/execute", json!({ "query": "CREATE TABLE users (id SERIAL, name VARCHAR(100))" }));
    let sent = json!({ "query": "INSERT INTO users (name) VALUES ($1)", "args": ["Ada"] });
    let added = data("db/execute", sent)["rows_affected"].clone();
    let rows = data("db/query", json!({ "query": "SELECT name FROM users" }))["rows"].clone();
    data("queue/topics", json!({ "topic": "orders" }));
    let places = data("queue/publish", json!({ "topic": "orders", "message": "tea" }));
    let place = places["results"][0]["offset"].clone();
    assert_eq!(
        (&value, &rows, &place),
        (&json!("John Doe"), &json!([{ "name": "Ada" }]), &json!(0)),
        "{places}"
    );
    vec![value, added, rows, place]
}
