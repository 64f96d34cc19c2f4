//! How ratios are told: judged, bounded, void.

use std::time::Duration;

use super::*;

fn rounds(cpu_ms: u64, errors: u64) -> Vec<Sample> {
    let sample = Sample {
        requests: 100_000,
        errors,
        seconds: 2.0,
        cpu: Duration::from_millis(cpu_ms),
        own: 0.95,
        contestant_core: 0.95,
        load_core: 0.8,
        stolen: 0.0,
    };
    vec![sample; 3]
}

fn table(samples: &[Vec<Sample>]) -> Table {
    let names = ["throome", "nginx", "HAProxy"].map(str::to_owned);
    load_table("200 B", &names, samples, Goals { cpu: Some(0.95), throughput: Some(1.0) })
}

#[test]
fn the_subject_is_judged_against_the_better_peer() {
    let table = table(&[rounds(1_800, 0), rounds(2_000, 0), rounds(1_900, 0)]);
    assert_eq!(
        table.rows[0][1..6],
        ["18.0", "18.0 to 18.0", "**0.95** (met ≤ 0.95)", "50000", "**1.00** (met ≥ 1)"]
    );
    assert_eq!(table.rows[1][3], "peer");
    assert!(table.notes.is_empty());
}

#[test]
fn a_peer_that_is_far_from_the_best_voids_nothing() {
    let table = table(&[rounds(1_000, 0), rounds(2_000, 0), rounds(4_000, 3)]);
    assert_eq!(table.rows[0][3], "**0.50** (met ≤ 0.95)");
    assert_eq!(table.notes, ["**Void**: HAProxy: 9 errors."]);
}

#[test]
fn a_lost_comparison_says_so_and_an_error_anywhere_voids_it() {
    let lost = table(&[rounds(2_000, 0), rounds(2_000, 0), rounds(1_000, 0)]);
    assert_eq!(lost.rows[0][3], "**2.00** (missed ≤ 0.95)");
    let void = table(&[rounds(1_000, 0), rounds(2_000, 0), rounds(2_000, 3)]);
    assert_eq!((void.rows[0][3].as_str(), void.rows[2][8].as_str()), ("void (0.50)", "9"));
    assert_eq!(void.notes, ["**Void**: HAProxy: 9 errors."]);
}

fn starved(cpu_ms: u64) -> Vec<Sample> {
    rounds(cpu_ms, 0)
        .into_iter()
        .map(|sample| Sample { own: 0.8, contestant_core: 0.8, load_core: 1.0, ..sample })
        .collect()
}

#[test]
fn a_starved_subject_is_at_least_as_good_and_a_starved_peer_voids() {
    let subject = table(&[starved(1_800), rounds(2_000, 0), rounds(1_900, 0)]);
    assert_eq!(subject.rows[0][3], "**≤ 0.95** (met ≤ 0.95)");
    assert_eq!(subject.rows[0][5], "**≥ 1.00** (met ≥ 1)");
    assert_eq!(subject.notes, ["throome: the load core was the limit in 3 of 3 rounds."]);
    let peer = table(&[rounds(1_800, 0), starved(2_000), rounds(1_900, 0)]);
    assert_eq!((peer.rows[0][3].as_str(), peer.rows[0][5].as_str()), ("void (0.95)", "void (1.00)"));
}
