//! An HTTP service that does as it is told, well or badly. A process of its own, so that it can be killed and frozen.
//!
//! `throome-e2e-service NAME PORT LOG PROTOCOL` listens on that port of the loopback and speaks `http1`, `h2c` or `grpc`, writes
//! what it does to the log, prints `ready`, and takes the name of a [`mode::Mode`] from each line of its standard input, answering `ok`. It ends with
//! its standard input, so that none outlives its test. `throome-e2e-service hold ADDRESS COUNT` opens so many
//! connections, says `ready`, and holds them until its input ends. `crowd` is both ends of thousands of WebSockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by failing there")]

mod answer;
mod crowd;
mod http2;
mod journal;
mod mode;
mod request;
mod websocket;

use std::io::{BufRead, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use journal::Journal;
use mode::{Mode, Modes};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [first, address, count] = args.as_slice()
        && first == "hold"
    {
        return hold(address, count.parse().unwrap());
    }
    let [first, second, third, protocol] = args.as_slice() else {
        panic!("NAME PORT LOG PROTOCOL, hold ADDRESS COUNT, or crowd DOOR PORT COUNT")
    };
    if first == "crowd" {
        return crowd::run(second.parse().unwrap(), third.parse().unwrap(), protocol.parse().unwrap());
    }
    let listener = TcpListener::bind(("127.0.0.1", second.parse().unwrap())).unwrap();
    let journal = Arc::new(Journal::open(third));
    let modes = Arc::new(Modes::default());
    let serve = {
        let (name, modes, protocol) = (first.clone(), Arc::clone(&modes), protocol.clone());
        move || match protocol.as_str() {
            "http1" => accept(&listener, &name, &modes, &journal),
            other => http2::accept(listener, &name, other == "grpc", &modes, &journal),
        }
    };
    std::thread::spawn(serve);
    say("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        modes.set(Mode::named(line.trim()).unwrap_or_else(|| panic!("no mode `{line}`")));
        say("ok");
    }
}

fn accept(listener: &TcpListener, name: &str, modes: &Arc<Modes>, journal: &Arc<Journal>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        if modes.get() == Mode::ResetOnAccept {
            journal.note("reset", "-", "-");
            reset(&stream);
            continue;
        }
        let _ = stream.set_nodelay(true);
        let (name, modes, journal) = (name.to_owned(), Arc::clone(modes), Arc::clone(journal));
        let serve = move || request::serve(stream, &name, &modes, &journal);
        let _ = std::thread::Builder::new().stack_size(256 * 1024).spawn(serve);
    }
}

/// Closes with RST instead of FIN, once the stream is dropped.
fn reset(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO));
}

fn hold(address: &str, count: usize) {
    let connections: Vec<TcpStream> = (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
    say("ready");
    for _ in std::io::stdin().lock().lines() {}
    drop(connections);
}

fn say(word: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(word.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).unwrap();
}
