//! Settings from four layers: flag, environment, file, default; each value knows where it came from.

mod rules;
mod said;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use adapters::Registry;
use cli::{ServeArgs, Setting};
use model::check::{canonical, walk};
use model::field::{Field, Shape};
use model::tree::Place;
use model::{Problem, Problems};
use serde_json::{Map, Value};

use crate::certificates;
use crate::settings::{FIELDS, Settings};
use said::{File, Said, Source};

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
    /// Where each of them was said.
    pub(crate) said: Said,
    /// Names in the environment that look like settings and are none.
    pub(crate) unknown_names: Vec<String>,
}

/// Where the environment's values come from; tests bring their own.
pub(crate) type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Reads all layers. All problems of all layers are told.
pub(crate) fn read(args: &ServeArgs) -> Result<Config, Vec<Problem>> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let unknown_names = unknown(names);
    let (settings, Layers { sources, said }) = layered(args, &|name| std::env::var(name).ok())?;
    Ok(Config { settings, sources, said, unknown_names })
}

fn layered(args: &ServeArgs, env: Env<'_>) -> Result<(Settings, Layers), Vec<Problem>> {
    let mut faults = Vec::new();
    let file = the_file(args).map_or_else(|| Ok(File::none()), |path| read_file(&path, env));
    let file = file.unwrap_or_else(|mut found| {
        faults.append(&mut found);
        File::none()
    });
    settled(file, args, env, faults)
}

/// Every setting with its source, and where it was said.
struct Layers {
    sources: Vec<Setting>,
    said: Said,
}

/// What the layers come to, the file's among them, which may have had faults of its own.
fn settled(
    file: File,
    args: &ServeArgs,
    env: Env<'_>,
    mut faults: Vec<Problem>,
) -> Result<(Settings, Layers), Vec<Problem>> {
    let in_file = canonical(&file.tree, FIELDS, &Registry);
    let mut values = Map::new();
    let of_file = Source::File(file.name.clone());
    let mut layers = Layers { sources: Vec::new(), said: Said::new(file) };
    for leaf in leaves(FIELDS, "") {
        let default = leaf.field.default.map(of_text);
        let mut found = (default.unwrap_or_default(), Source::Default);
        if let Some(value) = lookup(&in_file, &leaf.path) {
            found = (value.clone(), of_file.clone());
        }
        for name in env_names(&leaf.path) {
            if let Some(text) = env(&name).filter(|text| !is_of_kubernetes(&name, text)) {
                found = (of_env(&text, leaf.field, &name, &mut faults), Source::Environment(name));
            }
        }
        if let Some((value, flag)) = of_flag(args, &leaf.path) {
            found = (value, Source::Flag(flag));
        }
        let (value, source) = found;
        if !value.is_null() {
            layers.note(&leaf, &value, source);
            put(&mut values, &leaf.path, value);
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    for path in ["server.tls", "proxy.tls", "data.tls"] {
        // Nothing but the word means that it is wanted.
        if let Some(said) = lookup(&in_file, path)
            && lookup(&Value::Object(values.clone()), path).is_none()
        {
            put(&mut values, path, said.clone());
        }
    }
    let settings: Settings = serde_json::from_value(Value::Object(values)).map_err(|error| {
        vec![Problem { message: format!("the settings do not fit together: {error}"), ..Problem::default() }]
    })?;
    let faults = rules::faults(&settings, args, &layers.said);
    if faults.is_empty() { Ok((settings, layers)) } else { Err(faults) }
}

impl Layers {
    fn note(&mut self, leaf: &Leaf, value: &Value, source: Source) {
        let (path, value) = (leaf.path.clone(), shown(value, leaf.field));
        self.sources.push(Setting { path, value, source: source.to_string() });
        self.said.note(&leaf.path, source);
    }
}

/// Checks a gateway file as it is, without the flags and names that a start has beside it: all its problems, or every file
/// that it names and that could not be used here, since the gateway may run on another machine.
pub(crate) fn check_file(path: &Path) -> Result<Vec<Problem>, Vec<Problem>> {
    let file = read_file(path, &|name| std::env::var(name).ok())?;
    // What has to be said twice may yet be said.
    let args = ServeArgs { insecure: true, ..ServeArgs::default() };
    let (settings, layers) = settled(file, &args, &|_| None, Vec::new())?;
    Ok(check_certificates(&settings, &layers.said))
}

/// Every fault of every certificate and key.
pub(crate) fn check_certificates(settings: &Settings, said: &Said) -> Vec<Problem> {
    certificates::faults(settings).into_iter().map(|(path, message)| said.problem(&path, message)).collect()
}

fn the_file(args: &ServeArgs) -> Option<PathBuf> {
    args.config.clone().or_else(|| Some(PathBuf::from(FILE)).filter(|path| path.is_file()))
}

/// Reads a gateway file against the table of settings: all its problems, or the file as it stands.
fn read_file(path: &Path, env: Env<'_>) -> Result<File, Vec<Problem>> {
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
    if problems.is_empty() { Ok(File { name, tree }) } else { Err(problems.into_vec()) }
}

/// The values of a gateway file under their proper names.
#[cfg(test)]
pub(crate) fn values(path: &Path) -> Value {
    canonical(&read_file(path, &|_| None).unwrap().tree, FIELDS, &Registry)
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
