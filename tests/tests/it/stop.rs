//! SIGTERM: requests under way are finished, idle connections close, and it ends in time.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use throome_e2e::fixture::one_service;
use throome_e2e::process::wait_for;
use throome_e2e::{Layout, Service, turn};

/// Waits until the service has begun with so many requests.
fn begun(service: &Service, count: usize) {
    wait_for("requests at the service", Duration::from_secs(5), || {
        (service.deeds().iter().filter(|deed| deed.what == "done").count() >= count).then_some(())
    });
}

#[test]
fn requests_under_way_are_finished() {
    let _turn = turn::together();
    let (mut gateway, service) = one_service("");
    let mut idle = gateway.traffic();
    assert_eq!(idle.ask("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    let mut slow = gateway.traffic();
    slow.send("GET /slow?ms=1500 HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut body = gateway.traffic();
    body.send("GET /bytes?n=1000000&ms=80 HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upload = gateway.traffic();
    upload.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf ");
    begun(&service, 3);
    let told = Instant::now();
    gateway.signal("TERM");
    assert_eq!(idle.until_closed(Duration::from_secs(1)).unwrap(), b"");
    wait_for("a closed door", Duration::from_secs(1), || {
        TcpStream::connect(gateway.traffic).is_err().then_some(())
    });
    upload.send("other");
    assert_eq!(upload.reply().expect(200).json()["body"], "half other");
    let answered = slow.reply().expect(200);
    assert!(!answered.keeps_alive(), "{answered}");
    assert_eq!(body.reply().expect(200).body.len(), 1_000_000);
    assert_eq!(gateway.wait(Duration::from_secs(5)), 0);
    assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
    assert!(gateway.log().contains("stopped"), "{}", gateway.log());
}

#[test]
fn what_takes_too_long_is_cut_at_the_limit() {
    let _turn = turn::together();
    let (mut gateway, service) = one_service("server: { shutdown_timeout: 700ms }\n");
    let mut slow = gateway.traffic();
    slow.send("GET /slow?ms=20000 HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut events = gateway.traffic();
    events.send("GET /events?n=100&ms=200 HTTP/1.1\r\nHost: a\r\n\r\n");
    events.until("event 0");
    begun(&service, 2);
    let told = Instant::now();
    gateway.signal("TERM");
    assert_eq!(gateway.wait(Duration::from_secs(5)), 0);
    let took = told.elapsed();
    assert!((Duration::from_millis(600)..Duration::from_millis(2_500)).contains(&took), "{took:?}");
    assert!(slow.try_reply("GET").is_err());
    // A stream that is cut has no end.
    let rest = events.until_closed(Duration::from_secs(1)).unwrap();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{}", rest.escape_ascii());
}

#[test]
fn the_second_signal_stops_at_once() {
    let _turn = turn::together();
    let (mut gateway, service) = one_service("");
    let mut slow = gateway.traffic();
    slow.send("GET /slow?ms=20000 HTTP/1.1\r\nHost: a\r\n\r\n");
    begun(&service, 1);
    gateway.signal("INT");
    std::thread::sleep(Duration::from_millis(300));
    assert!(gateway.has_stopped().is_none(), "a request is under way");
    let told = Instant::now();
    gateway.signal("TERM");
    assert_ne!(gateway.wait(Duration::from_secs(5)), 0);
    assert!(told.elapsed() < Duration::from_secs(1), "{:?}", told.elapsed());
    // Nothing was lost by it: the next start is like any other.
    let gateway = gateway.kill().start();
    assert_eq!(gateway.get("/echo").status, 200);
}

#[test]
fn an_idle_gateway_starts_and_stops_in_no_time() {
    let _turn = turn::alone();
    let layout = Layout::default();
    let began = Instant::now();
    let mut gateway = layout.start();
    let started = began.elapsed();
    let told = Instant::now();
    gateway.signal("TERM");
    assert_eq!(gateway.wait(Duration::from_secs(5)), 0);
    println!("started in {started:?}, stopped in {:?}", told.elapsed());
    assert!(told.elapsed() < Duration::from_secs(1), "{:?}", told.elapsed());
}
