//! Three endpoints under load that does not wait; one of them goes bad, each time in another way, and comes back.
//!
//! Held for every fault: no safe request fails whose answer had not begun; unsafe failures are no more than those in
//! flight when the fault is detected (within two seconds) plus the breaker's threshold; nothing unsafe runs twice; a
//! cut answer never ends as if whole; the bad endpoint is left within two seconds; health says which, since when and
//! why; when it is well again its share returns, and nobody lifts a hand.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use throome_e2e::load::{Ending, Load, Rate, Shot};
use throome_e2e::process::{now_us, wait_for};
use throome_e2e::{Gateway, Layout, Service, turn};

const RATE: Rate = Rate { safe: 120, unsafe_: 40 };
/// Within this time a fault is detected.
const DETECTED: Duration = Duration::from_secs(2);
/// The breaker's threshold, which is the default's.
const THRESHOLD: usize = 5;
/// How long the load is watched after that.
const WATCHED: Duration = Duration::from_secs(2);
/// Within this time after the fault is over, the endpoint has its share again.
const BACK: Duration = Duration::from_secs(10);

/// What goes wrong with an endpoint.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// kill -9, then started again.
    Killed,
    /// SIGSTOP, then SIGCONT.
    Frozen,
    /// One of the service's own bad ways.
    Behaves(&'static str),
}

/// What the fault may do to the requests that meet it before it is detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hurts {
    /// Only those that may not run again: it comes before any answer.
    Unanswered,
    /// Whichever: answers have begun.
    Begun,
    /// None is cut: the answers are whole, and say that the service failed.
    Whole,
}

#[test]
fn an_endpoint_is_killed() {
    check(Fault::Killed, Hurts::Unanswered, "cannot connect");
}

#[test]
fn an_endpoint_is_frozen() {
    check(Fault::Frozen, Hurts::Unanswered, "answer");
}

#[test]
fn an_endpoint_resets_connections() {
    check(Fault::Behaves("reset-on-accept"), Hurts::Unanswered, "reset");
}

#[test]
fn an_endpoint_takes_requests_and_closes_without_an_answer() {
    check(Fault::Behaves("eat"), Hurts::Unanswered, "without an answer");
}

#[test]
fn an_endpoint_closes_its_half_and_stays() {
    check(Fault::Behaves("half-close"), Hurts::Unanswered, "without an answer");
}

#[test]
fn an_endpoint_talks_nonsense() {
    check(Fault::Behaves("garbage"), Hurts::Unanswered, "did not answer in HTTP/1.1");
}

#[test]
fn an_endpoint_trickles() {
    check(Fault::Behaves("trickle"), Hurts::Begun, "broke its answer");
}

#[test]
fn an_endpoint_sends_less_than_it_says() {
    check(Fault::Behaves("short"), Hurts::Begun, "broke its answer");
}

#[test]
fn an_endpoint_sends_more_than_it_says() {
    check(Fault::Behaves("long"), Hurts::Unanswered, "more");
}

#[test]
fn an_endpoint_answers_that_it_failed() {
    check(Fault::Behaves("fail"), Hurts::Whole, "answered 500");
}

#[test]
fn an_endpoint_answers_late() {
    check(Fault::Behaves("late"), Hurts::Unanswered, "answer");
}

/// Restarts in a row, as of a deployment: nobody is late, nothing is left out for long.
#[test]
fn endpoints_are_restarted_one_after_the_other() {
    let _turn = turn::alone();
    let mut services = ["a", "b", "c"].map(Service::start);
    let gateway = three_endpoints(&services);
    let begun = now_us();
    let load = Load::begin(gateway.traffic, "shop.test", RATE);
    for service in &mut services {
        std::thread::sleep(Duration::from_millis(700));
        service.kill();
        std::thread::sleep(Duration::from_millis(300));
        service.restart();
        std::thread::sleep(Duration::from_secs(2));
    }
    let over = now_us();
    let shots = load.finish();
    let case = Case { fault: Fault::Killed, shots, services: &services, begun, detected: over, over };
    case.tell(Duration::ZERO);
    case.no_answer_is_wrong();
    case.safe_requests_do_not_fail(Hurts::Unanswered);
    case.unsafe_failures_are_few();
    case.nothing_unsafe_runs_twice();
}

/// Two of three die at the same moment: the third answers for all.
#[test]
fn two_of_three_are_killed() {
    let _turn = turn::alone();
    let mut services = ["a", "b", "c"].map(Service::start);
    let gateway = three_endpoints(&services);
    let load = Load::begin(gateway.traffic, "shop.test", RATE);
    std::thread::sleep(Duration::from_secs(1));
    let begun = now_us();
    services[0].kill();
    services[1].kill();
    std::thread::sleep(DETECTED);
    let over = now_us();
    let shots = load.finish();
    let case = Case { fault: Fault::Killed, shots, services: &services, begun, detected: over, over };
    case.tell(Duration::ZERO);
    case.no_answer_is_wrong();
    case.safe_requests_do_not_fail(Hurts::Unanswered);
    case.unsafe_failures_are_few();
    case.nothing_unsafe_runs_twice();
}

/// All of them die: clients are told so at once, with the reason, and everything is well when they are back.
#[test]
fn all_are_killed_and_come_back() {
    let _turn = turn::alone();
    let mut services = ["a", "b", "c"].map(Service::start);
    let gateway = three_endpoints(&services);
    services.iter_mut().for_each(Service::kill);
    for _ in 0..20 {
        let asked = std::time::Instant::now();
        let reply = gateway.get("/load");
        assert!(matches!(reply.status, 502 | 503) && reply.json()["service"] == "web", "{reply}");
        assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
    }
    let last = gateway.get("/load").expect(503);
    assert!(last.field("retry-after").is_some() && last.text().contains("refused"), "{last}");
    wait_for("health that says it", Duration::from_secs(3), || {
        (gateway.show("/api/v1/clusters/shop/health")["status"] == "UNHEALTHY").then_some(())
    });
    services.iter_mut().for_each(Service::restart);
    wait_for("answers", Duration::from_secs(3), || (gateway.get("/load").status == 200).then_some(()));
    // Whoever comes back is tried with what may run again.
    wait_for("health that says it", Duration::from_secs(5), || {
        assert_eq!(gateway.get("/load").status, 200);
        (gateway.show("/api/v1/clusters/shop/health")["status"] == "HEALTHY").then_some(())
    });
}

/// A service that closes idle connections is no service that fails, also for what may not run again.
#[test]
fn idle_connections_that_the_service_closes_cost_no_request() {
    let _turn = turn::together();
    let mut services = ["a", "b", "c"].map(Service::start);
    services.iter_mut().for_each(|service| service.behave("impatient"));
    let gateway = three_endpoints(&services);
    let mut client = gateway.traffic();
    for pause in [0, 100, 200, 400, 500, 600, 0, 0, 0, 450, 450, 450] {
        std::thread::sleep(Duration::from_millis(pause));
        for _ in 0..3 {
            let post = "POST /load HTTP/1.1\r\nHost: a\r\nX-Shot: 1\r\nContent-Length: 4\r\n\r\nbody";
            let reply = client.ask(post);
            assert_eq!(reply.status, 200, "after {pause} ms: {reply}");
        }
    }
    let facts = gateway.show("/api/v1/clusters/shop/health");
    assert_eq!(facts["status"], "HEALTHY", "{facts}");
}

/// Connections to services are used again.
#[test]
fn connections_to_services_are_kept() {
    let _turn = turn::together();
    let services = ["a", "b", "c"].map(Service::start);
    let gateway = three_endpoints(&services);
    services.iter().for_each(Service::forget);
    let mut client = gateway.traffic();
    for _ in 0..300 {
        assert_eq!(client.ask("GET /load HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    }
    let deeds: Vec<_> = services.iter().flat_map(Service::deeds).collect();
    let count = |what: &str| deeds.iter().filter(|deed| deed.what == what).count();
    // One for each endpoint, and what probes open.
    assert!(count("accepted") < 15, "{} connections for {} requests", count("accepted"), count("read"));
}

#[test]
fn an_endpoint_closes_in_mid_body() {
    check(Fault::Behaves("close-in-body"), Hurts::Begun, "broke its answer");
}

#[test]
fn an_endpoint_closes_in_mid_chunk() {
    check(Fault::Behaves("close-in-chunks"), Hurts::Begun, "broke its answer");
}

#[test]
fn an_endpoint_resets_in_mid_body() {
    check(Fault::Behaves("reset-in-body"), Hurts::Begun, "broke its answer");
}

/// One fault from its beginning to its end, under load all the time.
fn check(fault: Fault, hurts: Hurts, why: &str) {
    let _turn = turn::alone();
    let mut services = ["a", "b", "c"].map(Service::start);
    let gateway = three_endpoints(&services);
    let load = Load::begin(gateway.traffic, "shop.test", RATE);
    std::thread::sleep(Duration::from_secs(1));
    let begun = now_us();
    begin(&mut services[1], fault);
    std::thread::sleep(DETECTED);
    let detected = now_us();
    let facts = gateway.show("/api/v1/clusters/shop/services/web");
    std::thread::sleep(WATCHED);
    let over = now_us();
    end(&mut services[1], fault);
    let back = wait_for_share(&services[1]);
    let shots = load.finish();

    let case = Case { fault, shots, services: &services, begun, detected, over };
    case.tell(back);
    case.no_answer_is_wrong();
    case.safe_requests_do_not_fail(hurts);
    case.unsafe_failures_are_few();
    case.nothing_unsafe_runs_twice();
    case.the_bad_one_is_left();
    says_which_since_when_and_why(&facts, &services[1], begun, why);
}

fn three_endpoints(services: &[Service; 3]) -> Gateway {
    let layout = Layout::default();
    let [a, b, c] = services.each_ref().map(Service::endpoint);
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  web:\n    type: http\n    endpoints: [ {a}, {b}, {c} ]\n    health: {{ path: /healthz }}\n\
             routes:\n  - {{ id: all, path: \"/*\", service: web }}\n"
        ),
    );
    let gateway = layout.start();
    wait_for("three healthy endpoints", Duration::from_secs(5), || {
        (gateway.show("/api/v1/clusters/shop/health")["status"] == "HEALTHY").then_some(())
    });
    gateway
}

fn begin(service: &mut Service, fault: Fault) {
    match fault {
        Fault::Killed => service.kill(),
        Fault::Frozen => service.freeze(),
        Fault::Behaves(mode) => service.behave(mode),
    }
}

fn end(service: &mut Service, fault: Fault) {
    match fault {
        Fault::Killed => service.restart(),
        Fault::Frozen => service.thaw(),
        Fault::Behaves(_) => service.behave("normal"),
    }
}

/// Waits until the service gets its share again, by what it reads itself; how long that took.
fn wait_for_share(service: &Service) -> Duration {
    let began = std::time::Instant::now();
    let share = usize::try_from((RATE.safe + RATE.unsafe_) / 3).unwrap();
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let since = now_us() - 1_000_000;
        // What was sent to it while it was frozen is no share of now: an id begins with its time.
        let is_new = |id: &str| {
            id.split('-').next().and_then(|at| at.parse::<u64>().ok()).is_some_and(|at| at >= since)
        };
        let reads = service.deeds().iter().filter(|deed| deed.what == "read" && is_new(&deed.id)).count();
        if reads * 10 >= share * 8 {
            return began.elapsed();
        }
        assert!(
            began.elapsed() < BACK,
            "{reads} requests in the last second after {BACK:?}, {share} is its share"
        );
    }
}

struct Case<'s> {
    fault: Fault,
    shots: Vec<Shot>,
    services: &'s [Service; 3],
    begun: u64,
    detected: u64,
    over: u64,
}

impl Case<'_> {
    /// The numbers, for whoever reads the test's output.
    #[expect(clippy::print_stdout, reason = "the figures of a run, shown with --nocapture")]
    fn tell(&self, back: Duration) {
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

    fn no_answer_is_wrong(&self) {
        let wrong: Vec<_> =
            self.shots.iter().filter(|shot| matches!(shot.ending, Ending::Wrong { .. })).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    fn safe_requests_do_not_fail(&self, hurts: Hurts) {
        let is_bad = |shot: &&Shot| match (&shot.ending, hurts) {
            (Ending::Good { .. }, _)
            | (Ending::Failed { status: 500, .. }, Hurts::Whole)
            | (Ending::Cut, Hurts::Begun) => false,
            _ => true,
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

    fn unsafe_failures_are_few(&self) {
        let failed = |shot: &&Shot| !shot.safe && !matches!(shot.ending, Ending::Good { .. });
        let all: Vec<_> = self.shots.iter().filter(failed).collect();
        let late: Vec<_> = all.iter().filter(|shot| shot.at_us > self.detected).collect();
        assert!(late.len() <= THRESHOLD, "{} unsafe failures after detection: {late:?}", late.len());
        let in_flight =
            usize::try_from(RATE.unsafe_ / 3 + 1).unwrap() * usize::try_from(DETECTED.as_secs()).unwrap();
        assert!(all.len() <= in_flight + THRESHOLD, "{} unsafe failures: {all:?}", all.len());
        let early: Vec<_> = all.iter().filter(|shot| shot.ended_us < self.begun).collect();
        assert!(early.is_empty(), "before anything was wrong: {early:?}");
    }

    fn nothing_unsafe_runs_twice(&self) {
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
    fn the_bad_one_is_left(&self) {
        let late = self.reads_of_the_bad_one(self.detected, self.over);
        assert!(late <= 2 * THRESHOLD, "{late} requests in the {WATCHED:?} after {DETECTED:?}");
    }

    fn reads_of_the_bad_one(&self, from: u64, to: u64) -> usize {
        let tried = |what: &str| matches!(what, "read" | "reset");
        let deeds = self.services[1].deeds();
        deeds.iter().filter(|deed| tried(&deed.what) && (from..to).contains(&deed.at_us)).count()
    }
}

fn says_which_since_when_and_why(facts: &Value, bad: &Service, begun: u64, why: &str) {
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
