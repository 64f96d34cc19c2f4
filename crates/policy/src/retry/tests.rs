//! What may run again, as a table; the budget against a plain count; waits within their bounds.

use proptest::prelude::*;

use super::*;

#[test]
fn what_may_run_again() {
    let query = |read_only, standby| Work::Query { read_only, standby };
    for (work, expected) in [
        (Work::Http("GET"), true),
        (Work::Http("HEAD"), true),
        (Work::Http("OPTIONS"), true),
        (Work::Http("POST"), false),
        (Work::Http("PUT"), false),
        (Work::Http("DELETE"), false),
        (Work::Http("PATCH"), false),
        (Work::Http("get"), false),
        (Work::Read, true),
        (Work::Write, false),
        (query(false, false), false),
        (query(true, false), true),
        (query(false, true), true),
        (Work::Publish { idempotent: true }, true),
        (Work::Publish { idempotent: false }, false),
    ] {
        assert_eq!(may_rerun(work, Progress::Sent), expected, "{work:?}");
        assert!(may_rerun(work, Progress::Unsent), "{work:?}");
        assert!(!may_rerun(work, Progress::Answered), "{work:?}");
    }
}

#[test]
fn a_quiet_service_may_retry_what_is_in_flight() {
    let none = Budget::new(0.0);
    none.request(Time(0));
    assert!(none.try_retry(Time(1), 1));
    assert!(!none.try_retry(Time(1), 1));
    assert!(none.try_retry(Time(1), 2));
    assert!(!none.try_retry(Time(1), 0));
    assert!(none.try_retry(Time(20_000_000), 1));
    let some = Budget::new(0.2);
    some.request(Time(0));
    assert_eq!((0..20).filter(|_| some.try_retry(Time(1), 1)).count(), 10);
    assert!(some.try_retry(Time(1), 11));
}

#[test]
fn threads_at_once_stay_within_the_budget() {
    let budget = Budget::new(0.2);
    (0..1_000).for_each(|_| budget.request(Time(0)));
    let granted: usize = std::thread::scope(|scope| {
        let ask = || (0..1_000).filter(|_| budget.try_retry(Time(5_000_000), 0)).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(granted, 200);
}

#[test]
fn waits_double_up_to_a_tenth_of_a_second() {
    for (attempt, longest) in
        [(0, 5), (1, 5), (2, 10), (3, 20), (5, 80), (6, 100), (40, 100), (u32::MAX, 100)]
    {
        let longest = Duration::from_millis(longest);
        let waits: Vec<_> = (0..500).map(|seed| backoff(attempt, seed)).collect();
        let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        assert!(*most <= longest && *most > longest * 9 / 10, "attempt {attempt}: up to {most:?}");
        assert!(*least < longest / 10, "attempt {attempt}: from {least:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every grant stands against a count of the requests and grants of its window, made the plain way; and what
    /// could be granted is.
    #[test]
    fn no_more_than_the_share_is_granted(
        ratio in 0.0..1.0_f64,
        steps in prop::collection::vec((0..400_u64, any::<bool>(), 0..4_u32), 1..400),
    ) {
        let budget = Budget::new(ratio);
        let (mut now, mut requests, mut grants) = (Time(0), Vec::new(), Vec::new());
        for (millis, is_request, in_flight) in steps {
            now = Time(now.0 + millis * 1_000);
            if is_request {
                budget.request(now);
                requests.push(now);
                continue;
            }
            let slice = |time: &Time| time.0 / 1_000_000;
            let recent = |times: &[Time]| times.iter().filter(|time| slice(time) + 10 > slice(&now)).count() as f64;
            let least = if ratio > 0.0 { LEAST } else { 0.0 };
            let allowed = (ratio * recent(&requests)).max(f64::from(in_flight)).max(least);
            let granted = budget.try_retry(now, in_flight);
            prop_assert_eq!(granted, recent(&grants) + 1.0 <= allowed);
            if granted {
                grants.push(now);
            }
        }
    }
}
