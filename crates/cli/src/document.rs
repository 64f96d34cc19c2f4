//! Files that are sent to a gateway: read as YAML, of which JSON is a part, and told apart by their keys.

use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};

use model::tree::Node;
use serde_json::Value;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::session::Session;

/// No document of ours is longer; whatever is, is not one.
const LONGEST: u64 = 4 * 1024 * 1024;

/// A document and where it came from.
pub(crate) struct Document {
    /// As it is named in faults.
    pub(crate) name: String,
    path: Option<PathBuf>,
    tree: Node,
}

/// What a document describes.
pub(crate) enum Content {
    /// A cluster, with its id.
    Cluster(String, Value),
    /// Routes, each with an id.
    Routes(Vec<Value>),
}

/// Reads a file, or standard input for `-`.
pub(crate) fn read(session: &mut Session<'_>, file: &str) -> Result<Document, Fault> {
    let mut text = String::new();
    let (name, path, read) = if file == "-" {
        let read = (&mut *session.terminal.input).take(LONGEST + 1).read_to_string(&mut text);
        ("standard input".to_owned(), None, read)
    } else {
        let opened = std::fs::File::open(file);
        let read = opened.and_then(|opened| opened.take(LONGEST + 1).read_to_string(&mut text));
        (file.to_owned(), Some(PathBuf::from(file)), read)
    };
    if let Err(error) = read {
        let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
        return Err(Fault::new(exit, format!("cannot read {name}")).why(error.to_string()));
    }
    if text.len() as u64 > LONGEST {
        return Err(Fault::new(Exit::Invalid, format!("{name} is longer than 4 MiB")));
    }
    parse(name, path, &text)
}

/// A document that was read already.
pub(crate) fn parse(name: String, path: Option<PathBuf>, text: &str) -> Result<Document, Fault> {
    let tree = model::yaml::parse(text).map_err(|mut problems| {
        for problem in &mut problems {
            problem.file = Some(name.clone());
        }
        Fault::invalid(format!("{name} cannot be read"), &problems)
    })?;
    if tree.entries().is_empty() {
        return Err(Fault::new(Exit::Invalid, format!("{name} has no keys")));
    }
    Ok(Document { name, path, tree })
}

impl Document {
    /// Its body, without what a gateway adds when it shows one: what `get -o yaml` printed can be applied.
    pub(crate) fn json(&self) -> Value {
        let mut body = self.tree.to_json();
        if let Some(fields) = body.as_object_mut() {
            fields.retain(|name, _| !["healthy", "status", "owner"].contains(&name.as_str()));
            if fields.contains_key("cluster_id") {
                fields.shift_remove("id");
            }
        }
        body
    }

    /// What it describes.
    pub(crate) fn content(&self) -> Result<Content, Fault> {
        let has = |key: &str| self.tree.get(key).is_some();
        if ["server", "gateway", "proxy", "logging", "monitoring"].into_iter().any(has) {
            return Err(Fault::new(Exit::Invalid, format!("{} is a gateway's file", self.name))
                .why("a gateway reads its own file when it starts; only clusters and routes are applied")
                .fix("give it to `throome serve --config`, or check it with `throome validate`"));
        }
        if has("routes") && !["services", "config", "cluster_id", "id", "name"].into_iter().any(has) {
            return self.routes();
        }
        let mut spec = self.json();
        let id = spec["cluster_id"].as_str().or(spec["id"].as_str()).map(str::to_owned);
        let Some(id) = id.or_else(|| self.directory()) else {
            return Err(Fault::new(Exit::Invalid, format!("{} does not say which cluster it is", self.name))
                .fix("add `cluster_id: …` to it"));
        };
        spec["cluster_id"] = Value::String(id.clone());
        Ok(Content::Cluster(id, spec))
    }

    fn routes(&self) -> Result<Content, Fault> {
        let Value::Array(routes) = self.json()["routes"].take() else {
            return Err(Fault::new(Exit::Invalid, format!("`routes` of {} is not a list", self.name)));
        };
        let mut routes = routes;
        for fields in routes.iter_mut().filter_map(Value::as_object_mut) {
            fields.shift_remove("owner");
        }
        if let Some(nameless) = routes.iter().position(|route| route["id"].as_str().is_none()) {
            let place = self.place(&format!("routes[{nameless}]"));
            return Err(Fault::new(Exit::Invalid, "a route without an id cannot be applied twice")
                .places(vec![format!("{place}has no `id`")])
                .fix("give each route an `id`"));
        }
        Ok(Content::Routes(routes))
    }

    /// As in a clusters directory, `<id>/config.yaml` is named by its directory.
    fn directory(&self) -> Option<String> {
        let path = std::path::absolute(self.path.as_deref()?).ok()?;
        if path.file_stem()? != "config" {
            return None;
        }
        path.parent().and_then(Path::file_name)?.to_str().map(str::to_owned)
    }

    /// A gateway's refusal, its places told with this document's lines.
    pub(crate) fn locate(&self, error: sdk::Error) -> Fault {
        let places: Vec<String> = error
            .fields()
            .iter()
            .map(|field| {
                let mut line = format!("{}{}", self.place(&field.path), field.message);
                if let Some(suggestion) = &field.suggestion {
                    let _ = write!(line, " ({suggestion})");
                }
                line
            })
            .collect();
        Fault::from(error).places(places)
    }

    /// `shop.yaml:12:3: services.cache.port: ` as far as the path leads into the document.
    fn place(&self, path: &str) -> String {
        let mut node = &self.tree;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match step.strip_suffix(']') {
                Some(index) => index.parse().ok().and_then(|index: usize| node.items().get(index)),
                None => node.get(step),
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        let separator = if path.is_empty() { "" } else { ": " };
        format!("{}:{}:{}: {path}{separator}", self.name, node.at.line, node.at.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        parse("shop.yaml".to_owned(), Some(PathBuf::from("/etc/shop/config.yaml")), text).unwrap()
    }

    #[test]
    fn documents_are_told_apart() {
        let cluster = |text| match document(text).content() {
            Ok(Content::Cluster(id, spec)) => format!("{id} {}", spec["cluster_id"]),
            Ok(Content::Routes(routes)) => format!("{} routes", routes.len()),
            Err(fault) => format!("{:?}", fault.exit()),
        };
        for (text, expected) in [
            ("cluster_id: a\nservices: {}\n", "a \"a\""),
            ("services: {}\nroutes: []\n", "shop \"shop\""),
            ("routes: [{id: r, path: /}]\n", "1 routes"),
            ("routes: [{path: /}]\n", "Invalid"),
            ("server: {port: 1}\n", "Invalid"),
        ] {
            assert_eq!(cluster(text), expected, "{text}");
        }
    }

    #[test]
    fn paths_lead_to_lines() {
        let document = document("services:\n  cache:\n    port: no\nroutes:\n  - {id: a}\n  - {id: b}\n");
        for (path, place) in [
            ("services.cache.port", "shop.yaml:3:11: services.cache.port: "),
            ("services.cache.host", "shop.yaml:3:5: services.cache.host: "),
            ("routes[1].path", "shop.yaml:6:5: routes[1].path: "),
            ("", "shop.yaml:1:1: "),
        ] {
            assert_eq!(document.place(path), place);
        }
    }
}
