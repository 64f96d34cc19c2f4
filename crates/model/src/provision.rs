//! Services that the gateway runs: what a document says of that, how it is settled before anything starts, and what of
//! it cannot change once there are data. Who runs them is decided elsewhere.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::check::{Problem, Problems, step};
use crate::cluster::ClusterSpec;
use crate::cluster_fields::MEMORY;
use crate::kind::Kinds;
use crate::recipe::Runs;
use crate::secret::Secret;
use crate::service::{Provision, ServiceSpec};
use crate::size::Size;
use crate::tree::Place;

#[cfg(test)]
mod tests;

/// By what name clients of this machine reach what runs here.
const HERE: &str = "localhost";

/// How a service is run, as asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunSpec {
    /// The image, in place of that of its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Further environment of the program.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The most memory that it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// How many processors it may keep busy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// The address of this machine at which clients reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<IpAddr>,
}

impl RunSpec {
    /// The first of its keys that only a container can heed.
    #[must_use]
    pub fn needs_container(&self) -> Option<&'static str> {
        [("image", self.image.is_some()), (MEMORY, self.memory.is_some()), ("cpus", self.cpus.is_some())]
            .into_iter()
            .find_map(|(key, is_said)| is_said.then_some(key))
    }

    /// The most memory that it may have, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> Option<u64> {
        self.memory.map(|size| size.0)
    }
}

impl ServiceSpec {
    /// Whether the gateway runs it. What a document only implies is spelt out when it is read.
    #[must_use]
    pub fn is_provisioned(&self) -> bool {
        matches!(self.provision, Some(Provision::Asked(true) | Provision::By(_)))
    }

    /// What runs it, where that is said.
    #[must_use]
    pub fn provisioner(&self) -> Option<&str> {
        match &self.provision {
            Some(Provision::By(name)) => Some(name),
            Some(Provision::Asked(_)) | None => None,
        }
    }

    /// The address of this machine at which clients reach it, where the gateway runs it.
    #[must_use]
    pub fn bind(&self) -> IpAddr {
        self.run.as_ref().and_then(|run| run.bind).unwrap_or(Ipv4Addr::LOCALHOST.into())
    }
}

/// A service that the gateway is to run, with all that it leaves open: this is what its cluster's file says before
/// anything starts, so that it is found again with the same port, secret and data. What it says already stays.
#[must_use]
pub fn settle(
    runs: Runs,
    asked: &ServiceSpec,
    provisioner: &str,
    port: u16,
    password: Secret,
) -> ServiceSpec {
    let mut settled = asked.clone();
    let is_empty = |text: &Option<String>| text.as_deref().is_none_or(str::is_empty);
    settled.provision = Some(Provision::By(provisioner.to_owned()));
    settled.host = Some(HERE.to_owned());
    settled.port = Some(port);
    if let Some(name) = runs.username.filter(|_| is_empty(&asked.username)) {
        settled.username = Some(name.to_owned());
    }
    if let Some(name) = runs.database.filter(|_| is_empty(&asked.database)) {
        settled.database = Some(name.to_owned());
    }
    if runs.password && asked.password.as_ref().is_none_or(|password| password.reveal().is_empty()) {
        settled.password = Some(password);
    }
    settled
}

/// Lets each service that is run already, and is to be run further, keep what was settled of it and its new document
/// does not say.
pub fn keep_settled(new: &mut ClusterSpec, old: &ClusterSpec) {
    for (name, service) in new.services.iter_mut().filter(|(_, service)| service.is_provisioned()) {
        let run = old.service(name).filter(|old| old.is_provisioned() && old.kind == service.kind);
        let Some(old) = run else { continue };
        if service.provisioner().is_none() {
            service.provision.clone_from(&old.provision);
        }
        if service.host.is_none() {
            service.host.clone_from(&old.host);
            service.port = service.port.or(old.port);
        }
        keep(&mut service.username, old.username.as_ref());
        keep(&mut service.password, old.password.as_ref());
        keep(&mut service.database, old.database.as_ref());
    }
}

fn keep<T: Clone>(new: &mut Option<T>, old: Option<&T>) {
    if new.is_none() {
        *new = old.cloned();
    }
}

/// What cannot become of services that the gateway runs, since their data were made otherwise; what is not said of them
/// stays, as [`keep_settled`] has it. Masks are gone. A service that goes, or is somewhere else from now on, is nobody's
/// problem here.
#[must_use]
pub fn provision_conflicts(old: &ClusterSpec, new: &ClusterSpec, kinds: &dyn Kinds) -> Vec<Problem> {
    let mut problems = Problems::default();
    for (name, service) in &new.services {
        if let Some(old) = old.service(name).filter(|old| old.is_provisioned()) {
            problems.within(&step("services", name), |problems| conflicts(old, service, kinds, problems));
        }
    }
    problems.into_vec()
}

fn conflicts(old: &ServiceSpec, new: &ServiceSpec, kinds: &dyn Kinds, problems: &mut Problems) {
    let mut refuse = |key: &str, message: String| {
        problems.add(key, Place::default(), message).suggestion =
            Some("leave it as it was; or delete the service, with its data, and make it anew".to_owned());
    };
    if old.kind != new.kind {
        let message = format!("cannot change: the gateway runs a `{}` with data under this name", old.kind);
        return refuse("type", message);
    }
    if !new.is_provisioned() {
        return;
    }
    if let (Some(by), Some(other)) = (old.provisioner(), new.provisioner())
        && by != other
    {
        refuse("provision", format!("cannot change: its data are kept by `{by}`, where `{other}` has none"));
    }
    for key in made_otherwise(old, new, kinds) {
        refuse(key, "cannot change: the server's data were made with what it was".to_owned());
    }
}

/// What cannot become of a new service whose name has data that were kept: they were made for one that was like this, and are
/// with whoever is to run the new one. `instead` says how to go on.
#[must_use]
pub fn kept_conflicts(
    kept: &ServiceSpec,
    new: &ServiceSpec,
    name: &str,
    instead: &str,
    kinds: &dyn Kinds,
) -> Vec<Problem> {
    let mut problems = Problems::default();
    let mut refuse = |key: &str, message: String| {
        let path = step(&step("services", name), key);
        problems.add(&path, Place::default(), message).suggestion = Some(instead.to_owned());
    };
    if kept.kind == new.kind {
        for key in made_otherwise(kept, new, kinds) {
            refuse(key, "is not what the data that are kept under this name were made with".to_owned());
        }
    } else {
        refuse(
            "type",
            format!("cannot be `{}`: data of a `{}` are kept under this name", new.kind, kept.kind),
        );
    }
    problems.into_vec()
}

/// The keys that say something else than what data were made with, and hold from then on.
fn made_otherwise(
    with: &ServiceSpec,
    asked: &ServiceSpec,
    kinds: &dyn Kinds,
) -> impl Iterator<Item = &'static str> {
    let kept = kinds.find(&with.kind).and_then(|kind| kind.runs()).map_or(&[][..], |runs| runs.kept);
    let differs = |key: &&str| match *key {
        "username" => asked.username.is_some() && with.username != asked.username,
        "password" => asked.password.is_some() && with.password != asked.password,
        "database" => asked.database.is_some() && with.database != asked.database,
        _ => false,
    };
    kept.iter().copied().filter(differs)
}
