//! What HTTP/1 and HTTP/2 say differently and mean alike, between every pair of them.

use throome_e2e::turn;

use super::{SERVICES, before};
use crate::peers;

#[test]
fn a_request_means_the_same_in_either_protocol() {
    let _turn = turn::together();
    for service in SERVICES {
        let (_gateway, args) = before(service, "");
        peers::run("translate.py", &args, 13);
    }
}
