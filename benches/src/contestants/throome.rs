//! Throome itself: one traffic worker, everything else as it comes. Health probes, metrics and activity stay on.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;

use super::{Launch, Routes, Service, Setup, USUAL_CONNECTIONS};
use crate::process::Invocation;
use crate::rig::Rig;

/// The cluster that everything is in.
pub const CLUSTER: &str = "bench";

/// Which door answers data calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Control,
    Data,
}

/// A gateway that routes to one `http` service.
pub fn proxy(rig: &Rig, setup: &Setup) -> anyhow::Result<Launch> {
    let cluster = proxy_cluster(setup);
    let mut extra = String::new();
    if setup.connections > USUAL_CONNECTIONS {
        extra = format!("  limits: {{ connections: {} }}\n", setup.connections);
    }
    if setup.front.is_secure() {
        let made = rig.certificate()?;
        let (certificate, key) = (made.certificate.display(), made.key.display());
        extra.push_str(&format!(
            "  tls: {{ min_version: \"1.3\", certificates: [ {{ cert: \"{certificate}\", key: \"{key}\" }} ] }}\n"
        ));
    }
    let (launch, traffic) = prepare(rig, "throome", &cluster, &extra, "")?;
    Ok(Launch { address: traffic, ..launch })
}

/// A gateway with one cache service, whose data calls go to the given door.
pub fn cache(rig: &Rig, name: &str, service: &str, door: Door) -> anyhow::Result<Launch> {
    services(rig, name, &format!("  cache: {service}\n"), door)
}

/// A gateway with the embedded services (a cache, a database and a queue) behind its data door.
pub fn embedded(rig: &Rig) -> anyhow::Result<Launch> {
    let kinds = "  cache: { type: memory }\n  db: { type: sqlite }\n  queue: { type: log }\n";
    services(rig, "throome", kinds, Door::Data)
}

/// A gateway with a cache in its memory and one service more, by its line, behind its data door.
pub fn before(rig: &Rig, service: &str) -> anyhow::Result<Launch> {
    services(rig, "throome", &format!("  cache: {{ type: memory }}\n  {service}\n"), Door::Data)
}

/// Services by their lines under `services:`.
fn services(rig: &Rig, name: &str, services: &str, door: Door) -> anyhow::Result<Launch> {
    let cluster = format!("cluster_id: {CLUSTER}\nname: Bench\nservices:\n{services}");
    match door {
        Door::Control => Ok(prepare(rig, name, &cluster, "", "")?.0),
        Door::Data => {
            let data = rig.free_address()?;
            let extra = format!("data: {{ host: {}, port: {} }}\n", data.ip(), data.port());
            let (launch, _) = prepare(rig, name, &cluster, "", &extra)?;
            Ok(Launch { address: data, ..launch })
        }
    }
}

/// Writes both files; the launch's address is the control door, the second one is the traffic door.
fn prepare(
    rig: &Rig,
    name: &str,
    cluster: &str,
    proxy_extra: &str,
    extra: &str,
) -> anyhow::Result<(Launch, SocketAddr)> {
    let program = rig.tools.throome.clone().context("there is no throome binary to run")?;
    let directory = rig.directory_for("throome")?;
    let (control, traffic) = (rig.free_address()?, rig.free_address()?);
    let file = directory.join("throome.yaml");
    std::fs::write(
        &file,
        format!(
            "server: {{ host: 127.0.0.1 }}\nproxy:\n  host: 127.0.0.1\n  workers: 1\n{proxy_extra}{extra}"
        ),
    )?;
    let clusters = directory.join("clusters");
    std::fs::create_dir_all(clusters.join(CLUSTER))?;
    std::fs::write(clusters.join(CLUSTER).join("config.yaml"), cluster)?;
    let launch = Launch {
        name: name.to_owned(),
        invocation: invocation(&program, &file, &clusters, &directory.join("data"), control, traffic),
        address: control,
        health: (control, "/health"),
        log: directory.join("log"),
    };
    Ok((launch, traffic))
}

fn invocation(
    program: &Path,
    file: &Path,
    clusters: &Path,
    data: &Path,
    control: SocketAddr,
    traffic: SocketAddr,
) -> Invocation {
    let arguments = [
        "serve".to_owned(),
        "--config".to_owned(),
        file.display().to_string(),
        "--clusters-dir".to_owned(),
        clusters.display().to_string(),
        "--data-dir".to_owned(),
        data.display().to_string(),
        "--port".to_owned(),
        control.port().to_string(),
        "--proxy-port".to_owned(),
        traffic.port().to_string(),
    ];
    Invocation::new(program, arguments)
}

fn proxy_cluster(setup: &Setup) -> String {
    let (host, port) = (setup.backend.ip(), setup.backend.port());
    let (kind, health) = match setup.service {
        Service::Web | Service::WebSocket | Service::Events => ("http", "{ path: /200b, interval: 5s }"),
        Service::Grpc => ("grpc", "{ interval: 5s }"),
    };
    let mut text = format!(
        "cluster_id: {CLUSTER}\nname: Bench\nservices:\n  web:\n    type: {kind}\n    host: {host}\n    port: {port}\n\
         \x20   health: {health}\nroutes:\n"
    );
    match setup.routes {
        Routes::All => text.push_str("  - { id: all, path: \"/*\", service: web }\n"),
        Routes::Prefixes(_) => {
            for (index, prefix) in setup.routes.prefixes().enumerate() {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "  - {{ id: r{index}, path: \"{prefix}*\", service: web }}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_prefix_is_a_route_of_the_one_service() {
        let backend: SocketAddr = "127.0.0.1:3000".parse().unwrap();
        let text = proxy_cluster(&Setup { routes: Routes::Prefixes(2), ..Setup::plain(backend) });
        assert!(text.ends_with(
            "    type: http\n    host: 127.0.0.1\n    port: 3000\n    health: { path: /200b, interval: 5s }\nroutes:\n\
             \x20 - { id: r0, path: \"/r0/*\", service: web }\n  - { id: r1, path: \"/r1/*\", service: web }\n"
        ));
    }

    #[test]
    fn grpc_has_its_own_kind() {
        let plain = Setup::plain(([127, 0, 0, 1], 3000).into());
        let text = proxy_cluster(&Setup { service: Service::Grpc, ..plain });
        assert!(text.contains("type: grpc\n") && !text.contains("/200b"), "{text}");
    }
}
