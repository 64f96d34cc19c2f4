//! Balancer, breaker, health, silence, outlier and budget together, under hours of simulated traffic and faults.
//! Every bound is also shown to break when the part is missing that keeps it.

mod books;
mod fleet;
mod queues;
mod world;

use model::{BreakerSpec, Strategy};

use books::Report;
use fleet::{Missing, Shape};
use world::{Mode, Plan, run};

const STRATEGIES: [Strategy; 4] =
    [Strategy::RoundRobin, Strategy::Weighted, Strategy::LeastConnections, Strategy::TwoChoices];

/// Seconds after which an endpoint has its share again that was frozen or dead: three probes a second apart and a few
/// trials, after the last ejection of an endpoint that did not get to fail often.
const BACK_FROM_SILENCE: u64 = 15;

/// The same for one that answered with errors while its probes passed: the longest ejection, then the trials.
const BACK_FROM_ERRORS: u64 = 75;

/// Seconds over which a share is counted.
const STRETCH: u64 = 100;

/// An hour of four equal endpoints.
fn plan(strategy: Strategy) -> Plan {
    let shape = Shape {
        weights: vec![1; 4],
        strategy,
        breaker: BreakerSpec::default(),
        budget: 0.2,
        missing: Missing::Nothing,
    };
    Plan {
        seed: 7,
        seconds: 3_600,
        rate: 30.0,
        unsafe_share: 0.3,
        hedge: None,
        probes: true,
        shape,
        script: Vec::new(),
    }
}

fn without(missing: Missing, plan: Plan) -> Plan {
    Plan { shape: Shape { missing, ..plan.shape }, ..plan }
}

/// A fault: from a second on, for some seconds, at an endpoint.
#[derive(Debug, Clone, Copy)]
struct Fault {
    begins: u64,
    ends: u64,
    endpoint: usize,
    mode: Mode,
}

/// One fault after the other, each long over before the next begins.
fn faults(plan: Plan) -> (Plan, Vec<Fault>) {
    let modes = [Mode::Frozen, Mode::Dead, Mode::Failing(1.0), Mode::Failing(0.6)];
    let mut faults = Vec::new();
    let mut begins = 60;
    for n in 0.. {
        let ends = begins + [5, 20, 60, 120, 2][n % 5];
        if ends + 200 > plan.seconds {
            break;
        }
        faults.push(Fault { begins, ends, endpoint: n * 3 % 4, mode: modes[n % 4] });
        begins = ends + 200;
    }
    let turns =
        |fault: &Fault| [(fault.begins, fault.endpoint, fault.mode), (fault.ends, fault.endpoint, Mode::Up)];
    let script = faults.iter().flat_map(turns).collect();
    (Plan { script, ..plan }, faults)
}

// The bounds.

fn shares_are_even(plan: &Plan, report: &Report) -> Result<(), String> {
    let sent = report.sent_between(0, plan.seconds);
    let (all, weights) = (sent.iter().sum::<u64>() as f64, plan.shape.weights.iter().sum::<u32>());
    for (index, (count, weight)) in sent.iter().zip(&plan.shape.weights).enumerate() {
        let fair = all * f64::from(*weight) / f64::from(weights);
        if (*count as f64 - fair).abs() > 0.1 * fair {
            return Err(format!("endpoint {index} has {count} of {sent:?}, its share is {fair:.0}"));
        }
    }
    Ok(())
}

fn retries_stay_within_the_budget(report: &Report) -> Result<(), String> {
    if report.over_budget == 0 {
        Ok(())
    } else {
        Err(format!("{} of {} retries are over the budget", report.over_budget, report.retries))
    }
}

fn trials_stay_within_the_limit(plan: &Plan, report: &Report) -> Result<(), String> {
    let limit = plan.shape.breaker.trials;
    if report.most_trials <= limit {
        Ok(())
    } else {
        Err(format!("{} trials at once, {limit} are allowed", report.most_trials))
    }
}

/// Beyond what it takes to notice, a broken endpoint gets a trial every few seconds and no more; one that answers now
/// and then closes its breaker now and then, and gets several times as many.
fn the_broken_one_is_left_alone(plan: &Plan, report: &Report, fault: &Fault) -> Result<(), String> {
    let sent = report.sent_between(fault.begins, fault.ends)[fault.endpoint] as f64;
    let noticed = 2.0 * plan.rate / 4.0 + f64::from(plan.shape.breaker.failure_threshold);
    let rate = if matches!(fault.mode, Mode::Failing(share) if share < 1.0) { 1.0 } else { 0.2 };
    let allowed = noticed + (fault.ends - fault.begins) as f64 * rate;
    if sent <= allowed {
        Ok(())
    } else {
        Err(format!("{sent} tries at a broken endpoint, {allowed} are allowed"))
    }
}

/// Tries that came to the endpoint after its return, and its fair share of all tries meanwhile.
fn after_return(report: &Report, fault: &Fault) -> (f64, f64) {
    let back = fault.ends
        + match fault.mode {
            Mode::Failing(_) => BACK_FROM_ERRORS,
            Mode::Up | Mode::Slow(_) | Mode::Misjudged | Mode::Frozen | Mode::Dead => BACK_FROM_SILENCE,
        };
    let sent = report.sent_between(back, back + STRETCH);
    (sent[fault.endpoint] as f64, sent.iter().sum::<u64>() as f64 / sent.len() as f64)
}

// That they hold.

#[test]
fn equal_endpoints_have_equal_shares() {
    for strategy in STRATEGIES {
        let plan = Plan { rate: 15.0, ..plan(strategy) };
        let report = run(&plan);
        shares_are_even(&plan, &report).unwrap_or_else(|fault| panic!("{strategy:?}: {fault}"));
        assert_eq!((report.failed_safe, report.failed_unsafe, report.trials), (0, 0, 0), "{strategy:?}");
    }
}

#[test]
fn weighted_endpoints_have_their_shares() {
    for strategy in [Strategy::Weighted, Strategy::LeastConnections] {
        let plan = plan(strategy);
        let plan = Plan { shape: Shape { weights: vec![4, 2, 1, 1], ..plan.shape }, seconds: 900, ..plan };
        shares_are_even(&plan, &run(&plan)).unwrap_or_else(|fault| panic!("{strategy:?}: {fault}"));
    }
}

#[test]
fn an_hour_of_faults_is_borne() {
    for strategy in STRATEGIES {
        let (plan, faults) = faults(plan(strategy));
        assert!(faults.len() >= 10);
        let report = run(&plan);
        retries_stay_within_the_budget(&report).unwrap();
        trials_stay_within_the_limit(&plan, &report).unwrap();
        // The better of two avoids an endpoint after its first failure, so that its breaker hardly ever opens.
        let was_tried = report.retries > 0 && (report.trials > 0 || strategy == Strategy::TwoChoices);
        assert!(was_tried, "{strategy:?}: nothing was put to the test");
        let (mut came, mut fair) = (0.0, 0.0);
        for fault in &faults {
            the_broken_one_is_left_alone(&plan, &report, fault)
                .unwrap_or_else(|e| panic!("{strategy:?}: {e}"));
            let (came_now, fair_now) = after_return(&report, fault);
            // The better of two follows every slow answer for ten seconds: its shares are even over hours only.
            let is_back = strategy == Strategy::TwoChoices || (came_now - fair_now).abs() <= 0.2 * fair_now;
            assert!(is_back, "{strategy:?}: {came_now} tries, {fair_now} are fair, after {fault:?}");
            came += came_now;
            fair += fair_now;
        }
        assert!(
            (came - fair).abs() <= 0.2 * fair,
            "{strategy:?}: {came} tries after returns, {fair} are fair"
        );
        // Three endpoints were up at every moment: what may run again was answered.
        assert_eq!(report.failed_safe, 0, "{strategy:?}");
        // What may not: those under way in the second until the fault shows, and the breaker's threshold.
        let allowed = faults.len() as f64 * (plan.rate / 4.0 * plan.unsafe_share * 2.0 + 5.0);
        assert!(
            (report.failed_unsafe as f64) < allowed,
            "{strategy:?}: {} unsafe failures",
            report.failed_unsafe
        );
    }
}

#[test]
fn the_same_seed_is_the_same_history() {
    let (plan, _) = faults(Plan { seconds: 600, ..plan(Strategy::TwoChoices) });
    assert_eq!(run(&plan), run(&plan));
    assert_ne!(run(&plan), run(&Plan { seed: 8, ..plan }));
}

// That they notice when a part is missing.

/// Every endpoint answers a third of its requests with an error: more retries are wanted than there are.
fn brownout() -> Plan {
    let script = (0..4).map(|endpoint| (10, endpoint, Mode::Failing(0.33))).collect();
    Plan { unsafe_share: 0.0, seconds: 600, script, ..plan(Strategy::RoundRobin) }
}

/// One endpoint is frozen for minutes and nobody probes it: it is half-open again and again, and trials hang.
fn frozen_unprobed() -> Plan {
    let script = vec![(10, 1, Mode::Frozen)];
    Plan { rate: 60.0, probes: false, seconds: 400, script, ..plan(Strategy::RoundRobin) }
}

/// One endpoint answers errors while its probes pass: only its outcomes tell.
fn failing() -> (Plan, Fault) {
    let fault = Fault { begins: 10, ends: 310, endpoint: 1, mode: Mode::Failing(1.0) };
    let script = vec![(fault.begins, fault.endpoint, fault.mode)];
    (Plan { seconds: 320, script, ..plan(Strategy::RoundRobin) }, fault)
}

#[test]
fn without_the_budget_retries_pass_their_bound() {
    let report = run(&brownout());
    retries_stay_within_the_budget(&report).unwrap();
    assert!(report.failed_safe > 0, "the budget refused nothing");
    let broken = retries_stay_within_the_budget(&run(&without(Missing::Budget, brownout())));
    assert!(broken.is_err());
}

#[test]
fn without_the_trial_limit_trials_pass_their_bound() {
    let plan = frozen_unprobed();
    let report = run(&plan);
    trials_stay_within_the_limit(&plan, &report).unwrap();
    assert_eq!(report.most_trials, plan.shape.breaker.trials, "the limit was not reached");
    let plan = without(Missing::TrialLimit, plan);
    assert!(trials_stay_within_the_limit(&plan, &run(&plan)).is_err());
}

/// Four endpoints are asked a lot, and one is dead for a while.
fn one_returns(strategy: Strategy) -> Plan {
    let script = vec![(10, 1, Mode::Dead), (40, 1, Mode::Up)];
    Plan { rate: 400.0, unsafe_share: 0.0, seconds: 70, script, ..plan(strategy) }
}

/// What the one that was dead gets of the others' mean, second by second, from the first in which it gets a tenth of a
/// fair share on.
fn return_of_one(report: &Report) -> Vec<f64> {
    let shares = (40..70).map(|second| {
        let sent = report.sent_between(second, second + 1);
        sent[1] as f64 * 3.0 / (sent[0] + sent[2] + sent[3]) as f64
    });
    shares.skip_while(|share| *share < 0.05).collect()
}

fn it_comes_back_step_by_step(report: &Report) -> Result<(), String> {
    let shares = return_of_one(report);
    let mean = |from: usize, to: usize| shares[from..to].iter().sum::<f64>() / (to - from) as f64;
    // One that does nothing yet is the least busy: by connections in flight it gets more than its step.
    if mean(0, 2) < 0.5 && (0.3..0.85).contains(&mean(4, 7)) && mean(12, 15) > 0.8 {
        Ok(())
    } else {
        Err(format!("{shares:?}"))
    }
}

#[test]
fn whoever_comes_back_has_its_share_step_by_step_and_without_slow_start_at_once() {
    for strategy in STRATEGIES {
        let report = run(&one_returns(strategy));
        it_comes_back_step_by_step(&report).unwrap_or_else(|shares| panic!("{strategy:?}: {shares}"));
        assert_eq!(report.failed_safe, 0, "{strategy:?}");
        let at_once = run(&without(Missing::SlowStart, one_returns(strategy)));
        // The better of two takes its time by itself: it has seen the first trials take long.
        let takes_its_time = strategy == Strategy::TwoChoices;
        assert!(takes_its_time || it_comes_back_step_by_step(&at_once).is_err(), "{strategy:?}");
    }
}

/// The probes of three of four endpoints fail for minutes, while all of them answer.
fn misjudged() -> Plan {
    let script = (1..4).map(|endpoint| (10, endpoint, Mode::Misjudged)).collect();
    Plan { seconds: 310, script, ..plan(Strategy::RoundRobin) }
}

#[test]
fn probes_that_nearly_all_fail_leave_the_shares_even_and_without_doubt_one_endpoint_bears_all() {
    let plan = misjudged();
    let report = run(&plan);
    shares_are_even(&plan, &report).unwrap();
    assert_eq!((report.failed_safe, report.failed_unsafe), (0, 0));
    let alone = run(&without(Missing::Doubt, plan)).sent_between(60, 310);
    assert!(alone[0] > 0 && alone[1..] == [0; 3], "{alone:?}");
}

#[test]
fn who_is_dead_indeed_is_left_alone_though_probes_are_doubted() {
    for mode in [Mode::Dead, Mode::Frozen] {
        let script = (1..4).map(|endpoint| (10, endpoint, mode)).collect();
        let plan = Plan { seconds: 310, script, ..plan(Strategy::RoundRobin) };
        let report = run(&plan);
        let believed = run(&without(Missing::Doubt, plan.clone()));
        let sent = report.sent_between(10, 310);
        let failed = (report.failed_safe, report.failed_unsafe);
        assert_eq!(failed, (believed.failed_safe, believed.failed_unsafe), "{mode:?}: doubt cost requests");
        assert!(sent[1..].iter().all(|count| *count < 40), "{mode:?}: {sent:?}");
        assert!(sent[0] as f64 > 0.95 * 300.0 * plan.rate, "{mode:?}: {sent:?}");
    }
}

/// Now and then any endpoint takes 200 ms for what takes it five.
fn hiccups(share: f64, hedge: Option<u64>) -> Plan {
    let script = (0..4).map(|endpoint| (0, endpoint, Mode::Slow(share))).collect();
    let hedge = hedge.map(std::time::Duration::from_millis);
    Plan { rate: 100.0, unsafe_share: 0.3, seconds: 300, hedge, script, ..plan(Strategy::RoundRobin) }
}

#[test]
fn a_second_try_beside_the_first_takes_the_hiccups_away_and_costs_few_tries() {
    let (alone, hedged) = (run(&hiccups(0.05, None)), run(&hiccups(0.05, Some(30))));
    assert!(alone.p99() > 0.19 && hedged.p99() < 0.06, "{} s and {} s", alone.p99(), hedged.p99());
    assert_eq!((hedged.failed_safe, hedged.failed_unsafe), (0, 0));
    retries_stay_within_the_budget(&hedged).unwrap();
    let share = hedged.hedges as f64 / hedged.requests as f64;
    assert!((0.02..0.05).contains(&share), "{share} of all requests, where 3.5 % are slow and may run again");
}

#[test]
fn when_everything_is_slow_second_tries_end_with_the_budget() {
    let report = run(&hiccups(1.0, Some(30)));
    retries_stay_within_the_budget(&report).unwrap();
    let share = report.hedges as f64 / report.requests as f64;
    // What is in flight is a floor of the budget: 100 a second for a fifth of a second.
    assert!(share < 0.21, "{share} of all requests were sent twice");
    let unbounded = run(&without(Missing::Budget, hiccups(1.0, Some(30))));
    assert!(unbounded.hedges as f64 > 0.6 * unbounded.requests as f64, "all that may run again");
}

#[test]
fn an_hour_of_faults_is_borne_with_second_tries_beside() {
    let (plan, _) = faults(plan(Strategy::RoundRobin));
    let report = run(&Plan { hedge: Some(std::time::Duration::from_millis(30)), ..plan });
    retries_stay_within_the_budget(&report).unwrap();
    assert_eq!(report.failed_safe, 0);
    assert!(report.hedges > 0);
}

#[test]
fn without_settling_a_broken_endpoint_is_not_left_alone() {
    let (plan, fault) = failing();
    the_broken_one_is_left_alone(&plan, &run(&plan), &fault).unwrap();
    let plan = without(Missing::Settle, plan);
    assert!(the_broken_one_is_left_alone(&plan, &run(&plan), &fault).is_err());
}
