//! Envoy: one worker, and nothing of what it does unasked that costs a request something: no request id of its own, no
//! headers of its own. Many routes are a tree of prefixes where there are more than a few, which serves it best.

use serde_json::{Map, Value, json};

use super::{Launch, Routes, Service, Setup, service_path};
use crate::process::Invocation;
use crate::rig::Rig;

const TYPE: &str = "type.googleapis.com/envoy";

/// Writes `envoy.json` and the command that runs it in the foreground.
pub fn prepare(rig: &Rig, setup: &Setup) -> anyhow::Result<Launch> {
    let program = super::fetched(rig.tools.envoy.as_ref(), "Envoy")?;
    let directory = rig.directory_for("envoy")?;
    let address = rig.free_address()?;
    let mut chain = json!({ "filters": [{
        "name": "http",
        "typed_config": manager(setup),
    }] });
    if setup.front.is_secure() {
        let made = rig.certificate()?;
        chain["transport_socket"] = json!({
            "name": "tls",
            "typed_config": {
                "@type": format!("{TYPE}.extensions.transport_sockets.tls.v3.DownstreamTlsContext"),
                "common_tls_context": {
                    "alpn_protocols": [setup.front.alpn()],
                    "tls_params": { "tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3" },
                    "tls_certificates": [{
                        "certificate_chain": { "filename": made.certificate },
                        "private_key": { "filename": made.key },
                    }],
                },
            },
        });
    }
    let configuration = json!({
        "static_resources": {
            "listeners": [{
                "name": "front",
                "address": socket(address),
                "tcp_backlog_size": 4096,
                "filter_chains": [chain],
            }],
            "clusters": [cluster(setup)],
        },
    });
    let file = directory.join("envoy.json");
    std::fs::write(&file, configuration.to_string())?;
    let file = file.display().to_string();
    let arguments = ["-c", &file, "--concurrency", "1", "--disable-hot-restart", "-l", "error"];
    Ok(Launch {
        name: "Envoy".to_owned(),
        invocation: Invocation::new(program, arguments),
        address,
        health: (address, service_path(setup)),
        log: directory.join("log"),
    })
}

fn socket(address: std::net::SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}

fn manager(setup: &Setup) -> Value {
    json!({
        "@type": format!("{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "front",
        "codec_type": if setup.front.is_http2() { "HTTP2" } else { "HTTP1" },
        "use_remote_address": true,
        "generate_request_id": false,
        "stream_idle_timeout": "300s",
        "upgrade_configs": [{ "upgrade_type": "websocket" }],
        "route_config": { "name": "all", "virtual_hosts": [virtual_host(setup)] },
        "http_filters": [{
            "name": "router",
            "typed_config": {
                "@type": format!("{TYPE}.extensions.filters.http.router.v3.Router"),
                "suppress_envoy_headers": true,
            },
        }],
    })
}

fn virtual_host(setup: &Setup) -> Value {
    let mut host = json!({
        "name": "web",
        "domains": ["*"],
        "request_headers_to_add": [{
            "header": { "key": "x-forwarded-host", "value": "%REQ(:authority)%" },
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }],
    });
    match setup.routes {
        Routes::All => host["routes"] = json!([route("/")]),
        Routes::Prefixes(1) => {
            host["routes"] = setup.routes.prefixes().map(|prefix| route(&prefix)).collect()
        }
        Routes::Prefixes(_) => host["matcher"] = tree(setup.routes),
    }
    host
}

fn route(prefix: &str) -> Value {
    json!({ "match": { "prefix": prefix }, "route": { "cluster": "web", "timeout": "0s" } })
}

/// All prefixes as one map, which costs it about as much with thousands as with one.
fn tree(routes: Routes) -> Value {
    let on_match = |prefix: String| {
        let mut action = route(&prefix);
        action["@type"] = json!(format!("{TYPE}.config.route.v3.Route"));
        (prefix, json!({ "action": { "name": "route", "typed_config": action } }))
    };
    json!({ "matcher_tree": {
        "input": {
            "name": "path",
            "typed_config": {
                "@type": format!("{TYPE}.type.matcher.v3.HttpRequestHeaderMatchInput"),
                "header_name": ":path",
            },
        },
        "prefix_match_map": { "map": routes.prefixes().map(on_match).collect::<Map<_, _>>() },
    } })
}

fn cluster(setup: &Setup) -> Value {
    let limits = json!({
        "max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 100_000
    });
    let mut cluster = json!({
        "name": "web",
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": { "thresholds": [limits] },
        "load_assignment": {
            "cluster_name": "web",
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": socket(setup.backend) } }] }],
        },
    });
    if setup.service == Service::Grpc {
        cluster["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": format!("{TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions"),
                "explicit_http_config": { "http2_protocol_options": {} },
            },
        });
    }
    cluster
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contestants::Front;

    #[test]
    fn many_prefixes_are_a_map_and_one_is_a_route() {
        let setup =
            |count| Setup { routes: Routes::Prefixes(count), ..Setup::plain(([127, 0, 0, 1], 1).into()) };
        let many = virtual_host(&setup(3));
        let map = &many["matcher"]["matcher_tree"]["prefix_match_map"]["map"];
        assert_eq!(map.as_object().unwrap().len(), 3);
        assert!(map["/r2/"].is_object() && many["routes"].is_null());
        let one = virtual_host(&setup(1));
        assert!(one["matcher"].is_null() && one["routes"][0]["match"]["prefix"] == "/r0/");
    }

    #[test]
    fn each_side_has_its_protocol() {
        let plain = Setup::plain(([127, 0, 0, 1], 1).into());
        let grpc = Setup { front: Front::Http2, service: Service::Grpc, ..plain };
        assert_eq!(
            (&manager(&plain)["codec_type"], &manager(&grpc)["codec_type"]),
            (&json!("HTTP1"), &json!("HTTP2"))
        );
        assert!(cluster(&plain)["typed_extension_protocol_options"].is_null());
        assert!(cluster(&grpc)["typed_extension_protocol_options"].is_object());
    }
}
