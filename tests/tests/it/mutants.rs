//! Nonsense of every kind, from seeded dice: documents at the API and in files, bytes at both doors. Whoever sends it is
//! told so; nothing stops, and what runs goes on as it was.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use throome_e2e::process::{Memory, wait_for};
use throome_e2e::{Connection, Gateway, Layout, Reply, Service, turn};

/// A generator without secrets: SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(most.max(1)).unwrap()).unwrap()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// The bytes with a few of them changed, taken out, or said again elsewhere.
    fn spoil(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut spoilt = bytes.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(spoilt.len());
            let end = (at + 1 + self.below(12)).min(spoilt.len());
            match self.below(5) {
                0 => drop(spoilt.drain(at..end)),
                1 => spoilt.insert(at, u8::try_from(self.below(256)).unwrap()),
                2 => spoilt[at] = u8::try_from(self.below(256)).unwrap(),
                3 => {
                    let part = spoilt[at..end].to_vec();
                    let to = self.below(spoilt.len());
                    spoilt.splice(to..to, part);
                }
                _ => spoilt.truncate(end),
            }
            if spoilt.is_empty() {
                spoilt.push(b'x');
            }
        }
        spoilt
    }

    /// A document with one of its values replaced, left out, or under another name.
    fn bend(&mut self, document: &mut Value) {
        let odd = [
            Value::Null,
            json!(true),
            json!(-1),
            json!(0),
            json!(1e308),
            json!(u64::MAX),
            json!(""),
            json!("\u{0}"),
            json!("${E2E_IS_NOT_SET}"),
            json!("../../etc/passwd"),
            json!("x".repeat(5_000)),
            json!([]),
            json!({}),
            json!([[[[[[[[{}]]]]]]]]),
            json!({ "type": "http" }),
            json!("10s"),
            json!("/*"),
        ];
        match document {
            Value::Object(map) if !map.is_empty() => {
                let key = map.keys().nth(self.below(map.len())).cloned().unwrap();
                match self.below(6) {
                    0 => drop(map.remove(&key)),
                    1 => {
                        let value = map.remove(&key).unwrap();
                        map.insert(format!("{key}x"), value);
                    }
                    2 => drop(map.insert(key, self.pick(&odd).clone())),
                    _ => self.bend(map.get_mut(&key).unwrap()),
                }
            }
            Value::Array(list) if !list.is_empty() => {
                let at = self.below(list.len());
                match self.below(4) {
                    0 => drop(list.remove(at)),
                    1 => list.push(list[at].clone()),
                    _ => self.bend(&mut list[at]),
                }
            }
            other => *other = self.pick(&odd).clone(),
        }
    }
}

/// A gateway with a cluster that nobody touches, and the service behind it.
fn kept() -> (Gateway, Service) {
    let service = Service::start("one");
    let layout = Layout::default();
    layout.write_cluster(
        "kept",
        &format!(
            "services:\n  web: {{ type: http, endpoints: [ {} ], health: {{ path: /healthz }} }}\n\
             routes:\n  - {{ id: kept, host: kept.test, path: \"/*\", service: web }}\n",
            service.endpoint()
        ),
    );
    (layout.start(), service)
}

/// What was there before goes on.
#[track_caller]
fn holds(gateway: &Gateway) {
    let _ = gateway.traffic().ask("GET /echo HTTP/1.1\r\nHost: kept.test\r\n\r\n").expect(200);
    assert_eq!(gateway.call("GET", "/health", None).status, 200);
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}

fn document(service: &Service, id: &str) -> Value {
    let endpoint = |host: &str| json!({ "host": host, "port": service.address.port(), "weight": 2 });
    // Nobody is at the second.
    let endpoints = [endpoint("127.0.0.1"), endpoint("127.0.0.2")];
    json!({
        "name": "Mutant",
        "cluster_id": id,
        "services": {
            "web": { "type": "http", "endpoints": endpoints, "health": { "path": "/healthz", "interval": "5s" },
                     "limits": { "max_requests": 10 } },
            "cache": { "type": "memory" },
        },
        "routes": [
            { "id": format!("{id}-a"), "host": format!("{id}.test"), "path": "/a/{name}", "service": "web", "timeout": "2s",
              "methods": ["GET"], "headers": { "x-a": "1" } },
            { "id": format!("{id}-b"), "host": format!("{id}.test"), "path": "/b/*", "strip_prefix": true, "service": "web" },
        ],
        "routing": { "strategy": "round_robin", "timeout_ms": 1000 },
        "health": { "enabled": false },
    })
}

/// A refusal names what is wrong, as one of the client's.
#[track_caller]
fn is_clear(reply: &Reply, sent: &[u8]) {
    let said = || format!("{reply}\nfor {}", sent.escape_ascii());
    assert!((200..500).contains(&reply.status), "{}", said());
    if reply.status >= 400 {
        let told = reply.json();
        let text = |name: &str| told[name].as_str().is_some_and(|text| !text.is_empty());
        assert!((text("code") && text("detail")) || text("message") || text("error"), "{}", said());
    }
}

#[test]
fn documents_of_nonsense_are_refused_or_right_and_what_runs_goes_on() {
    const COUNT: usize = 1_500;
    let _turn = turn::together();
    let (gateway, service) = kept();
    let mut dice = Dice(7);
    let whole = document(&service, "mutant");
    gateway.create(&whole);
    let route = json!({ "id": "r", "cluster": "mutant", "service": "web", "host": "r.test", "path": "/r/*", "timeout": "1s" });
    let url = json!({ "path": "/u/{id}", "target_url": format!("http://{}/u", service.address), "method": "GET", "timeout": 3 });
    let mut control = gateway.control();
    let mut refused = 0;
    for number in 0..COUNT {
        let (method, path, of) = *dice.pick(&[
            ("PUT", "/api/v1/clusters/mutant", &whole),
            ("POST", "/api/v1/validate", &whole),
            ("POST", "/api/v1/routes", &route),
            ("PUT", "/api/v1/routes/r", &route),
            ("POST", "/api/routes", &url),
            ("PUT", "/api/routes/1", &url),
        ]);
        let mut bent = of.clone();
        (0..=dice.below(2)).for_each(|_| dice.bend(&mut bent));
        let mut body = bent.to_string().into_bytes();
        if dice.below(3) == 0 {
            body = dice.spoil(&body);
        }
        let before = (number % 10 == 0).then(|| gateway.show("/api/v1/clusters/mutant"));
        let reply = put(&mut control, gateway.control, method, path, &body);
        is_clear(&reply, &body);
        refused += usize::from(reply.status >= 400);
        if let Some(before) = before.filter(|_| reply.status >= 400) {
            assert_eq!(gateway.show("/api/v1/clusters/mutant"), before, "refused, and changed all the same");
        }
        if number % 100 == 0 {
            holds(&gateway);
        }
    }
    println!("of {COUNT} documents {refused} were refused");
    assert!(refused > COUNT / 3 && refused < COUNT, "{refused}");
    let reply =
        put(&mut control, gateway.control, "PUT", "/api/v1/clusters/mutant", whole.to_string().as_bytes());
    assert_eq!(reply.status, 200, "{reply}");
    holds(&gateway);
    // All that was taken is what a new start takes.
    let gateway = gateway.kill().start();
    holds(&gateway);
}

fn put(control: &mut Connection, door: SocketAddr, method: &str, path: &str, body: &[u8]) -> Reply {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {door}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let reply = control.ask([head.as_bytes(), body].concat());
    if !reply.keeps_alive() {
        *control = Connection::open(door);
    }
    reply
}

#[test]
fn files_of_nonsense_are_refused_and_what_is_right_is_taken_up_after_them() {
    let _turn = turn::together();
    let (gateway, service) = kept();
    let mut dice = Dice(11);
    let whole = serde_json::to_string_pretty(&document(&service, "mutant")).unwrap();
    gateway.write_cluster("mutant", &whole);
    std::fs::write(gateway.cluster_file("kept").with_file_name("notes.txt"), [0xFF, 0xFE, 0]).unwrap();
    for _ in 0..150 {
        let spoilt = dice.spoil(whole.as_bytes());
        // What is renamed into its place is taken up soonest.
        let file = gateway.cluster_file("mutant");
        let next = file.with_extension("next");
        std::fs::write(&next, spoilt).unwrap();
        std::fs::rename(next, file).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    holds(&gateway);
    gateway.write_cluster("mutant", &whole.replace("/b/*", "/after/*"));
    wait_for("the file that is right", Duration::from_secs(5), || {
        let reply = gateway.traffic().ask("GET /after/x HTTP/1.1\r\nHost: mutant.test\r\n\r\n");
        (reply.status == 200).then_some(())
    });
    let events = gateway.show("/api/v1/events?limit=1000");
    let refused = events.to_string().matches("cluster.refused").count();
    println!("of 150 files at least {refused} were refused");
    assert!(refused > 20, "{refused}");
    holds(&gateway);
}

/// Requests of which most are malformed; some are not, whatever the dice say.
#[test]
fn ten_thousand_malformed_requests_stop_nothing() {
    const COUNT: u64 = 10_000;
    const CLIENTS: u64 = 4;
    let _turn = turn::together();
    let (gateway, _service) = kept();
    let mut memory = Memory::of(gateway.pid());
    let told = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|seed| {
                scope.spawn({
                    let gateway = &gateway;
                    move || annoy(gateway, &mut Dice(seed), COUNT / CLIENTS)
                })
            })
            .collect();
        while !clients.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            memory.look();
            holds(&gateway);
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut told = [0; 3];
        for client in clients {
            told.iter_mut().zip(client.join().unwrap()).for_each(|(all, its)| *all += its);
        }
        told
    });
    let [fine, refused, silent] = told;
    println!(
        "{COUNT} requests: {fine} answered, {refused} refused, {silent} closed without a word; {} KiB more",
        memory.grew()
    );
    assert!(refused > 1_500, "{refused}");
    assert!(memory.grew() < 24 * 1024, "{} KiB more", memory.grew());
    holds(&gateway);
}

/// Sends so many, each on a connection of its own that it ends behind it. How many were answered, refused, and neither.
fn annoy(gateway: &Gateway, dice: &mut Dice, count: u64) -> [u64; 3] {
    let mut told = [0; 3];
    for _ in 0..count {
        let door = if dice.below(8) == 0 { gateway.control } else { gateway.traffic };
        let (sent, is_http2) =
            if dice.below(3) == 0 { (frames(dice), true) } else { (text(dice, door), false) };
        let answer = say(door, &sent);
        if is_http2 {
            // Whatever it was, it is answered in frames, and none of them says that we are at fault.
            let at_fault = ends_with_internal_error(&answer);
            assert!(!at_fault, "{} for {}", answer.escape_ascii(), sent.escape_ascii());
            told[usize::from(!answer.is_empty())] += 1;
            continue;
        }
        let answer = answer.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&answer);
        let status = answer.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
        match status.and_then(|status| std::str::from_utf8(status).ok()?.parse::<u16>().ok()) {
            Some(200..400) => told[0] += 1,
            Some(400..=499 | 501 | 505) => told[1] += 1,
            None if answer.is_empty() => told[2] += 1,
            _ => panic!("{} for {}", answer.escape_ascii(), sent.escape_ascii()),
        }
    }
    told
}

fn say(door: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(door).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let (mut answer, began) = (Vec::new(), Instant::now());
    // It may be refused before it is through.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut answer);
    assert!(began.elapsed() < Duration::from_secs(9), "{} is waited for", bytes.escape_ascii());
    answer
}

fn text(dice: &mut Dice, door: SocketAddr) -> Vec<u8> {
    let (method, path) = (
        *dice.pick(&["GET", "POST", "HEAD", "OPTIONS"]),
        *dice.pick(&["/echo", "/a%20b?c=d", "*", "http://kept.test/"]),
    );
    let framing = *dice.pick(&[
        "",
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
    ]);
    let host = if dice.below(2) == 0 { "kept.test".to_owned() } else { door.to_string() };
    let end = if framing.is_empty() { "\r\n" } else { "" };
    let whole = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nX-Forwarded-For: 1.2.3.4\r\n{framing}{end}"
    );
    dice.spoil(whole.as_bytes())
}

/// A connection of HTTP/2: its preface, settings, a request with a body, and other frames, spoilt behind the preface.
fn frames(dice: &mut Dice) -> Vec<u8> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut frames = Vec::new();
    let mut frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        frames.extend_from_slice(&[0, 0, length, kind, flags, 0, 0, 0, stream]);
        frames.extend_from_slice(payload);
    };
    frame(4, 0, 0, &[0, 4, 0, 0, 0xFF, 0xFF]);
    // POST, http, the path `/echo`, and the authority.
    let head = b"\x83\x86\x04\x05/echo\x01\x09kept.test\x00\x03x-a\x01b";
    frame(1, 4, 1, head);
    frame(0, 1, 1, b"hello");
    frame(1, 5, 3, head);
    frame(*dice.pick(&[2, 3, 5, 6, 7, 8, 9, 10]), 0, *dice.pick(&[0, 1, 3, 5]), &[0, 0, 0, 1, 0, 0, 0, 0]);
    let spoilt = dice.spoil(&frames);
    [PREFACE, &spoilt].concat()
}

/// Whether a GOAWAY among these frames says `INTERNAL_ERROR`.
fn ends_with_internal_error(mut frames: &[u8]) -> bool {
    while let Some((head, rest)) = frames.split_at_checked(9) {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        if head[3] == 7 && rest.get(4..8) == Some(&[0, 0, 0, 2]) {
            return true;
        }
        frames = rest.get(length..).unwrap_or_default();
    }
    false
}
