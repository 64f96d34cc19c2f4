//! A fault at each step of each operation: the state is as before, or is resumed; nothing is left; the next try succeeds.
//! The faults are tables: by containers of calls to the engine, by processes of what their programs do.

mod containers;
mod processes;

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use throome_e2e::process::wait_for;
use throome_e2e::reply::Reply;

use super::{House, LONG, gone};

/// What is refused where a file is to be written: something else is in the way.
struct Blocked(PathBuf);

impl Blocked {
    /// The file of this cluster cannot be written.
    fn file_of(house: &House, name: &str) -> Blocked {
        let dir = house.gateway().cluster_file(&house.id(name)).with_file_name(".config.yaml.new");
        fs::create_dir_all(&dir).unwrap();
        Blocked(dir)
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
        // Of a cluster that came to nothing.
        let _ = self.0.parent().map(fs::remove_dir);
    }
}

/// A call of a cluster that another change may still be in the way of, which is being put in order.
fn once_idle(house: &House, method: &str, path: &str, body: Option<&Value>) -> Reply {
    wait_for("what was left in the middle is put in order", LONG, || {
        let answer = house.call(method, path, body);
        (!answer.text().contains("is being changed")).then_some(answer)
    })
}

/// It failed, says so, and its operation names the step. One whose client was told that it failed has not succeeded.
fn failed_at(house: &House, name: &str, what: &str, answer: &Reply, step: &str, says: &str) {
    assert!(answer.status >= 400, "{what}: {} {}", answer.status, answer.text());
    let problem = answer.json();
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(says), "{what}: {problem:#}");
    let operations = house.gateway().show(&format!("/api/v1/operations?cluster={}", house.id(name)));
    let operation = &operations["operations"][0];
    assert_eq!(operation["status"], "failed", "{what}: {operation:#}");
    let failed: Vec<&str> = operation["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["status"] == "failed")
        .filter_map(|step| step["action"].as_str())
        .collect();
    assert!(failed.contains(&step), "{what}: {step} is not what failed: {operation:#}");
}

/// There is nothing of a cluster that was not made.
fn came_to_nothing(house: &House, name: &str, what: &str) {
    eprintln!("{what}: nothing is left");
    gone(house, name);
    assert_eq!(house.file(name), "", "{what}");
    let shown = house.call("GET", &format!("/api/v1/clusters/{}", house.id(name)), None);
    assert_eq!(shown.status, 404, "{what}: {}", shown.text());
}

/// Without the fault it is made, works, and goes.
fn next_try(house: &House, name: &str, body: &Value, what: &str) {
    let made = once_idle(house, "POST", "/api/v1/clusters", Some(body));
    assert_eq!(made.status, 201, "{what}, the next try: {}", made.text());
    house.delete(name, false);
    gone(house, name);
}

/// The document of a cluster as PUT takes it.
fn document(house: &House, name: &str) -> Value {
    let mut document = house.gateway().show(&format!("/api/v1/clusters/{}", house.id(name)));
    for key in ["id", "healthy", "status"] {
        document.as_object_mut().unwrap().remove(key);
    }
    document
}

fn put(house: &House, name: &str, document: &Value) -> Reply {
    let path = format!("/api/v1/clusters/{}?keep_data=false", house.id(name));
    once_idle(house, "PUT", &path, Some(document))
}

/// A cluster is as it was before a change that failed.
fn as_before(house: &House, name: &str, file: &str, what: &str) {
    eprintln!("{what}: it is as before");
    assert_eq!(house.file(name), file, "{what}");
    house.healthy(name);
    assert_eq!(house.data(name, "cache/get?service=cache", &json!({ "key": "a" }))["value"], "1", "{what}");
}

/// A service runs, whoever started it.
fn runs(house: &House, name: &str, what: &str) {
    eprintln!("{what}: it runs");
    house.runs(name, "cache");
    assert_eq!(house.get(name, "a"), "1", "{what}");
}

fn act(house: &House, name: &str, verb: &str) -> Reply {
    let path = format!("/api/v1/clusters/{}/services/cache/{verb}", house.id(name));
    once_idle(house, "POST", &path, None)
}
