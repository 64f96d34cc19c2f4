//! gRPC through the gateway: grpc-go's own interop cases, its failures in gRPC's words, health, and servers that die.

use std::process::{Child, Command};
use std::time::Duration;

use throome_e2e::process::{free_port, wait_for};
use throome_e2e::{Layout, turn};

use crate::peers;

/// The cases of grpc-go's interop client that need no certificates.
const CASES: &[&str] = &[
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
];

#[test]
fn every_interop_case_of_grpc_go_holds() {
    let _turn = turn::together();
    let (gateway, port) = peers::gateway_before("type: grpc", "");
    let _server = Server(
        Command::new(peers::tool("GRPC_SERVER"))
            .args(["--port", &port.to_string()])
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap(),
    );
    wait_for("the interop server", Duration::from_secs(10), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(())
    });
    for case in CASES {
        let mut client = Command::new(peers::tool("GRPC_CLIENT"));
        client.args(["--server_host", "127.0.0.1", "--server_port", &gateway.traffic.port().to_string()]);
        let (ended_well, said) = peers::outcome(client.args(["--test_case", case]));
        assert!(ended_well, "{case}: {said}");
    }
}

#[test]
fn calls_end_as_grpc_says() {
    let _turn = turn::together();
    let [first, second, nobody] = [free_port(), free_port(), free_port()];
    let layout = Layout::default();
    layout.write_cluster(
        "c",
        &format!(
            "services:\n\
             \x20 app:\n    type: grpc\n    endpoints: [ {{ host: 127.0.0.1, port: {first} }}, {{ host: 127.0.0.1, port: {second} }} ]\n\
             \x20   health: {{ grpc: \"\", interval: 200ms, timeout: 1s, threshold: 1 }}\n\
             \x20 dead: {{ type: grpc, host: 127.0.0.1, port: {nobody}, health: {{ enabled: false }} }}\n\
             routes:\n  - {{ id: echo, path: \"/e2e.Echo/*\", service: app }}\n\
             \x20 - {{ id: dead, path: \"/e2e.Dead/*\", service: dead }}\n\
             \x20 - {{ id: closed, path: \"/e2e.Closed/*\", respond: {{ status: 503, body: \"back at 9, 100 %\" }} }}\n\
             \x20 - {{ id: gone, path: \"/e2e.Gone/*\", respond: {{ status: 404 }} }}\n\
             \x20 - id: own\n    path: \"/e2e.Own/*\"\n    respond: {{ status: 200 }}\n\
             \x20   response_headers: {{ set: {{ grpc-status: \"9\", grpc-message: mine }} }}\n\
             \x20 - {{ id: moved, path: \"/e2e.Moved/*\", redirect: {{ to: /e2e.Echo/Unary }} }}\n"
        ),
    );
    let gateway = layout.start();
    let ports = [gateway.traffic.port(), gateway.control.port(), first, second];
    peers::run("calls.py", &ports.map(|port| port.to_string()), 10);
}

/// Ended when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
