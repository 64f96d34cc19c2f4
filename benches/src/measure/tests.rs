//! Tables for medians, ratios and verdicts.

use super::*;

fn calm(requests: u64) -> Sample {
    Sample {
        requests,
        errors: 0,
        seconds: 2.0,
        cpu: Duration::from_millis(1_900),
        own: 0.95,
        contestant_core: 0.96,
        load_core: 0.80,
        stolen: 0.0,
    }
}

#[test]
fn a_sample_divides_by_completed_requests() {
    let sample = calm(100_000);
    assert!((sample.cpu_per_request() - 19.0).abs() < 1e-9);
    assert!((sample.throughput() - 50_000.0).abs() < 1e-9);
}

#[test]
fn rounds_are_interleaved() {
    let mut order = Vec::new();
    let taken = interleave(&["a", "b"], 3, |name, round| {
        order.push(format!("{name}{round}"));
        Ok(round)
    });
    assert_eq!(order, ["a0", "b0", "a1", "b1", "a2", "b2"]);
    assert_eq!(taken.unwrap(), [[0, 1, 2], [0, 1, 2]]);
}

#[test]
fn medians_of_odd_even_and_no_values() {
    assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
    assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
    assert!(median([]).is_nan());
}

#[test]
fn a_ratio_is_taken_round_by_round_against_the_better_peer() {
    // In the second round the machine was twice as slow for everybody, and the other peer was the better one.
    let figures = [vec![9.0, 18.0, 9.0], vec![10.0, 22.0, 10.0], vec![12.0, 20.0, 12.0]];
    assert_eq!(ratio(&figures, 0, Better::Lower), Some(0.9));
    assert_eq!(ratio(&figures, 1, Better::Higher), Some(10.0 / 12.0));
    assert_eq!(ratio(&figures[..1], 0, Better::Lower), None);
}

#[test]
fn one_error_or_an_empty_round_voids() {
    assert!(void_reasons(&[calm(1), calm(2), calm(3)]).is_empty());
    let failed = Sample { errors: 2, ..calm(5) };
    assert_eq!(void_reasons(&[calm(1), failed, calm(3)]), ["2 errors"]);
    assert_eq!(void_reasons(&[calm(0)]), ["a round without any answer"]);
}

#[test]
fn a_contestant_starves_when_the_load_core_is_full_and_its_own_is_not() {
    let starved = Sample { load_core: 0.99, own: 0.7, contestant_core: 0.7, ..calm(5) };
    assert!(is_starved(&[starved, calm(1), starved]));
    assert!(!is_starved(&[starved, calm(1), calm(1)]), "one bad round of three is noise");
    let full_but_busy = Sample { load_core: 1.0, ..calm(5) };
    assert!(!is_starved(&[full_but_busy]), "both cores full: the contestant was not waiting");
}

#[test]
fn disturbances_are_told() {
    assert!(disturbances(&[calm(1)]).is_empty());
    let crowded = Sample { own: 0.70, contestant_core: 0.99, stolen: 0.10, ..calm(1) };
    assert_eq!(
        disturbances(&[crowded]),
        ["others used 29 % of its core", "the hypervisor took 10 % of a core"]
    );
}
