//! HTTP/2 at the traffic door, before services of either protocol: by the RFC, translated, attacked, and told to end.

mod end;
mod hostile;
mod refused;
mod spec;
mod translated;

use throome_e2e::Gateway;

/// The services before which it is shown.
const SERVICES: [&str; 2] = ["http1", "h2c"];

/// A gateway before a service of that protocol, and what a theme is told: its door, the service's port and protocol.
fn before(protocol: &str, gateway_file: &str) -> (Gateway, Vec<String>) {
    let service = format!("type: http, protocol: {protocol}");
    let (gateway, port) = crate::peers::gateway_before(&service, gateway_file);
    let args = vec![gateway.traffic.port().to_string(), port.to_string(), protocol.to_owned()];
    (gateway, args)
}

/// The same, where a service that breaks its answers is asked again all the same.
fn before_whoever_breaks(protocol: &str) -> (Gateway, Vec<String>) {
    let service = format!("type: http, protocol: {protocol}, outlier: {{ enabled: false }}");
    let patient = "routing: { circuit_breaker: { enabled: false } }\n";
    let (gateway, port) = crate::peers::gateway_before_with(&service, patient, "");
    let args = vec![gateway.traffic.port().to_string(), port.to_string(), protocol.to_owned()];
    (gateway, args)
}
