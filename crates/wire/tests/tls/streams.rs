//! The bytes after the handshake: whole, in both directions, and their end never taken for what it is not.

use std::future::poll_fn;
use std::io::IoSlice;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use throome_wire::http1::{BodyReader, BodyWriter, Framing, Pump};
use throome_wire::tls::Server;
use throome_wire::{Body, Conn, Error, Line, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Authority, greeted, listening, name, server};
use crate::support::{Random, run};

fn world() -> (Authority, Server) {
    let authority = Authority::new();
    let pair = authority.issue("shop", &["shop.example"]);
    let server = server(vec![pair]);
    (authority, server)
}

/// Our end, and the peer's by another hand.
async fn with_stranger() -> (Conn, tokio_rustls::client::TlsStream<TcpStream>, Authority) {
    let (authority, server) = world();
    let (address, listener) = listening().await;
    let connecting = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(authority.client(None)));
        connector.connect(name("shop.example"), stream).await.unwrap()
    };
    let accepting = async { server.accept(listener.accept().await.unwrap().0).await.unwrap() };
    let (mut ours, mut theirs) = tokio::join!(accepting, connecting);
    // With a word the peer reads the tickets too: whoever closes with something unread resets.
    ours.write_all(b"!").await.unwrap();
    theirs.read_exact(&mut [0]).await.unwrap();
    (Conn::new(ours), theirs, authority)
}

async fn fill(conn: &mut Conn, size: usize) -> Result<usize, Error> {
    poll_fn(|cx| conn.poll_fill(cx, size)).await
}

#[test]
fn a_body_is_moved_whole_whoever_is_slow() {
    run(async {
        let (authority, server) = world();
        let (source_door, mut source) = greeted(&server, authority.client(None), "shop.example").await;
        let (sink_door, mut sink) = greeted(&server, authority.client(None), "shop.example").await;
        let sent = Random(7).bytes(3 << 20);
        let expected = sent.clone();
        let writing = tokio::spawn(async move {
            for piece in sent.chunks(70_000) {
                source.write_all(piece).await.unwrap();
            }
            source.flush().await.unwrap();
            source
        });
        let reading = tokio::spawn(async move {
            // Nothing is read until all that fits on the way has been sent.
            tokio::time::sleep(Duration::from_millis(200)).await;
            let mut came = vec![0; expected.len()];
            sink.read_exact(&mut came).await.unwrap();
            assert!(came == expected);
            sink
        });
        let (mut from, mut to) = (Line::Http1(Conn::new(source_door)), Line::Http1(Conn::new(sink_door)));
        let reader = BodyReader::new(Framing::Length(3 << 20), u64::MAX).unwrap();
        let mut pump = Pump::new(Body::Wire(reader), BodyWriter::Plain);
        poll_fn(|cx| pump.poll(cx, &mut from, &mut to)).await.unwrap();
        assert!(pump.moved == 3 << 20 && !to.has_unsent());
        let (mut source, mut sink) = (writing.await.unwrap(), reading.await.unwrap());
        // What was said is over; both go on.
        let (Line::Http1(mut from), Line::Http1(mut to)) = (from, to) else { unreachable!() };
        to.outbox.extend_from_slice(b"more");
        poll_fn(|cx| to.poll_flush(cx)).await.unwrap();
        let mut more = [0; 4];
        sink.read_exact(&mut more).await.unwrap();
        assert_eq!(&more, b"more");
        source.write_all(b"again").await.unwrap();
        assert_eq!(fill(&mut from, 1024).await.unwrap(), 5);
    });
}

#[test]
fn what_is_taken_and_not_sent_is_known_and_goes_with_the_next_word() {
    run(async {
        let (mut ours, mut theirs, _authority) = with_stranger().await;
        let piece = vec![b'x'; 64 * 1024];
        let mut taken = 0;
        let full = poll_fn(|cx| {
            // Until the way to a peer that does not read is full.
            while let Poll::Ready(n) = ours.socket.poll_write(cx, &[IoSlice::new(&piece)]) {
                taken += n.unwrap();
            }
            Poll::Ready(ours.socket.has_unsent())
        });
        assert!(full.await && ours.has_unsent());
        let reading = tokio::spawn(async move {
            let mut all = vec![0; taken + 3];
            theirs.read_exact(&mut all).await.unwrap();
            assert_eq!(&all[taken..], b"end");
        });
        ours.outbox.extend_from_slice(b"end");
        poll_fn(|cx| ours.poll_flush(cx)).await.unwrap();
        assert!(!ours.has_unsent());
        reading.await.unwrap();
    });
}

#[test]
fn an_end_that_is_said_is_an_end_and_any_other_is_a_cut() {
    run(async {
        let (mut ours, mut theirs, _authority) = with_stranger().await;
        theirs.write_all(b"whole").await.unwrap();
        theirs.shutdown().await.unwrap();
        assert_eq!(fill(&mut ours, 1024).await.unwrap(), 5);
        ours.inbox.consume(5);
        assert_eq!(fill(&mut ours, 1024).await.unwrap(), 0);
        assert_eq!(fill(&mut ours, 1024).await.unwrap(), 0);
        // The other way is open still.
        ours.outbox.extend_from_slice(b"answer");
        poll_fn(|cx| ours.poll_flush(cx)).await.unwrap();
        let mut answer = [0; 6];
        theirs.read_exact(&mut answer).await.unwrap();

        let (mut ours, mut theirs, _authority) = with_stranger().await;
        theirs.write_all(b"half").await.unwrap();
        theirs.flush().await.unwrap();
        // The network ends, and TLS does not.
        drop(theirs.into_inner().0);
        assert_eq!(fill(&mut ours, 1024).await.unwrap(), 4);
        ours.inbox.consume(4);
        for _ in 0..2 {
            let cut = fill(&mut ours, 1024).await;
            assert!(matches!(cut, Err(Error::Truncated)), "{cut:?}");
        }
    });
}

#[test]
fn a_body_that_ends_with_the_connection_needs_an_end_that_is_said() {
    run(async {
        for (said, whole) in [(true, true), (false, false)] {
            let (ours, mut theirs, _authority) = with_stranger().await;
            let mut ours = Line::Http1(ours);
            theirs.write_all(b"all of it?").await.unwrap();
            if said {
                theirs.shutdown().await.unwrap();
            }
            drop(theirs.into_inner().0);
            let mut body = Body::Wire(BodyReader::new(Framing::UntilClose, u64::MAX).unwrap());
            let mut read = 0;
            let ended = loop {
                match poll_fn(|cx| body.poll_next(cx, &mut ours, 1024)).await {
                    Ok(throome_wire::body::Next::Data(n)) => {
                        body.consume(&mut ours, n);
                        read += n;
                    }
                    other => break other,
                }
            };
            assert_eq!((read, ended.is_ok()), (10, whole), "{ended:?}");
        }
    });
}

#[test]
fn tickets_of_a_session_are_no_news_and_hold_no_buffer() {
    run(async {
        let (authority, server) = world();
        let (mut door, client) = greeted(&server, authority.client(None), "shop.example").await;
        let mut client = Conn::new(client);
        // The tickets have been on their way since the handshake, and are there.
        tokio::time::sleep(Duration::from_millis(50)).await;
        tokio::task::yield_now().await;
        assert!(!client.socket.has_news());
        let waits = poll_fn(|cx| Poll::Ready(client.poll_fill(cx, 1024).is_pending())).await;
        assert!(waits);
        assert_eq!(client.inbox.capacity(), 0);
        door.write_all(b"word").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        tokio::task::yield_now().await;
        assert!(client.socket.has_news());
        assert_eq!(fill(&mut client, 1024).await.unwrap(), 4, "news are not lost by being looked for");
        assert!(!client.socket.has_news());
        drop(door);
        tokio::time::sleep(Duration::from_millis(50)).await;
        tokio::task::yield_now().await;
        assert!(client.socket.has_news());
    });
}

#[test]
fn whoever_lets_go_says_so_unless_it_cuts() {
    run(async {
        for cuts in [false, true] {
            let (mut ours, mut theirs, _authority) = with_stranger().await;
            ours.outbox.extend_from_slice(b"part");
            poll_fn(|cx| ours.poll_flush(cx)).await.unwrap();
            let mut part = [0; 4];
            theirs.read_exact(&mut part).await.unwrap();
            ours.socket.reset_on_close(cuts);
            drop(ours);
            let end = theirs.read(&mut part).await;
            assert_eq!(end.is_err(), cuts, "{end:?}");
        }
    });
}

#[test]
fn what_is_not_tls_ends_the_connection() {
    run(async {
        let (mut ours, theirs, _authority) = with_stranger().await;
        let mut raw = theirs.into_inner().0;
        raw.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        for _ in 0..2 {
            assert!(matches!(fill(&mut ours, 1024).await, Err(Error::Io(_))));
        }
        assert!(matches!(&ours.socket, Socket::Tls(_)) && ours.socket.has_news());
    });
}
