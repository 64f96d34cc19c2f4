//! A Compose file as a cluster: what of it the gateway can run or stand before, and what is left out, each with its
//! reason. Pure: files and environment are handed in, and nobody is talked to.

mod compose;
mod draw;
mod engine;
mod known;
mod ports;
mod variables;
mod web;
mod words;

#[cfg(test)]
mod tests;

use model::Problem;
use serde_json::{Map, Value, json};

pub(crate) use compose::Around;

use crate::import::compose::Service;

/// A cluster that was read out of a Compose file.
#[derive(Debug)]
pub(crate) struct Imported {
    /// The cluster's id, made from the project's name.
    pub(crate) id: String,
    /// Its file, with what was left out as comments.
    pub(crate) text: String,
    /// The names of its services.
    pub(crate) services: Vec<String>,
    /// What was left out or is otherwise than there: a sentence each.
    pub(crate) notes: Vec<String>,
}

/// What has been made so far.
struct Cluster {
    services: Map<String, Value>,
    notes: Vec<String>,
}

impl Cluster {
    /// Notes something of a service.
    fn note(&mut self, service: &str, words: impl AsRef<str>) {
        self.notes.push(words::one_line(&format!("{service}: {}", words.as_ref())));
    }
}

/// Reads a Compose file.
///
/// # Errors
/// All that is wrong with it, each with its place.
pub(crate) fn compose(text: &str, around: &Around<'_>) -> Result<Imported, Vec<Problem>> {
    let project = compose::read(text, around)?;
    let mut cluster = Cluster { services: Map::new(), notes: project.notes };
    for service in &project.services {
        take(service, around, &mut cluster);
    }
    let id = words::cluster_id(&project.name);
    let names: Vec<String> = cluster.services.keys().cloned().collect();
    let mut document = json!({ "cluster_id": id });
    if id != project.name {
        document["name"] = project.name.chars().take(64).collect::<String>().into();
    }
    document["services"] = Value::Object(cluster.services);
    let text = draw::draw(around.file, &document, &cluster.notes);
    Ok(Imported { id, text, services: names, notes: cluster.notes })
}

/// Decides what becomes of one service.
fn take(service: &Service, around: &Around<'_>, cluster: &mut Cluster) {
    let profiles = service.profiles();
    let wanted = |profile: &String| around.profiles.iter().any(|one| one == "*" || one == profile);
    if !profiles.is_empty() && !profiles.iter().any(wanted) {
        let named = profiles.join("`, `");
        cluster.note(
            &service.name,
            format!("left out: it belongs to the profile `{named}`, which --profile would name"),
        );
        return;
    }
    let name = words::service_name(&service.name, |name| cluster.services.contains_key(name));
    if name != service.name {
        cluster.note(&service.name, format!("is called `{name}` here, where names are of a-z, 0-9, - and _"));
    }
    let image = service.image();
    let known = image.as_deref().filter(|_| service.node("build").is_none()).and_then(known::find);
    let made = match known {
        Some(known) => Some(engine::make(service, known, cluster)),
        None => web::make(service, image.as_deref(), cluster),
    };
    if let Some(made) = made {
        cluster.services.insert(name, made);
    }
}
