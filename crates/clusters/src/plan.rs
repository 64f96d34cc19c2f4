//! What a change would do: asked compared with running. Pure.

use std::collections::HashMap;

use model::view::{Plan, PlanStep};
use model::{ClusterSpec, RouteSpec, ServiceSpec};
use serde_json::Value;

/// The steps from `old` to `new`; either may be missing.
pub(crate) fn plan(old: Option<&ClusterSpec>, new: Option<&ClusterSpec>) -> Plan {
    let cluster_id = new.or(old).map(|spec| spec.cluster_id.to_string()).unwrap_or_default();
    let mut steps = Vec::new();
    match (old, new) {
        (None, Some(new)) => {
            steps.push(step("create", "cluster", &cluster_id, format!("named {}", new.name)));
            steps.extend(new.services.iter().map(|(name, service)| create(name, service)));
            steps.extend(new.routes.iter().map(|route| step("create", "route", &route.id, leads(route))));
        }
        (Some(old), None) => {
            steps.extend(old.routes.iter().map(|route| step("delete", "route", &route.id, leads(route))));
            steps.extend(old.services.iter().map(|(name, service)| delete(name, service)));
            steps.push(step("delete", "cluster", &cluster_id, format!("named {}", old.name)));
        }
        (Some(old), Some(new)) => differences(old, new, &mut steps),
        (None, None) => {}
    }
    Plan { cluster_id, changes: !steps.is_empty(), steps }
}

fn differences(old: &ClusterSpec, new: &ClusterSpec, steps: &mut Vec<PlanStep>) {
    for (what, before, after) in [
        ("name", Value::from(old.name.as_str()), Value::from(new.name.as_str())),
        ("description", Value::from(old.description.as_str()), Value::from(new.description.as_str())),
        ("routing", json(&old.routing), json(&new.routing)),
        ("health", json(&old.health), json(&new.health)),
    ] {
        if before != after {
            steps.push(step("update", what, what, changed(&before, &after)));
        }
    }
    for (name, service) in &new.services {
        match old.service(name) {
            None => steps.push(create(name, service)),
            Some(before) if before.kind != service.kind => {
                steps.push(delete(name, before));
                steps.push(create(name, service));
            }
            Some(before) if before != service => {
                steps.push(step("update", "service", name, update(before, service)));
            }
            Some(_) => {}
        }
    }
    for (name, service) in old.services.iter().filter(|(name, _)| new.service(name).is_none()) {
        steps.push(delete(name, service));
    }
    let (before, after) = (by_id(old), by_id(new));
    for route in &new.routes {
        match before.get(route.id.as_str()) {
            None => steps.push(step("create", "route", &route.id, leads(route))),
            Some(before) if **before != **route => {
                steps.push(step("update", "route", &route.id, changed(&json(before), &json(route))));
            }
            Some(_) => {}
        }
    }
    for route in old.routes.iter().filter(|route| !after.contains_key(route.id.as_str())) {
        steps.push(step("delete", "route", &route.id, leads(route)));
    }
}

fn step(action: &str, what: &str, name: &str, detail: String) -> PlanStep {
    PlanStep { action: action.to_owned(), what: what.to_owned(), name: name.to_owned(), detail }
}

fn create(name: &str, service: &ServiceSpec) -> PlanStep {
    step("create", "service", name, format!("of kind {}{}", service.kind, runs(service)))
}

/// By what it is started, where the gateway runs it.
fn runs(service: &ServiceSpec) -> String {
    if !service.is_provisioned() {
        return String::new();
    }
    let by = service.provisioner().map(|word| format!(" by {word}")).unwrap_or_default();
    let port = service.port.map(|port| format!(" at port {port}")).unwrap_or_default();
    format!("; it is started{by}{port}")
}

fn delete(name: &str, service: &ServiceSpec) -> PlanStep {
    let loses = if service.is_provisioned() {
        "it is stopped and taken away; its data stay only where they are kept"
    } else {
        "what an embedded one holds is lost"
    };
    step("delete", "service", name, format!("of kind {}; {loses}", service.kind))
}

/// What changes of it, and what that does to one that the gateway runs.
fn update(before: &ServiceSpec, after: &ServiceSpec) -> String {
    let words = changed(&json(before), &json(after));
    match (before.is_provisioned(), after.is_provisioned()) {
        (true, true) if needs_restart(before, after) => format!("{words}; it is started anew, on its data"),
        (true, false) => format!("{words}; what the gateway ran is stopped and taken away, its data stay"),
        (false, true) => format!("{words}{}, without the data of the one before", runs(after)),
        _ => words,
    }
}

/// Whether its program has to be started anew to become what is asked.
fn needs_restart(before: &ServiceSpec, after: &ServiceSpec) -> bool {
    let is_as = |spec: &ServiceSpec| {
        (spec.port, spec.run.clone(), spec.username.clone(), spec.password.clone(), spec.database.clone())
    };
    is_as(before) != is_as(after)
}

fn by_id(spec: &ClusterSpec) -> HashMap<&str, &RouteSpec> {
    spec.routes.iter().map(|route| (route.id.as_str(), &**route)).collect()
}

/// What a route takes and what answers: `shop.example/api/* to web`.
pub(crate) fn leads(route: &RouteSpec) -> String {
    format!("{}{} to {}", route.host.as_deref().unwrap_or_default(), route.path, route.leads())
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// `port: 80 → 81; weight: 1 → 2`. A secret shows as its mask, and that it changed as just that.
fn changed(old: &Value, new: &Value) -> String {
    let mut words = Vec::new();
    compare("", old, new, &mut words);
    if words.is_empty() { "a secret changes".to_owned() } else { words.join("; ") }
}

fn compare(path: &str, old: &Value, new: &Value, words: &mut Vec<String>) {
    match (old, new) {
        (a, b) if a == b => {}
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let missing = &Value::Null;
                compare(&path, a.get(key).unwrap_or(missing), b.get(key).unwrap_or(missing), words);
            }
        }
        (a, Value::Null) => words.push(format!("{path}: {a} is left out")),
        (Value::Null, b) => words.push(format!("{path}: {b}")),
        (a, b) => words.push(format!("{path}: {a} → {b}")),
    }
}
