//! A port that somebody else has: who, and which one is free.

use std::collections::HashMap;

use bollard::errors::Error;
use bollard::query_parameters::ListContainersOptions;
use model::{Code, Failure};

use crate::Work;
use crate::docker::engine::Engine;
use crate::docker::names;

/// Whether these words of an engine mean that a port is taken.
pub(super) fn is_meant(said: &str) -> bool {
    ["port is already allocated", "address already in use", "ports are not available"]
        .iter()
        .any(|words| said.contains(words))
}

/// Says who has it and what else could be had, as far as that can be found out.
pub(super) async fn failure(engine: &Engine, work: &Work, inside: bool, error: Error) -> Failure {
    let Work { bind, port, .. } = work;
    // The machine's ports are seen from the machine alone.
    let sees_ports = engine.is_here() && !inside;
    let by = match container(engine, work).await {
        Some(container) => format!(" by the container `{container}`"),
        None => match sees_ports.then(|| crate::holder(*port)).flatten() {
            Some(holder) => format!(" by {holder}"),
            None => String::new(),
        },
    };
    let called = names::container(&work.name);
    let detail = format!("The container `{called}` did not start: port {port} of {bind} is taken{by}.");
    let next = port.checked_add(1).filter(|_| sees_ports).and_then(|next| crate::free(*bind, next).ok());
    let hint = match next {
        Some(next) => format!("End what has it, or give the service another `port`: {next} is free."),
        None => "End what has it, or give the service another `port`.".to_owned(),
    };
    Failure::gateway(Code::Conflict, detail).with_hint(hint).with_cause(error)
}

/// The container that publishes the port, where one does and is not the work's own.
async fn container(engine: &Engine, work: &Work) -> Option<String> {
    let published = HashMap::from([("publish".to_owned(), vec![format!("{}/tcp", work.port)])]);
    let ask = ListContainersOptions { filters: Some(published), ..ListContainersOptions::default() };
    let own = names::container(&work.name);
    // Without an answer it is found out another way, or not at all: the port is taken either way.
    let listed = engine.ask().list_containers(Some(ask)).await.ok()?;
    let names = listed.into_iter().filter_map(|container| container.names?.into_iter().next());
    names.map(|name| name.trim_start_matches('/').to_owned()).find(|name| *name != own)
}
