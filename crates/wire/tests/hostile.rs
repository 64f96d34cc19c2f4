//! The hostile corpus against the codec itself, behind the least of doors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{door, runner};

pub(crate) fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/hostile")
}

#[test]
fn what_is_hostile_is_refused_and_what_is_odd_arrives_whole() {
    let cases = runner::load(&corpus());
    assert!(cases.len() >= 170, "there are only {} cases", cases.len());
    let mut twins = BTreeMap::new();
    for case in &cases {
        if let Some(twin) = twins.insert(&case.bytes, &case.name) {
            panic!("{twin} and {} send the same", case.name);
        }
    }
    let service = runner::Service::start();
    let door = door::open(service.address);
    let wrong = runner::run(door, &service, &cases);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// The runner itself: before a door that lets everything through, not one of these may pass.
#[test]
fn a_door_that_lets_all_through_is_found_out() {
    let mut cases = runner::load(&corpus());
    cases.retain(|case| case.name.starts_with("identity/") || case.name.starts_with("host/port-"));
    assert!(cases.len() > 20);
    let service = runner::Service::start();
    let wrong = runner::run(service.address, &service, &cases);
    assert_eq!(wrong.len(), 3 * cases.len(), "{}", wrong.join("\n"));
}
