//! Many clients at once with requests of all kinds, several on the way together: nobody gets another's bytes.

use std::io::Write;
use std::time::Duration;

use throome_e2e::fixture::one_service;
use throome_e2e::process::wait_for;
use throome_e2e::{Connection, Reply, turn};

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// A request of some kind, and what must hold of its answer.
struct Exchange {
    text: String,
    method: &'static str,
    check: Box<dyn Fn(&Reply)>,
}

impl Exchange {
    fn new(method: &'static str, text: String, check: impl Fn(&Reply) + 'static) -> Exchange {
        Exchange { text, method, check: Box::new(check) }
    }

    fn of_some_kind(dice: &mut Dice, id: &str) -> Exchange {
        let length = usize::try_from(dice.roll(30_000)).unwrap();
        let body = "b".repeat(length);
        match dice.roll(6) {
            0 => {
                let text =
                    format!("POST /{id} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}");
                Exchange::new("POST", text, echoes(id, length))
            }
            1 => {
                let (first, rest) = body.split_at(length / 2);
                let chunk = |part: &str| match part.len() {
                    0 => String::new(),
                    size => format!("{size:x}\r\n{part}\r\n"),
                };
                let chunks = chunk(first) + &chunk(rest);
                let head = format!("PUT /{id} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
                Exchange::new("PUT", head + &chunks + "0\r\n\r\n", echoes(id, length))
            }
            2 => {
                let text = format!("GET /bytes?n={length} HTTP/1.1\r\nHost: a\r\n\r\n");
                Exchange::new("GET", text, move |reply| assert_eq!(reply.text(), "x".repeat(length)))
            }
            3 => {
                let text = "GET /chunks?n=20 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned();
                let ends = |reply: &Reply| {
                    assert!(reply.text().ends_with("chunk 19\n") && reply.trailers.len() == 1)
                };
                Exchange::new("GET", text, ends)
            }
            4 => {
                let text = format!("HEAD /bytes?n={length} HTTP/1.1\r\nHost: a\r\n\r\n");
                let length = length.to_string();
                Exchange::new("HEAD", text, move |reply| {
                    assert_eq!(reply.field("content-length"), Some(&*length))
                })
            }
            _ => {
                let text = format!("GET /{id} HTTP/1.1\r\nHost: a\r\nX-Request-Id: {id}\r\n\r\n");
                let (echoes, id) = (echoes(id, 0), id.to_owned());
                Exchange::new("GET", text, move |reply| {
                    echoes(reply);
                    assert_eq!(reply.field("x-request-id"), Some(&*id));
                })
            }
        }
    }
}

/// The service has seen this path, and a body of this length.
fn echoes(id: &str, length: usize) -> impl Fn(&Reply) + 'static {
    let target = format!("/{id}");
    move |reply| {
        let echo = reply.json();
        assert_eq!((echo["target"].as_str(), echo["length"].as_u64()), (Some(&*target), Some(length as u64)));
    }
}

#[test]
fn everybody_gets_their_own_answers_whole() {
    let _turn = turn::alone();
    let (gateway, _service) = one_service("");
    std::thread::scope(|scope| {
        for number in 0..32 {
            let gateway = &gateway;
            scope.spawn(move || {
                let mut dice = Dice(number);
                for round in 0..6 {
                    let some = |n| Exchange::of_some_kind(&mut dice, &format!("{number}-{round}-{n}"));
                    let exchanges: Vec<_> = (0..5).map(some).collect();
                    converse(gateway.traffic(), &mut dice, &exchanges);
                }
            });
        }
    });
    wait_for("nothing in flight", Duration::from_secs(2), || {
        let facts = gateway.show("/api/v1/clusters/shop/services/web");
        (facts["endpoints"][0]["in_flight"] == 0 && facts["healthy"] == true).then_some(())
    });
}

/// All requests on one connection, not waiting for answers, in writes that end anywhere.
fn converse(mut client: Connection, dice: &mut Dice, exchanges: &[Exchange]) {
    let text: String = exchanges.iter().map(|exchange| exchange.text.as_str()).collect();
    let parts: Vec<usize> = (0..7).map(|_| 1 + usize::try_from(dice.roll(9_000)).unwrap()).collect();
    let mut writer = client.stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        let mut left = text.as_bytes();
        for part in parts.into_iter().cycle() {
            let (now, later) = left.split_at(part.min(left.len()));
            writer.write_all(now).unwrap();
            left = later;
            if left.is_empty() {
                return;
            }
        }
    });
    for Exchange { text, method, check } in exchanges {
        let reply = client.try_reply(method);
        let reply = reply.unwrap_or_else(|broken| panic!("{}: {}", broken.why, text.lines().next().unwrap()));
        assert_eq!(reply.status, 200, "{reply}");
        check(&reply);
    }
    writing.join().unwrap();
}
