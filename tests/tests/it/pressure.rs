//! A service that is asked more at once than it may be: who waits, who is told so, and what is counted.

use std::time::{Duration, Instant};

use throome_e2e::process::wait_for;
use throome_e2e::{Gateway, Layout, Service, turn};

fn limited(service: &Service, limits: &str) -> Gateway {
    let layout = Layout::default();
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  web:\n    type: http\n    endpoints: [ {} ]\n    health: {{ path: /healthz }}\n\
             \x20   limits: {limits}\n\
             routes:\n  - {{ id: all, path: \"/*\", service: web, timeout: 10s }}\n",
            service.endpoint()
        ),
    );
    layout.start()
}

#[test]
fn a_service_is_asked_no_more_at_once_than_it_may_be() {
    let _turn = turn::alone();
    let service = Service::start("one");
    let gateway = limited(&service, "{ max_requests: 2, max_pending: 2 }");
    let ask = || {
        let began = Instant::now();
        (gateway.get("/slow?ms=1000"), began.elapsed())
    };
    let replies: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let of = |status| replies.iter().filter(move |(reply, _)| reply.status == status);
    assert_eq!((of(200).count(), of(503).count()), (4, 4), "two at once, two after them");
    let second = of(200).filter(|(_, took)| *took >= Duration::from_millis(1900)).count();
    assert_eq!(second, 2, "{:?}", of(200).map(|(_, took)| took).collect::<Vec<_>>());
    for (reply, took) in of(503) {
        assert_eq!(
            (reply.json()["code"].as_str(), reply.field("retry-after")),
            (Some("overloaded"), Some("1"))
        );
        assert!(*took < Duration::from_millis(900), "told at once, not after {took:?}");
    }
    let idle = serde_json::json!({ "max_requests": 2, "in_flight": 0, "pending": 0 });
    let facts = wait_for("room for all", Duration::from_secs(2), || {
        let facts = gateway.show("/api/v1/clusters/shop/services/web");
        (facts["limits"] == idle).then_some(facts)
    });
    assert_eq!(facts["status"], "HEALTHY", "nothing is said against the service: {facts}");
    let metrics = gateway.control().ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").text().to_owned();
    for line in [
        r#"throome_service_limit{cluster_id="shop",service="web",type="http"} 2"#,
        r#"throome_route_requests_total{cluster_id="shop",route="all"} 8"#,
        r#"throome_route_errors_total{cluster_id="shop",route="all",error_type="overloaded"} 4"#,
        r#"throome_route_tries_total{cluster_id="shop",route="all"} 4"#,
        r#"throome_route_active_requests{cluster_id="shop",route="all"} 0"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn probes_that_fail_everywhere_take_no_service_down_that_answers() {
    let _turn = turn::together();
    let mut services = ["a", "b", "c"].map(Service::start);
    let gateway = crate::case::three_endpoints(&services);
    services.iter_mut().for_each(|service| service.behave("sick"));
    wait_for("probes that are doubted", Duration::from_secs(60), || {
        assert_eq!(gateway.get("/echo").status, 200);
        let events = gateway.show("/api/v1/events?kind=service.probes_doubted");
        (events["count"] == 1).then_some(())
    });
    services.iter_mut().for_each(|service| service.behave("normal"));
    wait_for("probes that are believed", Duration::from_secs(20), || {
        assert_eq!(gateway.get("/echo").status, 200);
        let events = gateway.show("/api/v1/events?kind=service.probes_believed");
        (events["count"] == 1).then_some(())
    });
}
