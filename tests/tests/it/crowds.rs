//! Many connections at once: idle ones, ones that do not read, more than the limit, more than there are files.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use throome_e2e::fixture::one_service;
use throome_e2e::process::{Memory, free_port, resident_kib, service_binary};
use throome_e2e::{Gateway, Layout, Service, turn};

const MIB: u64 = 1024 * 1024;

#[test]
fn a_client_that_does_not_read_holds_nobody_up() {
    let _turn = turn::alone();
    let (gateway, _service) = one_service("proxy: { limits: { write_timeout: 1s } }\n");
    let mut memory = Memory::of(gateway.pid());
    let lazy: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(gateway.traffic).unwrap();
            write!(stream, "GET /bytes?n={} HTTP/1.1\r\nHost: a\r\n\r\n", 100 * MIB).unwrap();
            stream
        })
        .collect();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(800) {
        let asked = Instant::now();
        assert_eq!(gateway.get("/echo").status, 200);
        assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
        memory.look();
    }
    println!("20 clients that do not read: {} KiB more", memory.grew());
    assert!(memory.grew() < 20 * 1024, "{} KiB more", memory.grew());
    // After the time to wait they are cut: a reset, so that what they have cannot be taken for all of it.
    std::thread::sleep(Duration::from_millis(2_500));
    for mut stream in lazy {
        let mut all = Vec::new();
        let end = stream.read_to_end(&mut all);
        let whole = all.len() as u64 >= 100 * MIB;
        assert!(!whole && (end.is_err() || !all.is_empty()), "{end:?} after {} bytes", all.len());
    }
    // They did it themselves: the service is well.
    let facts = gateway.show("/api/v1/clusters/shop/services/web");
    assert_eq!(facts["status"], "HEALTHY", "{facts}");
}

#[test]
fn ten_thousand_open_connections_cost_little_and_hold_nobody_up() {
    const COUNT: usize = 10_000;
    let _turn = turn::alone();
    let (gateway, _service) = one_service("");
    assert_eq!(gateway.get("/echo").status, 200);
    let memory = resident_kib(gateway.pid());
    let mut holder = Command::new("sh")
        .args(["-c", "ulimit -n $(ulimit -Hn); exec \"$0\" \"$@\""])
        .arg(service_binary())
        .args(["hold", &gateway.traffic.to_string(), &COUNT.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 5];
    holder.stdout.take().unwrap().read_exact(&mut ready).unwrap();
    assert_eq!(&ready, b"ready");
    let asked = Instant::now();
    for _ in 0..100 {
        assert_eq!(gateway.get("/echo").status, 200);
    }
    let each = asked.elapsed() / 100;
    let grew = resident_kib(gateway.pid()).saturating_sub(memory);
    let bytes = grew * 1024 / COUNT as u64;
    println!("{COUNT} idle connections: {bytes} bytes each, {grew} KiB in all; a request takes {each:?}");
    assert!(bytes < 8 * 1024, "{bytes} bytes each");
    assert!(each < Duration::from_millis(100), "{each:?}");
    assert!(connections(&gateway) >= COUNT, "{} connections", connections(&gateway));
    drop(holder.stdin.take());
    holder.wait().unwrap();
    throome_e2e::process::wait_for("the end of the connections", Duration::from_secs(10), || {
        (connections(&gateway) < 10).then_some(())
    });
}

/// Both ends of them are one process, with as many files as the system allows.
#[test]
fn thousands_of_websockets_cost_little_and_all_hear_a_broadcast() {
    const COUNT: usize = 5_000;
    let _turn = turn::alone();
    let port = free_port();
    let layout = Layout::default();
    layout.write_cluster(
        "chat",
        &format!(
            "health: {{ enabled: false }}\nservices:\n  web: {{ type: http, host: 127.0.0.1, port: {port} }}\n\
             routes:\n  - {{ id: all, path: \"/*\", service: web }}\n"
        ),
    );
    let gateway = layout.start();
    let mut crowd = Command::new("sh")
        .args(["-c", "ulimit -n $(ulimit -Hn); exec \"$0\" \"$@\""])
        .arg(service_binary())
        .args(["crowd", &gateway.traffic.to_string(), &port.to_string(), &COUNT.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(crowd.stdout.take().unwrap()).lines();
    let mut orders = crowd.stdin.take().unwrap();
    assert_eq!(said.next().unwrap().unwrap(), "ready");
    let mut order = |what: &str| {
        writeln!(orders, "{what}").unwrap();
        said.next().unwrap_or_else(|| panic!("the crowd has failed to {what}")).unwrap()
    };
    assert_eq!(order("open first"), "ok");
    let memory = resident_kib(gateway.pid());
    assert_eq!(order("open"), "ok");
    let grew = resident_kib(gateway.pid()).saturating_sub(memory);
    let bytes = grew * 1024 / COUNT as u64;
    let heard: Vec<Duration> =
        (0..3).map(|_| Duration::from_micros(order("broadcast").parse().unwrap())).collect();
    println!(
        "{COUNT} idle WebSockets: {bytes} bytes each, {grew} KiB in all; all heard a broadcast in {heard:?}"
    );
    assert!(bytes < 8 * 1024, "{bytes} bytes each");
    assert!(heard.iter().all(|took| *took < Duration::from_secs(5)), "{heard:?}");
    drop(orders);
    assert!(crowd.wait().unwrap().success());
    throome_e2e::process::wait_for("the end of the connections", Duration::from_secs(10), || {
        (connections(&gateway) < 10).then_some(())
    });
}

/// Open connections of the traffic door, by the metrics.
fn connections(gateway: &Gateway) -> usize {
    let metrics = gateway.call("GET", "/metrics", None).expect(200).text();
    let line = metrics.lines().find(|line| line.starts_with("throome_client_connections{door=\"traffic\"}"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{metrics}"))
}

#[test]
fn running_out_of_files_is_said_and_survived() {
    let _turn = turn::together();
    let service = Service::start("one");
    let layout = Layout::default().with_files(120);
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  web: {{ type: http, endpoints: [ {} ] }}\nroutes:\n  - {{ id: all, path: \"/*\", service: web }}\n",
            service.endpoint()
        ),
    );
    let gateway = layout.start();
    let held: Vec<_> = (0..150).map(|_| gateway.traffic()).collect();
    throome_e2e::process::wait_for("a word of it", Duration::from_secs(5), || {
        gateway.log().contains("cannot accept a connection").then_some(())
    });
    drop(held);
    throome_e2e::process::wait_for("an answer", Duration::from_secs(10), || {
        let mut client = gateway.traffic();
        client.send("GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.try_reply("GET").ok().filter(|reply| reply.status == 200)
    });
    assert_eq!(gateway.call("GET", "/health", None).status, 200);
    let words = gateway.log().matches("cannot accept a connection").count();
    assert!(words < 400, "{words} lines in the log");
}

#[test]
fn beyond_its_connections_the_door_closes_at_once() {
    let _turn = turn::together();
    let (gateway, _service) = one_service("proxy: { limits: { connections: 5 } }\n");
    let mut held: Vec<_> = (0..5).map(|_| gateway.traffic()).collect();
    for client in &mut held {
        assert_eq!(client.ask("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    }
    let began = Instant::now();
    assert_eq!(gateway.traffic().until_closed(Duration::from_secs(5)).unwrap(), b"");
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(held[0].ask("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    assert_eq!(gateway.call("GET", "/health", None).status, 200);
}
