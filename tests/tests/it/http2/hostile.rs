//! Hostile clients of HTTP/2: what is malformed reaches no service, in neither protocol, and floods cost the gateway
//! nothing that others would miss.

use throome_e2e::turn;

use super::{SERVICES, before};
use crate::peers;

#[test]
fn nothing_hostile_arrives_and_what_is_odd_arrives_whole() {
    let _turn = turn::together();
    for service in SERVICES {
        let (_gateway, args) = before(service, "");
        peers::run("smuggling.py", &args, 157);
    }
}

/// The corpus of HTTP/1 before a service of HTTP/2; before one of HTTP/1 it is `tests/hostile.rs`.
#[test]
fn the_corpus_of_http_1_holds_before_a_service_of_http_2() {
    let _turn = turn::together();
    let (_gateway, args) = before("h2c", "");
    let corpus = format!("{}/hostile", env!("CARGO_MANIFEST_DIR"));
    peers::run("corpus.py", &[args[0].clone(), args[1].clone(), corpus], CORPUS);
}

#[test]
fn floods_cost_little_and_others_are_served() {
    let _turn = turn::alone();
    let short = "proxy: { limits: { write_timeout: 2s, head_timeout: 2s, idle_timeout: 3s } }\n";
    let (gateway, mut args) = before("http1", short);
    args.push(gateway.pid().to_string());
    peers::run("floods.py", &args, 20);
}

/// Cases of `tests/hostile`, but for two that HTTP/2 has no like of; `corpus.py` names them.
const CORPUS: usize = 607;
