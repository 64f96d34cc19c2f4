//! The life of a client's HTTP/2 connection: each stream is a request of its own, in a task of its own.

mod tasks;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use wire::http2::{Budgets, Request, Server};
use wire::{Alarm, Conn, Error};

use crate::client::Peer;
use crate::door::Door;
use tasks::Job;

/// How long a client that was told to leave may take to do so when nothing is under way.
const PATIENCE: Duration = Duration::from_secs(2);

/// Serves a client until its connection is over. `farewell` is told when the door closes.
pub(crate) async fn serve(conn: Conn, door: &Door, peer: Arc<Peer>, farewell: Arc<Notify>) {
    let limits = &door.options().limits;
    let budgets = Budgets {
        head: u32::try_from(limits.head.bytes).unwrap_or(u32::MAX),
        streams: limits.streams,
        ..Budgets::default()
    };
    let Ok(Ok(server)) = timeout(limits.head_timeout, Server::handshake(conn, budgets)).await else { return };
    let streams = Streams::default();
    Connection { server, door: door.clone(), peer, streams, alarm: Alarm::default() }.run(farewell).await;
}

struct Connection {
    server: Server,
    door: Door,
    peer: Arc<Peer>,
    streams: Streams,
    alarm: Alarm,
}

/// What is counted of a connection's streams.
#[derive(Clone, Default)]
struct Streams(Arc<Counts>);

#[derive(Default)]
struct Counts {
    under_way: AtomicUsize,
    ended: AtomicUsize,
    /// Of those that ended, how many their client has reset.
    given_up: AtomicUsize,
}

/// After so many requests those that were taken have their turn, so that none is held that was given up long ago.
const AT_ONCE: usize = 8;

/// So many requests a client may give up before it is looked at how many it did not. A page that is left gives up what it
/// has under way; who gives up most of what it asks for asks to keep us busy (rapid reset).
const FORGIVEN: usize = 200;

impl Connection {
    async fn run(mut self, farewell: Arc<Notify>) {
        let idle_timeout = self.door.options().limits.idle_timeout;
        let mut told = pin!(farewell.notified());
        // A door that closed before this could be told has said it to nobody here.
        let mut taken = 0;
        let mut closing = self.door.is_closing();
        if closing {
            self.server.close();
        }
        self.alarm.set_after(if closing { PATIENCE } else { idle_timeout });
        loop {
            let Connection { server, alarm, streams, .. } = &mut self;
            let next = poll_fn(|cx| {
                if let Poll::Ready(next) = server.poll_accept(cx) {
                    return Poll::Ready(Event::Request(next));
                }
                if !closing && told.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Event::Farewell);
                }
                alarm.poll(cx).map(|()| Event::Alarm)
            });
            match next.await {
                Event::Request(Some(Ok(request))) => {
                    self.begin(request);
                    if self.streams.are_a_flood() {
                        self.server.end();
                    }
                    taken += 1;
                    if taken % AT_ONCE == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                Event::Request(Some(Err(_)) | None) => return,
                Event::Farewell => {
                    closing = true;
                    server.close();
                    alarm.set_after(PATIENCE);
                }
                // Nobody has asked anything for long, or has not left for long after being told to.
                Event::Alarm if streams.is_idle() && server.is_quiet() => {
                    if closing {
                        return;
                    }
                    closing = true;
                    server.close();
                    alarm.set_after(PATIENCE);
                }
                Event::Alarm => alarm.set(Instant::now() + if closing { PATIENCE } else { idle_timeout }),
            }
        }
    }

    /// A stream goes its own way.
    fn begin(&mut self, request: Request) {
        self.alarm.set_after(self.door.options().limits.idle_timeout);
        let Request { head, has_body, mut stream } = request;
        // A client may open anew at once what it has reset, while the request is still being let go of: that counts, too.
        if self.streams.count() >= self.door.options().limits.streams as usize {
            return stream.refuse();
        }
        let (door, peer) = (self.door.clone(), Arc::clone(&self.peer));
        tasks::carry_out(Job { head, has_body, stream, door, peer, stay: self.streams.enter() });
    }
}

#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is made")]
enum Event {
    Request(Option<Result<Request, Error>>),
    Farewell,
    Alarm,
}

impl Streams {
    fn count(&self) -> usize {
        self.0.under_way.load(Relaxed)
    }

    fn are_a_flood(&self) -> bool {
        let Counts { ended, given_up, .. } = &*self.0;
        let given_up = given_up.load(Relaxed);
        given_up > FORGIVEN && given_up * 2 > ended.load(Relaxed)
    }

    fn is_idle(&self) -> bool {
        self.count() == 0
    }

    fn enter(&self) -> Stay {
        self.0.under_way.fetch_add(1, Relaxed);
        Stay(self.clone())
    }
}

/// A stream that is under way.
struct Stay(Streams);

impl Stay {
    /// The client has reset it.
    fn give_up(&self) {
        self.0.0.given_up.fetch_add(1, Relaxed);
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let Counts { under_way, ended, .. } = &*self.0.0;
        under_way.fetch_sub(1, Relaxed);
        ended.fetch_add(1, Relaxed);
    }
}
