//! HTTP/1.1 as the traffic door speaks it, in front of a real service.

use std::time::{Duration, Instant};

use throome_e2e::fixture::one_service;
use throome_e2e::{Connection, Layout, Reply, Service, turn};

#[test]
fn requests_one_behind_the_other_are_answered_in_order() {
    let _turn = turn::together();
    let (gateway, _service) = one_service("");
    let mut client = gateway.traffic();
    let request = |number: usize| {
        let body = format!("body {number}");
        format!("POST /echo/{number} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    client.send((0..20).map(request).collect::<String>());
    for number in 0..20 {
        let echo = client.reply().expect(200).json();
        assert_eq!(echo["target"], format!("/echo/{number}"));
        assert_eq!(echo["body"], format!("body {number}"));
    }
}

#[test]
fn answers_without_a_body_have_none() {
    let _turn = turn::together();
    let (gateway, _service) = one_service("");
    let mut client = gateway.traffic();
    client.send("HEAD /bytes?n=5000 HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.try_reply("HEAD").unwrap().expect(200);
    assert_eq!(head.field("content-length"), Some("5000"));
    for code in [204, 304] {
        let reply = client.ask(format!("GET /status?code={code} HTTP/1.1\r\nHost: a\r\n\r\n")).expect(code);
        assert_eq!((reply.field("etag"), reply.body.len()), (Some("\"1\""), 0), "{reply}");
    }
    client.send("HEAD /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.try_reply("HEAD").unwrap().expect(200);
    assert!(head.field("content-length").is_some(), "{head}");
    assert_eq!(client.ask("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").expect(200).json()["method"], "GET");
}

#[test]
fn a_client_that_asks_first_is_answered_by_the_service() {
    let _turn = turn::together();
    let (gateway, service) = one_service("");
    let mut client = gateway.traffic();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert!(client.until("\r\n\r\n").starts_with("HTTP/1.1 100 "));
    client.send("body");
    assert_eq!(client.reply().expect(200).json()["body"], "body");

    service.forget();
    let mut client = gateway.traffic();
    client.send("POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    let reply = client.reply().expect(417);
    assert!(reply.interim.is_empty(), "{:?}", reply.interim);
    // The body was never asked for. A client that sends it all the same, with something in it that looks like a
    // request, reaches nobody.
    client.send("GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n");
    let rest = client.until_closed(Duration::from_secs(5)).unwrap();
    assert!(rest.is_empty(), "{}", rest.escape_ascii());
    assert!(service.deeds().iter().all(|deed| deed.method != "GET"), "{:?}", service.deeds());
}

#[test]
fn hints_go_ahead_of_the_answer() {
    let _turn = turn::together();
    let (gateway, _service) = one_service("");
    let mut client = gateway.traffic();
    client.send("GET /hints HTTP/1.1\r\nHost: a\r\n\r\n");
    let reply = client.reply().expect(200);
    assert_eq!(reply.interim.len(), 1, "{:?}", reply.interim);
    let (status, head) = &reply.interim[0];
    assert!(*status == 103 && head.contains("Link: </a.css>; rel=preload"), "{head}");
    // A client of HTTP/1.0 would take it for the answer.
    let mut old = gateway.traffic();
    old.send("GET /hints HTTP/1.0\r\nHost: a\r\n\r\n");
    let reply = old.reply().expect(200);
    assert!(reply.interim.is_empty(), "{:?}", reply.interim);
}

#[test]
fn chunks_and_trailers_pass_both_ways() {
    let _turn = turn::together();
    let (gateway, _service) = one_service("");
    let mut client = gateway.traffic();
    let chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                   4\r\nwith\r\n5;ext=1\r\n rest\r\n0\r\nX-Sum: 7\r\n\r\n";
    let echo = client.ask(chunked).expect(200).json();
    assert_eq!(echo["body"], "with rest");
    assert_eq!(echo["trailers"], serde_json::json!([["X-Sum", "7"]]), "{echo}");
    let reply = client.ask("GET /chunks?n=3 HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n").expect(200);
    assert!(reply.chunked);
    assert_eq!(reply.text(), "chunk 0\nchunk 1\nchunk 2\n");
    assert_eq!(reply.trailers, [("X-Sum".to_owned(), "42".to_owned())]);
    // A client of HTTP/1.0 knows no chunks: the end of the connection is the end of the body.
    let mut old = gateway.traffic();
    old.send("GET /chunks?n=3 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    let reply = old.reply().expect(200);
    assert!(!reply.chunked && reply.text() == "chunk 0\nchunk 1\nchunk 2\n", "{reply}");
}

#[test]
fn a_body_that_ends_with_the_connection_is_passed_in_chunks() {
    let _turn = turn::together();
    let (gateway, _service) = one_service("");
    let mut client = gateway.traffic();
    let reply = client.ask("GET /until-close HTTP/1.1\r\nHost: a\r\n\r\n").expect(200);
    assert!(reply.chunked && reply.text() == "until the end", "{reply}");
    assert_eq!(client.ask("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
}

/// Whatever the client speaks and however the service framed it: what is not whole never ends as if it were.
#[test]
fn an_answer_that_is_cut_ends_as_a_break() {
    let _turn = turn::together();
    let (gateway, mut service) = one_service("");
    let ask = |version: &str, path: &str| {
        let mut client = gateway.traffic();
        client.send(format!("GET {path} HTTP/1.{version}\r\nHost: a\r\nX-Shot: 1\r\n\r\n"));
        client.try_reply("GET").map(|reply| reply.to_string())
    };
    for mode in ["close-in-body", "close-in-chunks", "reset-in-body", "normal"] {
        service.behave(mode);
        for version in ["1", "0"] {
            let path = if mode == "normal" { "/until-reset" } else { "/load" };
            let _ =
                gateway.call("POST", "/api/v1/clusters/shop/services/web/reset-breaker", None).expect(200);
            let broken = ask(version, path).expect_err("it is not whole");
            assert!(broken.begun || broken.why.contains("reset"), "{mode} for HTTP/1.{version}: {broken:?}");
        }
    }
    assert!(ask("1", "/echo").is_ok_and(|reply| reply.starts_with("200")));
}

#[test]
fn an_upgraded_connection_passes_every_byte() {
    let _turn = turn::together();
    let (gateway, _service) = one_service("");
    let upgrade = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut client = gateway.traffic();
    // Bytes of the client that come before it was agreed are held until then.
    client.send(format!("{upgrade}early"));
    let head = client.until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("X-Agreed: yes"), "{head}");
    let lower = head.to_ascii_lowercase();
    assert!(lower.contains("connection: upgrade") && lower.contains("upgrade: websocket"), "{head}");
    // The service's greeting came along with its 101.
    assert_eq!(client.until("helloearly"), "helloearly");
    for number in 0..50 {
        client.send(format!("frame {number};"));
        assert_eq!(client.until(";"), format!("frame {number};"));
    }
    let large = vec![b'z'; 1 << 20];
    let mut other = Connection::open(gateway.traffic);
    other.send(upgrade);
    other.until("hello");
    let mut writer = other.stream.try_clone().unwrap();
    let sent = large.clone();
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &sent).unwrap());
    assert_eq!(other.peek(large.len()), large);
    writing.join().unwrap();
    // Half a close passes too, and the other half comes back.
    client.finish();
    assert_eq!(client.until_closed(Duration::from_secs(5)).unwrap(), b"");
    // Without the agreement of the service there is no upgrade.
    let refused = gateway
        .traffic()
        .ask("GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(refused.status, 200);
}

#[test]
fn events_arrive_one_by_one() {
    let _turn = turn::together();
    let (gateway, _service) = one_service("");
    let mut client = gateway.traffic();
    client.send("GET /events?n=3&ms=700 HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
    let began = Instant::now();
    assert!(client.until("event 0\n\n").contains("text/event-stream"));
    assert!(
        began.elapsed() < Duration::from_millis(600),
        "the second is not sent yet, after {:?}",
        began.elapsed()
    );
    client.until("event 1\n\n");
    assert!(
        began.elapsed() > Duration::from_millis(600),
        "the second was sent later, after {:?}",
        began.elapsed()
    );
    client.until("event 2\n\n");
    client.until("0\r\n\r\n");
}

#[test]
fn connections_of_http_1_0_stay_open_when_asked_to() {
    let _turn = turn::together();
    let (gateway, _service) = one_service("");
    let mut client = gateway.traffic();
    let ask = "GET /echo HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
    for _ in 0..3 {
        let reply = client.ask(ask).expect(200);
        assert_eq!(reply.field("connection").map(str::to_ascii_lowercase).as_deref(), Some("keep-alive"));
    }
    assert_eq!(client.ask("GET /echo HTTP/1.0\r\n\r\n").status, 200);
    assert_eq!(client.until_closed(Duration::from_secs(5)).unwrap(), b"");
    let mut client = gateway.traffic();
    assert_eq!(client.ask("GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").status, 200);
    assert_eq!(client.until_closed(Duration::from_secs(5)).unwrap(), b"");
}

#[test]
fn timeouts_are_504_or_as_the_file_says() {
    let _turn = turn::together();
    for (file, status) in [("", 504), ("errors: { timeout_status: 408 }\n", 408)] {
        let (gateway, service) = one_service(file);
        gateway.write_cluster(
            "slow",
            &format!(
                "services:\n  web: {{ type: http, endpoints: [ {} ] }}\n\
                 routes:\n  - {{ id: slow, host: slow.test, path: \"/*\", service: web, timeout: 300ms }}\n",
                service.endpoint()
            ),
        );
        throome_e2e::process::wait_for("the cluster", Duration::from_secs(3), || {
            (gateway.call("GET", "/api/v1/clusters/slow", None).status == 200).then_some(())
        });
        let began = Instant::now();
        let reply: Reply = gateway
            .traffic()
            .ask("POST /slow?ms=2000 HTTP/1.1\r\nHost: slow.test\r\nContent-Length: 0\r\n\r\n");
        assert_eq!((reply.status, reply.json()["code"].as_str()), (status, Some("timeout")), "{reply}");
        assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
    }
}

#[test]
fn an_early_answer_passes_while_the_body_is_still_sent() {
    let _turn = turn::together();
    let (gateway, service) = one_service("");
    let mut client = gateway.traffic();
    client.send("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\npart");
    assert_eq!(client.reply().expect(403).text(), "no");
    // What follows is body, and never a request.
    client.send("GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.until_closed(Duration::from_secs(5)).unwrap(), b"");
    assert!(service.deeds().iter().all(|deed| deed.method != "GET"), "{:?}", service.deeds());
}

/// A stream has a limit for its silence and none for its length: the time of its route ends with the head.
#[test]
fn a_stream_that_speaks_lives_and_one_that_is_silent_is_cut() {
    let _turn = turn::together();
    let service = Service::start("one");
    let layout = Layout::default().with_file("proxy: { limits: { stream_timeout: 1s } }\n");
    layout.write_cluster(
        "shop",
        &format!(
            "services:\n  web: {{ type: http, endpoints: [ {} ], health: {{ path: /healthz }} }}\n\
             routes:\n  - {{ id: all, path: \"/*\", service: web, timeout: 500ms }}\n",
            service.endpoint()
        ),
    );
    let gateway = layout.start();
    let began = Instant::now();
    let lives = gateway.traffic().ask("GET /events?n=9&ms=400 HTTP/1.1\r\nHost: a\r\n\r\n").expect(200);
    assert!(lives.text().ends_with("event 8\n\n"), "{lives}");
    assert!(began.elapsed() > Duration::from_secs(3), "{:?}", began.elapsed());
    let mut silent = gateway.traffic();
    silent.send("GET /events?n=2&ms=8000 HTTP/1.1\r\nHost: a\r\n\r\n");
    let began = Instant::now();
    let cut = silent.try_reply("GET").expect_err("it was silent for longer than it may be");
    let took = began.elapsed();
    assert!(cut.begun && cut.bytes.ends_with(b"event 0\n\n\r\n"), "{cut:?}");
    assert!((Duration::from_secs(1)..Duration::from_secs(4)).contains(&took), "{took:?}");
    // It had nothing to say: that is no fault of the endpoint.
    let facts = gateway.show("/api/v1/clusters/shop/services/web");
    assert_eq!(facts["status"], "HEALTHY", "{facts}");
}
