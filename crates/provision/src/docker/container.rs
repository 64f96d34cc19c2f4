//! One container: made from the work, started, ended, removed.

use std::collections::HashMap;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerState, EndpointSettings, HostConfig,
    HostConfigLogConfig, Mount, MountType, MountVolumeOptions, NetworkingConfig, PortBinding, RestartPolicy,
    RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptions, RemoveContainerOptions, StopContainerOptions, UploadToContainerOptions,
};
use model::Failure;
use model::recipe::Signal;

use crate::docker::engine::Engine;
use crate::docker::names::{self, Labels, NETWORK_PORT, Owner, RECIPE};
use crate::docker::wrong::{self, asked, or_none, said, status};
use crate::docker::{Maker, Stopped, archive, compare, taken};
use crate::{Name, Work};

/// The directory of a recipe's files.
pub(super) const CONFIG: &str = "/throome";

/// How long an engine may take to start a container, and to let one go.
const SLOW: Duration = Duration::from_secs(120);

/// How much of a log an engine's files keep, and in how many.
const LOG_SIZE: &str = "8m";
const LOG_FILES: &str = "3";

/// A container of ours, as it was seen.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) id: String,
    /// Whose it is.
    pub(super) owner: Owner,
    /// The fingerprint of what it runs.
    pub(super) recipe: String,
    /// How it is.
    pub(super) state: ContainerState,
    /// How often it was started again.
    pub(super) restarts: u64,
    /// Whether it is started again when it ends by itself.
    pub(super) stays: bool,
    /// How long it may take to end.
    pub(super) grace: Duration,
    /// Where it is published.
    pub(super) published: Option<(String, u16)>,
    /// The port at which it listens for its network.
    pub(super) network_port: Option<u16>,
}

/// The container of a service, for whoever needs its name: one that is not the service's is an error.
pub(super) async fn inspect(engine: &Engine, name: &Name) -> Result<Option<Seen>, Failure> {
    let called = names::container(name);
    let Some(found) = ask(engine, &called).await? else { return Ok(None) };
    match Seen::of(found) {
        Some(seen) if seen.owner.name == *name => Ok(Some(seen)),
        Some(Seen { owner: Owner { name, .. }, .. }) => {
            Err(wrong::of_another_service("container", &called, &name.cluster, &name.service))
        }
        None => Err(wrong::of_a_stranger("container", &called)),
    }
}

/// The container of a service, where there is one of its own.
pub(super) async fn look(engine: &Engine, name: &Name) -> Result<Option<Seen>, Failure> {
    let found = ask(engine, &names::container(name)).await?;
    Ok(found.and_then(Seen::of).filter(|seen| seen.owner.name == *name))
}

async fn ask(engine: &Engine, called: &str) -> Result<Option<ContainerInspectResponse>, Failure> {
    let found = or_none(engine.ask().inspect_container(called, None).await)
        .map_err(asked(engine, format!("look at the container `{called}`")))?;
    // The engine also finds containers by how their ids begin.
    Ok(found.filter(|found| found.name.as_deref().map(|name| name.trim_start_matches('/')) == Some(called)))
}

impl Seen {
    fn of(found: ContainerInspectResponse) -> Option<Seen> {
        let config = found.config.unwrap_or_default();
        let host = found.host_config.unwrap_or_default();
        let labels = config.labels.unwrap_or_default();
        let of_port = |binding: PortBinding| {
            Some((binding.host_ip.unwrap_or_default(), binding.host_port?.parse().ok()?))
        };
        let bindings = host.port_bindings.unwrap_or_default().into_values();
        Some(Seen {
            id: found.id?,
            owner: Owner::of(&labels)?,
            recipe: labels.get(RECIPE).cloned().unwrap_or_default(),
            state: found.state.unwrap_or_default(),
            restarts: found.restart_count.and_then(|count| count.try_into().ok()).unwrap_or(0),
            stays: host.restart_policy.and_then(|policy| policy.name)
                == Some(RestartPolicyNameEnum::UNLESS_STOPPED),
            grace: Duration::from_secs(
                config.stop_timeout.and_then(|seconds| seconds.try_into().ok()).unwrap_or(10),
            ),
            published: bindings.flatten().flatten().find_map(of_port),
            network_port: labels.get(NETWORK_PORT).and_then(|port| port.parse().ok()),
        })
    }
}

/// Makes the container in a network that is there, said by its id. It does not run yet. The container's id.
pub(super) async fn create(
    engine: &Engine,
    work: &Work,
    network: &str,
    maker: &Maker<'_>,
) -> Result<String, Stopped> {
    let called = names::container(&work.name);
    let mut body = body(work, network, maker.gateway);
    if let Some(host) = &mut body.host_config {
        host.log_config = log_config(engine).await?;
    }
    let options = CreateContainerOptions { name: Some(called.clone()), ..CreateContainerOptions::default() };
    let client = engine.wait(SLOW);
    // What it is made of is large, and would be so in the future of everyone who waits.
    let ask = Box::pin(async move { client.create_container(Some(options), body).await });
    match maker.making.whole(ask).await {
        Ok(made) => Ok(made.id),
        // Somebody has made one of that name meanwhile.
        Err(error) if status(&error) == Some(409) => Err(Stopped::Again),
        Err(error) if is_without_network(&error) => Err(Stopped::Again),
        Err(error) => Err(asked(engine, format!("create the container `{called}`"))(error).into()),
    }
}

fn body(work: &Work, network: &str, gateway: &str) -> ContainerCreateBody {
    let Work { recipe, .. } = work;
    let inner = format!("{}/tcp", recipe.port);
    let binding =
        PortBinding { host_ip: Some(work.bind.to_string()), host_port: Some(work.port.to_string()) };
    let mut labels: Labels = names::labels(work, gateway);
    labels.insert(RECIPE.to_owned(), compare::fingerprint(work));
    labels.insert(NETWORK_PORT.to_owned(), recipe.network_port.to_string());
    let memory = work.memory.and_then(|bytes| bytes.try_into().ok());
    let volume = Mount {
        typ: Some(MountType::VOLUME),
        source: Some(names::volume(&work.name)),
        target: Some(recipe.data.clone()),
        // Where it has gone meanwhile the engine makes it anew: it is ours all the same.
        volume_options: Some(MountVolumeOptions {
            labels: Some(names::labels(work, gateway)),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    };
    ContainerCreateBody {
        image: Some(work.image().to_owned()),
        cmd: Some(command(work)).filter(|words| !words.is_empty()),
        env: Some(environment(work)),
        labels: Some(labels),
        exposed_ports: Some(vec![inner.clone()]),
        stop_signal: Some(signal(recipe.stop.signal).to_owned()),
        stop_timeout: recipe.stop.grace.as_secs().try_into().ok(),
        host_config: Some(HostConfig {
            mounts: Some(vec![volume]).filter(|_| !recipe.data.is_empty()),
            network_mode: Some(network.to_owned()),
            port_bindings: Some(HashMap::from([(inner, Some(vec![binding]))])),
            // What it may have is what it may have: without this, as much again in swap.
            memory_swap: memory,
            memory,
            nano_cpus: work.cpus.map(nano),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                maximum_retry_count: None,
            }),
            ..HostConfig::default()
        }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network.to_owned(), EndpointSettings::default())])),
        }),
        ..ContainerCreateBody::default()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a machine has fewer than nine thousand million processors"
)]
fn nano(cpus: f64) -> i64 {
    (cpus * 1e9).round() as i64
}

fn command(work: &Work) -> Vec<String> {
    let run = &work.recipe.run;
    let program = Some(run.program.clone()).filter(|program| !program.is_empty());
    program.into_iter().chain(run.args.iter().cloned()).collect()
}

/// The recipe's environment, and over it the service's.
pub(super) fn environment(work: &Work) -> Vec<String> {
    let said = |key: &str| work.env.iter().any(|(name, _)| name == key);
    let ours = work.recipe.run.env.iter().filter(|(key, _)| !said(key));
    ours.chain(&work.env).map(|(key, value)| format!("{key}={value}")).collect()
}

fn signal(signal: Signal) -> &'static str {
    match signal {
        Signal::Term => "SIGTERM",
        Signal::Int => "SIGINT",
    }
}

/// An engine's own files grow for ever unless they are told not to. Other drivers have rules of their own.
async fn log_config(engine: &Engine) -> Result<Option<HostConfigLogConfig>, Failure> {
    let info = engine.ask().info().await.map_err(asked(engine, "say how it keeps logs"))?;
    let driver = info.logging_driver.filter(|driver| matches!(driver.as_str(), "json-file" | "local"));
    Ok(driver.map(|driver| HostConfigLogConfig {
        typ: Some(driver),
        config: Some(HashMap::from([
            ("max-size".to_owned(), LOG_SIZE.to_owned()),
            ("max-file".to_owned(), LOG_FILES.to_owned()),
        ])),
    }))
}

/// Puts the recipe's files into it, over those that are there.
pub(super) async fn upload(engine: &Engine, id: &str, work: &Work) -> Result<(), Failure> {
    if work.recipe.files.is_empty() {
        return Ok(());
    }
    let tar = archive::pack(CONFIG.trim_start_matches('/'), &work.recipe.files)?;
    let options = UploadToContainerOptions { path: "/".to_owned(), ..UploadToContainerOptions::default() };
    let sent = engine.ask().upload_to_container(id, Some(options), bollard::body_full(tar.into())).await;
    let called = names::container(&work.name);
    sent.map_err(asked(engine, format!("put files into the container `{called}`")))
}

/// Starts it. `inside` says whether the gateway is a container of the engine, and does not see the machine's ports.
pub(super) async fn start(
    engine: &Engine,
    id: &str,
    work: &Work,
    inside: bool,
    maker: &Maker<'_>,
) -> Result<(), Stopped> {
    let called = names::container(&work.name);
    let (client, own) = (engine.wait(SLOW), id.to_owned());
    let started = maker.making.whole(async move { client.start_container(&own, None).await }).await;
    let Err(error) = started else { return Ok(()) };
    if is_without_network(&error) {
        // It remembers the network by its id, and would never start again.
        let gone = RemoveContainerOptions { v: true, force: true, link: false };
        let removed = engine.ask().remove_container(id, Some(gone)).await;
        or_none(removed).map_err(asked(engine, format!("remove the container `{called}`")))?;
        return Err(Stopped::Again);
    }
    // For as long as another gateway makes a network of the same name.
    if said(&error).is_some_and(|said| said.contains("is ambiguous")) {
        return Err(Stopped::Again);
    }
    // For as long as a firewall, or another engine that begins, makes its chains anew.
    if said(&error).is_some_and(|said| said.contains("No chain/target/match by that name")) {
        return Err(Stopped::Again);
    }
    if said(&error).as_deref().is_some_and(taken::is_meant) {
        return Err(taken::failure(engine, work, inside, error).await.into());
    }
    Err(asked(engine, format!("start the container `{called}`"))(error).into())
}

/// A network or a container that was there a moment ago.
fn is_without_network(error: &Error) -> bool {
    status(error) == Some(404)
        && said(error).is_some_and(|said| {
            (said.contains("network") && said.contains("not found")) || said.contains("No such container")
        })
}

/// Wakes one that is frozen.
pub(super) async fn thaw(engine: &Engine, seen: &Seen) -> Result<(), Failure> {
    let called = names::container(&seen.owner.name);
    let thawed = engine.ask().unpause_container(&seen.id).await;
    thawed.map_err(asked(engine, format!("wake the container `{called}`")))
}

/// Ends it by its own signal, and after its time is over by force.
pub(super) async fn stop(engine: &Engine, seen: &Seen) -> Result<(), Failure> {
    let called = names::container(&seen.owner.name);
    if seen.state.paused == Some(true) {
        // Frozen as it is, it would hear no signal and lose what it has not written.
        thaw(engine, seen).await?;
    }
    let stopped = engine.wait(seen.grace + SLOW).stop_container(&seen.id, None::<StopContainerOptions>).await;
    or_none(stopped).map(drop).map_err(asked(engine, format!("stop the container `{called}`")))
}

/// Removes it, whatever it does, with those of its volumes that have no name.
pub(super) async fn remove(engine: &Engine, seen: &Seen) -> Result<(), Failure> {
    let called = names::container(&seen.owner.name);
    let whole = RemoveContainerOptions { v: true, force: true, link: false };
    match or_none(engine.wait(SLOW).remove_container(&seen.id, Some(whole)).await) {
        Ok(_) => Ok(()),
        // Somebody else is at it: gone is gone.
        Err(error) if said(&error).is_some_and(|said| said.contains("is already in progress")) => {
            gone(engine, &called, &seen.id).await
        }
        Err(error) => Err(asked(engine, format!("remove the container `{called}`"))(error)),
    }
}

async fn gone(engine: &Engine, called: &str, id: &str) -> Result<(), Failure> {
    for _ in 0..300 {
        let left = or_none(engine.ask().inspect_container(id, None).await);
        if left.map_err(asked(engine, format!("look at the container `{called}`")))?.is_none() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(wrong::changed_meanwhile(called))
}
