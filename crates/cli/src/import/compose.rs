//! A Compose file as a list of services with everything that belongs to them: references replaced, bases laid below,
//! environment gathered. What it means to the gateway is not known here.

mod extends;

use std::collections::BTreeSet;
use std::io;

use model::tree::{Node, Value};
use model::{Problem, Problems};

use super::variables::{self, Lookup};

/// What stands around a Compose file.
pub(crate) struct Around<'a> {
    /// Its name, as it is told.
    pub(crate) file: &'a str,
    /// The name of its directory, by which a project is called that has no name.
    pub(crate) directory: Option<&'a str>,
    /// The name that is asked for.
    pub(crate) name: Option<&'a str>,
    /// The profiles that are asked for; `*` is all.
    pub(crate) profiles: &'a [String],
    /// The environment.
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
    /// Files, by their paths from its directory.
    pub(crate) files: &'a dyn Fn(&str) -> io::Result<String>,
}

/// All of it.
pub(super) struct Project {
    pub(super) name: String,
    pub(super) services: Vec<Service>,
    /// What was left out at the top.
    pub(super) notes: Vec<String>,
}

/// One service.
pub(super) struct Service {
    pub(super) name: String,
    /// Its keys, with those of its bases.
    keys: Node,
    /// Its environment, files included; the later one counts.
    environment: Vec<(String, String)>,
    /// What its secrets hold, by their names.
    secrets: Vec<(String, String)>,
}

/// Reads the file with all that it names.
pub(super) fn read(text: &str, around: &Around<'_>) -> Result<Project, Vec<Problem>> {
    let mut problems = Problems::new(Some(around.file));
    let mut notes = Vec::new();
    let dotenv = (around.files)(".env")
        .map_or_else(|_| Vec::new(), |text| variables::dotenv(&text, ".env", &mut notes));
    let lookup = |name: &str| (around.env)(name).or_else(|| last(&dotenv, name));
    let mut missing = BTreeSet::new();
    let tree = parse(text, &lookup, &mut missing, &mut problems);
    let services = tree.as_ref().and_then(|tree| tree.get("services"));
    let Some((tree, services)) = tree.as_ref().zip(services).filter(|(_, services)| is_map(services)) else {
        if problems.is_empty() {
            let at = services
                .map_or_else(|| tree.as_ref().map_or_else(Default::default, |tree| tree.at), |node| node.at);
            problems.add("services", at, "is no mapping of services").suggestion =
                Some("give a Compose file, with its services below `services:`".to_owned());
        }
        return Err(problems.into_vec());
    };
    let mut read = Vec::new();
    let mut bases =
        extends::Bases { around, lookup: &lookup, missing: &mut missing, problems: &mut problems };
    for entry in services.entries() {
        let path = format!("services.{}", entry.key);
        if !is_map(&entry.node) {
            bases.problems.at(&entry.node, &path, "is no mapping").suggestion =
                Some("write its keys below its name, `image:` first".to_owned());
            continue;
        }
        let Some(keys) = bases.whole(&entry.node, services, &path, 0) else { continue };
        check_shapes(&keys, &path, bases.problems);
        let environment = environment(&keys, around, &lookup, &mut notes);
        let secrets = secrets(&keys, tree, around, &lookup);
        read.push(Service { name: entry.key.clone(), keys, environment, secrets });
    }
    if !problems.is_empty() {
        return Err(problems.into_vec());
    }
    if tree.get("include").is_some() {
        notes.push("include: the files that it names are not read; import each".to_owned());
    }
    for name in missing {
        notes.push(format!("the variable `{name}` is set nowhere, and is taken as empty"));
    }
    let said = tree.get("name").and_then(Node::as_text).map(|name| name.into_owned());
    let name = around.name.map(str::to_owned).or(said).or_else(|| around.directory.map(str::to_owned));
    Ok(Project { name: name.unwrap_or_else(|| "imported".to_owned()), services: read, notes })
}

/// The tree of a document with its references replaced.
fn parse(
    text: &str,
    lookup: &Lookup<'_>,
    missing: &mut BTreeSet<String>,
    problems: &mut Problems,
) -> Option<Node> {
    match model::yaml::parse_foreign(text) {
        Ok(mut tree) => {
            variables::replace(&mut tree, lookup, missing, problems);
            Some(tree)
        }
        Err(found) => {
            found.into_iter().for_each(|problem| problems.push(problem));
            None
        }
    }
}

/// Keys that are lists here, or lists and mappings: anything else cannot be understood.
fn check_shapes(keys: &Node, path: &str, problems: &mut Problems) {
    for (key, list, map) in [
        ("ports", true, false),
        ("volumes", true, false),
        ("environment", true, true),
        ("profiles", true, false),
        ("secrets", true, false),
        ("deploy", false, true),
        ("healthcheck", false, true),
    ] {
        let Some(node) = keys.get(key) else { continue };
        let fits = match &node.value {
            Value::Null => true,
            Value::List(_) => list,
            Value::Map(_) => map,
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => false,
        };
        if !fits {
            let wanted = match (list, map) {
                (true, true) => "a list or a mapping",
                (true, false) => "a list",
                _ => "a mapping",
            };
            problems.at(node, &format!("{path}.{key}"), format!("must be {wanted}"));
        }
    }
}

/// The environment of a service: its files in order, then its own.
fn environment(
    keys: &Node,
    around: &Around<'_>,
    lookup: &Lookup<'_>,
    notes: &mut Vec<String>,
) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for file in keys.get("env_file").map(one_or_more).unwrap_or_default() {
        let path = file.get("path").unwrap_or(file);
        let Some(path) = path.as_text() else { continue };
        match (around.files)(&path) {
            Ok(text) => all.extend(variables::dotenv(&text, &path, notes)),
            Err(_) if file.get("required").is_some_and(|required| required.value == Value::Bool(false)) => {}
            Err(error) => {
                notes.push(format!("{path} cannot be read, and what it sets is not known: {error}"))
            }
        }
    }
    let Some(own) = keys.get("environment") else { return all };
    for entry in own.entries() {
        let value = if entry.node.is_null() { lookup(&entry.key) } else { Some(scalar(&entry.node)) };
        all.extend(value.map(|value| (entry.key.clone(), value)));
    }
    for item in own.items() {
        let item = scalar(item);
        match item.split_once('=') {
            Some((name, value)) => all.push((name.to_owned(), value.to_owned())),
            None => all.extend(lookup(&item).map(|value| (item, value))),
        }
    }
    all
}

/// What the secrets of a service hold, as far as that can be read here.
fn secrets(keys: &Node, tree: &Node, around: &Around<'_>, lookup: &Lookup<'_>) -> Vec<(String, String)> {
    let named = |item: &Node| {
        let name = item.get("source").unwrap_or(item).as_text()?.into_owned();
        let target = item
            .get("target")
            .and_then(Node::as_text)
            .map_or_else(|| name.clone(), |target| target.into_owned());
        let secret = tree.get("secrets")?.get(&name)?;
        let file = secret.get("file").and_then(Node::as_text).and_then(|file| (around.files)(&file).ok());
        let value = file.or_else(|| lookup(&secret.get("environment")?.as_text()?))?;
        Some((target, value.trim_end_matches(['\n', '\r']).to_owned()))
    };
    keys.get("secrets").map(Node::items).unwrap_or_default().iter().filter_map(named).collect()
}

impl Service {
    /// The value of this key, when it says anything.
    pub(super) fn node(&self, key: &str) -> Option<&Node> {
        self.keys.get(key).filter(|node| !node.is_null())
    }

    /// The items of this key.
    pub(super) fn items(&self, key: &str) -> &[Node] {
        self.node(key).map(Node::items).unwrap_or_default()
    }

    /// The text of this key.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.node(key).and_then(Node::as_text).map(|text| text.into_owned()).filter(|text| !text.is_empty())
    }

    /// All its keys, in order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.entries().iter().filter(|entry| !entry.node.is_null()).map(|entry| entry.key.as_str())
    }

    pub(super) fn image(&self) -> Option<String> {
        self.text("image")
    }

    pub(super) fn profiles(&self) -> Vec<String> {
        self.items("profiles").iter().map(scalar).collect()
    }

    /// Every name of its environment, once.
    pub(super) fn environment(&self) -> impl Iterator<Item = &str> {
        let names: BTreeSet<&str> = self.environment.iter().map(|(name, _)| name.as_str()).collect();
        names.into_iter()
    }

    /// What a name of its environment says: itself, or `NAME_FILE` by the file of a secret.
    pub(super) fn env(&self, name: &str) -> Option<String> {
        let itself = last(&self.environment, name).filter(|value| !value.is_empty());
        itself.or_else(|| {
            let file = last(&self.environment, &format!("{name}_FILE"))?;
            let secret = file.strip_prefix("/run/secrets/").unwrap_or(&file);
            last(&self.secrets, secret).or_else(|| last(&self.secrets, &file))
        })
    }

    /// The words of what it runs, those of a shell's command line among them.
    pub(super) fn command(&self) -> Vec<String> {
        let Some(command) = self.node("command") else { return Vec::new() };
        let words: Vec<String> = match &command.value {
            Value::List(items) => items.iter().map(scalar).collect(),
            _ => super::words::shell(&scalar(command)),
        };
        match words.iter().position(|word| word == "-c" || word == "-lc") {
            Some(at) if words[0].ends_with("sh") => {
                words[at + 1..].iter().flat_map(|word| super::words::shell(word)).collect()
            }
            _ => words,
        }
    }
}

/// A value as text, as it would stand in an environment.
pub(super) fn scalar(node: &Node) -> String {
    match &node.value {
        Value::Bool(value) => value.to_string(),
        _ => node.as_text().map(|text| text.into_owned()).unwrap_or_default(),
    }
}

/// The items of a list, or the one thing that stands in its place.
fn one_or_more(node: &Node) -> Vec<&Node> {
    match &node.value {
        Value::Null => Vec::new(),
        Value::List(items) => items.iter().collect(),
        _ => vec![node],
    }
}

fn is_map(node: &Node) -> bool {
    matches!(node.value, Value::Map(_))
}

fn last(pairs: &[(String, String)], name: &str) -> Option<String> {
    pairs.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}
