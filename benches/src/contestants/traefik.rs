//! Traefik: its files are YAML, of which JSON is a part. It has one processor, since it runs on one core.

use serde_json::{Map, Value, json};

use super::{Launch, Routes, Service, Setup, service_path};
use crate::process::Invocation;
use crate::rig::Rig;

/// Writes both files and the command that runs it in the foreground.
pub fn prepare(rig: &Rig, setup: &Setup) -> anyhow::Result<Launch> {
    let program = super::fetched(rig.tools.traefik.as_ref(), "Traefik")?;
    let directory = rig.directory_for("traefik")?;
    let address = rig.free_address()?;
    let routes = directory.join("routes.yaml");
    std::fs::write(&routes, dynamic(rig, setup)?.to_string())?;
    let file = directory.join("traefik.yaml");
    let fixed = json!({
        "global": { "checkNewVersion": false, "sendAnonymousUsage": false },
        "log": { "level": "ERROR" },
        "entryPoints": { "front": {
            "address": address.to_string(),
            "transport": { "respondingTimeouts": { "readTimeout": 0, "idleTimeout": "300s" } },
        } },
        "serversTransport": { "maxIdleConnsPerHost": 1_000 },
        "providers": { "file": { "filename": routes, "watch": false } },
    });
    std::fs::write(&file, fixed.to_string())?;
    Ok(Launch {
        name: "Traefik".to_owned(),
        invocation: Invocation::new(program, [format!("--configFile={}", file.display())]),
        address,
        health: (address, service_path(setup)),
        log: directory.join("log"),
    })
}

fn dynamic(rig: &Rig, setup: &Setup) -> anyhow::Result<Value> {
    let mut routers = Map::new();
    let mut add = |name: String, prefix: &str| {
        let mut router =
            json!({ "rule": format!("PathPrefix(`{prefix}`)"), "service": "web", "entryPoints": ["front"] });
        if setup.front.is_secure() {
            router["tls"] = json!({});
        }
        routers.insert(name, router);
    };
    match setup.routes {
        Routes::All => add("all".to_owned(), "/"),
        Routes::Prefixes(_) => {
            for (index, prefix) in setup.routes.prefixes().enumerate() {
                add(format!("r{index}"), &prefix);
            }
        }
    }
    let scheme = if setup.service == Service::Grpc { "h2c" } else { "http" };
    let server = json!({ "url": format!("{scheme}://{}", setup.backend) });
    let mut all = json!({ "http": {
        "routers": routers,
        "services": { "web": { "loadBalancer": { "passHostHeader": true, "servers": [server] } } },
    } });
    if setup.front.is_secure() {
        let made = rig.certificate()?;
        all["tls"] = json!({
            "certificates": [{ "certFile": made.certificate, "keyFile": made.key }],
            "options": { "default": { "minVersion": "VersionTLS13", "alpnProtocols": [setup.front.alpn()] } },
        });
    }
    Ok(all)
}
