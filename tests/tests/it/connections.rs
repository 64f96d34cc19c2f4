//! A service that takes so many connections at once: who shares them, who waits, who is told so, and what is counted.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::Value;
use throome_e2e::process::wait_for;
use throome_e2e::{Connection, Counting, Gateway, Layout, Service, turn};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const WEBSOCKET: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

/// A gateway before one service, of which the file says this besides where it is; nobody probes it.
fn before(endpoints: &str, service: &str) -> Gateway {
    let layout = Layout::default();
    layout.write_cluster(
        "shop",
        &format!(
            "health: {{ enabled: false }}\n\
             services:\n  web: {{ type: http, endpoints: [ {endpoints} ], {service} }}\n\
             routes:\n  - {{ id: all, path: \"/*\", service: web, timeout: 20s }}\n"
        ),
    );
    layout.start()
}

fn connections(gateway: &Gateway) -> Value {
    gateway.show("/api/v1/clusters/shop/services/web")["endpoints"][0]["connections"].clone()
}

fn metric(gateway: &Gateway, name: &str) -> u64 {
    let text = gateway.control().ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{name} in\n{text}"))
}

/// So many clients at once, each on a connection of its own, who ask so often each; the statuses that were not 204.
fn crowd(gateway: &Gateway, clients: usize, times: usize) -> Vec<u16> {
    let others = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..clients {
            let ask = || {
                let mut client = gateway.traffic();
                for _ in 0..times {
                    let status = client.ask(GET).status;
                    if !matches!(status, 200 | 204) {
                        others.lock().unwrap().push(status);
                    }
                }
            };
            std::thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, ask).unwrap();
        }
    });
    others.into_inner().unwrap()
}

#[test]
fn two_hundred_clients_share_four_connections() {
    let _turn = turn::alone();
    let service = Counting::start(|_| Duration::from_millis(2));
    let gateway = before(&service.endpoint(), "limits: { max_connections: 4, max_pending: 200 }");
    let others = crowd(&gateway, 200, 5);
    assert!(others.is_empty(), "{others:?}");
    assert_eq!(service.asked(), (1000, 0));
    assert_eq!(service.most(), 4, "of {} that were made", service.accepted());
    let now = connections(&gateway);
    assert_eq!((&now["max_connections"], &now["pending"]), (&Value::from(4), &Value::from(0)), "{now}");
    assert_eq!(now["open"], service.open());
    assert_eq!(metric(&gateway, "throome_endpoint_connection_limit"), 4);
    assert_eq!(metric(&gateway, "throome_endpoint_pending"), 0);
    assert_eq!(metric(&gateway, "throome_endpoint_connections"), service.open() as u64);
    let facts = gateway.show("/api/v1/clusters/shop/services/web");
    assert_eq!(facts["status"], "HEALTHY", "nothing is said against the service: {facts}");
}

#[test]
fn streams_and_websockets_share_connections_of_http2() {
    let _turn = turn::alone();
    let service = Service::start("one");
    // Another gateway is the service that speaks HTTP/2, and counts who is connected to it.
    let behind = before(&service.endpoint(), "protocol: http1");
    let endpoint = format!("{{ host: 127.0.0.1, port: {} }}", behind.traffic.port());
    let gateway = before(&endpoint, "protocol: h2c, limits: { max_connections: 2, max_pending: 300 }");
    let (most, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let held = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(SeqCst) {
                let open = metric(&behind, "throome_client_connections{door=\"traffic\"}");
                most.fetch_max(usize::try_from(open).unwrap(), SeqCst);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let others = crowd(&gateway, 200, 5);
        assert!(others.is_empty(), "{others:?}");
        let held: Vec<Connection> = (0..40)
            .map(|_| {
                let mut client = gateway.traffic();
                client.send(WEBSOCKET);
                assert!(client.until("hello").starts_with("HTTP/1.1 101"));
                client
            })
            .collect();
        let others = crowd(&gateway, 50, 2);
        assert!(others.is_empty(), "{others:?}");
        over.store(true, SeqCst);
        held
    });
    assert!((1..=2).contains(&most.load(SeqCst)), "{most:?} connections");
    assert!(connections(&gateway)["open"].as_u64().unwrap() <= 2);
    drop(held);
}

#[test]
fn a_websocket_holds_a_connection_to_its_end() {
    let _turn = turn::together();
    let service = Counting::start(|_| Duration::ZERO);
    let gateway = before(&service.endpoint(), "limits: { max_connections: 4, max_pending: 0 }");
    let open = || {
        let mut client = gateway.traffic();
        client.send(WEBSOCKET);
        client
    };
    let mut held: Vec<Connection> = (0..4).map(|_| open()).collect();
    for client in &mut held {
        assert!(client.until("\r\n\r\n").starts_with("HTTP/1.1 101"));
    }
    let refused = open().reply();
    assert_eq!((refused.status, refused.json()["code"].as_str()), (503, Some("overloaded")));
    assert_eq!(refused.field("retry-after"), Some("1"));
    assert_eq!(gateway.get("/").status, 503, "requests are told the same");
    drop(held.pop());
    wait_for("the place of the one that ended", Duration::from_secs(5), || {
        (gateway.get("/").status == 204).then_some(())
    });
    // The idle connection of that request is closed for the next WebSocket, whichever core has it.
    for _ in 0..3 {
        // A client has its answer a moment before the connection is idle.
        let client = wait_for("an idle connection's place", Duration::from_secs(5), || {
            let mut client = open();
            client.until("\r\n\r\n").starts_with("HTTP/1.1 101").then_some(client)
        });
        drop(client);
        wait_for("its end", Duration::from_secs(5), || (gateway.get("/").status == 204).then_some(()));
    }
    assert_eq!(service.most(), 4);
}

#[test]
fn so_many_wait_for_a_connection_and_the_rest_is_told() {
    let _turn = turn::alone();
    let service = Counting::start(|_| Duration::from_secs(1));
    let gateway = before(&service.endpoint(), "limits: { max_connections: 1, max_pending: 1 }");
    let replies: Vec<_> = std::thread::scope(|scope| {
        let ask = || {
            let began = Instant::now();
            (gateway.get("/"), began.elapsed())
        };
        let clients: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let of = |status| replies.iter().filter(move |(reply, _)| reply.status == status);
    assert_eq!((of(204).count(), of(503).count()), (2, 4), "one, and one after it");
    for (reply, took) in of(503) {
        assert_eq!(reply.json()["code"], "overloaded");
        assert!(*took < Duration::from_millis(900), "told at once, not after {took:?}");
    }
    assert_eq!((service.most(), service.asked()), (1, (2, 0)));
}

#[test]
fn where_one_endpoint_has_no_connection_another_is_asked() {
    let _turn = turn::together();
    let (one, other) = (Counting::start(|_| Duration::ZERO), Counting::start(|_| Duration::ZERO));
    let endpoints = format!("{}, {}", one.endpoint(), other.endpoint());
    let gateway = before(&endpoints, "limits: { max_connections: 1, max_pending: 5 }");
    let mut held = gateway.traffic();
    held.send(WEBSOCKET);
    assert!(held.until("\r\n\r\n").starts_with("HTTP/1.1 101"));
    for _ in 0..20 {
        let began = Instant::now();
        assert_eq!(gateway.get("/").status, 204);
        assert!(began.elapsed() < Duration::from_secs(2), "nobody waits where none comes free");
    }
    let asked = [&one, &other].map(|service| service.asked().0);
    assert!(asked == [0, 20] || asked == [20, 0], "{asked:?}");
}
