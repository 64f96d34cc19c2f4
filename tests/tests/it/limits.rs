//! Limits: every client that takes too much, too long or too slowly is told so, memory stays flat, others are served.

use std::io::Read;
use std::time::{Duration, Instant};

use throome_e2e::fixture::one_service;
use throome_e2e::gateway::request;
use throome_e2e::process::Memory;
use throome_e2e::turn;

const MIB: u64 = 1024 * 1024;

#[test]
fn a_hundred_megabytes_pass_in_flat_memory() {
    let _turn = turn::alone();
    let (gateway, _service) = one_service("");
    let mut client = gateway.traffic();
    let mut memory = Memory::of(gateway.pid());
    let length = 100 * MIB;
    client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
    let part = vec![b'u'; 1 << 20];
    for _ in 0..100 {
        assert!(client.send(&part));
        memory.look();
    }
    assert_eq!(client.reply().expect(200).json()["length"], length);
    println!("100 MiB up: {} KiB more at most", memory.grew());
    assert!(memory.grew() < 4 * 1024, "{} KiB more", memory.grew());

    client.send(format!("GET /bytes?n={length} HTTP/1.1\r\nHost: a\r\n\r\n"));
    let mut left = length;
    let mut part = vec![0; 1 << 20];
    while left > 1000 {
        let count = client.stream.read(&mut part).unwrap();
        assert!(count > 0, "cut with {left} to come");
        left = left.saturating_sub(count as u64);
        memory.look();
    }
    println!("100 MiB down: {} KiB more at most", memory.grew());
    assert!(memory.grew() < 4 * 1024, "{} KiB more", memory.grew());
}

#[test]
fn a_body_beyond_the_limit_is_413() {
    let _turn = turn::together();
    let (gateway, service) = one_service("proxy: { limits: { body: 1000 } }\n");
    let refused = gateway.traffic().ask("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
    assert_eq!((refused.status, refused.json()["code"].as_str()), (413, Some("too_large")), "{refused}");
    assert!(service.deeds().iter().all(|deed| deed.what == "accepted"), "{:?}", service.deeds());
    // Nobody knows beforehand how long chunks will be: they are cut at the limit, and the service sees no end.
    let mut client = gateway.traffic();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(format!("800\r\n{}\r\n0\r\n\r\n", "c".repeat(2048)));
    assert_eq!(client.reply().expect(413).json()["code"], "too_large");
    assert!(service.deeds().iter().all(|deed| deed.what != "done"), "{:?}", service.deeds());
    let fits = gateway
        .traffic()
        .ask(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{}", "x".repeat(1000)));
    assert_eq!(fits.expect(200).json()["length"], 1000);
}

#[test]
fn the_control_door_takes_no_large_body_and_says_where_json_breaks() {
    let _turn = turn::together();
    let (gateway, _service) = one_service("");
    let mut memory = Memory::of(gateway.pid());
    let mut client = gateway.control();
    let head = format!(
        "POST /api/v1/clusters HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
        gateway.control,
        100 * MIB
    );
    client.send(head);
    let part = vec![b' '; 1 << 20];
    for _ in 0..100 {
        if !client.send(&part) {
            break;
        }
        memory.look();
    }
    let refused = client.reply();
    assert_eq!((refused.status, refused.json()["code"].as_str()), (413, Some("too_large")), "{refused}");
    assert!(memory.grew() < 8 * 1024, "{} KiB more", memory.grew());

    let broken = "{\n  \"name\": \"Shop\",\n  \"services\": {,}\n}";
    let refused = gateway.control().ask(request(gateway.control, "POST", "/api/v1/clusters", Some(broken)));
    let problem = refused.expect(400).json();
    assert_eq!(problem["errors"][0]["line"], 3, "{problem}");
    assert_eq!(gateway.call("GET", "/api/v1/clusters", None).expect(200).json()["count"], 1);
}

#[test]
fn heads_that_are_huge_or_slow_are_refused() {
    let _turn = turn::together();
    let (gateway, service) = one_service(
        "proxy: { limits: { head: 8192, headers: 20, head_timeout: 500ms, idle_timeout: 1s } }\n",
    );
    let long = format!("GET /echo HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "l".repeat(9_000));
    let many = format!("GET /echo HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-Many: m\r\n".repeat(20));
    for bad in [long, many] {
        let mut client = gateway.traffic();
        let refused = client.ask(bad);
        assert_eq!(
            (refused.status, refused.json()["code"].as_str()),
            (431, Some("headers_too_large")),
            "{refused}"
        );
        assert_eq!(client.until_closed(Duration::from_secs(5)).unwrap(), b"");
    }
    let mut slow = gateway.traffic();
    let began = Instant::now();
    for byte in "GET /echo HTTP/1.1\r\nHost: a\r\nX-Slow:".bytes().cycle() {
        if began.elapsed() > Duration::from_secs(2) || !slow.send([byte]) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let told = slow.try_reply("GET");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(told.as_ref().map_or_else(|broken| !broken.begun, |reply| reply.status == 408), "{told:?}");

    let mut idle = gateway.traffic();
    let began = Instant::now();
    assert_eq!(idle.until_closed(Duration::from_secs(5)).unwrap(), b"");
    assert!(began.elapsed() > Duration::from_millis(900), "closed after {:?}", began.elapsed());
    assert!(service.deeds().iter().all(|deed| deed.what == "accepted"), "{:?}", service.deeds());
}

#[test]
fn a_client_that_stops_sending_is_408() {
    let _turn = turn::together();
    let (gateway, service) = one_service("proxy: { limits: { body_timeout: 500ms } }\n");
    // The service's own time is shorter than its patience with a body that goes on.
    gateway.write_cluster(
        "quick",
        &format!(
            "services:\n  web: {{ type: http, endpoints: [ {} ] }}\n\
             routes:\n  - {{ id: quick, host: quick.test, path: \"/*\", service: web, timeout: 1s }}\n",
            service.endpoint()
        ),
    );
    throome_e2e::process::wait_for("the cluster", Duration::from_secs(3), || {
        (gateway.call("GET", "/api/v1/clusters/quick", None).status == 200).then_some(())
    });
    let mut client = gateway.traffic();
    let began = Instant::now();
    client.send("POST /echo HTTP/1.1\r\nHost: quick.test\r\nContent-Length: 1000\r\n\r\nbegin");
    let told = client.reply();
    assert_eq!((told.status, told.json()["code"].as_str()), (408, Some("request_timeout")), "{told}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    // It was the client's doing: nothing is said against the service.
    let facts = gateway.show("/api/v1/clusters/quick/services/web");
    assert_eq!((&facts["healthy"], &facts["breaker"]), (&true.into(), &"closed".into()), "{facts}");
    // One that goes on, however slowly, is served, for longer than the route's time.
    let mut client = gateway.traffic();
    client.send("POST /echo HTTP/1.1\r\nHost: quick.test\r\nContent-Length: 15\r\n\r\n");
    for byte in b"slow but steady" {
        client.send([*byte]);
        std::thread::sleep(Duration::from_millis(150));
    }
    assert_eq!(client.reply().expect(200).json()["body"], "slow but steady");
}

#[test]
fn the_control_door_waits_for_nobody_for_long() {
    let _turn = turn::together();
    let (gateway, _service) = one_service("server: { read_timeout: 500ms }\n");
    let host = gateway.control;
    let mut slow_head = gateway.control();
    slow_head.send(format!("GET /health HTTP/1.1\r\nHost: {host}\r\n"));
    let mut slow_body = gateway.control();
    slow_body
        .send(format!("POST /api/v1/validate HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n\r\n{{"));
    let began = Instant::now();
    let told = slow_body.reply();
    assert_eq!((told.status, told.json()["code"].as_str()), (408, Some("request_timeout")), "{told}");
    let rest = slow_head.until_closed(Duration::from_secs(3)).unwrap();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{}", rest.escape_ascii());
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}
