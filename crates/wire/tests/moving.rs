//! Bytes under way: buffers, the alarm, the pump between two connections, and tunnels.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use throome_wire::buffer::{LARGE, SMALL};
use throome_wire::http1::framing::BodyReader;
use throome_wire::http1::tunnel::Tunnel;
use throome_wire::http1::{BodyWriter, Framing, Pump, PumpError};
use throome_wire::{Alarm, Body, Buffer, Error, Line, Side};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::{Random, conn, line, listener, read_body, run};

#[test]
fn a_buffer_moves_to_the_front_only_when_it_is_full() {
    let mut buffer = Buffer::default();
    let room = buffer.room(SMALL);
    assert_eq!(room.len(), SMALL);
    room.fill(b'a');
    buffer.advance(SMALL - 1);
    buffer.consume(100);
    assert_eq!(buffer.room(SMALL).len(), 1, "there is room still, so nothing moves");
    buffer.room(SMALL)[0] = b'z';
    buffer.advance(1);
    assert_eq!(buffer.room(SMALL).len(), 100, "full, and what is left moved to the front");
    assert_eq!(buffer.len(), SMALL - 100);
    assert_eq!(buffer.filled().last(), Some(&b'z'));
    buffer.advance(100);
    assert!(buffer.room(SMALL).is_empty(), "all of it is filled");
    buffer.grow(2 * SMALL);
    assert_eq!((buffer.len(), buffer.room(SMALL).len()), (SMALL, SMALL));
    buffer.grow(10);
    assert_eq!(buffer.capacity(), 2 * SMALL, "growing never shrinks");
    buffer.release();
    assert_eq!(buffer.capacity(), 2 * SMALL, "what is not used yet is not given back");
    buffer.consume(SMALL);
    buffer.release();
    assert_eq!(buffer.capacity(), 0);
}

/// On a thread of its own: the shelf that lends belongs to the thread.
#[test]
fn buffers_that_grew_do_not_raise_what_is_lent() {
    let lent = std::thread::spawn(|| {
        for _ in 0..200 {
            let mut grown = Buffer::default();
            grown.room(SMALL);
            grown.grow(LARGE);
        }
        let mut held: Vec<Buffer> = (0..100).map(|_| Buffer::default()).collect();
        for (i, buffer) in held.iter_mut().enumerate() {
            buffer.room(LARGE);
            if i % 2 == 0 {
                // One that grew and went must not make place for two.
                let mut grown = Buffer::default();
                grown.room(SMALL);
                grown.grow(LARGE);
            }
        }
        held.iter().filter(|buffer| buffer.capacity() == LARGE).count()
    });
    assert_eq!(lent.join().unwrap(), 64);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_rings_at_its_last_deadline_and_work_that_is_done_wins() {
    let mut alarm = Alarm::default();
    let start = Instant::now();
    assert!(alarm.guard(|_| Poll::Ready(Ok(1))).await.is_ok_and(|one| one == 1), "unset, it never rings");
    for (after, rings) in [(5, 5), (1, 1), (3, 3)] {
        let begin = Instant::now();
        alarm.set_after(Duration::from_secs(after));
        let late = alarm.guard::<()>(|_| Poll::Pending).await;
        assert!(matches!(late, Err(Error::TimedOut)));
        assert_eq!(begin.elapsed().as_secs(), rings);
    }
    assert_eq!(start.elapsed().as_secs(), 9);
    // Its deadline has passed, and still finished work is taken.
    assert!(alarm.guard(|_| Poll::Ready(Ok(()))).await.is_ok());
    alarm.set(Instant::now() + Duration::from_secs(2));
    assert!(alarm.deadline().is_some());
    alarm.clear();
    assert!(alarm.deadline().is_none());
}

/// Chunks of random sizes, many of them small.
fn in_chunks(random: &mut Random, body: &[u8], trailers: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), body);
    while !rest.is_empty() {
        let most = [3, 200, 5_000, 100_000][random.below(4)];
        let n = (1 + random.below(most)).min(rest.len());
        BodyWriter::Chunked.before(n, &mut out);
        out.extend_from_slice(&rest[..n]);
        out.extend_from_slice(BodyWriter::Chunked.after());
        rest = &rest[n..];
    }
    BodyWriter::Chunked.end(trailers.as_bytes(), &mut out);
    out
}

/// Writes in parts of random sizes.
async fn write_in_parts(peer: &mut TcpStream, random: &mut Random, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let n = (1 + random.below(60_000)).min(bytes.len());
        if peer.write_all(&bytes[..n]).await.is_err() {
            return;
        }
        bytes = &bytes[n..];
        if random.below(4) == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// Reads to the end, now and then asleep, so that the other side has to wait.
async fn read_slowly(peer: &mut TcpStream, random: &mut Random) -> Vec<u8> {
    let (mut all, mut part) = (Vec::new(), vec![0; 50_000]);
    loop {
        let most = 1 + random.below(part.len());
        match peer.read(&mut part[..most]).await.unwrap() {
            0 => return all,
            n => all.extend_from_slice(&part[..n]),
        }
        if random.below(8) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Runs the pump to its end, and looks at what it holds after each poll.
async fn pump(pump: &mut Pump, from: &mut Line, to: &mut Line) -> Result<(), PumpError> {
    poll_fn(|cx| {
        let polled = pump.poll(cx, from, to);
        let (from, to) = (conn(from), conn(to));
        assert!(from.inbox.capacity() <= LARGE, "the inbox holds {}", from.inbox.capacity());
        // Two small pieces, their framing and trailers, as vectors grow.
        assert!(to.outbox.capacity() <= 8192, "the outbox holds {}", to.outbox.capacity());
        polled
    })
    .await
}

#[test]
fn random_bodies_come_out_as_they_went_in() {
    run(async {
        let listener = listener().await;
        let mut waits = 0;
        for seed in 0..40 {
            let mut random = Random(seed);
            let size = [0, 1, 900, 70_000, 400_000, 6_000_000][random.below(6)];
            let body = random.bytes(size);
            let trailers = ["", "A: b\r\n"][random.below(2)];
            let (chunked_in, chunked_out) = (random.below(2) == 0, random.below(2) == 0);
            let (framing, bytes) = if chunked_in {
                (Framing::Chunked, in_chunks(&mut random, &body, trailers))
            } else {
                (Framing::Length(size as u64), body.clone())
            };
            let writer = if chunked_out { BodyWriter::Chunked } else { BodyWriter::Plain };
            let (mut from, mut source) = line(&listener).await;
            let (mut to, mut sink) = line(&listener).await;
            let mut work = Pump::new(Body::Wire(BodyReader::new(framing, u64::MAX).unwrap()), writer);
            conn(&mut to).outbox.extend_from_slice(b"HEAD");
            let (mut one, mut two) = (Random(seed), Random(seed + 1));
            let moving = async {
                pump(&mut work, &mut from, &mut to).await.unwrap();
                assert!(work.is_done() && work.moved == size as u64 && !to.has_unsent());
                drop(to);
            };
            let ((), (), out) = tokio::join!(
                moving,
                write_in_parts(&mut source, &mut one, &bytes),
                read_slowly(&mut sink, &mut two)
            );
            waits += work.sink_waits;
            let out = out.strip_prefix(b"HEAD").expect("what was in the outbox goes first");
            let framing = if chunked_out { Framing::Chunked } else { Framing::Length(size as u64) };
            let found = read_body(framing, u64::MAX, &[out]).unwrap().unwrap();
            assert!(found.body == body, "seed {seed}");
            assert_eq!(found.used, out.len(), "seed {seed}");
            let expected = if chunked_in && chunked_out { trailers } else { "" };
            assert_eq!(found.trailers, expected.as_bytes());
        }
        assert!(waits > 0, "no sink was ever slow, so nothing was shown");
    });
}

#[test]
fn a_sink_that_does_not_read_stops_the_source() {
    run(async {
        let listener = listener().await;
        let (mut from, mut source) = line(&listener).await;
        let (mut to, sink) = line(&listener).await;
        let mut work = Pump::new(
            Body::Wire(BodyReader::new(Framing::UntilClose, u64::MAX).unwrap()),
            BodyWriter::Chunked,
        );
        let part = vec![7; 1 << 20];
        let endless = async {
            let mut given = 0_u64;
            loop {
                let n = source.write(&part).await.unwrap();
                given += n as u64;
                assert!(given < 64 << 20, "the source gave {given} bytes that nobody took");
            }
        };
        let both = async { tokio::join!(pump(&mut work, &mut from, &mut to), endless) };
        let both: Result<(_, ()), _> = tokio::time::timeout(Duration::from_millis(300), both).await;
        assert!(both.is_err(), "it waits");
        assert!(work.sink_waits > 0 && work.moved > 0);
        drop(sink);
    });
}

#[test]
fn a_break_is_the_doing_of_one_side() {
    run(async {
        let listener = listener().await;
        for (framing, bytes, wanted) in [
            (Framing::Length(10), &b"12345"[..], "Truncated"),
            (Framing::Chunked, b"5\r\n12345\r\n", "Truncated"),
            (Framing::Chunked, b"5\r\n12345\r\n0\r\n", "Truncated"),
            (Framing::Chunked, b"5\r\n12345xx", "Malformed(\"a chunk longer than its size\")"),
        ] {
            let (mut from, mut source) = line(&listener).await;
            let (mut to, _sink) = line(&listener).await;
            source.write_all(bytes).await.unwrap();
            drop(source);
            let body = Body::Wire(BodyReader::new(framing, 100).unwrap());
            let broken = pump(&mut Pump::new(body, BodyWriter::Plain), &mut from, &mut to).await.unwrap_err();
            assert_eq!((broken.side, format!("{:?}", broken.error).as_str()), (Side::Source, wanted));
        }
        let (mut from, _source) = line(&listener).await;
        let (mut to, sink) = line(&listener).await;
        drop(sink);
        let endless = Body::Frames(Box::pin(Endless), bytes::Bytes::new());
        let broken = pump(&mut Pump::new(endless, BodyWriter::Plain), &mut from, &mut to).await.unwrap_err();
        assert_eq!(broken.side, Side::Sink);
    });
}

/// The one retry that a body allows: a connection that was reset before anything left. What was announced to it
/// is announced again, or the data would stand where the framing belongs.
#[test]
fn a_body_of_which_nothing_left_goes_whole_to_another_sink() {
    run(async {
        let listener = listener().await;
        for length in [0, 4_000] {
            let bytes = in_chunks_of_one(length);
            let (mut from, mut source) = line(&listener).await;
            source.write_all(&bytes).await.unwrap();
            let (mut dead, peer) = line(&listener).await;
            socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
            drop(peer);
            tokio::time::sleep(Duration::from_millis(20)).await;
            let body = Body::Wire(BodyReader::new(Framing::Chunked, 10_000).unwrap());
            let mut moving = Pump::new(body, BodyWriter::Chunked);
            let broken = pump(&mut moving, &mut from, &mut dead).await.unwrap_err();
            assert_eq!((broken.side, moving.moved, conn(&mut dead).sent_total()), (Side::Sink, 0, 0));
            moving.restart();
            let (mut to, mut sink) = line(&listener).await;
            pump(&mut moving, &mut from, &mut to).await.unwrap();
            drop(to);
            let mut out = Vec::new();
            sink.read_to_end(&mut out).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&bytes));
        }
    });
}

fn in_chunks_of_one(length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if length > 0 {
        BodyWriter::Chunked.before(length, &mut bytes);
        bytes.extend(vec![b'x'; length]);
        bytes.extend_from_slice(BodyWriter::Chunked.after());
    }
    BodyWriter::Chunked.end(b"", &mut bytes);
    bytes
}

struct Endless;

impl throome_wire::body::Frames for Endless {
    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<bytes::Bytes, Error>>> {
        Poll::Ready(Some(Ok(bytes::Bytes::from_static(&[1; 4096]))))
    }
}

#[test]
fn bodies_from_memory_and_by_frames() {
    struct Few(Vec<&'static [u8]>);
    impl throome_wire::body::Frames for Few {
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<Option<Result<bytes::Bytes, Error>>> {
            Poll::Ready(self.0.pop().map(|frame| Ok(bytes::Bytes::from_static(frame))))
        }
    }
    run(async {
        let listener = listener().await;
        let few = Body::Frames(Box::pin(Few(vec![b"c", b"", b"ab"])), bytes::Bytes::new());
        let full = Body::Full(bytes::Bytes::from_static(b"abc"));
        for (body, writer, want) in [
            (few, BodyWriter::Chunked, "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
            (full, BodyWriter::Chunked, "3\r\nabc\r\n0\r\n\r\n"),
            (Body::Empty, BodyWriter::Chunked, "0\r\n\r\n"),
            (Body::Empty, BodyWriter::Plain, ""),
        ] {
            let (mut from, _source) = line(&listener).await;
            let (mut to, mut sink) = line(&listener).await;
            pump(&mut Pump::new(body, writer), &mut from, &mut to).await.unwrap();
            drop(to);
            let mut out = String::new();
            sink.read_to_string(&mut out).await.unwrap();
            assert_eq!(out, want);
        }
    });
}

#[test]
fn a_tunnel_carries_both_ways_and_each_way_ends_alone() {
    run(async {
        let listener = listener().await;
        for seed in 0..6 {
            let (mut client, mut browser) = line(&listener).await;
            let (mut service, mut server) = line(&listener).await;
            let up = Random(seed).bytes([0, 5, 3_000_000][usize::try_from(seed % 3).unwrap()]);
            let down = Random(seed + 9).bytes(if seed < 3 { 2_000_000 } else { 1 });
            let mut tunnel = Tunnel::default();
            conn(&mut service).outbox.extend_from_slice(b"early");
            let moving = async {
                poll_fn(|cx| {
                    let polled = tunnel.poll(cx, &mut client, &mut service);
                    assert!(
                        conn(&mut client).inbox.capacity() <= SMALL
                            && conn(&mut service).inbox.capacity() <= SMALL
                    );
                    polled
                })
                .await
                .unwrap();
            };
            let asking = async {
                write_in_parts(&mut browser, &mut Random(seed), &up).await;
                browser.shutdown().await.unwrap();
                // The other way is open still.
                read_slowly(&mut browser, &mut Random(seed)).await
            };
            let answering = async {
                let asked = read_slowly(&mut server, &mut Random(seed)).await;
                write_in_parts(&mut server, &mut Random(seed), &down).await;
                server.shutdown().await.unwrap();
                asked
            };
            let ((), answered, asked) = tokio::join!(moving, asking, answering);
            assert!(answered == down, "seed {seed}");
            assert!(asked.strip_prefix(b"early").is_some_and(|rest| rest == up), "seed {seed}");
            assert_eq!(tunnel.moved, (up.len() + down.len()) as u64);
        }
    });
}
