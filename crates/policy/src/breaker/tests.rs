//! The breaker by scripts, by random walks, and with threads at once.

use std::sync::atomic::AtomicU64;

use model::Span;
use proptest::prelude::*;

use super::*;

fn spec() -> BreakerSpec {
    BreakerSpec { failure_threshold: 3, reset_timeout: Span::secs(10), trials: 2, ..BreakerSpec::default() }
}

fn at(seconds: u64) -> Time {
    Time(seconds * 1_000_000)
}

/// One step of a script: at a second, something happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    Ok,
    Fail,
    Eager(&'static str),
    Reluctant(&'static str),
    TrialOk,
    TrialFails,
    Cancel,
    Probe,
    Reset,
    Trip,
}

/// Runs a script; each step names the state it leads to.
fn check(name: &str, script: &[(u64, Step, &str)]) {
    let breaker = Breaker::new(&spec());
    for (index, (second, step, expected)) in script.iter().enumerate() {
        let now = at(*second);
        let admitted = |kind, expected| {
            let word = match breaker.admit(now, kind) {
                Admission::Yes => "yes",
                Admission::Trial => "trial",
                Admission::No { until: Some(_) } => "later",
                Admission::No { until: None } => "no",
            };
            assert_eq!(word, expected, "{name}: step {index} {step:?}");
        };
        match *step {
            Step::Ok => drop(breaker.record(now, true, false)),
            Step::Fail => drop(breaker.record(now, false, false)),
            Step::Eager(expected) => admitted(TrialKind::Eager, expected),
            Step::Reluctant(expected) => admitted(TrialKind::Reluctant, expected),
            Step::TrialOk => drop(breaker.record(now, true, true)),
            Step::TrialFails => drop(breaker.record(now, false, true)),
            Step::Cancel => breaker.cancel(),
            Step::Probe => drop(breaker.probe_passed(now, Proof::Connection)),
            Step::Reset => drop(breaker.reset(now)),
            Step::Trip => drop(breaker.trip(now)),
        }
        let state = match breaker.peek(now) {
            State::Closed => "closed",
            State::Open { .. } => "open",
            State::HalfOpen => "half-open",
        };
        assert_eq!(state, *expected, "{name}: after step {index} {step:?}");
    }
}

#[test]
fn probes_close_it_when_nobody_asks_but_only_after_a_trial_has_shown_that_it_answers() {
    use Step::{Eager, Probe, TrialOk, Trip};
    check(
        "probes",
        &[
            (0, Trip, "open"),
            (1, Probe, "half-open"),
            (2, Probe, "half-open"),
            (3, Probe, "half-open"),
            (4, Eager("trial"), "half-open"),
            (5, Probe, "half-open"),
            (5, TrialOk, "half-open"),
            (6, Probe, "closed"),
        ],
    );
}

#[test]
fn probes_that_are_answers_close_it_by_themselves() {
    let breaker = Breaker::new(&spec());
    breaker.trip(at(0));
    assert_eq!(breaker.probe_passed(at(1), Proof::Answer), Some(Transition::HalfOpened));
    assert_eq!(breaker.probe_passed(at(2), Proof::Answer), None);
    assert_eq!(breaker.probe_passed(at(3), Proof::Answer), Some(Transition::Closed));
}

#[test]
fn an_endpoint_whose_probes_pass_and_whose_trials_fail_is_tried_less_and_less_often() {
    use Step::{Eager, Probe, TrialFails, Trip};
    let relapse = |second| {
        [(second, Probe, "half-open"), (second, Eager("trial"), "half-open"), (second, TrialFails, "open")]
    };
    let mut script = vec![(0, Trip, "open")];
    script.extend(relapse(1));
    script.extend(relapse(2));
    script.push((3, Probe, "open"));
    script.extend(relapse(4));
    script.extend([(5, Probe, "open"), (7, Probe, "open")]);
    script.extend(relapse(8));
    // Closing forgets.
    script.extend([(9, Step::Reset, "closed"), (10, Trip, "open"), (10, Probe, "half-open")]);
    check("relapses", &script);
}

#[test]
fn failures_in_a_row_open_it_and_trials_close_it() {
    use Step::*;
    check(
        "threshold",
        &[
            (0, Fail, "closed"),
            (0, Fail, "closed"),
            (0, Ok, "closed"),
            (0, Fail, "closed"),
            (0, Fail, "closed"),
            (0, Fail, "open"),
            (0, Eager("later"), "open"),
            (9, Eager("later"), "open"),
            (10, Eager("trial"), "half-open"),
            (10, Reluctant("trial"), "half-open"),
            (10, Eager("no"), "half-open"),
            (10, TrialOk, "half-open"),
            (10, Eager("trial"), "half-open"),
            (10, TrialOk, "closed"),
            (10, Eager("yes"), "closed"),
            (10, TrialOk, "closed"),
            (10, Fail, "closed"),
        ],
    );
    check(
        "a failed trial",
        &[
            (0, Trip, "open"),
            (10, Eager("trial"), "half-open"),
            (10, Eager("trial"), "half-open"),
            (11, TrialOk, "half-open"),
            (11, TrialFails, "open"),
            (20, Eager("later"), "open"),
            (21, Eager("trial"), "half-open"),
            (21, TrialOk, "half-open"),
            (21, Eager("trial"), "half-open"),
            (21, TrialOk, "closed"),
        ],
    );
}

#[test]
fn a_trial_holds_its_place_until_it_ends() {
    use Step::*;
    check(
        "across opening again",
        &[
            (0, Trip, "open"),
            (10, Eager("trial"), "half-open"),
            (10, Eager("trial"), "half-open"),
            (10, TrialFails, "open"),
            (20, Eager("trial"), "half-open"),
            (20, Eager("no"), "half-open"),
            (20, Cancel, "half-open"),
            (20, Eager("trial"), "half-open"),
        ],
    );
    check(
        "across closing by hand",
        &[
            (0, Trip, "open"),
            (10, Eager("trial"), "half-open"),
            (10, Eager("trial"), "half-open"),
            (10, Reset, "closed"),
            (10, Trip, "open"),
            (20, Eager("no"), "half-open"),
            (20, TrialOk, "half-open"),
            (20, TrialOk, "closed"),
        ],
    );
}

#[test]
fn a_probe_lets_those_try_that_may_run_again() {
    use Step::*;
    check(
        "probe",
        &[
            (0, Probe, "closed"),
            (0, Trip, "open"),
            (3, Probe, "half-open"),
            (3, Reluctant("later"), "half-open"),
            (3, Eager("trial"), "half-open"),
            (3, TrialFails, "open"),
            (4, Eager("later"), "open"),
            (13, Reluctant("trial"), "half-open"),
        ],
    );
}

#[test]
fn what_was_sent_before_it_opened_no_longer_counts() {
    use Step::*;
    check(
        "late outcomes",
        &[
            (0, Trip, "open"),
            (1, Ok, "open"),
            (1, Fail, "open"),
            (10, Ok, "half-open"),
            (10, Fail, "half-open"),
            (10, Ok, "half-open"),
        ],
    );
}

#[test]
fn a_share_of_failures_opens_it_once_there_are_enough() {
    for (failures_of_ten, outcomes, expected) in
        [(5, 100, true), (6, 21, true), (6, 19, false), (3, 200, false)]
    {
        let breaker = Breaker::new(&BreakerSpec { failure_threshold: 1_000, ..BreakerSpec::default() });
        let opened = (0..outcomes)
            .any(|n| breaker.record(Time(n * 1_000), n % 10 >= failures_of_ten, false).is_some());
        assert_eq!(opened, expected, "{failures_of_ten} of 10 over {outcomes} outcomes");
    }
    // The same failures spread over more than the window are too few in it.
    let breaker = Breaker::new(&BreakerSpec { failure_threshold: 1_000, ..BreakerSpec::default() });
    assert!((0..100).all(|n| breaker.record(at(n), false, false).is_none()));
}

#[test]
fn closing_forgets_what_opened_it() {
    let spec = BreakerSpec { failure_threshold: 1_000, window: Span::secs(100), ..spec() };
    let breaker = Breaker::new(&spec);
    assert!((0..30).any(|n| breaker.record(at(n), false, false).is_some()));
    breaker.reset(at(31));
    assert_eq!((breaker.record(at(31), false, false), breaker.peek(at(31))), (None, State::Closed));
}

#[test]
fn transitions_are_told_once() {
    let breaker = Breaker::new(&spec());
    let fail = |second| breaker.record(at(second), false, false);
    assert_eq!((fail(1), fail(1), fail(1)), (None, None, Some(Transition::Opened { until: at(11) })));
    assert_eq!(breaker.peek(at(2)), State::Open { since: at(1), until: at(11) });
    assert_eq!(breaker.probe_passed(at(3), Proof::Connection), Some(Transition::HalfOpened));
    assert_eq!(breaker.probe_passed(at(4), Proof::Connection), None);
    assert_eq!(breaker.reset(at(5)), Some(Transition::Closed));
    assert_eq!(breaker.reset(at(5)), None);
    let off = Breaker::new(&BreakerSpec { enabled: false, ..spec() });
    assert!((0..100).all(|_| off.record(at(1), false, false).is_none()));
    assert!(off.trip(at(1)).is_some());
}

#[derive(Debug, Clone, Copy)]
enum Move {
    Admit(bool),
    End { which: usize, ok: bool },
    Cancel { which: usize },
    Probe,
    Wait(u64),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_more_trials_than_allowed(moves in prop::collection::vec(prop_oneof![
        4 => any::<bool>().prop_map(Move::Admit),
        4 => (0..8_usize, any::<bool>()).prop_map(|(which, ok)| Move::End { which, ok }),
        1 => (0..8_usize).prop_map(|which| Move::Cancel { which }),
        1 => Just(Move::Probe),
        2 => (0..8_u64).prop_map(Move::Wait),
    ], 1..200)) {
        let breaker = Breaker::new(&spec());
        let mut now = at(1);
        let mut under_way: Vec<bool> = Vec::new();
        breaker.trip(now);
        for step in moves {
            match step {
                Move::Admit(eager) => {
                    let kind = if eager { TrialKind::Eager } else { TrialKind::Reluctant };
                    let before = breaker.peek(now);
                    let admission = breaker.admit(now, kind);
                    prop_assert_eq!(admission == Admission::Yes, before == State::Closed);
                    match admission {
                        Admission::Yes => under_way.push(false),
                        Admission::Trial => under_way.push(true),
                        Admission::No { .. } => {}
                    }
                }
                Move::End { which, ok } if which < under_way.len() => {
                    let trial = under_way.swap_remove(which);
                    let before = breaker.peek(now);
                    breaker.record(now, ok, trial);
                    if before == State::HalfOpen && trial && !ok {
                        let is_open = matches!(breaker.peek(now), State::Open { .. });
                        prop_assert!(is_open, "a failed trial leaves it {:?}", breaker.peek(now));
                    }
                }
                Move::Cancel { which } if which < under_way.len() => {
                    if under_way.swap_remove(which) {
                        breaker.cancel();
                    }
                }
                Move::Probe => drop(breaker.probe_passed(now, Proof::Connection)),
                Move::Wait(seconds) => now = now.plus(Duration::from_secs(seconds)),
                Move::End { .. } | Move::Cancel { .. } => {}
            }
            let trials = under_way.iter().filter(|trial| **trial).count();
            prop_assert!(trials <= 2, "{} trials at once", trials);
            prop_assert_eq!(breaker.trials_running() as usize, trials);
        }
    }
}

#[test]
fn threads_at_once_take_no_more_trials_than_allowed() {
    let breaker = Breaker::new(&BreakerSpec { trials: 3, ..spec() });
    let (running, most, granted) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU64::new(0));
    breaker.trip(at(1));
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let (breaker, running, most, granted) = (&breaker, &running, &most, &granted);
            scope.spawn(move || {
                // Time stands at moments when it is half-open; failures open it again and probes half-open it.
                for turn in 0..3_000 {
                    let now = at(100 + turn);
                    match breaker.admit(now, TrialKind::Eager) {
                        Admission::Trial => {
                            most.fetch_max(running.fetch_add(1, AcqRel) + 1, AcqRel);
                            granted.fetch_add(1, Relaxed);
                            std::thread::yield_now();
                            running.fetch_sub(1, AcqRel);
                            match (turn + thread) % 3 {
                                0 => drop(breaker.record(now, true, true)),
                                1 => drop(breaker.record(now, false, true)),
                                _ => breaker.cancel(),
                            }
                        }
                        Admission::Yes => drop(breaker.trip(now)),
                        Admission::No { .. } => drop(breaker.probe_passed(now, Proof::Connection)),
                    }
                }
            });
        }
    });
    let (most, granted) = (most.load(Relaxed), granted.load(Relaxed));
    assert!(most <= 3, "{most} trials at once");
    assert!(granted > 100, "{granted} trials in all: nothing was tried");
    assert_eq!(breaker.trials_running(), 0);
}
