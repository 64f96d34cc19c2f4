//! What a client entrusts to the gateway is in no log, list, metric or error: canaries are planted, all outputs looked at.

use std::fs;

use serde_json::json;
use throome_e2e::{Layout, Service, turn};

const CANARY: &str = "canary-7f3a9";

#[test]
fn values_keys_and_credentials_are_in_no_output() {
    let _turn = turn::together();
    let mut service = Service::start("one");
    let layout = Layout::default().with_args(&["--log-level", "trace"]);
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  web: {{ type: http, endpoints: [ {} ] }}\n  cache: {{ type: memory }}\n\
             routes:\n  - {{ id: users, path: \"/users/:id/*\", service: web }}\n",
            service.endpoint()
        ),
    );
    let gateway = layout.start();
    let secretive = format!(
        "POST /users/{CANARY}/cards?token={CANARY} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {CANARY}\r\n\
         Cookie: session={CANARY}\r\nContent-Length: {}\r\n\r\n{CANARY}",
        CANARY.len()
    );
    let echo = gateway.traffic().ask(&secretive).expect(200).text();
    assert!(echo.matches(CANARY).count() >= 5, "the service gets it all: {echo}");
    let cache = "/api/v1/clusters/shop/cache";
    for (verb, body) in [
        ("set", json!({ "key": format!("user:{CANARY}"), "value": CANARY })),
        ("get", json!({ "key": format!("user:{CANARY}") })),
        ("incr", json!({ "key": format!("user:{CANARY}") })),
    ] {
        let _ = gateway.call("POST", &format!("{cache}/{verb}"), Some(&body));
    }
    let _ = gateway.control().ask(format!(
        "GET /api/v1/clusters HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {CANARY}\r\n\r\n",
        gateway.control
    ));
    // Also where it fails.
    service.behave("eat");
    service.kill();
    let refused = gateway.traffic().ask(&secretive);
    assert!(refused.status >= 500 && !refused.text().contains(CANARY), "{refused}");

    let mut outputs =
        vec![("the log".to_owned(), gateway.log()), ("standard output".to_owned(), gateway.printed())];
    for path in [
        "/metrics",
        "/api/v1/activity?limit=1000",
        "/api/v1/events?limit=1000",
        "/api/v1/requests",
        "/api/v1/clusters/shop",
        "/api/v1/clusters/shop/health",
        "/api/v1/clusters/shop/metrics",
    ] {
        outputs.push((path.to_owned(), gateway.call("GET", path, None).text()));
    }
    let arguments = fs::read(format!("/proc/{}/cmdline", gateway.pid())).unwrap();
    outputs.push(("the list of processes".to_owned(), String::from_utf8_lossy(&arguments).into_owned()));
    for (name, text) in &outputs {
        let line = text.lines().find(|line| line.contains(CANARY));
        assert_eq!(line, None, "in {name}");
    }
    let activity = &outputs[3].1;
    assert!(activity.contains("user:*") && activity.contains("\"users\""), "the shapes are told: {activity}");
}
