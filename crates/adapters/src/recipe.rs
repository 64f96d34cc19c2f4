//! What the recipes of kinds have in common: files, ends, and what a document may not say of a server that the gateway
//! runs. Each kind's recipe is in its own folder.

use std::time::Duration;

use model::check::Problems;
use model::recipe::{File, Run, Signal, Site, Stop, Within};
use model::tree::Node;
use model::{Secret, ServiceSpec};

use crate::tls;

/// What to do about a wish that a server which the gateway runs does not fulfil.
pub(crate) const ELSEWHERE: &str = "take it away; or start such servers yourself, and write their addresses";

/// Why a server that the gateway runs is not asked for TLS.
pub(crate) const NO_TLS: &str =
    "asks for TLS, which a server that the gateway runs on this machine does not speak";

/// Why a name of the environment is not taken.
pub(crate) const SAID_ELSEWHERE: &str =
    "is not taken here: `username`, `password` and `database` of the service say it";

/// The path of one of a recipe's files, as its program sees it.
pub(crate) fn path(site: &Site, name: &str) -> String {
    format!("{}/{name}", site.config)
}

pub(crate) fn file(name: &str, text: String) -> File {
    File { name: name.to_owned(), text: Secret::new(text) }
}

pub(crate) fn stop(signal: Signal, seconds: u64) -> Stop {
    Stop { signal, grace: Duration::from_secs(seconds) }
}

/// A script of the shell, with what it is told.
pub(crate) fn script<const N: usize>(text: &str, told: [&str; N]) -> Run {
    let args = words(["-c", text, "sh"]).into_iter().chain(words(told)).collect();
    Run { program: "sh".to_owned(), args, env: Vec::new() }
}

/// Where programs that stand beside the server reach it, listening as it does where the service says.
pub(crate) fn beside(service: &ServiceSpec, site: &Site) -> String {
    match (&site.within, service.bind()) {
        (Within::Process { .. }, bind) if !bind.is_unspecified() => bind.to_string(),
        (Within::Process { .. }, std::net::IpAddr::V6(_)) => "::1".to_owned(),
        _ => "127.0.0.1".to_owned(),
    }
}

/// The password of a settled service.
pub(crate) fn password(service: &ServiceSpec) -> Option<&str> {
    service.password.as_ref().map(Secret::reveal).filter(|password| !password.is_empty())
}

pub(crate) fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

pub(crate) fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Refuses `tls` of a service that the gateway runs.
pub(crate) fn check_tls(service: &Node, problems: &mut Problems) {
    if let Some(tls) = service.get(tls::TLS).filter(|_| tls::is_wanted(service)) {
        problems.at(tls, tls::TLS, NO_TLS).suggestion = Some(ELSEWHERE.to_owned());
    }
}

/// Refuses names of the environment that would change nothing, or the wrong thing: `why` says so of each.
pub(crate) fn check_env(service: &Node, why: impl Fn(&str) -> Option<&'static str>, problems: &mut Problems) {
    let env = service.get("run").and_then(|run| run.get("env")).map(Node::entries).unwrap_or_default();
    for entry in env {
        if let Some(message) = why(&entry.key) {
            problems.add(&format!("run.env.{}", entry.key), entry.key_at, message);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
