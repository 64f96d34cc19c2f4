//! Connections to an endpoint that are reset while a batch of requests with bodies is on its way, and the endpoint gone
//! with them: no other endpoint may ever be told of a body that does not come, since the next request on that connection
//! would be taken for it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use throome_e2e::{Layout, turn};

const CLIENTS: usize = 60;
const ROUNDS: usize = 6;
const BODY: &str =
    "a body of less than a page, which the gateway takes out together with the head that announces it";

#[test]
fn no_endpoint_is_told_of_a_body_that_does_not_come() {
    let _turn = turn::alone();
    let (mut dying, living) = (listen(0), listen(0));
    let (port, other) = (dying.local_addr().unwrap().port(), living.local_addr().unwrap().port());
    let layout = Layout::default().with_file("proxy: { workers: 1 }\n");
    layout.write_cluster(
        "c",
        &format!(
            "services:\n  web:\n    type: http\n    outlier: {{ enabled: false }}\n    endpoints:\n\
             \x20     - {{ host: 127.0.0.1, port: {port} }}\n      - {{ host: 127.0.0.1, port: {other} }}\n\
             routes: [ {{ id: all, path: \"/*\", service: web }} ]\nhealth: {{ enabled: false }}\n\
             routing: {{ timeout_ms: 1500, circuit_breaker: {{ enabled: false }} }}\n"
        ),
    );
    let gateway = layout.start();
    let post = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len());
    let mut whole = 0;
    for round in 0..ROUNDS {
        let mut clients: Vec<TcpStream> =
            (0..CLIENTS).map(|_| TcpStream::connect(gateway.traffic).unwrap()).collect();
        clients.iter_mut().for_each(|client| client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap());
        let (doomed, mut kept) = warm(&dying, &living);
        clients.iter_mut().for_each(|client| assert!(client.read(&mut [0; 1000]).unwrap() > 0));
        // All requests are there at once, and the connections break while the first of them are being sent on.
        gateway.signal("STOP");
        clients.iter_mut().for_each(|client| client.write_all(post.as_bytes()).unwrap());
        drop(dying);
        gateway.signal("CONT");
        wait_for_the_first(&doomed);
        for connection in doomed.into_iter().rev() {
            socket2::SockRef::from(&connection).set_linger(Some(Duration::ZERO)).unwrap();
        }
        std::thread::sleep(Duration::from_millis(300));
        while let Ok((connection, _)) = living.accept() {
            kept.push(connection);
        }
        for mut connection in kept {
            let told = hear(&mut connection);
            if let Some((_, body)) = told.split_once("\r\n\r\n").filter(|_| told.starts_with("POST")) {
                assert_eq!(body, BODY, "round {round}: told of a body that does not come");
                whole += 1;
            }
        }
        dying = listen(port);
    }
    assert!(whole >= CLIENTS * ROUNDS / 4, "only {whole} requests reached the other endpoint");
}

fn listen(port: u16) -> TcpListener {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

/// Takes the connection of each client at whichever endpoint it goes to, and answers, so that it is kept.
fn warm(dying: &TcpListener, living: &TcpListener) -> (Vec<TcpStream>, Vec<TcpStream>) {
    let (mut doomed, mut kept) = (Vec::new(), Vec::new());
    let began = Instant::now();
    while doomed.len() + kept.len() < CLIENTS {
        assert!(began.elapsed() < Duration::from_secs(10), "{} and {} connections", doomed.len(), kept.len());
        for (listener, connections) in [(dying, &mut doomed), (living, &mut kept)] {
            if let Ok((mut connection, _)) = listener.accept() {
                connection.set_nonblocking(false).unwrap();
                assert!(connection.read(&mut [0; 4096]).unwrap() > 0);
                connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                connections.push(connection);
            }
        }
    }
    std::thread::sleep(Duration::from_millis(50));
    (doomed, kept)
}

/// Waits until something has come on one of them.
fn wait_for_the_first(connections: &[TcpStream]) {
    let began = Instant::now();
    connections.iter().for_each(|connection| connection.set_nonblocking(true).unwrap());
    while began.elapsed() < Duration::from_secs(1) && !connections.iter().any(|c| c.peek(&mut [0]).is_ok()) {}
}

fn hear(connection: &mut TcpStream) -> String {
    connection.set_nonblocking(false).unwrap();
    connection.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
    let (mut told, mut part) = (Vec::new(), [0; 4096]);
    while !told.ends_with(BODY.as_bytes()) {
        match connection.read(&mut part) {
            Ok(n @ 1..) => told.extend_from_slice(&part[..n]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&told).into_owned()
}
