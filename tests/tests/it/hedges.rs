//! A second try beside a first that takes long: what clients gain, what services are asked, and what is never asked twice.

use std::time::{Duration, Instant};

use throome_e2e::process::wait_for;
use throome_e2e::{Counting, Gateway, Layout, Service, turn};

/// A gateway before these endpoints; what `/plain` asks is tried as ever, all else has a second try after 40 ms.
fn hedged(service: &str, endpoints: &[String]) -> Gateway {
    let layout = Layout::default();
    layout.write_cluster(
        "shop",
        &format!(
            "health: {{ enabled: false }}\nrouting: {{ retry_budget: 0.5 }}\n\
             services:\n  web: {{ type: http, {service} endpoints: [ {} ] }}\n\
             routes:\n  - {{ id: all, path: \"/*\", service: web, retry: {{ hedge: {{ after: 40ms }} }} }}\n\
             \x20 - {{ id: plain, path: /plain, service: web }}\n",
            endpoints.join(", ")
        ),
    );
    layout.start()
}

fn metric(gateway: &Gateway, name: &str) -> usize {
    let text = gateway.control().ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").text();
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{name} in\n{text}"))
}

/// Asks so often on one connection; how long each took, the longest last.
fn times(gateway: &Gateway, path: &str, count: usize) -> Vec<Duration> {
    let mut client = gateway.traffic();
    let mut times: Vec<Duration> = (0..count)
        .map(|_| {
            let began = Instant::now();
            let _ = client.ask(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).expect(204);
            began.elapsed()
        })
        .collect();
    times.sort();
    times
}

#[expect(clippy::print_stdout, reason = "the figures of a run, shown with --nocapture")]
fn tell(figures: &str) {
    println!("{figures}");
}

/// Two services of which each takes 400 ms for one in twenty requests.
fn two_with_hiccups() -> [Counting; 2] {
    [0, 10].map(|from| Counting::start(move |n| Duration::from_millis(if n % 20 == from { 400 } else { 1 })))
}

#[test]
fn a_second_try_takes_the_hiccups_away_and_asks_little_more() {
    let _turn = turn::alone();
    let services = two_with_hiccups();
    let gateway = hedged("", &services.each_ref().map(Counting::endpoint));
    let plain = times(&gateway, "/plain", 200);
    assert!(plain[196] >= Duration::from_millis(390), "{:?}", &plain[190..]);
    let asked = |services: &[Counting; 2]| services.iter().map(|service| service.asked().0).sum::<usize>();
    assert_eq!((asked(&services), metric(&gateway, "throome_hedges_total")), (200, 0));
    let hedged = times(&gateway, "/", 200);
    assert!(hedged[196] < Duration::from_millis(200), "{:?}", &hedged[190..]);
    let (sent, won) =
        (metric(&gateway, "throome_hedges_total"), metric(&gateway, "throome_hedges_won_total"));
    tell(&format!(
        "99th of a hundred {:?} without and {:?} with a second try; {sent} sent, {won} won",
        plain[197], hedged[197]
    ));
    assert!((5..=30).contains(&sent) && won >= 5 && won <= sent, "{sent} sent, {won} won");
    // A second try that lost at once may not have come as far as its service.
    assert!((400..=400 + sent).contains(&asked(&services)), "one more for each second try, and no other");
    assert!((400..=400 + sent).contains(&metric(&gateway, "throome_tries_total")));
    // Whoever lost was closed while it was still busy.
    wait_for("the ends of those that lost", Duration::from_secs(5), || {
        let abandoned: usize = services.iter().map(Counting::abandoned).sum();
        (5..=sent).contains(&abandoned).then_some(())
    });
    let facts = gateway.show("/api/v1/clusters/shop/services/web");
    assert_eq!(facts["status"], "HEALTHY", "nothing is said against who lost: {facts}");
    assert_eq!(facts["endpoints"][0]["in_flight"], 0, "{facts}");
}

#[test]
fn what_may_not_run_twice_runs_once() {
    let _turn = turn::together();
    let slow = || Counting::start(|_| Duration::from_millis(150));
    let services = [slow(), slow()];
    let gateway = hedged("", &services.each_ref().map(Counting::endpoint));
    let mut client = gateway.traffic();
    for _ in 0..5 {
        let _ = client.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").expect(204);
        let _ = client.ask("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n").expect(204);
        let _ = client.ask("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").expect(204);
    }
    let asked = services.each_ref().map(Counting::asked);
    assert_eq!(asked[0].0 + asked[1].0, 5, "{asked:?}");
    assert_eq!(asked[0].1 + asked[1].1, 10, "{asked:?}");
    assert_eq!(metric(&gateway, "throome_hedges_total"), 0);
    // One more for each that may, however slow both are: not a third, and no second where the first has it all.
    for _ in 0..5 {
        let _ = client.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect(204);
    }
    let asked = services.each_ref().map(Counting::asked);
    assert_eq!(asked[0].0 + asked[1].0, 15, "{asked:?}");
}

#[test]
fn a_first_that_fails_or_is_slow_leaves_the_answer_to_the_second() {
    let _turn = turn::together();
    let (mut bad, good) = (Service::start("bad"), Service::start("good"));
    let gateway = hedged("", &[bad.endpoint(), good.endpoint()]);
    bad.freeze();
    for _ in 0..6 {
        let began = Instant::now();
        assert_eq!(gateway.get("/echo").expect(200).json()["service"], "good");
        assert!(began.elapsed() < Duration::from_millis(800), "{:?}", began.elapsed());
    }
    bad.thaw();
    bad.kill();
    for _ in 0..6 {
        assert_eq!(gateway.get("/echo").expect(200).json()["service"], "good");
    }
    // A head that only announces another passes, and is no answer.
    let hints = gateway.traffic().ask("GET /hints HTTP/1.1\r\nHost: a\r\n\r\n").expect(200);
    assert!(hints.interim[0].1.contains("Link: </a.css>"), "{hints:?}");
}

#[test]
fn over_http2_the_stream_of_the_one_that_lost_is_reset() {
    let _turn = turn::together();
    // Other gateways are services that speak HTTP/2; what they carry ends with its stream.
    let slow = Counting::start(|_| Duration::from_millis(1500));
    let fast = Counting::start(|_| Duration::from_millis(1));
    let behind = [&slow, &fast].map(|service| {
        let layout = Layout::default();
        layout.write_cluster(
            "inner",
            &format!(
                "health: {{ enabled: false }}\n\
                 services:\n  web: {{ type: http, endpoints: [ {} ] }}\n\
                 routes:\n  - {{ id: all, path: \"/*\", service: web, timeout: 10s }}\n",
                service.endpoint()
            ),
        );
        layout.start()
    });
    let endpoints =
        behind.each_ref().map(|own| format!("{{ host: 127.0.0.1, port: {} }}", own.traffic.port()));
    let gateway = hedged("protocol: h2c,", &endpoints);
    let mut client = gateway.traffic();
    for _ in 0..4 {
        let began = Instant::now();
        let _ = client.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect(204);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
    let sent = metric(&gateway, "throome_hedges_total");
    assert!((1..=4).contains(&sent), "{sent}");
    wait_for("the end of what was carried on", Duration::from_millis(1000), || {
        (metric(&behind[0], "throome_active_connections{") == 0).then_some(())
    });
    wait_for("the ends of those that lost", Duration::from_secs(5), || {
        (slow.abandoned() == sent).then_some(())
    });
    assert_eq!(metric(&behind[0], "throome_client_connections{door=\"traffic\"}"), 1, "its connection stays");
}
