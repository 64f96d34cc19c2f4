//! A service of HTTP/2 that refuses a request when a part of its body has come: nobody else is asked with the rest.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use throome_e2e::Layout;

/// Bytes of the bodies that came to their end.
type Bodies = Arc<Mutex<Vec<usize>>>;

const PART: usize = 20_000;

/// A service, which refuses what has a body if it is one that does.
fn service(refuses: bool) -> (SocketAddr, Bodies) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let bodies = Bodies::default();
    let journal = Arc::clone(&bodies);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let journal = Arc::clone(&journal);
                tokio::spawn(async move {
                    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        tokio::spawn(answer(request, respond, refuses, Arc::clone(&journal)));
                    }
                });
            }
        });
    });
    (address, bodies)
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    refuses: bool,
    journal: Bodies,
) {
    let mut body = request.into_body();
    let mut length = 0;
    while let Some(Ok(part)) = body.data().await {
        if refuses {
            return respond.send_reset(Reason::REFUSED_STREAM);
        }
        length += part.len();
        let _ = body.flow_control().release_capacity(part.len());
    }
    journal.lock().unwrap().push(length);
    let _ = respond.send_response(Response::new(()), true);
}

/// Posts two parts, the second some time after the first; the status of the answer.
fn post(door: SocketAddr) -> String {
    let mut client = TcpStream::connect(door).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let part = format!("{PART:x}\r\n{}\r\n", "x".repeat(PART));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write_all(format!("{head}{part}").as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(150));
    // Who has answered already may have closed.
    let _ = client.write_all(format!("{part}0\r\n\r\n").as_bytes());
    let mut status = [0; 12];
    client.read_exact(&mut status).unwrap();
    String::from_utf8_lossy(&status[9..]).into_owned()
}

#[test]
fn the_rest_of_a_body_is_no_body() {
    let (refusing, _) = service(true);
    let (taking, bodies) = service(false);
    let layout = Layout::default();
    let endpoints =
        [refusing, taking].map(|at| format!("{{ host: 127.0.0.1, port: {} }}", at.port())).join(", ");
    layout.write_cluster(
        "shop",
        &format!(
            "health: {{ enabled: false }}\n\
             services:\n  web: {{ type: http, protocol: h2c, endpoints: [ {endpoints} ] }}\n\
             routes:\n  - {{ id: all, path: \"/*\", service: web }}\n"
        ),
    );
    let gateway = layout.start();
    let answers: Vec<String> = (0..6).map(|_| post(gateway.traffic)).collect();
    assert!(answers.iter().all(|status| status == "200" || status == "502"), "{answers:?}");
    assert!(
        answers.iter().any(|status| status == "502"),
        "the one that refuses was never asked: {answers:?}"
    );
    let bodies = bodies.lock().unwrap();
    let whole = answers.iter().filter(|status| *status == "200").count();
    assert_eq!(bodies[..], vec![2 * PART; whole], "{answers:?}");
}
