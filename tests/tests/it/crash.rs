//! kill -9 in the middle of creating: whatever was answered is there afterwards, and nothing is there by half.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use throome_e2e::gateway::request;
use throome_e2e::{Connection, Gateway, Layout, Service, turn};

const ROUNDS: u64 = 30;

/// What may be true of a thing after the crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It was answered that it is there.
    There,
    /// It was answered that it is gone.
    Gone,
    /// It was asked for, and nothing was answered.
    Either,
}

#[derive(Default)]
struct Ledger {
    clusters: BTreeMap<String, State>,
    routes: BTreeMap<String, State>,
}

#[test]
fn what_was_answered_is_there_and_nothing_by_half() {
    let _turn = turn::alone();
    let service = Service::start("one");
    let mut ledger = Ledger::default();
    let mut layout = Layout::default();
    let mut in_the_middle = 0;
    for round in 0..ROUNDS {
        let gateway = layout.start();
        check(&gateway, &ledger);
        let mut control = gateway.control();
        let (to, port) = (gateway.control, service.address.port());
        let (next, writing) = std::thread::scope(|scope| {
            let ledger = &mut ledger;
            let writer = scope.spawn(move || write(&mut control, to, port, round, ledger));
            // Another moment of the work each time.
            std::thread::sleep(Duration::from_millis(5 + round * 37 % 90 + round % 3 * 120));
            (gateway.kill(), writer.join().unwrap())
        });
        layout = next;
        in_the_middle += usize::from(writing);
    }
    let gateway = layout.start();
    check(&gateway, &ledger);
    let there = ledger.clusters.values().filter(|state| **state == State::There).count();
    println!(
        "{} clusters and {} routes asked for, {in_the_middle} kills met one under way",
        ledger.clusters.len(),
        ledger.routes.len()
    );
    assert!(
        there >= 10 && in_the_middle >= 5,
        "{there} clusters, {in_the_middle} kills in the middle of a change"
    );
}

/// Creates and deletes until the gateway is gone. Whether something was under way then.
fn write(
    control: &mut Connection,
    to: std::net::SocketAddr,
    port: u16,
    round: u64,
    ledger: &mut Ledger,
) -> bool {
    for number in 0.. {
        let id = format!("c{round}-{number}");
        let route = format!("api-{id}");
        ledger.clusters.insert(id.clone(), State::Either);
        if !done(control, to, "POST", "/api/v1/clusters", Some(&cluster(&id, port)), 201) {
            return true;
        }
        ledger.clusters.insert(id.clone(), State::There);
        ledger.routes.insert(route.clone(), State::Either);
        let spec = json!({ "id": route, "cluster": id, "service": "web", "host": format!("{route}.test"), "path": "/*" });
        if !done(control, to, "POST", "/api/v1/routes", Some(&spec), 201) {
            return true;
        }
        ledger.routes.insert(route.clone(), State::There);
        if number % 3 == 2 {
            ledger.clusters.insert(id.clone(), State::Either);
            ledger.routes.insert(route.clone(), State::Either);
            if !done(control, to, "DELETE", &format!("/api/v1/clusters/{id}"), None, 200) {
                return true;
            }
            ledger.clusters.insert(id, State::Gone);
            ledger.routes.insert(route, State::Gone);
        }
    }
    false
}

fn cluster(id: &str, port: u16) -> Value {
    json!({
        "name": format!("Cluster {id}"), "cluster_id": id,
        "services": {
            "web": { "type": "http", "host": "127.0.0.1", "port": port },
            "cache": { "type": "memory" },
        },
        "routes": [{ "id": format!("own-{id}"), "host": format!("{id}.test"), "path": "/*", "service": "web" }],
    })
}

/// Asks; whether it was answered so. The gateway may be killed meanwhile, and for no other reason is it not.
fn done(
    control: &mut Connection,
    to: std::net::SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
    status: u16,
) -> bool {
    control.send(request(to, method, path, body.map(Value::to_string).as_deref()));
    match control.try_reply(method) {
        Ok(reply) => {
            assert_eq!(reply.status, status, "{method} {path}: {reply}");
            true
        }
        Err(_) => false,
    }
}

fn check(gateway: &Gateway, ledger: &Ledger) {
    let list = |path: &str, plural: &str| -> BTreeMap<String, Value> {
        let page = gateway.show(path);
        assert_eq!(page["next_cursor"], Value::Null, "{plural}");
        let all = page[plural].as_array().unwrap().iter();
        all.map(|one| (one["id"].as_str().unwrap().to_owned(), one.clone())).collect()
    };
    let clusters = list("/api/v1/clusters?limit=1000", "clusters");
    let routes = list("/api/v1/routes?limit=1000", "routes");
    for (id, state) in &ledger.clusters {
        assert!(*state != State::There || clusters.contains_key(id), "{id} was created and is lost");
        assert!(*state != State::Gone || !clusters.contains_key(id), "{id} was deleted and is back");
        let whole = clusters.get(id).map(|cluster| cluster["services"].as_array().unwrap().len());
        assert!(whole.is_none_or(|services| services == 2), "{id} has {whole:?} services");
        assert_eq!(
            routes.contains_key(&format!("own-{id}")),
            clusters.contains_key(id),
            "the route in the file of {id}"
        );
    }
    for (id, state) in &ledger.routes {
        assert!(*state != State::There || routes.contains_key(id), "{id} was created and is lost");
        assert!(*state != State::Gone || !routes.contains_key(id), "{id} was deleted and is back");
    }
    for (id, route) in &routes {
        let cluster = route["cluster"].as_str().unwrap();
        assert!(clusters.contains_key(cluster), "{id} leads to {cluster}, which is not there");
    }
    assert!(clusters.keys().all(|id| ledger.clusters.contains_key(id)), "{clusters:?}");
    // An empty directory is all that may be left of a cluster that is not there.
    for entry in std::fs::read_dir(gateway.clusters_dir()).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let empty = || std::fs::read_dir(entry.path()).unwrap().next().is_none();
        assert!(name.starts_with('.') || clusters.contains_key(&name) || empty(), "{name} is left over");
    }
    // Some of what is there works.
    if let Some(id) = clusters.keys().next_back() {
        let reply = gateway.traffic().ask(format!("GET /echo HTTP/1.1\r\nHost: {id}.test\r\n\r\n"));
        assert_eq!(reply.status, 200, "{reply}");
    }
}
