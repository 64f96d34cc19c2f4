//! How a connection whose bytes are carried ends: by a break, by silence, with the gateway.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use throome_e2e::process::wait_for;
use throome_e2e::turn;

use super::{Plain, TO_APP, cluster_of, connect, echoes, listening, read, rest};

#[test]
fn a_break_is_passed_on_as_one() {
    let _turn = turn::together();
    // Says a little, and breaks off.
    let service = Plain::start(|mut stream| {
        let _ = stream.write_all(b"half of");
        std::thread::sleep(Duration::from_millis(100));
        let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    });
    let (layout, listener) = listening(TO_APP, "workers: 1", &cluster_of(&[service.port], ""));
    let _gateway = layout.start();
    let mut client = connect(listener);
    assert_eq!(read(&mut client, 7), "half of");
    assert_eq!(rest(&mut client).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_break_of_the_client_reaches_the_service() {
    let _turn = turn::together();
    let (told, hears) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let service = Plain::start(move |mut stream| {
        let ended = rest(&mut stream).map_err(|error| error.kind());
        // A probe says nothing and ends well.
        if ended.as_ref().ok().is_none_or(|bytes| !bytes.is_empty()) {
            let _ = told.lock().unwrap().send(ended);
        }
    });
    let (layout, listener) = listening(TO_APP, "workers: 1", &cluster_of(&[service.port], ""));
    let _gateway = layout.start();
    let mut client = connect(listener);
    client.write_all(b"half of").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let ended = hears.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(ended, Err(ErrorKind::ConnectionReset));
}

#[test]
fn silence_ends_it_and_words_keep_it() {
    let _turn = turn::together();
    let service = Plain::named("one");
    let listener = format!("{TO_APP}, idle_timeout: 600ms");
    let (layout, listener) = listening(&listener, "workers: 1", &cluster_of(&[service.port], ""));
    let _gateway = layout.start();
    let mut client = connect(listener);
    assert_eq!(read(&mut client, 3), "one");
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(200));
        echoes(&mut client, "still here");
    }
    let quiet = Instant::now();
    assert_eq!(rest(&mut client).unwrap(), b"");
    let took = quiet.elapsed();
    assert!((Duration::from_millis(500)..Duration::from_millis(1_500)).contains(&took), "{took:?}");
}

#[test]
fn a_gateway_that_stops_lets_them_speak_until_its_limit() {
    let _turn = turn::together();
    let service = Plain::named("one");
    let (layout, listener) = listening(TO_APP, "workers: 1", &cluster_of(&[service.port], ""));
    let mut gateway = layout.start();
    let (mut stays, mut leaves) = (connect(listener), connect(listener));
    for client in [&mut stays, &mut leaves] {
        assert_eq!(read(client, 3), "one");
    }
    let told = Instant::now();
    gateway.signal("TERM");
    wait_for("a closed door", Duration::from_secs(2), || TcpStream::connect(listener).is_err().then_some(()));
    echoes(&mut leaves, "the last words");
    leaves.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(rest(&mut leaves).unwrap(), b"");
    echoes(&mut stays, "words without end");
    assert_eq!(rest(&mut stays).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(gateway.wait(Duration::from_secs(5)), 0);
    let took = told.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_millis(3_000)).contains(&took), "{took:?}");
}
