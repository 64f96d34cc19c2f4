//! Caddy, by its own JSON. It has one processor, since it runs on one core. Many routes choose the service by a
//! variable, so that they share one pool of connections.

use serde_json::{Value, json};

use super::{Launch, Routes, Service, Setup, service_path};
use crate::process::Invocation;
use crate::rig::Rig;

/// Writes `caddy.json` and the command that runs it in the foreground.
pub fn prepare(rig: &Rig, setup: &Setup) -> anyhow::Result<Launch> {
    let program = super::fetched(rig.tools.caddy.as_ref(), "Caddy")?;
    let directory = rig.directory_for("caddy")?;
    let address = rig.free_address()?;
    let mut server = json!({
        "listen": [address.to_string()],
        "protocols": if setup.front.is_http2() { json!(["h1", "h2", "h2c"]) } else { json!(["h1"]) },
        "automatic_https": { "disable": true },
        "idle_timeout": "300s",
        "routes": routes(setup),
    });
    let mut apps = json!({});
    if setup.front.is_secure() {
        let made = rig.certificate()?;
        server["tls_connection_policies"] =
            json!([{ "protocol_min": "tls1.3", "alpn": [setup.front.alpn()] }]);
        let loaded = json!([{ "certificate": made.certificate, "key": made.key }]);
        apps["tls"] = json!({ "certificates": { "load_files": loaded } });
    }
    apps["http"] = json!({ "servers": { "front": server } });
    let configuration = json!({
        "admin": { "disabled": true, "config": { "persist": false } },
        "logging": { "logs": { "default": { "level": "ERROR" } } },
        "storage": { "module": "file_system", "root": directory.join("storage") },
        "apps": apps,
    });
    let file = directory.join("caddy.json");
    std::fs::write(&file, configuration.to_string())?;
    Ok(Launch {
        name: "Caddy".to_owned(),
        invocation: Invocation::new(program, ["run", "--config", &file.display().to_string()]),
        address,
        health: (address, service_path(setup)),
        log: directory.join("log"),
    })
}

fn routes(setup: &Setup) -> Value {
    let mut proxy = json!({
        "handler": "reverse_proxy",
        "upstreams": [{ "dial": setup.backend.to_string() }],
        "transport": {
            "protocol": "http",
            "versions": if setup.service == Service::Grpc { json!(["h2c", "2"]) } else { json!(["1.1"]) },
            "keep_alive": { "max_idle_conns": 1_000, "max_idle_conns_per_host": 1_000 },
        },
    });
    if matches!(setup.service, Service::Events | Service::Grpc) {
        proxy["flush_interval"] = json!(-1);
    }
    match setup.routes {
        Routes::All => json!([{ "handle": [proxy] }]),
        Routes::Prefixes(_) => {
            let choose = |prefix: String| {
                json!({
                    "group": "services",
                    "match": [{ "path": [format!("{prefix}*")] }],
                    "handle": [{ "handler": "vars", "service": "web" }],
                })
            };
            let last =
                json!({ "match": [{ "vars": { "{http.vars.service}": ["web"] } }], "handle": [proxy] });
            setup.routes.prefixes().map(choose).chain([last]).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_prefix_chooses_the_service_that_comes_last() {
        let plain = Setup::plain(([127, 0, 0, 1], 1).into());
        let all = routes(&Setup { routes: Routes::Prefixes(3), ..plain });
        let all = all.as_array().unwrap();
        assert_eq!((all.len(), &all[2]["match"][0]["path"][0]), (4, &json!("/r2/*")));
        assert_eq!(all[3]["handle"][0]["handler"], "reverse_proxy");
        assert_eq!(routes(&plain)[0]["handle"][0]["handler"], "reverse_proxy");
    }
}
