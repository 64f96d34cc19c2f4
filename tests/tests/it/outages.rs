//! Several endpoints go at once or in turn, and connections to services that come and go.

use std::time::Duration;

use throome_e2e::load::Load;
use throome_e2e::process::{now_us, wait_for};
use throome_e2e::{Service, turn};

use crate::case::{Case, DETECTED, Fault, Hurts, RATE, three_endpoints};

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
    let case =
        Case { fault: Fault::Killed, rate: RATE, shots, services: &services, begun, detected: over, over };
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
    let case =
        Case { fault: Fault::Killed, rate: RATE, shots, services: &services, begun, detected: over, over };
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
