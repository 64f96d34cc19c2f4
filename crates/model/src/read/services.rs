//! The services of a document, as its routes look at them: which there are, and which of them answer requests.

use std::borrow::Cow;

use crate::check::{Problems, said};
use crate::kind::{Ability, Kinds};
use crate::suggest::{listed, nearest};
use crate::tree::Node;

/// Every service of a document.
pub(super) struct Services<'n>(Vec<Service<'n>>);

struct Service<'n> {
    name: &'n str,
    /// Its kind, where services of that kind answer no requests. What is wrong with a kind was noted before.
    mute: Option<Cow<'n, str>>,
}

impl<'n> Services<'n> {
    pub(super) fn of(services: Option<&'n Node>, kinds: &dyn Kinds) -> Self {
        let is_mute = |kind: &Cow<'_, str>| kinds.find(kind).is_some() && !kinds.can(kind, Ability::Http);
        let entries = services.map(Node::entries).unwrap_or_default();
        let service = entries.iter().map(|entry| Service {
            name: &entry.key,
            mute: said(&entry.node, "type").and_then(Node::as_text).filter(is_mute),
        });
        Services(service.collect())
    }

    /// Notes what is wrong with leading to this one.
    pub(super) fn check(&self, service: &Node, path: &str, problems: &mut Problems) {
        let Some(name) = service.as_text() else { return };
        let (message, suggestion) = match self.0.iter().find(|own| own.name == name) {
            None => (format!("`{name}` is not a service of this cluster"), self.meant(&name)),
            Some(Service { mute: Some(kind), .. }) => {
                let able = self.0.iter().filter(|own| own.mute.is_none()).map(|own| own.name);
                let (message, suggestion) = no_requests(&name, kind, able);
                (message, Some(suggestion))
            }
            Some(Service { mute: None, .. }) => return,
        };
        problems.at(service, path, message).suggestion = suggestion;
    }

    fn meant(&self, name: &str) -> Option<String> {
        let names = || self.0.iter().map(|own| own.name);
        match nearest(name, names()) {
            Some(meant) => Some(format!("did you mean `{meant}`?")),
            None if self.0.is_empty() => None,
            None => Some(format!("there are {}", listed(names()))),
        }
    }
}

/// That a route leads to a service of a kind that answers no requests, and what to write instead: one of those that do.
pub fn no_requests<'s>(name: &str, kind: &str, able: impl Iterator<Item = &'s str>) -> (String, String) {
    let message = format!("`{name}` is of type `{kind}`, which answers no HTTP requests");
    let able = listed(able);
    let suggestion = if able.is_empty() {
        "no service of this cluster does".to_owned()
    } else {
        format!("these do: {able}")
    };
    (message, suggestion)
}
