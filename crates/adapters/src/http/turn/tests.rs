//! Connections within a limit, of two cores, to servers on loopback that count what is open to them.

use std::future::poll_fn;
use std::sync::atomic::AtomicUsize;

use model::Address;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};
use wire::http1::{HeadLimits, ResponseHead, client};
use wire::http2::{Budgets, Request, Server};
use wire::{Conn, Error, Socket, cores};

use super::*;
use crate::http::{Protocol, WebSockets};

/// Streams that a service takes on one connection.
const STREAMS: usize = 3;
/// How long it takes for an answer.
const TAKES: Duration = Duration::from_millis(3);

#[derive(Debug, Default)]
struct Counted {
    open: AtomicUsize,
    most: AtomicUsize,
    accepted: AtomicUsize,
    answered: AtomicUsize,
}

impl Counted {
    /// The most that were open at once, the last to come among them.
    fn most(&self) -> usize {
        std::thread::sleep(Duration::from_millis(50));
        self.most.load(SeqCst)
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A service on a thread of its own; ends with the process.
fn serve(is_http2: bool) -> (u16, Arc<Counted>) {
    let (counted, (tell, told)) = (Arc::new(Counted::default()), std::sync::mpsc::channel());
    let counts = Arc::clone(&counted);
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap().port()).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counts.accepted.fetch_add(1, SeqCst);
                counts.open.fetch_add(1, SeqCst);
                let counts = Arc::clone(&counts);
                tokio::spawn(async move {
                    let seen = Arc::clone(&counts);
                    tokio::spawn(async move {
                        // That another has ended before may be heard of a little later.
                        sleep(Duration::from_millis(10)).await;
                        seen.most.fetch_max(seen.open.load(SeqCst), SeqCst);
                    });
                    let conn = Conn::new(Socket::new(stream));
                    if is_http2 {
                        answer_streams(conn, &counts).await
                    } else {
                        answer(conn, &counts).await
                    }
                    counts.open.fetch_sub(1, SeqCst);
                });
            }
        });
    });
    (told.recv().unwrap(), counted)
}

async fn answer(mut conn: Conn, counted: &Counted) {
    while let Ok(1..) = poll_fn(|cx| conn.poll_fill(cx, 4096)).await {
        conn.inbox.consume(conn.inbox.len());
        sleep(TAKES).await;
        counted.answered.fetch_add(1, SeqCst);
        conn.outbox.extend_from_slice(b"HTTP/1.1 204 No Content\r\n\r\n");
        poll_fn(|cx| conn.poll_flush(cx)).await.unwrap();
    }
}

async fn answer_streams(conn: Conn, counted: &Arc<Counted>) {
    let budgets = Budgets { streams: u32::try_from(STREAMS).unwrap(), ..Budgets::default() };
    let mut server = Server::handshake(conn, budgets).await.unwrap();
    while let Some(Ok(Request { mut stream, .. })) = poll_fn(|cx| server.poll_accept(cx)).await {
        let counted = Arc::clone(counted);
        tokio::spawn(async move {
            sleep(TAKES).await;
            counted.answered.fetch_add(1, SeqCst);
            let _ = stream.say_response(http::Response::new(()), true);
        });
    }
}

fn pool(port: u16, protocol: Protocol, most: u32, pending: u32) -> Pool {
    let limits =
        LimitsSpec { max_connections: Some(most), max_pending: Some(pending), ..LimitsSpec::default() };
    let pool = Pool::of(Address::new("127.0.0.1", port), protocol, None, WebSockets::default()).unwrap();
    pool.within(Some(&limits))
}

/// Asks once, as the door does: what a new connection was asked beyond what it takes is asked again.
async fn ask(pool: &Pool) {
    while let Err(error) = try_to_ask(pool).await {
        assert!(matches!(error, Error::Refused), "{error}");
    }
}

async fn try_to_ask(pool: &Pool) -> Result<(), Error> {
    let mut line = match pool.reuse(Duration::MAX, Instant::now()) {
        Some(conn) => Line::Http1(conn),
        None => pool.line().await.unwrap(),
    };
    let mut head = ResponseHead::default();
    match &mut line {
        Line::Http1(conn) => {
            conn.outbox.extend_from_slice(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            poll_fn(|cx| conn.poll_flush(cx)).await?;
            poll_fn(|cx| client::poll_head(conn, cx, &mut head, HeadLimits::default(), false)).await?;
        }
        Line::Http2(stream) => {
            stream.say_request(http::Request::get("http://a/").body(()).unwrap(), true)?;
            poll_fn(|cx| stream.poll_head(cx, &mut head, HeadLimits::default(), false)).await?;
        }
    }
    if let Line::Http1(conn) = line {
        pool.give_back(conn, Instant::now());
    }
    Ok(())
}

/// So many callers on each of two cores, who ask so often each; how long it took until those of each core had all.
fn crowd(pool: &Arc<Pool>, callers: usize, times: usize) -> [Duration; 2] {
    // What lives on a core lives as long as the process: none ends before the other.
    let over = Arc::new(std::sync::Barrier::new(2));
    let core = |core: usize| {
        let (pool, over) = (Arc::clone(pool), Arc::clone(&over));
        std::thread::spawn(move || {
            cores::enter(core);
            let began = Instant::now();
            let runtime = runtime();
            let took = runtime.block_on(async {
                let caller = |pool: Arc<Pool>| async move {
                    for _ in 0..times {
                        ask(&pool).await;
                    }
                };
                let all: Vec<_> =
                    (0..callers).map(|_| tokio::task::spawn(caller(Arc::clone(&pool)))).collect();
                for one in all {
                    timeout(Duration::from_secs(30), one).await.expect("nobody waits for ever").unwrap();
                }
                let took = began.elapsed();
                // The other may still need what is on this one.
                let both = tokio::task::spawn_blocking(move || over.wait());
                both.await.unwrap();
                took
            });
            drop(runtime);
            took
        })
    };
    [core(0), core(1)].map(|core| core.join().unwrap())
}

#[test]
fn two_hundred_callers_of_two_cores_share_four_connections() {
    let (port, counted) = serve(false);
    let pool = Arc::new(pool(port, Protocol::Http1, 4, 200));
    let took = crowd(&pool, 100, 5);
    assert_eq!(counted.most(), 4);
    let [accepted, answered] = [&counted.accepted, &counted.answered].map(|n| n.load(SeqCst));
    assert_eq!(answered, 1000);
    assert!(accepted <= 500, "{accepted} connections for 1000 requests: hardly any was used again");
    assert!(took[0] < took[1] * 3 && took[1] < took[0] * 3, "neither core waits for the other: {took:?}");
    let now = pool.limited().unwrap().occupancy();
    assert!(now.open <= 4 && now.waiting == 0, "{now:?}");
}

#[test]
fn streams_of_two_cores_share_what_connections_there_may_be() {
    for most in [1, 2, 4] {
        let (port, counted) = serve(true);
        let pool = Arc::new(pool(port, Protocol::H2c, most, 200));
        crowd(&pool, 60, 5);
        assert!((1..=most as usize).contains(&counted.most()), "{counted:?}");
        assert_eq!(counted.answered.load(SeqCst), 600, "before {most}");
        assert_eq!(pool.limited().unwrap().occupancy().waiting, 0);
    }
}

#[test]
fn connections_that_another_core_has_idle_are_closed_for_who_needs_one() {
    let (port, counted) = serve(false);
    let pool = Arc::new(pool(port, Protocol::Http1, 2, 0));
    let runtimes = [runtime(), runtime()];
    let on = |core: usize, asks: usize| {
        cores::enter(core);
        runtimes[core].block_on(async {
            let one = || {
                let pool = Arc::clone(&pool);
                tokio::spawn(async move { ask(&pool).await })
            };
            for one in (0..asks).map(|_| one()).collect::<Vec<_>>() {
                one.await.unwrap();
            }
        });
    };
    on(0, 2);
    assert_eq!(counted.accepted.load(SeqCst), 2);
    on(1, 2);
    assert_eq!((counted.accepted.load(SeqCst), counted.most()), (4, 2));
    on(0, 1);
    assert_eq!(counted.accepted.load(SeqCst), 5);
    assert_eq!(pool.limited().unwrap().occupancy().open, 2);
}

#[tokio::test]
async fn as_many_wait_as_may_and_who_leaves_makes_room() {
    let (port, _) = serve(false);
    let pool = Arc::new(pool(port, Protocol::Http1, 1, 1));
    let limited = pool.limited().unwrap();
    let line = pool.line().await.unwrap();
    assert!(limited.turn_at_once().is_none());
    assert!(timeout(Duration::from_millis(20), limited.turn()).await.is_err(), "it waits");
    let waits = {
        let pool = Arc::clone(&pool);
        tokio::spawn(async move { pool.line().await.unwrap() })
    };
    while limited.occupancy().waiting == 0 {
        tokio::task::yield_now().await;
    }
    assert!(limited.turn().await.is_err());
    assert!(pool.line().await.is_err());
    // One that breaks makes room like one that is given back.
    drop(line);
    let line = waits.await.unwrap();
    assert_eq!(limited.occupancy(), Occupancy { most: 1, open: 1, waiting: 0 });
    drop(line);
    assert_eq!(limited.occupancy().open, 0);
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_takes_no_place() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    for protocol in [Protocol::Http1, Protocol::H2c] {
        let pool = pool(port, protocol, 1, 5);
        for _ in 0..3 {
            pool.line().await.unwrap_err();
        }
        assert_eq!(pool.limited().unwrap().occupancy().open, 0);
    }
}
