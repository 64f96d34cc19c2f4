//! What there is: of one service, and in all.

use std::collections::{BTreeMap, HashMap};

use bollard::models::ContainerStateStatusEnum as Status;
use bollard::query_parameters::ListContainersOptions;
use model::Failure;

use crate::docker::container::{self, Seen};
use crate::docker::engine::Engine;
use crate::docker::names::{Labels, Owner, SERVICE};
use crate::docker::volume;
use crate::docker::wrong::asked;
use crate::{Found, Name, State};

/// What there is of a service.
pub(super) async fn one(engine: &Engine, own: Option<&str>, name: &Name) -> Result<Option<Found>, Failure> {
    let volume = volume::owner(engine, name).await?;
    let has_data = volume.is_some();
    Ok(match container::look(engine, name).await? {
        Some(seen) => Some(running(engine, own, seen, has_data)),
        None => volume.map(only_data),
    })
}

/// All that any gateway has made.
pub(super) async fn all(engine: &Engine, own: Option<&str>) -> Result<Vec<Found>, Failure> {
    let data = volume::owners(engine).await?;
    let mut found: BTreeMap<Name, Found> =
        data.into_iter().map(|owner| (owner.name.clone(), only_data(owner))).collect();
    let ours = HashMap::from([("label".to_owned(), vec![SERVICE.to_owned()])]);
    let ask = ListContainersOptions { all: true, filters: Some(ours), ..ListContainersOptions::default() };
    let listed = engine.ask().list_containers(Some(ask)).await.map_err(asked(engine, "list containers"))?;
    for summary in listed {
        let labels: Labels = summary.labels.unwrap_or_default();
        let Some(Owner { name, .. }) = Owner::of(&labels) else { continue };
        // A list does not say how often one was started again. What is gone by now is not there.
        if let Some(seen) = container::look(engine, &name).await? {
            let has_data = found.contains_key(&name);
            found.insert(name, running(engine, own, seen, has_data));
        }
    }
    Ok(found.into_values().collect())
}

fn only_data(owner: Owner) -> Found {
    Found {
        name: owner.name,
        gateway: owner.gateway,
        operation: owner.operation,
        id: String::new(),
        state: State::Absent,
        has_data: true,
        port: None,
        at: None,
    }
}

fn running(engine: &Engine, own: Option<&str>, seen: Seen, has_data: bool) -> Found {
    let state = state(&seen);
    let at = seen.published.as_ref().and_then(|(bind, port)| {
        let network_port = seen.network_port?;
        Some(engine.reached(own, &seen.owner.name, bind.parse().ok()?, *port, network_port))
    });
    Found {
        state,
        has_data,
        port: seen.published.map(|(_, port)| port),
        at,
        id: seen.id,
        name: seen.owner.name,
        gateway: seen.owner.gateway,
        operation: seen.owner.operation,
    }
}

fn state(seen: &Seen) -> State {
    let code = seen.state.exit_code;
    match seen.state.status {
        Some(Status::RUNNING | Status::STOPPING) => State::Running,
        // Somebody has frozen it. It answers nobody until it is started.
        Some(Status::PAUSED | Status::CREATED) => State::Stopped,
        Some(Status::RESTARTING) => State::Restarting { code, count: seen.restarts },
        // The engine starts it again by itself unless somebody has stopped it, or it could not be started at all.
        Some(Status::EXITED) if seen.stays && seen.state.error.as_deref().unwrap_or_default().is_empty() => {
            State::Stopped
        }
        Some(Status::EXITED | Status::DEAD) => State::Ended { code },
        Some(Status::REMOVING | Status::EMPTY) | None => State::Absent,
    }
}
