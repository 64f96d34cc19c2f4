//! RFC 9113 and RFC 7541 case by case, as h2spec asks for them, and a crowd of streams from a client of others.

use std::process::Command;

use throome_e2e::fixture::one_service;
use throome_e2e::turn;

use crate::peers;
use crate::tls::Authority;

#[test]
fn every_case_of_h2spec_holds() {
    let _turn = turn::together();
    let authority = Authority::new();
    authority.issue("shop", &["127.0.0.1", "localhost"]);
    let secured = format!("proxy: {{ tls: {{ certificates: [ {} ] }} }}\n", authority.pair("shop"));
    for (file, flags) in [("", &[][..]), (&secured, &["-t", "-k"])] {
        let (gateway, _service) = one_service(file);
        let mut h2spec = Command::new(peers::tool("H2SPEC"));
        h2spec.args(["-h", "127.0.0.1", "-P", "/echo", "-p", &gateway.traffic.port().to_string()]);
        let (ended_well, said) = peers::outcome(h2spec.args(flags));
        assert!(
            ended_well && said.contains("145 tests, 145 passed, 0 skipped, 0 failed"),
            "{flags:?}: {said}"
        );
    }
}

#[test]
fn a_crowd_of_streams_is_answered() {
    let _turn = turn::together();
    let (gateway, _service) = one_service("");
    let mut h2load = Command::new("h2load");
    h2load
        .args(["-n", "4000", "-c", "8", "-m", "50"])
        .arg(format!("http://{}/bytes?n=3000", gateway.traffic));
    let (ended_well, said) = peers::outcome(&mut h2load);
    assert!(ended_well && said.contains("4000 succeeded, 0 failed, 0 errored"), "{said}");
    assert!(said.contains("status codes: 4000 2xx"), "{said}");
}
