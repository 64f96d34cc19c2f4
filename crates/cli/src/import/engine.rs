//! A service that the gateway runs itself: its port, its secrets, its image, and what of the rest it does in its own way.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::Cluster;
use super::compose::{Service, scalar};
use super::known::Known;
use super::ports::{self, Published};
use super::words;

/// Keys that need no word: they are read, or the gateway does the same unasked.
const DONE: &[&str] = &[
    "image",
    "ports",
    "environment",
    "env_file",
    "command",
    "volumes",
    "secrets",
    "deploy",
    "mem_limit",
    "cpus",
    "profiles",
    "extends",
    "platform",
    "pull_policy",
    "stdin_open",
    "tty",
];

/// Keys for which the gateway has its own way.
const OWN_WAY: &[(&[&str], &str)] = &[
    (&["restart"], "the gateway starts again what ends"),
    (&["healthcheck"], "the gateway asks the service itself, by its protocol"),
    (&["depends_on", "links"], "nothing waits: a service that is not ready yet is asked again"),
    (&["container_name", "hostname"], "containers are called throome-CLUSTER-SERVICE"),
    (&["networks", "network_mode", "expose"], "each cluster has a network of its own"),
    (&["logging"], "the engine's own logging stays"),
    (&["stop_grace_period", "stop_signal"], "it is stopped as its kind wishes to be"),
];

/// The service in the words of a cluster file.
pub(super) fn make(service: &Service, known: &Known, cluster: &mut Cluster) -> Value {
    let command = Command::of(service, known);
    let mut made = json!({ "type": known.kind, "provision": "docker" });
    let mut run = Map::new();
    if let Some(image) = service.image() {
        if known.as_they_are {
            run.insert("image".to_owned(), image.into());
        } else {
            cluster.note(
                &service.name,
                format!(
                    "`{image}` is set up in a way of its own; the gateway runs its usual image of `{}`",
                    known.kind
                ),
            );
        }
    }
    publish(service, command.port.unwrap_or(known.port), &mut made, &mut run, cluster);
    identify(service, known, &command, &mut made, cluster);
    surround(service, known, &mut run, cluster);
    limits(service, &mut run, cluster);
    volumes(service, cluster);
    if !command.rest.is_empty() {
        let rest = command.rest.join(" ");
        cluster
            .note(&service.name, format!("command: {rest}: not taken over; the gateway says how it is run"));
    }
    keys(service, cluster);
    if !run.is_empty() {
        made["run"] = Value::Object(run);
    }
    made
}

/// What the command line of a service says.
#[derive(Default)]
struct Command {
    password: Option<String>,
    port: Option<u16>,
    /// Options and files, without what may be a secret.
    rest: Vec<String>,
}

impl Command {
    fn of(service: &Service, known: &Known) -> Command {
        let mut read = Command::default();
        let mut words = service.command().into_iter().peekable();
        while let Some(word) = words.next() {
            let (option, joined) = match word.split_once('=') {
                Some((option, value)) => (option.to_owned(), Some(value.to_owned())),
                None => (word, None),
            };
            let mut value = || joined.clone().or_else(|| words.next()).unwrap_or_default();
            if !known.password_option.is_empty() && option == known.password_option {
                let value = value();
                // `$NAME` of the container's own shell.
                let name = value.strip_prefix('$').map(|name| name.trim_matches(['{', '}']).to_owned());
                read.password = match name {
                    Some(name) => service.env(&name),
                    None => Some(value),
                };
            } else if matches!(option.as_str(), "--port" | "-p") {
                read.port = value().parse().ok();
            } else if option.starts_with('-') {
                // Its value may be a secret.
                read.rest.push(option);
            } else if option.ends_with(".conf") {
                read.rest.push(option);
            }
        }
        read
    }
}

/// Where it is published on this machine.
fn publish(
    service: &Service,
    target: u16,
    made: &mut Value,
    run: &mut Map<String, Value>,
    cluster: &mut Cluster,
) {
    let (published, unread) = ports::of(service);
    for port in unread {
        cluster.note(&service.name, format!("ports: `{port}` is no port that can be read"));
    }
    let at = published.iter().position(|port| port.target == target);
    let at = at.or((published.len() == 1).then_some(0));
    let others = published.iter().enumerate().filter(|(index, _)| Some(*index) != at).map(|(_, port)| port);
    if let Some(others) = ports::told(others) {
        cluster.note(
            &service.name,
            format!("ports: {others} of the container is not published; a service has one port"),
        );
    }
    let Some(Published { port, address, .. }) = at.map(|at| &published[at]) else { return };
    if let Some(port) = port {
        made["host"] = "localhost".into();
        made["port"] = (*port).into();
    }
    match address.as_deref().map(str::parse::<IpAddr>) {
        Some(Ok(address)) if address.is_loopback() => {}
        Some(Ok(address)) if address.is_unspecified() => drop(run.insert("bind".to_owned(), "0.0.0.0".into())),
        Some(_) => cluster.note(
            &service.name,
            "is published on this machine alone, where Compose had one of its addresses; `run: { bind: 0.0.0.0 }` is all of them",
        ),
        None => cluster.note(
            &service.name,
            "is published on this machine alone, where Compose had all its addresses; `run: { bind: 0.0.0.0 }` would be the same",
        ),
    }
}

/// Who the gateway is to it.
fn identify(service: &Service, known: &Known, command: &Command, made: &mut Value, cluster: &mut Cluster) {
    let first = |names: &[&str]| names.iter().find_map(|name| service.env(name));
    let username = first(known.username).or_else(|| Some(known.names?.username.to_owned()));
    let database = first(known.database).or_else(|| known.names.and(username.clone()));
    let password = command.password.clone().or_else(|| first(known.password));
    if password.is_none() && (known.names.is_some() || !known.password_option.is_empty()) {
        cluster.note(
            &service.name,
            "has no password there; the gateway makes one, which then stands in the cluster's file",
        );
    }
    for (key, value) in [("username", username), ("password", password), ("database", database)] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            made[key] = value.into();
        }
    }
}

/// Its environment, as far as its image would look at it and no secret is in it.
fn surround(service: &Service, known: &Known, run: &mut Map<String, Value>, cluster: &mut Cluster) {
    let read = |name: &str| {
        let name = name.strip_suffix("_FILE").unwrap_or(name);
        [known.username, known.password, known.database].iter().any(|names| names.contains(&name))
    };
    let (mut along, mut left) = (Map::new(), Vec::new());
    for name in service.environment() {
        if known.along.contains(&name) {
            along.insert(name.to_owned(), service.env(name).unwrap_or_default().into());
        } else if !read(name) {
            left.push(name.to_owned());
        }
    }
    if !along.is_empty() {
        run.insert("env".to_owned(), Value::Object(along));
    }
    if !left.is_empty() {
        let left = left.join(", ");
        cluster.note(
            &service.name,
            format!("environment: {left}: not taken over; the gateway says how it is run"),
        );
    }
}

/// How much of the machine it may have.
fn limits(service: &Service, run: &mut Map<String, Value>, cluster: &mut Cluster) {
    let limits = service.node("deploy").and_then(|deploy| deploy.get("resources")?.get("limits"));
    let of = |key: &str| limits.and_then(|limits| limits.get(key)).map(scalar);
    if let Some(memory) = of("memory").or_else(|| service.text("mem_limit")) {
        match size(&memory) {
            Some(size) => drop(run.insert("memory".to_owned(), size.into())),
            None => cluster.note(&service.name, format!("memory: `{memory}` is no size that can be read")),
        }
    }
    if let Some(cpus) = of("cpus").or_else(|| service.text("cpus")) {
        match cpus.parse::<f64>() {
            Ok(cpus) if cpus > 0.0 => drop(run.insert("cpus".to_owned(), json!(cpus))),
            Ok(_) | Err(_) => {
                cluster.note(&service.name, format!("cpus: `{cpus}` is no number that can be read"))
            }
        }
    }
    let deploy = service.node("deploy");
    let replicas =
        deploy.and_then(|deploy| deploy.get("replicas")).map(scalar).or_else(|| service.text("scale"));
    if let Some(replicas) = replicas.filter(|replicas| replicas != "1") {
        cluster.note(&service.name, format!("replicas: one is run, not {replicas}"));
    }
}

/// `512M`, `1.5g`, `64mb` or bytes, in whole megabytes where it is some.
fn size(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit.trim_end_matches('b') {
        "" => 1.0,
        "k" => 1024.0,
        "m" => 1024.0 * 1024.0,
        "g" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let bytes = (number.parse::<f64>().ok()? * scale).round();
    let megabytes = bytes / (1024.0 * 1024.0);
    match megabytes {
        _ if bytes <= 0.0 => None,
        whole if whole.fract() == 0.0 => Some(format!("{whole}mb")),
        _ => Some(format!("{bytes}")),
    }
}

/// What its volumes are for: data stay where they are, and files that an image takes in are named.
fn volumes(service: &Service, cluster: &mut Cluster) {
    for item in service.items("volumes") {
        let short = scalar(item);
        let text = |key: &str| item.get(key).map(scalar).unwrap_or_default();
        let (source, target) = if item.entries().is_empty() {
            let mut parts = short.splitn(3, ':');
            match (parts.next(), parts.next()) {
                (Some(source), Some(target)) => (source.to_owned(), target.to_owned()),
                _ => (String::new(), short.clone()),
            }
        } else {
            (text("source"), text("target"))
        };
        let is_path = source.starts_with(['.', '/', '~']);
        let words = if target.starts_with("/docker-entrypoint-initdb.d") {
            format!(
                "volumes: {source} is not run; type it in when the cluster is there, as by `throome sql {source}`"
            )
        } else if target.ends_with(".conf") || target.contains("/conf") {
            format!("volumes: {source} is not read; the gateway writes the settings")
        } else if is_path || !source.is_empty() {
            format!(
                "volumes: the data in {source} are not taken over; the gateway keeps them in a volume of its own, empty at first"
            )
        } else {
            format!("volumes: {target} needs no volume there; the gateway keeps data in one of its own")
        };
        cluster.note(&service.name, words);
    }
}

/// Every other key, with the reason for which it is not here.
fn keys(service: &Service, cluster: &mut Cluster) {
    for key in service.keys().filter(|key| !DONE.contains(key) && !key.starts_with("x-")) {
        let own = OWN_WAY.iter().find(|(keys, _)| keys.contains(&key)).map(|(_, why)| *why);
        let why = own.unwrap_or("a service of the gateway has nothing like it");
        cluster.note(&service.name, words::one_line(&format!("{key}: not taken over: {why}")));
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_read() {
        for (text, expected) in [
            ("512M", Some("512mb")),
            ("1g", Some("1024mb")),
            ("1.5gb", Some("1536mb")),
            ("1048576", Some("1mb")),
            ("1000000", Some("1000000")),
            ("64k", Some("65536")),
            ("1t", None),
            ("x", None),
            ("0", None),
        ] {
            assert_eq!(size(text).as_deref(), expected, "{text}");
        }
    }
}
