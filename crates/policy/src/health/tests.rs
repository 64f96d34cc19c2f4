//! Verdicts by scripts of probes.

use model::Span;

use super::*;

fn at(millis: u64) -> Time {
    Time(millis * 1_000)
}

/// Probes one after the other, `+` and `-`; the expected states as their first letters.
fn check(probes: &str, expected: &str) {
    let health = Health::new(&HealthSpec { threshold: 3, ..HealthSpec::default() });
    let mut states = String::new();
    for (index, probe) in probes.chars().enumerate() {
        let before = health.state();
        let change = health.probe(at(index as u64), probe == '+');
        let after = health.state();
        assert_eq!(
            change,
            (before != after).then_some(Change { from: before, to: after }),
            "{probes} at {index}"
        );
        if change.is_some() {
            assert_eq!(health.since(), at(index as u64));
        }
        states.push(match after {
            HealthState::Unknown => '?',
            HealthState::Healthy => 'H',
            HealthState::Unhealthy => 'U',
        });
    }
    assert_eq!(states, expected, "{probes}");
}

#[test]
fn so_many_probes_in_a_row_change_the_verdict() {
    check("+", "H");
    check("---", "??U");
    check("-+", "?H");
    check("+--+---", "HHHHHHU");
    check("---++-+++", "??UUUUUUH");
    check("+++---+++---", "HHHHHUUUHHHU");
}

#[test]
fn an_endpoint_in_doubt_is_probed_each_second() {
    let spec = |interval| HealthSpec { interval, ..HealthSpec::default() };
    for (interval, state, suspicious, expected) in [
        (Span::secs(10), HealthState::Healthy, false, 10_000),
        (Span::secs(10), HealthState::Healthy, true, 1_000),
        (Span::secs(10), HealthState::Unhealthy, false, 1_000),
        (Span::secs(10), HealthState::Unknown, false, 1_000),
        (Span::millis(200), HealthState::Unhealthy, true, 200),
    ] {
        let next = next_interval(&spec(interval), state, suspicious);
        assert_eq!(next, Duration::from_millis(expected), "{interval} {state:?} {suspicious}");
    }
}

#[test]
fn probes_are_doubted_when_less_than_a_share_passes_them() {
    for (threshold, several, unhealthy, expected) in [
        (0.5, 1, 1, false),
        (0.5, 2, 1, false),
        (0.5, 2, 2, true),
        (0.5, 3, 1, false),
        (0.5, 3, 2, true),
        (0.5, 4, 2, false),
        (0.5, 4, 3, true),
        (0.0, 4, 4, false),
        (1.0, 4, 1, true),
        (1.0, 4, 0, false),
    ] {
        assert_eq!(
            are_doubted(threshold, several, unhealthy),
            expected,
            "{unhealthy} of {several}, {threshold}"
        );
    }
}
