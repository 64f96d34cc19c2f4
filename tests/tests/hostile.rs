//! The hostile corpus against the traffic door of the real binary, with the limits it has by default.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by failing there")]

#[path = "../hostile/runner/mod.rs"]
mod runner;

use std::path::Path;

use throome_e2e::Layout;

#[test]
fn what_is_hostile_is_refused_and_what_is_odd_arrives_whole() {
    let mut cases = runner::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile"));
    // The codec refuses the preface of HTTP/2; the door speaks it, and h2spec asks it what may follow.
    cases.retain(|case| case.name != "protocols/http-2-preface");
    let service = runner::Service::start();
    let layout = Layout::default();
    let port = service.address.port();
    // Without probes the service sees what the door lets through and nothing else.
    let spec = format!(
        "name: Hostile\nhealth: {{ enabled: false }}\nservices:\n  app: {{ type: http, host: 127.0.0.1, port: {port} }}\n\
         routes:\n  - {{ id: all, path: \"/*\", service: app }}\n"
    );
    layout.write_cluster("hostile", &spec);
    let gateway = layout.start();
    let wrong = runner::run(gateway.traffic, &service, &cases);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
