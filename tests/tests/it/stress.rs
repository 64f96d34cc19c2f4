//! Clients and services that leave in the middle, or cannot keep up: nothing is left over, nobody else waits.

use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::Value;
use throome_e2e::fixture::one_service;
use throome_e2e::gateway::request;
use throome_e2e::process::{resident_kib, wait_for};
use throome_e2e::{Connection, Gateway, Layout, Service, turn};

fn endpoint(gateway: &Gateway) -> Value {
    gateway.show("/api/v1/clusters/shop/services/web")["endpoints"][0].clone()
}

#[test]
fn a_client_that_leaves_takes_nothing_along() {
    let _turn = turn::together();
    let (gateway, service) = one_service("");
    for target in ["/bytes?n=1000000000", "/events?n=1000&ms=50", "/slow?ms=4000", "/chunks?n=100000&ms=5"] {
        let mut client = gateway.traffic();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        wait_for("a request in flight", Duration::from_secs(3), || {
            (endpoint(&gateway)["in_flight"] == 1).then_some(())
        });
        std::thread::sleep(Duration::from_millis(100));
        drop(client);
        wait_for(&format!("the end of {target}"), Duration::from_secs(6), || {
            (endpoint(&gateway)["in_flight"] == 0).then_some(())
        });
    }
    // In the middle of what it sends, too; then the service never sees the end of it.
    service.forget();
    let mut client = gateway.traffic();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf");
    wait_for("a request in flight", Duration::from_secs(3), || {
        (endpoint(&gateway)["in_flight"] == 1).then_some(())
    });
    drop(client);
    wait_for("its end", Duration::from_secs(3), || (endpoint(&gateway)["in_flight"] == 0).then_some(()));
    assert!(service.deeds().iter().all(|deed| deed.what != "done"), "{:?}", service.deeds());
    let facts = endpoint(&gateway);
    assert_eq!(
        (&facts["healthy"], &facts["breaker"]),
        (&true.into(), &"closed".into()),
        "it was not the service: {facts}"
    );
    let activity = gateway.show("/api/v1/clusters/shop/activity?limit=20");
    let records = activity["activities"].as_array().unwrap();
    let cancelled = records.iter().filter(|record| record["outcome"] == "cancelled").count();
    let blamed =
        records.iter().filter(|record| record["outcome"] == "error" && record["code"] != "invalid_request");
    assert!(cancelled >= 3 && blamed.count() == 0, "{activity}");
}

#[test]
fn a_service_that_dies_in_mid_upload_is_said_and_not_asked_again() {
    let _turn = turn::together();
    let mut services = ["a", "b"].map(Service::start);
    let layout = Layout::default();
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  web: {{ type: http, endpoints: [ {}, {} ] }}\nroutes:\n  - {{ id: all, path: \"/*\", service: web }}\n",
            services[0].endpoint(),
            services[1].endpoint()
        ),
    );
    let gateway = layout.start();
    services.iter().for_each(Service::forget);
    let mut client = gateway.traffic();
    client.send(format!(
        "PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n{}",
        "u".repeat(100_000)
    ));
    let busy = wait_for("the service that has it", Duration::from_secs(3), || {
        services.iter().position(|service| service.deeds().iter().any(|deed| deed.what == "read"))
    });
    services[busy].kill();
    let began = Instant::now();
    for _ in 0..10 {
        if !client.send("u".repeat(10_000)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let reply = client.reply();
    assert_eq!((reply.status, reply.json()["code"].as_str()), (502, Some("bad_gateway")), "{reply}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let other = &services[1 - busy];
    assert!(
        other.deeds().iter().all(|deed| deed.what == "accepted"),
        "half a body is not sent to another: {:?}",
        other.deeds()
    );
    // The next one is answered by it.
    assert_eq!(gateway.get("/echo").status, 200);
}

#[test]
fn a_service_that_reads_slowly_slows_its_client_down() {
    let _turn = turn::alone();
    let (gateway, _service) = one_service("");
    let before = resident_kib(gateway.pid());
    let mut client = gateway.traffic();
    let length = 12 << 20;
    client.send(format!("POST /slow-upload HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
    let mut most = 0;
    for _ in 0..12 {
        assert!(client.send(vec![b'u'; 1 << 20]));
        most = most.max(resident_kib(gateway.pid()).saturating_sub(before));
    }
    assert_eq!(client.reply().expect(200).json()["length"], length);
    println!("12 MiB to a slow reader: {most} KiB more");
    assert!(most < 4 * 1024, "{most} KiB more");
}

#[test]
fn the_control_door_answers_while_traffic_is_at_its_limit() {
    let _turn = turn::alone();
    let (gateway, _service) = one_service("");
    let end = Instant::now() + Duration::from_secs(3);
    let (mut slowest, mut asked, mut carried) = (Vec::new(), 0, 0_u64);
    std::thread::scope(|scope| {
        let hammers: Vec<_> = (0..48)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = gateway.traffic();
                    let one = "GET /bytes?n=100 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(8);
                    let mut count = 0_u64;
                    let mut part = vec![0; 64 * 1024];
                    while Instant::now() < end {
                        client.send(&one);
                        count += client.stream.read(&mut part).unwrap() as u64;
                    }
                    count
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(300));
        let mut control: Connection = gateway.control();
        while Instant::now() < end {
            let began = Instant::now();
            assert_eq!(control.ask(request(gateway.control, "GET", "/api/v1/clusters", None)).status, 200);
            slowest.push(began.elapsed());
            asked += 1;
            std::thread::sleep(Duration::from_millis(10));
        }
        carried = hammers.into_iter().map(|hammer| hammer.join().unwrap()).sum();
    });
    slowest.sort();
    let late = slowest[slowest.len() * 95 / 100];
    println!("{carried} bytes of answers carried; of {asked} calls 95 in 100 took less than {late:?}");
    assert!(late < Duration::from_millis(100), "{late:?}");
}
