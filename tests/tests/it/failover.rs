//! Three endpoints under load that does not wait; one of them goes bad, each time in another way, and comes back.
//!
//! Held for every fault: no safe request fails whose answer had not begun; unsafe failures are no more than those in
//! flight when the fault is detected (within two seconds) plus the breaker's threshold; nothing unsafe runs twice; a
//! cut answer never ends as if whole; the bad endpoint is left within two seconds; health says which, since when and
//! why; when it is well again its share returns, and nobody lifts a hand.

use std::time::Duration;

use throome_e2e::load::{Load, Rate};
use throome_e2e::process::now_us;
use throome_e2e::{Service, turn};

use crate::case::{
    BACK, Case, DETECTED, Fault, Hurts, RATE, WATCHED, says_which_since_when_and_why, three_endpoints,
};

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
    check(Fault::Behaves("garbage"), Hurts::Unanswered, "did not answer in HTTP");
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
    let back = wait_for_share(&services[1], RATE);
    let shots = load.finish();

    let case = Case { fault, rate: RATE, shots, services: &services, begun, detected, over };
    case.tell(back);
    case.no_answer_is_wrong();
    case.safe_requests_do_not_fail(hurts);
    case.unsafe_failures_are_few();
    case.nothing_unsafe_runs_twice();
    case.the_bad_one_is_left();
    says_which_since_when_and_why(&facts, &services[1], begun, why);
}

pub(crate) fn begin(service: &mut Service, fault: Fault) {
    match fault {
        Fault::Killed => service.kill(),
        Fault::Frozen => service.freeze(),
        Fault::Behaves(mode) => service.behave(mode),
    }
}

pub(crate) fn end(service: &mut Service, fault: Fault) {
    match fault {
        Fault::Killed => service.restart(),
        Fault::Frozen => service.thaw(),
        Fault::Behaves(_) => service.behave("normal"),
    }
}

/// Waits until the service gets its share again, by what it reads itself; how long that took.
pub(crate) fn wait_for_share(service: &Service, rate: Rate) -> Duration {
    let began = std::time::Instant::now();
    let share = usize::try_from((rate.safe + rate.unsafe_) / 3).unwrap();
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
