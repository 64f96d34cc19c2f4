//! Bytes of others' protocols, by their own clients, and how endpoints share them.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::Shutdown;
use std::process::Command;
use std::time::Duration;

use engines::{Engines, secrets};
use throome_e2e::process::wait_for;
use throome_e2e::{Connection, Service, turn};

use super::{Plain, TO_APP, cluster_of, connect, echoes, events, listening, metric, read, rest};
use crate::tls::Authority;

fn redis_cli(port: u16, words: &[&str]) -> String {
    let output = Command::new("redis-cli").args(["-p", &port.to_string()]).args(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn redis_is_reached_by_its_own_client_in_the_clear_and_by_tls() {
    let _turn = turn::together();
    let engines = Engines::own();
    let redis = engines.redis();
    let authority = Authority::new();
    authority.issue("wire", &["localhost", "127.0.0.1"]);
    let cluster = format!("services:\n  cache: {{ type: redis, host: 127.0.0.1, port: {} }}\n", redis.port);
    let clear = "protocol: tcp, cluster: shop, service: cache";
    let (layout, listener) = listening(clear, "workers: 1", &cluster);
    let gateway = layout.start();
    assert_eq!(redis_cli(listener.port(), &["SET", "a", "through"]), "OK");
    assert_eq!(redis.redis_cli(&["GET", "a"]), "through");
    assert_eq!(redis_cli(listener.port(), &["GET", "a"]), "through");
    let of_cache = r#"{cluster_id="shop",service="cache",type="redis""#;
    wait_for("both connections to be counted", Duration::from_secs(5), || {
        let ended = metric(&gateway, &format!("throome_requests_total{of_cache}}}")) == 2;
        (ended && metric(&gateway, &format!("throome_tcp_connections_total{of_cache}}}")) == 2).then_some(())
    });
    assert!(metric(&gateway, &format!("throome_tcp_bytes_total{of_cache},direction=\"to_service\"}}")) > 20);
    assert!(metric(&gateway, &format!("throome_tcp_bytes_total{of_cache},direction=\"to_client\"}}")) > 10);
    let activity = gateway.show("/api/v1/activity").to_string();
    assert!(activity.contains(r#""operation":"connection""#), "{activity}");
    drop(gateway);

    let secured = format!("{clear}, tls: {{ certificates: [ {} ] }}", authority.pair("wire"));
    let (layout, listener) = listening(&secured, "workers: 1", &cluster);
    let gateway = layout.start();
    let by_tls = |words: &[&str]| {
        redis_cli(listener.port(), &[&["--tls", "--cacert", &authority.ca()], words].concat())
    };
    let large = "x".repeat(120_000);
    assert_eq!(by_tls(&["SET", "large", &large]), "OK");
    assert_eq!(by_tls(&["GET", "large"]), large);
    assert_eq!(by_tls(&["GET", "a"]), "through");
    drop(gateway);
}

#[test]
fn postgres_is_reached_by_its_own_client() {
    let _turn = turn::together();
    let engines = Engines::own();
    let postgres = engines.postgres();
    // A service of which nothing is known but where it is.
    let (layout, listener) = listening(TO_APP, "workers: 1", &cluster_of(&[postgres.port], ""));
    let gateway = layout.start();
    let output = Command::new("psql")
        .args(["-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-p", &listener.port().to_string()])
        .args(["-U", secrets::POSTGRES.0, "-d", secrets::POSTGRES_DATABASE])
        .args(["-c", "SELECT repeat('x', 200000)", "-c", "SELECT 7 * 6"])
        .env("PGPASSWORD", secrets::POSTGRES.1)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.ends_with("\n42\n") && said.len() > 200_000, "{output:?}");
    drop(gateway);
}

#[test]
fn a_half_that_ends_leaves_the_other_open() {
    let _turn = turn::together();
    const LEN: usize = 3_000_000;
    // Reads all there is, then answers: how much it was, and as much again.
    let service = Plain::start(|mut stream| {
        let all = rest(&mut stream).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        stream.write_all(format!("{:08}", all.len()).as_bytes()).unwrap();
        stream.write_all(&all).unwrap();
    });
    let (layout, listener) = listening(TO_APP, "workers: 1", &cluster_of(&[service.port], ""));
    let _gateway = layout.start();
    let mut client = connect(listener);
    let bytes: Vec<u8> = (0..LEN).map(|at| u8::try_from(at % 251).unwrap()).collect();
    client.write_all(&bytes).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read(&mut client, 8), format!("{LEN:08}"));
    assert!(rest(&mut client).unwrap() == bytes, "the same bytes come back");
}

#[test]
fn a_slow_reader_holds_its_writer_back() {
    let _turn = turn::together();
    let (told, hears) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    // Says what it can until it can say no more for a while.
    let service = Plain::start(move |mut stream| {
        let _ = stream.set_write_timeout(Some(Duration::from_millis(700)));
        let part = [7; 64 * 1024];
        let mut said = 0;
        while let Ok(n) = stream.write(&part) {
            said += n;
        }
        let _ = told.lock().unwrap().send(said);
    });
    let (layout, listener) = listening(TO_APP, "workers: 1", &cluster_of(&[service.port], ""));
    let gateway = layout.start();
    // Probes of kind `tcp` connect too, and leave at once.
    let mut client = connect(listener);
    assert_eq!(read(&mut client, 3), "\u{7}\u{7}\u{7}");
    let before = throome_e2e::process::resident_kib(gateway.pid());
    let said = (0..20).map(|_| hears.recv_timeout(Duration::from_secs(10)).unwrap()).max().unwrap();
    let grew = throome_e2e::process::resident_kib(gateway.pid()).saturating_sub(before);
    assert!(said < 64_000_000 && grew < 2_000, "{said} bytes were said, and {grew} KiB held");
}

#[test]
fn connections_are_shared_and_an_endpoint_that_is_gone_is_passed_over() {
    let _turn = turn::together();
    let (one, two) = (Plain::named("one"), Plain::named("two"));
    let dead = throome_e2e::process::free_port();
    // Probes are slow: it is connections that find out.
    let cluster = cluster_of(&[one.port, two.port, dead], "").replace("200ms", "1h");
    let (layout, listener) = listening(TO_APP, "workers: 1", &cluster);
    let gateway = layout.start();
    let mut names: Vec<String> = (0..30).map(|_| read(&mut connect(listener), 3)).collect();
    names.sort();
    let ones = names.iter().filter(|name| *name == "one").count();
    assert!((8..=22).contains(&ones), "{ones} of 30");
    let facts = gateway.show("/api/v1/clusters/shop/services/app");
    let endpoints = facts["endpoints"].as_array().unwrap();
    let gone = endpoints.iter().find(|one| one["address"] == format!("127.0.0.1:{dead}")).unwrap();
    assert!(gone["breaker"] == "open" || gone["health"] == "unhealthy", "{facts}");
    assert!(gone["reason"].as_str().unwrap().contains("cannot connect"), "{facts}");
    assert_eq!(metric(&gateway, r#"throome_errors_total{cluster_id="shop",service="app""#), 0);
}

#[test]
fn an_endpoint_that_is_killed_is_passed_over_and_comes_back() {
    let _turn = turn::together();
    let mut services = ["a", "b"].map(Service::start);
    let cluster = format!(
        "health: {{ interval: 1s }}\nservices:\n  app: {{ type: http, endpoints: [ {}, {} ] }}\n",
        services[0].endpoint(),
        services[1].endpoint()
    );
    let (layout, listener) = listening(TO_APP, "workers: 1", &cluster);
    let _gateway = layout.start();
    let who = || {
        let reply = Connection::open(listener).ask("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").expect(200);
        reply.json()["service"].as_str().unwrap().to_owned()
    };
    let asked = |times: usize| (0..times).map(|_| who()).collect::<BTreeSet<String>>();
    assert_eq!(asked(10), ["a".to_owned(), "b".to_owned()].into());
    services[1].kill();
    // Each of these finds out, or knows: none fails.
    assert_eq!(asked(40), ["a".to_owned()].into());
    services[1].restart();
    wait_for("b again", Duration::from_secs(15), || (who() == "b").then_some(()));
}

#[test]
fn open_connections_count_for_least_connections_and_for_limits() {
    let _turn = turn::together();
    let (one, two) = (Plain::named("one"), Plain::named("two"));
    let cluster = cluster_of(&[one.port, two.port], ", limits: { max_requests: 4, max_pending: 0 }")
        + "routing: { strategy: least_connections, timeout_ms: 1000 }\n";
    let (layout, listener) = listening(TO_APP, "workers: 1", &cluster);
    let gateway = layout.start();
    let mut held: Vec<_> = (0..4).map(|_| connect(listener)).collect();
    let mut names: Vec<String> = held.iter_mut().map(|stream| read(stream, 3)).collect();
    names.sort();
    assert_eq!(names, ["one", "one", "two", "two"]);
    // The fifth finds no room, and is told so as bytes can be.
    assert!(rest(&mut connect(listener)).is_err(), "a connection too many is reset");
    assert!(metric(&gateway, r#"throome_refused_total{code="overloaded"}"#) >= 1);
    drop(held.pop());
    let again = wait_for("room", Duration::from_secs(5), || {
        let mut stream = connect(listener);
        let mut name = [0; 3];
        std::io::Read::read_exact(&mut stream, &mut name).ok().map(|()| stream)
    });
    drop(again);
}

#[test]
fn a_service_that_is_not_there_yet_is_told_once() {
    let _turn = turn::together();
    let service = Plain::named("one");
    let to_other = "protocol: tcp, cluster: later, service: app";
    let (layout, listener) = listening(to_other, "workers: 1", "services: {}\n");
    let gateway = layout.start();
    for _ in 0..3 {
        assert!(rest(&mut connect(listener)).is_err());
    }
    let told = events(&gateway, "listener.leads_nowhere");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0]["message"].as_str().unwrap().contains("There is no cluster `later`"), "{told:?}");
    assert_eq!(metric(&gateway, r#"throome_refused_total{code="not_found"}"#), 3);
    gateway.write_cluster("later", &cluster_of(&[service.port], ""));
    let mut stream = wait_for("the cluster", Duration::from_secs(5), || {
        let mut stream = connect(listener);
        let mut name = [0; 3];
        std::io::Read::read_exact(&mut stream, &mut name).ok().map(|()| stream)
    });
    echoes(&mut stream, "hello");
}
