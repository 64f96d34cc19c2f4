//! Settings from four layers: flag, environment, file, default; each value knows where it came from.

use std::path::{Path, PathBuf};

use adapters::Registry;
use cli::{ServeArgs, Setting};
use model::check::{canonical, walk};
use model::field::{Field, Shape};
use model::tree::Place;
use model::{Problem, Problems};
use serde_json::{Map, Value};

use crate::settings::{FIELDS, Settings};
use crate::{certificates, listeners};

/// Read when no file is named and it is there.
const FILE: &str = "throome.yaml";

/// Short names of the environment, beside `THROOME_` and the path.
const SHORT: &[(&str, &str)] = &[
    ("THROOME_PORT", "server.port"),
    ("THROOME_CLUSTERS_DIR", "gateway.clusters_dir"),
    ("THROOME_LOG_LEVEL", "logging.level"),
];

/// Names that clients and tools read; not settings of the gateway.
const NOT_OURS: &[&str] = &[
    "THROOME_URL",
    "THROOME_TOKEN",
    "THROOME_CLUSTER",
    "THROOME_CA",
    "THROOME_CLIENT_CERT",
    "THROOME_CLIENT_KEY",
    "THROOME_BIN",
    crate::handover::NAME,
];

/// Every setting with its source, and what they come to.
pub(crate) struct Config {
    pub(crate) settings: Settings,
    pub(crate) sources: Vec<Setting>,
    /// Names in the environment that look like settings and are none.
    pub(crate) unknown_names: Vec<String>,
}

/// Where the environment's values come from; tests bring their own.
pub(crate) type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Reads all layers. All problems of all layers are told.
pub(crate) fn read(args: &ServeArgs) -> Result<Config, Vec<Problem>> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let unknown_names = unknown(names);
    let (settings, sources) = layered(args, &|name| std::env::var(name).ok())?;
    Ok(Config { settings, sources, unknown_names })
}

fn layered(args: &ServeArgs, env: Env<'_>) -> Result<(Settings, Vec<Setting>), Vec<Problem>> {
    let mut faults = Vec::new();
    let (file, file_name) = match the_file(args) {
        None => (Value::Null, String::new()),
        Some(path) => {
            let name = path.display().to_string();
            (
                read_file(&path, env).unwrap_or_else(|mut found| {
                    faults.append(&mut found);
                    Value::Null
                }),
                name,
            )
        }
    };
    let mut values = Map::new();
    let mut sources = Vec::new();
    for leaf in leaves(FIELDS, "") {
        let default = leaf.field.default.map(of_text);
        let mut found = (default.unwrap_or_default(), "default".to_owned());
        if let Some(value) = lookup(&file, &leaf.path) {
            found = (value.clone(), format!("file {file_name}"));
        }
        for name in env_names(&leaf.path) {
            if let Some(text) = env(&name).filter(|text| !is_of_kubernetes(&name, text)) {
                found = (of_env(&text, leaf.field, &name, &mut faults), format!("environment {name}"));
            }
        }
        if let Some((value, flag)) = of_flag(args, &leaf.path) {
            found = (value, format!("flag {flag}"));
        }
        let (value, source) = found;
        if !value.is_null() {
            sources.push(Setting { path: leaf.path.clone(), value: shown(&value, leaf.field), source });
            put(&mut values, &leaf.path, value);
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    for path in ["server.tls", "proxy.tls", "data.tls"] {
        // Nothing but the word means that it is wanted.
        if let Some(said) = lookup(&file, path)
            && lookup(&Value::Object(values.clone()), path).is_none()
        {
            put(&mut values, path, said.clone());
        }
    }
    let settings: Settings = serde_json::from_value(Value::Object(values))
        .map_err(|error| vec![fault("", format!("the settings do not fit together: {error}"))])?;
    check(&settings, args)?;
    Ok((settings, sources))
}

/// What no table can say.
fn check(settings: &Settings, args: &ServeArgs) -> Result<(), Vec<Problem>> {
    let mut faults = Vec::new();
    let hosts = [
        ("server.host", &settings.server.host),
        ("proxy.host", &settings.proxy.host),
        ("data.host", &settings.data.host),
    ];
    let further = settings.proxy.listeners.iter().enumerate();
    let further = further.map(|(at, listener)| (format!("proxy.listeners[{at}].host"), &listener.host));
    for (path, host) in hosts.map(|(path, host)| (path.to_owned(), host)).into_iter().chain(further) {
        if host.parse::<std::net::IpAddr>().is_err() && host != "localhost" {
            faults.push(fault(
                &path,
                format!("`{host}` is not an address to listen on, such as 127.0.0.1 or 0.0.0.0"),
            ));
        }
    }
    let asked_for = settings.data.port.map(|_| ("data.host", &settings.data.host));
    for (path, host) in [Some(("server.host", &settings.server.host)), asked_for].into_iter().flatten() {
        if settings.auth.mode == "off" && !crate::doors::is_loopback(host) && !args.insecure {
            let message = format!("`off` with {path} {host} lets anybody in; say it twice, with --insecure");
            faults.push(fault("auth.mode", message));
        }
    }
    let in_a_file = match store::place(settings.store.url.reveal()) {
        Ok(place) => place.is_none(),
        Err(why) => {
            faults.push(fault("store.url", why));
            false
        }
    };
    for (path, set) in
        [("store.pool.max", settings.store.pool.max), ("store.pool.idle", settings.store.pool.idle)]
    {
        if in_a_file && set.is_some() {
            faults.push(fault(path, "is of a PostgreSQL, and `store.url` names none".to_owned()));
        }
    }
    if let Some(host) = settings.provision.docker.host.as_deref().filter(|host| !is_place(host)) {
        let message = format!("`{host}` is not where an engine is, such as unix:///var/run/docker.sock");
        faults.push(fault("provision.docker.host", message));
    }
    if !settings.monitoring.metrics_path.starts_with('/') {
        faults.push(fault("monitoring.metrics_path", "it must begin with `/`".to_owned()));
    }
    if let Err(why) = proxy::TrustedProxies::parse(settings.proxy.trusted_proxies.iter().map(String::as_str))
    {
        faults.push(fault("proxy.trusted_proxies", why));
    }
    if !matches!(settings.errors.timeout_status, 408 | 504) {
        faults
            .push(fault("errors.timeout_status", "it is 504, or 408 for clients that expect it".to_owned()));
    }
    for (path, tls) in certificates::said(settings) {
        if let Err(found) = certificates::check(tls) {
            faults.push(fault(&certificates::below(&path, &found.key), found.message));
        }
    }
    if settings.data.tls.is_some() && settings.data.port.is_none() {
        let message = "secures a door that does not open: `data.port` says where it listens";
        faults.push(fault("data.tls", message.to_owned()));
    }
    faults
        .extend(listeners::faults(&settings.proxy).into_iter().map(|(path, message)| fault(&path, message)));
    check_addresses(settings, &mut faults);
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Whether an engine may be there.
fn is_place(host: &str) -> bool {
    host.strip_prefix("unix://").is_some_and(|path| path.starts_with('/'))
        || ["tcp://", "http://"]
            .iter()
            .any(|scheme| host.strip_prefix(scheme).is_some_and(|at| !at.is_empty()))
}

/// No two doors listen at one address.
fn check_addresses(settings: &Settings, faults: &mut Vec<Problem>) {
    let mut taken = vec![(settings.server.host.as_str(), settings.server.port)];
    let mut take = |path: String, host, port| {
        if taken.iter().any(|other| meet(*other, (host, port))) {
            faults.push(fault(&path, format!("two doors would listen on port {port}")));
        }
        taken.push((host, port));
    };
    take("proxy.port".to_owned(), settings.proxy.host.as_str(), settings.proxy.port);
    for (at, listener) in settings.proxy.listeners.iter().enumerate() {
        take(format!("proxy.listeners[{at}].port"), listener.host.as_str(), listener.port);
    }
    if let Some(port) = settings.data.port {
        take("data.port".to_owned(), settings.data.host.as_str(), port);
    }
}

/// Every fault of every certificate and key.
pub(crate) fn check_certificates(settings: &Settings) -> Vec<Problem> {
    certificates::faults(settings).into_iter().map(|(path, message)| fault(&path, message)).collect()
}

fn fault(path: &str, message: String) -> Problem {
    let mut problems = Problems::default();
    problems.add(path, Place::default(), message);
    problems.into_vec().remove(0)
}

fn the_file(args: &ServeArgs) -> Option<PathBuf> {
    args.config.clone().or_else(|| Some(PathBuf::from(FILE)).filter(|path| path.is_file()))
}

/// Reads a gateway file: all its problems, or its values under their proper names.
pub(crate) fn read_file(path: &Path, env: Env<'_>) -> Result<Value, Vec<Problem>> {
    let name = path.display().to_string();
    let mut problems = Problems::new(Some(&name));
    let text = std::fs::read_to_string(path).map_err(|error| {
        problems.add("", Place::default(), format!("cannot read it: {error}"));
        std::mem::take(&mut problems).into_vec()
    })?;
    let mut tree = model::yaml::parse(&text).map_err(|found| {
        found.into_iter().for_each(|problem| problems.push(problem));
        std::mem::take(&mut problems).into_vec()
    })?;
    model::expand::expand(&mut tree, env, &mut problems);
    if !tree.is_null() {
        walk(&tree, FIELDS, &Registry, "", &mut problems);
    }
    if problems.is_empty() { Ok(canonical(&tree, FIELDS, &Registry)) } else { Err(problems.into_vec()) }
}

/// Kubernetes tells every container where a service named `throome` is, by a name that is also ours.
fn is_of_kubernetes(name: &str, text: &str) -> bool {
    name == "THROOME_PORT" && text.contains("://")
}

struct Leaf {
    path: String,
    field: &'static Field,
}

/// The keys that hold values, with their paths.
fn leaves(fields: &'static [Field], above: &str) -> Vec<Leaf> {
    let mut all = Vec::new();
    for field in fields {
        let path = if above.is_empty() { field.name.to_owned() } else { format!("{above}.{}", field.name) };
        match field.shape {
            Shape::Fields(inner) => all.append(&mut leaves(inner, &path)),
            _ => all.push(Leaf { path, field }),
        }
    }
    all
}

fn env_names(path: &str) -> Vec<String> {
    let short = SHORT.iter().filter(|(_, own)| *own == path).map(|(name, _)| (*name).to_owned());
    let long = format!("THROOME_{}", path.replace('.', "_").to_ascii_uppercase());
    // The full name is the more deliberate word: it comes last and wins.
    short.chain([long]).collect()
}

fn unknown(names: impl Iterator<Item = String>) -> Vec<String> {
    let known: Vec<String> = leaves(FIELDS, "").iter().flat_map(|leaf| env_names(&leaf.path)).collect();
    let ours = |name: &String| name.starts_with("THROOME_") && !NOT_OURS.contains(&name.as_str());
    names.filter(ours).filter(|name| !known.contains(name)).collect()
}

/// A value of the environment, checked by the same table as the file's.
fn of_env(text: &str, field: &'static Field, name: &str, faults: &mut Vec<Problem>) -> Value {
    let value = match field.shape {
        Shape::List(Shape::Fields(_)) => of_text(text),
        Shape::List(_) => {
            Value::from(text.split(',').map(str::trim).filter(|s| !s.is_empty()).collect::<Vec<_>>())
        }
        Shape::Text | Shape::Secret => Value::from(text),
        _ => of_text(text),
    };
    let mut problems = Problems::default();
    let one = model::tree::Node::from_json(&serde_json::json!({ (field.name): value }));
    walk(&one, std::slice::from_ref(field), &Registry, "", &mut problems);
    for mut problem in problems.into_vec() {
        problem.path = format!("environment {name}");
        problem.line = None;
        problem.column = None;
        faults.push(problem);
    }
    canonical(&one, std::slice::from_ref(field), &Registry).get(field.name).cloned().unwrap_or(value)
}

/// Whether two doors would listen on one address.
fn meet((a, of_a): (&str, u16), (b, of_b): (&str, u16)) -> bool {
    let all = |host: &str| host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    of_a == of_b && (a == b || all(a) || all(b))
}

/// A text as the file would read it.
fn of_text(text: &str) -> Value {
    model::yaml::parse(text).map_or_else(|_| Value::from(text), |node| node.to_json())
}

fn of_flag(args: &ServeArgs, path: &str) -> Option<(Value, &'static str)> {
    let dir = |dir: &Option<PathBuf>| dir.as_ref().map(|dir| Value::from(dir.to_string_lossy()));
    match path {
        "server.port" => Some((args.port?.into(), "--port")),
        "proxy.port" => Some((args.proxy_port?.into(), "--proxy-port")),
        "gateway.clusters_dir" => Some((dir(&args.clusters_dir)?, "--clusters-dir")),
        "data_dir" => Some((dir(&args.data_dir)?, "--data-dir")),
        "logging.level" => Some((args.log_level.clone()?.into(), "--log-level")),
        _ => None,
    }
}

fn lookup<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, key| value.get(key)).filter(|value| !value.is_null())
}

fn put(into: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            into.insert(path.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = into.entry(first).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// A value for people; of what holds a password, everything else.
fn shown(value: &Value, field: &Field) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match field.shape {
        Shape::Secret => match store::place(&text) {
            Ok(masked) => masked.unwrap_or(text),
            Err(_) => "***".to_owned(),
        },
        _ => text,
    }
}

#[cfg(test)]
mod tests;
