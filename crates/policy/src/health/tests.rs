//! Verdicts by scripts of probes; silence by scripts of requests.

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

/// `a` asks, `h` hears, `g` gives up, each at its millisecond; then whether it is silent at a moment, with a limit of
/// a second and answers that take so many milliseconds.
fn check_silence(script: &[(u64, char)], moment: u64, typical: u64, expected: bool) {
    let silence = Silence::new();
    for (millis, step) in script {
        match step {
            'a' => silence.asked(at(*millis)),
            'h' => silence.heard(at(*millis)),
            _ => silence.gone(at(*millis)),
        }
    }
    let limit = Duration::from_secs(1);
    let silent = silence.silent(at(moment), limit, Duration::from_millis(typical));
    assert_eq!(silent, expected, "{script:?} at {moment} ms, typically {typical} ms");
}

#[test]
fn several_unanswered_requests_are_silence() {
    let three = [(0, 'a'), (10, 'a'), (500, 'a')];
    check_silence(&[], 10_000, 5, false);
    check_silence(&three, 999, 5, false);
    check_silence(&three, 1_000, 5, true);
    check_silence(&three[..2], 5_000, 5, false);
    check_silence(&three, 1_500, 400, false);
    check_silence(&three, 1_600, 400, true);
}

#[test]
fn any_answer_ends_silence_and_idleness_is_none() {
    let answered = [(0, 'a'), (10, 'a'), (20, 'a'), (30, 'a'), (900, 'h')];
    check_silence(&answered, 5_000, 5, false);
    let mut after = answered.to_vec();
    after.extend([(20_000, 'a'), (20_001, 'a'), (20_002, 'a')]);
    check_silence(&after, 20_999, 5, false);
    check_silence(&after, 21_000, 5, true);
}

#[test]
fn clients_that_go_away_are_no_evidence_and_old_silence_is_forgotten() {
    let script = [(0, 'a'), (1, 'a'), (2, 'a'), (3, 'g')];
    check_silence(&script[..3], 2_000, 5, true);
    check_silence(&script, 2_000, 5, false);
    check_silence(&script[..3], 60_000, 5, true);
    check_silence(&script[..3], 60_001, 5, false);
    let asked_again = [(0, 'a'), (1, 'a'), (2, 'a'), (70_000, 'a'), (70_001, 'a'), (70_002, 'a')];
    check_silence(&asked_again, 70_500, 5, false);
    check_silence(&asked_again, 71_000, 5, true);
}
