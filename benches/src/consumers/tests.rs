//! Readers before a queue that is made up here: it keeps nothing, and does wrong when it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::fanout::SETTLED_AT_ONCE;
use super::{Place, drain, fanout};
use crate::direct::log::message;

/// Messages that stand in the topic for each new group, how long each delivery takes, and whether each comes twice.
#[derive(Clone, Copy, Default)]
struct Manner {
    stored: usize,
    delay: Duration,
    twice: bool,
}

type Streams = Arc<Mutex<Vec<Sender<String>>>>;

fn queue(manner: Manner) -> Place {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let streams = Streams::default();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let streams = Arc::clone(&streams);
            std::thread::spawn(move || converse(stream.unwrap(), manner, &streams));
        }
    });
    Place { address, queue: "/queue".to_owned(), topic: "t".to_owned(), watched: vec![std::process::id()] }
}

fn converse(mut stream: TcpStream, manner: Manner, streams: &Streams) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        if head.starts_with("GET /queue/consume?topic=t&group=g") {
            let (sender, messages) = mpsc::channel();
            for number in 0..manner.stored {
                sender.send(message(number)).unwrap();
            }
            streams.lock().unwrap().push(sender);
            return deliver(&mut stream, manner, &messages);
        }
        let length = head.to_lowercase().split_once("content-length: ").unwrap().1.to_owned();
        let mut body = vec![0; length.trim().split("\r\n").next().unwrap().parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let answer = if head.starts_with("POST /queue/publish") {
            for stream in streams.lock().unwrap().iter() {
                let _ = stream.send(body["message"].as_str().unwrap().to_owned());
            }
            json!({ "results": [] })
        } else {
            json!({ "acknowledged": body["ack"].as_array().unwrap().len() })
        };
        let answer = answer.to_string();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).unwrap();
    }
}

fn deliver(stream: &mut TcpStream, manner: Manner, messages: &Receiver<String>) {
    write!(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    let mut line = |event: Value| {
        let line = format!("{event}\n");
        write!(stream, "{:x}\r\n{line}\r\n", line.len())
    };
    line(json!({ "event": "hello" })).unwrap();
    while let Ok(value) = messages.recv() {
        std::thread::sleep(manner.delay);
        for _ in 0..=usize::from(manner.twice) {
            // A reader that has all that it wanted goes.
            if line(json!({ "event": "message", "value": value, "ack": "AB" })).is_err() {
                return;
            }
        }
    }
}

fn fan_out(place: Place) -> fanout::Report {
    let load = fanout::Load { place, groups: 3, rate: 200.0, length: Duration::from_millis(500) };
    fanout::run(&load).unwrap()
}

#[test]
fn each_group_gets_each_message_and_the_time_it_took_is_counted() {
    let delay = Duration::from_millis(3);
    let report = fan_out(queue(Manner { delay, ..Manner::default() }));
    assert_eq!((report.arrivals.completed, report.arrivals.errors), (300, 0), "{report:?}");
    assert_eq!((report.publishes.completed, report.publishes.errors), (100, 0), "{report:?}");
    assert_eq!(report.settlements.completed as usize, 3 * 100 / SETTLED_AT_ONCE, "{report:?}");
    assert!(report.arrivals.p50_us >= 3_000.0 && report.arrivals.cpu_seconds.is_some(), "{report:?}");
}

#[test]
fn a_message_that_comes_twice_is_an_error() {
    let report = fan_out(queue(Manner { twice: true, ..Manner::default() }));
    assert_eq!(report.arrivals.errors, 3, "{report:?}");
    assert!(report.arrivals.first_error.as_deref().unwrap().ends_with("came twice"), "{report:?}");
}

#[test]
fn a_consumer_alone_takes_and_acknowledges_what_is_there() {
    let place = queue(Manner { stored: 1_010, ..Manner::default() });
    let load = drain::Load { place, group: "g".to_owned(), count: 1_010, credit: 100, batch: 50 };
    assert_eq!(drain::run(&load).unwrap().completed, 1_010);
    // Nobody listens: nothing is reported as read.
    let closed: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let load = drain::Load { place: Place { address: closed, ..load.place.clone() }, ..load };
    assert!(drain::run(&load).is_err());
}
