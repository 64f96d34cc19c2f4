//! The first minute: `throome dev`, and the lines that it prints, one after the other.

use std::process::Command;
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
    let got =
        gateway.call("POST", "/api/v1/clusters/dev/cache/get", Some(&json!({ "key": "hello" }))).expect(200);
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
    println!("an answer {:?} after its start", began.elapsed());
    // One answer is enough: health comes to say the same by itself.
    let facts = "/api/v1/clusters/mine/services/web";
    wait_for("health that says it", Duration::from_secs(3), || {
        (gateway.show(facts)["healthy"] == true).then_some(())
    });
    println!("healthy {:?} after its start", began.elapsed());
    four_voices(&gateway, &service);
}

/// The lines as a shell runs them, but for the service, which is ours here, on a port of its own.
#[test]
fn the_printed_lines_work_as_they_stand() {
    let _turn = turn::together();
    let gateway = Layout::default().run("dev");
    let printed = wait_for("the greeting", Duration::from_secs(5), || {
        Some(gateway.printed()).filter(|printed| printed.contains("Swagger") || printed.contains("swagger"))
    });
    let mut service = Service::start("own");
    let printed = printed.replace(":3000", &format!(":{}", service.address.port()));
    let printed = printed.replace("\"port\":3000", &format!("\"port\":{}", service.address.port()));
    let mut answers = Vec::new();
    for line in lines(&printed) {
        if line.starts_with("python3 -m http.server") {
            service.restart();
            continue;
        }
        let line = line.strip_prefix("kill %1; ").map_or(line.as_str(), |rest| {
            service.kill();
            rest
        });
        let said = if line.contains("service get") {
            // Nobody types faster than that.
            wait_for("facts that say why", Duration::from_secs(2), || {
                Some(typed(line)).filter(|said| said.contains("refused"))
            })
        } else {
            typed(line)
        };
        answers.push((line.to_owned(), said));
    }
    let of = |words: &str| -> Vec<&str> {
        answers.iter().filter(|(line, _)| line.contains(words)).map(|(_, said)| said.as_str()).collect()
    };
    assert!(of("cache/set")[0].contains("\"stored\":true"), "{answers:#?}");
    assert!(of("cache/get")[0].contains("\"world\""), "{answers:#?}");
    assert!(of("\"name\":\"Mine\"")[0].contains("\"mine\""), "{answers:#?}");
    let through: Vec<&str> =
        of("curl -i").iter().map(|said| said.lines().next().unwrap_or_default()).collect();
    let [well, broken, healed] = through.as_slice() else { panic!("{answers:#?}") };
    assert!(well.contains("200") && healed.contains("200"), "{through:?}");
    assert!(broken.contains("502") || broken.contains("503"), "{through:?}");
    assert!(of("/activity")[0].contains("\"mine\""), "{answers:#?}");
    assert!(of("/events")[0].contains("\"cluster.created\""), "{answers:#?}");
    assert!(of("/metrics")[0].contains("throome_service_health{"), "{answers:#?}");
    assert!(of("explain")[0].contains("mine"), "{answers:#?}");
}

/// What a shell prints for a line.
fn typed(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The lines to type of a greeting; one that goes on further in is one.
fn lines(printed: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in printed.lines() {
        if let Some(rest) = line.strip_prefix("       ") {
            lines.last_mut().unwrap().push_str(rest);
        } else if let Some(line) = line.strip_prefix("  ") {
            lines.push(line.to_owned());
        }
    }
    lines
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
        let line = metrics
            .lines()
            .filter(|line| line.starts_with(begin) && with.iter().all(|word| line.contains(word)));
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
