//! A door that closes: clients of HTTP/2 are told to leave, and every request under way is answered.

use std::time::Duration;

use throome_e2e::turn;

use super::{SERVICES, before};
use crate::peers;

#[test]
fn no_request_is_lost_when_the_door_closes() {
    let _turn = turn::together();
    for service in SERVICES {
        let (mut gateway, mut args) = before(service, "");
        args.push(gateway.pid().to_string());
        peers::run("farewell.py", &args, 1);
        assert_eq!(gateway.wait(Duration::from_secs(10)), 0);
    }
}
