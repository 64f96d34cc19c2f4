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
