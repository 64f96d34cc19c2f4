//! Whether a service is run by the gateway or connected to, and the rules of one that is run. What only its kind knows
//! of that, such as a mode that takes several servers, the kind's own check says.

use super::service::{NEVER_ASKED, RUN, said_endpoints};
use super::walk::Walk;
use super::{said, step};
use crate::cluster_fields::MEMORY;
use crate::kind::KindCheck;
use crate::size::Size;
use crate::tree::{Entry, Node, Value};

/// Hosts beside which `provision` means "publish it there".
const OF_THIS_MACHINE: [&str; 2] = ["localhost", "host.docker.internal"];

/// Keys of `run` that only a container can heed.
const OF_A_CONTAINER: [&str; 3] = ["image", MEMORY, "cpus"];

/// The least memory that an engine gives to a container.
const LEAST_MEMORY: Size = Size(6 << 20);

/// Whether a service's document asks the gateway to run it: it has no address, or one of this machine with `provision`
/// beside it. Means something only for a kind that can be run.
#[must_use]
pub fn is_provisioned(service: &Node) -> bool {
    let provision = said(service, "provision");
    let is_refused = provision.is_some_and(|value| value.value == Value::Bool(false));
    match said(service, "host") {
        None => said_endpoints(service).is_none() && !is_refused,
        Some(host) => {
            let is_here = host.as_text().is_some_and(|host| OF_THIS_MACHINE.contains(&host.as_ref()));
            let is_one = said(service, "port").is_some() && said_endpoints(service).is_none();
            provision.is_some() && !is_refused && is_here && is_one
        }
    }
}

impl Walk<'_> {
    /// Whether a service that is not run by the gateway can be connected to; all else is noted.
    pub(super) fn is_connected_to(&mut self, node: &Node, kind: &dyn KindCheck, path: &str) -> bool {
        let (host, endpoints) = (said(node, "host"), said_endpoints(node));
        if host.is_none() && endpoints.is_none() {
            self.problems.at(node, path, "needs a `host` or `endpoints`, since `provision` is false");
            return false;
        }
        if let Some(asked) = said(node, "provision").filter(|value| value.value != Value::Bool(false)) {
            let address = if endpoints.is_some() { "endpoints" } else { "host" };
            let message = format!("contradicts `{address}`: a service that has an address is connected to");
            self.problems.at(asked, &step(path, "provision"), message).suggestion =
                Some("take `provision` away, or the address".to_owned());
            return false;
        }
        if kind.runs().is_none() {
            self.refuse(node, &[RUN], kind, "is not run by the gateway", path);
        } else if let Some(run) = said(node, RUN) {
            let message = "says how the gateway runs it; a service that has an address is connected to";
            self.problems.at(run, &step(path, RUN), message).suggestion =
                Some("take `run` away, or the address".to_owned());
        }
        true
    }

    /// A service that the gateway is to run.
    pub(super) fn provisioned(&mut self, node: &Node, kind: &dyn KindCheck, path: &str) {
        if kind.runs().is_none() {
            let (at, inner, begins) = match said(node, "provision") {
                Some(asked) => (asked, step(path, "provision"), "asks the gateway to run it"),
                None => (node, path.to_owned(), "has no `host`"),
            };
            let message = format!("{begins}, and `{}` services are not run by the gateway", kind.name());
            self.problems.at(at, &inner, message).suggestion =
                Some("start it yourself, and write its `host` and `port`".to_owned());
            return self.refuse(node, &[RUN], kind, "is not run by the gateway", path);
        }
        if let Some(replicas) = said(node, "replicas").filter(|list| !list.items().is_empty()) {
            let message = "stand beside a service that the gateway runs, which is one server";
            self.problems.at(replicas, &step(path, "replicas"), message).suggestion =
                Some("take them away, or start the servers yourself and write their addresses".to_owned());
        }
        if said(node, "weight").is_some_and(|weight| weight.value == Value::Int(0)) {
            self.problems.at(node, path, NEVER_ASKED);
        }
        for key in ["username", "password", "database"] {
            if let Some(value) = said(node, key)
                && value.as_text().is_some_and(|text| text.contains(char::is_control))
            {
                let message = "holds a control character, which the server's own files have no room for";
                self.problems.at(value, &step(path, key), message);
            }
        }
        if let Some(run) = said(node, RUN) {
            self.run(node, run, &step(path, RUN));
        }
    }

    /// No two of these services that the gateway is to run can be at one port of this machine: all of them are at its
    /// loopback address, also those that others reach.
    pub(super) fn ports(&mut self, services: &[Entry], path: &str) {
        let mut taken: Vec<(i64, &str)> = Vec::new();
        for Entry { key, node, .. } in services {
            let Some((port, at)) = self.published(node) else { continue };
            if let Some((_, other)) = taken.iter().find(|(taken, _)| *taken == port) {
                let message = format!("is that of `{other}`, which the gateway runs too");
                self.problems.at(at, &step(&step(path, key), "port"), message).suggestion =
                    Some("write another one; without `port` the gateway takes one that is free".to_owned());
            }
            taken.push((port, key));
        }
    }

    /// The port of this machine that a service which the gateway runs is to have, and where that is said.
    fn published<'n>(&self, service: &'n Node) -> Option<(i64, &'n Node)> {
        let kind = self.kinds.find(said(service, "type")?.as_str()?)?;
        kind.runs().filter(|_| is_provisioned(service))?;
        let at = said(service, "port")?;
        let Value::Int(port) = at.value else { return None };
        Some((port, at))
    }

    /// What the table cannot say of `run`.
    fn run(&mut self, node: &Node, run: &Node, path: &str) {
        if said(node, "provision").and_then(Node::as_str) == Some("process") {
            for key in OF_A_CONTAINER {
                if let Some(value) = said(run, key) {
                    let message = "is of a container, and a process has none";
                    self.problems.at(value, &step(path, key), message).suggestion =
                        Some("take it away, or write `provision: docker`".to_owned());
                }
            }
        }
        if let Some(image) = said(run, "image")
            && !image.as_text().is_some_and(|text| is_image(&text))
        {
            self.problems.at(image, &step(path, "image"), "is not the name of an image").suggestion =
                Some("write it as `registry.example/name:tag`".to_owned());
        }
        if let Some(memory) = said(run, MEMORY)
            && let Some(text) = memory.as_text()
        {
            let message = match text.parse::<Size>() {
                Err(message) => message,
                Ok(size) if size < LEAST_MEMORY => format!("must be at least `{LEAST_MEMORY}`"),
                Ok(_) => String::new(),
            };
            if !message.is_empty() {
                self.problems.at(memory, &step(path, MEMORY), message);
            }
        }
        for entry in said(run, "env").map(Node::entries).unwrap_or_default() {
            let path = step(&step(path, "env"), &entry.key);
            if !is_of_environment(&entry.key) {
                let message = "is not a name of the environment: letters, digits and `_`, not a digit first";
                self.problems.add(&path, entry.key_at, message);
            } else if entry.node.as_text().is_some_and(|text| text.contains('\0')) {
                self.problems.at(&entry.node, &path, "holds a NUL character, which no environment can");
            }
        }
    }
}

/// Whether an engine could look for it; whether it is there, the engine says.
fn is_image(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | ':' | '@' | '_' | '-'))
}

fn is_of_environment(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
