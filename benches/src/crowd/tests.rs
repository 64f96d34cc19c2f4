//! Load of every protocol against the service itself.

use std::net::SocketAddr;

use super::*;
use crate::speak::Speech;

fn load(address: SocketAddr, speech: Speech) -> Load {
    let script =
        Script { speech, host: address.to_string(), path: "/200b".to_owned(), size: 200, is_secure: false };
    Load {
        address,
        script,
        secure: None,
        connections: 3,
        warm_up: Duration::from_millis(50),
        length: Duration::from_millis(250),
        watched: Watched { pids: vec![std::process::id()], ..Watched::default() },
    }
}

/// Runs load against both parts of the service in one thread.
fn with_service<F: Future>(run: impl FnOnce(SocketAddr, SocketAddr) -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let bind = || tokio::net::TcpListener::bind("127.0.0.1:0");
        let (web, grpc) = (bind().await.unwrap(), bind().await.unwrap());
        let addresses = (web.local_addr().unwrap(), grpc.local_addr().unwrap());
        tokio::task::spawn_local(crate::backend::serve(web));
        tokio::task::spawn_local(crate::backend::grpc::serve(grpc));
        run(addresses.0, addresses.1).await
    })
}

#[test]
fn every_exchange_is_completed_in_a_closed_loop() {
    with_service(|web, grpc| async move {
        let ways = [
            (web, Speech::Http1, 1),
            (web, Speech::WebSocket, 1),
            (grpc, Speech::Unary, 1),
            (grpc, Speech::Unary, 20),
            (grpc, Speech::Stream, 1),
            (grpc, Speech::Echo, 1),
        ];
        for (address, speech, at_once) in ways {
            let report = closed::run(load(address, speech), at_once).await.unwrap();
            assert_eq!((report.errors, &report.first_error), (0, &None), "{speech:?}");
            assert!(report.completed > 20 && report.cpu_seconds >= 0.0, "{speech:?}: {report:?}");
        }
    });
}

#[test]
fn what_is_wrong_is_counted_and_said() {
    with_service(|web, _| async move {
        let mut load = load(web, Speech::Http1);
        load.script.size = 201;
        let report = closed::run(load, 1).await.unwrap();
        assert_eq!(report.completed, 0);
        assert!(report.errors > 3 && report.first_error.unwrap().contains("200 bytes instead of 201"));
    });
}

#[test]
fn an_open_loop_has_its_rate() {
    with_service(|web, grpc| async move {
        for (address, speech) in [(web, Speech::Http1), (web, Speech::WebSocket), (grpc, Speech::Unary)] {
            let mut load = load(address, speech);
            load.length = Duration::from_millis(500);
            let report = open::run(load, 400.0, 1).await.unwrap();
            // A Poisson count of 200 has a standard deviation of 14.
            assert!((120..280).contains(&report.completed) && report.errors == 0, "{speech:?}: {report:?}");
            assert!(report.p50_us > 0.0 && report.p50_us <= report.p99_us, "{report:?}");
        }
    });
}

/// Answers each request of one connection after the given pauses, then at once.
fn slow_server(pauses: Vec<Duration>, answer: &'static [u8]) -> SocketAddr {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut pauses = pauses.into_iter();
        while stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {
            std::thread::sleep(pauses.next().unwrap_or_default());
            stream.write_all(answer).unwrap();
        }
    });
    address
}

#[test]
fn a_pause_is_charged_to_every_request_that_was_due_during_it() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    with_service(|_, _| async move {
        let address = slow_server(vec![Duration::from_millis(200)], answer);
        let mut load = load(address, Speech::Http1);
        load.script.size = 0;
        (load.connections, load.warm_up, load.length) = (1, Duration::ZERO, Duration::from_millis(500));
        let report = open::run(load, 100.0, 1).await.unwrap();
        assert!(report.completed > 30 && report.errors == 0, "{report:?}");
        // The pause of 200 ms covers about twenty requests; a closed loop would have seen one slow one.
        assert!(report.late_waiting >= 8 && report.p90_us > 80_000.0, "{report:?}");
    });
}

#[test]
fn all_listeners_hear_all_events() {
    with_service(|web, _| async move {
        let report = listen::run(load(web, Speech::Http1)).await.unwrap();
        assert_eq!((report.errors, &report.first_error), (0, &None));
        assert!((15..=40).contains(&report.completed) && report.p50_us > 0.0, "{report:?}");
    });
}
