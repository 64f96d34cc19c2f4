//! WebSocket through the gateway, from HTTP/1 and HTTP/2 to services of either (RFC 6455, RFC 8441): what is said passes to the
//! byte, as Autobahn's chapters would have it said, and nothing passes before it was agreed (RFC 9931).

use throome_e2e::process::free_port;
use throome_e2e::{Layout, turn};

use crate::peers;

#[test]
fn every_conversation_ends_as_it_does_without_a_gateway() {
    let _turn = turn::together();
    for protocol in ["http1", "h2c"] {
        let [port, others] = [free_port(), free_port()];
        let layout = Layout::default();
        let service = |port| format!("{{ type: http, protocol: {protocol}, host: 127.0.0.1, port: {port} }}");
        layout.write_cluster(
            "c",
            &format!(
                "health: {{ enabled: false }}\nservices:\n  app: {}\n  others: {}\n\
                 routes:\n  - {{ id: all, path: \"/*\", service: app, timeout: 20s }}\n\
                 \x20 - {{ id: others, path: /others, service: others, timeout: 20s }}\n",
                service(port),
                service(others)
            ),
        );
        let gateway = layout.start();
        let port = port.to_string();
        let args = [gateway.traffic.port().to_string(), port, protocol.to_owned(), others.to_string()];
        peers::run("websockets_pass.py", &args, 266);
    }
}
