//! What must hold while an endpoint is bad and afterwards, by what clients were told and what services have done.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use throome_e2e::load::{Ending, Rate, Shot};
use throome_e2e::process::{now_us, wait_for};
use throome_e2e::{Gateway, Layout, Service};

pub(crate) const RATE: Rate = Rate { safe: 120, unsafe_: 40 };
/// Within this time a fault is detected.
pub(crate) const DETECTED: Duration = Duration::from_secs(2);
/// The breaker's threshold, which is the default's.
pub(crate) const THRESHOLD: usize = 5;
/// How long the load is watched after that.
pub(crate) const WATCHED: Duration = Duration::from_secs(2);
/// Within this time after the fault is over, the endpoint has its share again.
pub(crate) const BACK: Duration = Duration::from_secs(10);

/// What goes wrong with an endpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// kill -9, then started again.
    Killed,
    /// SIGSTOP, then SIGCONT.
    Frozen,
    /// One of the service's own bad ways.
    Behaves(&'static str),
}

/// What the fault may do to the requests that meet it before it is detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hurts {
    /// Only those that may not run again: it comes before any answer.
    Unanswered,
    /// Whichever: answers have begun.
    Begun,
    /// None is cut: the answers are whole, and say that the service failed.
    Whole,
}

pub(crate) struct Case<'s> {
    pub(crate) fault: Fault,
    pub(crate) rate: Rate,
    pub(crate) shots: Vec<Shot>,
    pub(crate) services: &'s [Service; 3],
    pub(crate) begun: u64,
    pub(crate) detected: u64,
    pub(crate) over: u64,
}

impl Case<'_> {
    /// The numbers, for whoever reads the test's output.
    #[expect(clippy::print_stdout, reason = "the figures of a run, shown with --nocapture")]
    pub(crate) fn tell(&self, back: Duration) {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for shot in &self.shots {
            let word = match &shot.ending {
                Ending::Good { .. } => "good".to_owned(),
                Ending::Failed { status, code } => format!("{status} {code}"),
                Ending::Cut => "cut".to_owned(),
                other => format!("{other:?}").chars().take(60).collect(),
            };
            *counts.entry(format!("{} {word}", if shot.safe { "GET" } else { "POST" })).or_default() += 1;
        }
        let late = self.reads_of_the_bad_one(self.detected, self.over);
        println!(
            "{:?}: {counts:?}; the bad one got {late} after {DETECTED:?}, was back {back:?} after",
            self.fault
        );
    }

    pub(crate) fn no_answer_is_wrong(&self) {
        let wrong: Vec<_> =
            self.shots.iter().filter(|shot| matches!(shot.ending, Ending::Wrong { .. })).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    pub(crate) fn safe_requests_do_not_fail(&self, hurts: Hurts) {
        let is_bad = |shot: &&Shot| {
            !matches!(
                (&shot.ending, hurts),
                (Ending::Good { .. }, _)
                    | (Ending::Failed { status: 500, .. }, Hurts::Whole)
                    | (Ending::Cut, Hurts::Begun)
            )
        };
        let safe = || self.shots.iter().filter(|shot| shot.safe);
        let failed: Vec<_> = safe().filter(is_bad).collect();
        assert!(
            failed.is_empty(),
            "{} safe requests failed: {:?}",
            failed.len(),
            &failed[..failed.len().min(5)]
        );
        // Once it is detected, only trials are hurt.
        let late =
            safe().filter(|shot| shot.at_us > self.detected && !matches!(shot.ending, Ending::Good { .. }));
        assert!(late.count() <= 2 * THRESHOLD);
    }

    pub(crate) fn unsafe_failures_are_few(&self) {
        let failed = |shot: &&Shot| !shot.safe && !matches!(shot.ending, Ending::Good { .. });
        let all: Vec<_> = self.shots.iter().filter(failed).collect();
        let late: Vec<_> = all.iter().filter(|shot| shot.at_us > self.detected).collect();
        assert!(late.len() <= THRESHOLD, "{} unsafe failures after detection: {late:?}", late.len());
        let in_flight = usize::try_from(self.rate.unsafe_ / 3 + 1).unwrap()
            * usize::try_from(DETECTED.as_secs()).unwrap();
        assert!(all.len() <= in_flight + THRESHOLD, "{} unsafe failures: {all:?}", all.len());
        let early: Vec<_> = all.iter().filter(|shot| shot.ended_us < self.begun).collect();
        assert!(early.is_empty(), "before anything was wrong: {early:?}");
    }

    pub(crate) fn nothing_unsafe_runs_twice(&self) {
        let mut done: HashMap<String, usize> = HashMap::new();
        for deed in self.services.iter().flat_map(Service::deeds) {
            if deed.what == "done" && deed.method == "POST" {
                *done.entry(deed.id).or_default() += 1;
            }
        }
        let twice: Vec<_> = done.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
        let lost = |shot: &&Shot| {
            !shot.safe && matches!(shot.ending, Ending::Good { .. }) && !done.contains_key(&shot.id)
        };
        assert_eq!(self.shots.iter().find(lost).map(|shot| &shot.id), None, "answered and never done");
        assert!(done.len() > 50, "the services have seen the load: {}", done.len());
    }

    /// After detection the bad one sees trials and no more.
    pub(crate) fn the_bad_one_is_left(&self) {
        let late = self.reads_of_the_bad_one(self.detected, self.over);
        assert!(late <= 2 * THRESHOLD, "{late} requests in the {WATCHED:?} after {DETECTED:?}");
    }

    fn reads_of_the_bad_one(&self, from: u64, to: u64) -> usize {
        let tried = |what: &str| matches!(what, "read" | "reset");
        let deeds = self.services[1].deeds();
        deeds.iter().filter(|deed| tried(&deed.what) && (from..to).contains(&deed.at_us)).count()
    }
}

pub(crate) fn says_which_since_when_and_why(facts: &Value, bad: &Service, begun: u64, why: &str) {
    assert_eq!(facts["status"], "DEGRADED", "{facts}");
    for endpoint in facts["endpoints"].as_array().unwrap() {
        let is_bad = endpoint["address"] == bad.address.to_string();
        assert_eq!(endpoint["healthy"], !is_bad, "{facts:#}");
        if is_bad {
            let reason = endpoint["reason"].as_str().unwrap();
            assert!(reason.contains(why), "{why:?} is not in {reason:?}");
            let since = micros(endpoint["since"].as_str().unwrap());
            let limit = begun + u64::try_from(DETECTED.as_micros()).unwrap() + 100_000;
            assert!((begun..limit).contains(&since), "since {since}, but it began {begun}");
        }
    }
}

/// Microseconds of `2026-01-02T03:04:05.678901Z`, within the day of now: all that is compared is minutes apart.
fn micros(time: &str) -> u64 {
    let clock = time.split('T').nth(1).unwrap().trim_end_matches('Z');
    let parts: Vec<f64> = clock.split(':').map(|part| part.parse().unwrap()).collect();
    let seconds = parts[0] * 3600.0 + parts[1] * 60.0 + parts[2];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a day")]
    let of_day = (seconds * 1e6) as u64;
    let day = 86_400_000_000;
    now_us() / day * day + of_day
}

pub(crate) fn three_endpoints(services: &[Service; 3]) -> Gateway {
    let layout = Layout::default();
    let [a, b, c] = services.each_ref().map(Service::endpoint);
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  web:\n    type: http\n    endpoints: [ {a}, {b}, {c} ]\n    health: {{ path: /healthz }}\n\
             routes:\n  - {{ id: all, path: \"/*\", service: web, timeout: 3s }}\n"
        ),
    );
    let gateway = layout.start();
    wait_for("three healthy endpoints", Duration::from_secs(5), || {
        (gateway.show("/api/v1/clusters/shop/health")["status"] == "HEALTHY").then_some(())
    });
    gateway
}
