//! What HTTP/1 and HTTP/2 say differently and mean alike, between every pair of them.

use throome_e2e::turn;

use super::{SERVICES, before, before_whoever_breaks};
use crate::peers;

#[test]
fn a_request_means_the_same_in_either_protocol() {
    let _turn = turn::together();
    for service in SERVICES {
        let (_gateway, args) = before(service, "");
        peers::run("translate.py", &args, 14);
    }
}

/// To clients of HTTP/1.1, HTTP/1.0, HTTP/2 and gRPC.
#[test]
fn an_answer_that_is_cut_is_whole_for_no_client() {
    let _turn = turn::together();
    for (service, ways) in [("http1", 15), ("h2c", 13)] {
        let (_gateway, args) = before_whoever_breaks(service);
        peers::run("cuts.py", &args, 4 * ways);
    }
}
