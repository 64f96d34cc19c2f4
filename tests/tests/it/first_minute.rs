//! The first minute: `throome dev`, and the lines that it prints, one after the other.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use throome_e2e::process::wait_for;
use throome_e2e::{Layout, Service, turn};

#[test]
fn a_key_a_route_a_break_and_a_heal() {
    let _turn = turn::together();
    let gateway = Layout::default().run("dev");
    let printed = wait_for("the greeting", Duration::from_secs(5), || {
        Some(gateway.printed()).filter(|printed| printed.contains("Break it"))
    });
    let said = |text: &str| assert!(printed.contains(text), "{text:?} is not in {printed}");

    said("/api/v1/clusters/dev/cache/set");
    let set = json!({ "key": "hello", "value": "world", "ttl": 600 });
    let reply = gateway.call("POST", "/api/v1/clusters/dev/cache/set", Some(&set)).expect(200);
    assert_eq!(reply.json()["stored"], true);
    let got = gateway.call("POST", "/api/v1/clusters/dev/cache/get", Some(&json!({ "key": "hello" }))).expect(200);
    assert_eq!(got.json()["value"], "world");

    said(r#""routes":[{"id":"mine","path":"/*","service":"web"}]"#);
    let mut service = Service::start("own");
    gateway.create(&json!({
        "name": "Mine", "cluster_id": "mine",
        "services": { "web": { "type": "http", "host": "127.0.0.1", "port": service.address.port() } },
        "routes": [{ "id": "mine", "path": "/*", "service": "web" }],
    }));
    assert_eq!(gateway.get("/").expect(200).json()["service"], "own");

    service.kill();
    let refused = gateway.get("/");
    assert!(matches!(refused.status, 502 | 503), "{refused}");
    let problem = refused.json();
    assert_eq!(problem["service"], "web", "{problem}");
    let broken = wait_for("facts that say it", Duration::from_secs(3), || {
        let _ = gateway.get("/");
        let facts = gateway.show("/api/v1/clusters/mine/services/web");
        Some(facts).filter(|facts| facts["healthy"] == false)
    });
    let endpoint = &broken["endpoints"][0];
    assert!(endpoint["reason"].as_str().unwrap().contains("cannot connect"), "{broken}");
    assert!(endpoint["since"].as_str().is_some() && broken["since"].as_str().is_some(), "{broken}");

    service.restart();
    let began = Instant::now();
    wait_for("an answer of the service that is back", Duration::from_secs(3), || {
        Some(gateway.get("/")).filter(|reply| reply.status == 200)
    });
    println!("healed after {:?}", began.elapsed());
    four_voices(&gateway, &service);
}

/// Activity, events, metrics and explain tell the same story.
fn four_voices(gateway: &throome_e2e::Gateway, service: &Service) {
    let activity = gateway.show("/api/v1/activity?limit=100");
    let records = activity["activities"].as_array().unwrap();
    let of = |cluster: &str, outcome: &str| -> Vec<&Value> {
        records.iter().filter(|record| record["cluster"] == cluster && record["outcome"] == outcome).collect()
    };
    assert_eq!(of("dev", "success").len(), 2, "{activity}");
    assert_eq!(of("dev", "success")[0]["operation"], "GET", "the latest first: {activity}");
    let (good, bad) = (of("mine", "success"), of("mine", "error"));
    assert!(good.len() >= 2 && !bad.is_empty(), "{activity}");
    assert_eq!(bad[0]["service"], "web");
    assert!(bad.iter().all(|record| record["code"].is_string()), "{activity}");

    let events = gateway.show("/api/v1/events?limit=100");
    let kinds: Vec<String> = events["events"].as_array().unwrap().iter().map(Value::to_string).collect();
    let endpoint = service.address.to_string();
    let left = kinds.iter().position(|event| event.contains(&endpoint) && !event.contains("\"endpoint.in\""));
    let back = kinds.iter().position(|event| event.contains(&endpoint) && event.contains("\"endpoint.in\""));
    assert!(back.is_some() && left.is_some() && back < left, "the latest first: {events}");

    let metrics = gateway.call("GET", "/metrics", None).expect(200).text();
    let value = |begin: &str, with: &[&str]| -> f64 {
        let line = metrics.lines().filter(|line| line.starts_with(begin) && with.iter().all(|word| line.contains(word)));
        line.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    let requests = value("throome_requests_total", &["mine", "web"]);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let recorded = (good.len() + bad.len()) as f64;
    assert!((requests - recorded).abs() < 0.5, "{requests} in metrics, {recorded} in activity\n{metrics}");
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let failed = bad.len() as f64;
    assert!((value("throome_errors_total", &["mine", "web"]) - failed).abs() < 0.5, "{metrics}");
    assert!(value("throome_service_health", &["mine", "web"]) > 0.5, "{metrics}");

    let asked = json!({ "method": "GET", "host": "localhost", "path": "/" });
    let explained = gateway.call("POST", "/api/v1/explain", Some(&asked)).expect(200).json();
    assert_eq!(explained["route"]["id"], "mine", "{explained}");
    assert_eq!(explained["endpoint"], endpoint, "{explained}");
    assert_eq!(explained["service"], "mine/web", "{explained}");
}
