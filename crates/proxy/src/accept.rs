//! Accepting clients on one core: a permit each, the handshake where there is TLS, then the protocol they speak.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use wire::buffer::SMALL;
use wire::http2::PREFACE;
use wire::tls::Refused;
use wire::{Conn, Error, Line, Socket};

use crate::client::{Client, Idle, Peer};
use crate::door::Door;
use crate::introduce::{introduce, own_ends};
use crate::{carry, http1, http2};

/// After an accept that failed for want of something (descriptors, memory), this long is waited.
const BREATH: Duration = Duration::from_millis(50);
/// What never ends by itself has so long for its last words.
const PARTING: Duration = Duration::from_millis(100);
/// While closing, how often it is looked whether all connections have ended.
const LOOK: Duration = Duration::from_millis(20);

/// Serves the traffic door on the calling core's runtime until `closing` is ready, then lets requests
/// under way finish for at most `grace`. `closing` says for how long an idle connection may bring one more request,
/// whose answer says that it is the last.
///
/// # Errors
/// When the listener cannot be used on this runtime.
pub async fn serve_core(
    listener: std::net::TcpListener,
    door: Door,
    closing: impl Future<Output = Duration>,
    grace: Duration,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let guests = Guests::default();
    tokio::pin!(closing);
    let patience = loop {
        tokio::select! {
            biased;
            patience = &mut closing => break patience,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => admit(stream, &door, &guests),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(BREATH).await;
                }
            },
        }
    };
    drop(listener);
    door.close();
    guests.see_off(&door, patience, grace).await;
    Ok(())
}

fn admit(stream: TcpStream, door: &Door, guests: &Guests) {
    let counts = door.counts();
    let open = counts.connections.fetch_add(1, Relaxed);
    if open >= door.options().limits.connections as u64 {
        // Too many: the cheapest honest answer is to close at once.
        counts.connections.fetch_sub(1, Relaxed);
        counts.refuse(model::Code::Overloaded);
        return;
    }
    let Ok(peer) = stream.peer_addr() else {
        counts.connections.fetch_sub(1, Relaxed);
        return;
    };
    let idle = Arc::new(Idle::new());
    let stay = Stay { door: door.clone(), guests: guests.clone(), id: guests.reserve() };
    let id = stay.id;
    let is_idle = Arc::clone(&idle);
    // Two kinds of task, so that those of most connections hold no room for what few of them need.
    let task = if stay.door.is_plain() {
        tokio::spawn(async move {
            let stay = stay;
            let Some(socket) = secure(stream, &stay.door).await else { return };
            let peer = Arc::new(Peer::new(peer, &socket, stay.door.options()));
            if let Some(client) = welcome(socket, peer, is_idle, &stay).await {
                carry_on(client, stay);
            }
        })
    } else {
        tokio::spawn(receive(stream, peer, is_idle, stay))
    };
    guests.enter(id, Guest { idle, task: task.abort_handle() });
}

/// Receives a client at a door where a proxy says first who he is, or whose bytes are carried on.
async fn receive(mut stream: TcpStream, peer: SocketAddr, idle: Arc<Idle>, stay: Stay) {
    let door = &stay.door;
    let ends = match door.options().proxy_protocol {
        None => Some(own_ends(&stream, peer)),
        Some(taken) => {
            wire::socket::refine(&stream);
            introduce(&mut stream, peer, taken, door).await
        }
    };
    let Some(ends) = ends else { return };
    let Some(socket) = secure(stream, door).await else { return };
    if let Some(carrier) = door.carrier() {
        // When it is between two things to say, nobody but the two of them knows.
        idle.set(false);
        return carry::serve(socket, ends, door, carrier).await;
    }
    let peer = Arc::new(Peer::new(ends.source, &socket, door.options()));
    if let Some(client) = Box::pin(welcome(socket, peer, idle, &stay)).await {
        carry_on(client, stay);
    }
}

/// What passes bytes on needs a fraction of the room that requests do, and may live long: it is a task of its own, in place of
/// the one that served the client.
fn carry_on(mut client: Box<Client>, stay: Stay) {
    let (guests, id) = (stay.guests.clone(), stay.id);
    let idle = client.change_tasks();
    let task = tokio::spawn(async move {
        let stay = stay;
        if let Some(agreed) = client.agreed.take() {
            agreed.carry_on(&mut client, &stay.door).await;
        }
        http1::linger(&mut client).await;
    });
    guests.hand_over(id, Guest { idle, task: task.abort_handle() });
}

/// Greets a client by TLS where the door has it. One that is not let in is counted, and nobody is told: there are
/// strangers at every door.
async fn secure(stream: TcpStream, door: &Door) -> Option<Socket> {
    let Some(tls) = &door.options().tls else { return Some(Socket::new(stream)) };
    wire::socket::refine(&stream);
    let greeting = Box::pin(tls.accept(stream));
    match tokio::time::timeout(door.options().limits.head_timeout, greeting).await {
        Ok(Ok(socket)) => return Some(socket),
        Ok(Err((why, error))) => {
            tracing::debug!(reason = why.name(), %error, "a handshake came to nothing");
            door.counts().not_let_in(why);
        }
        Err(_) => door.counts().not_let_in(Refused::TimedOut),
    }
    None
}

/// Finds out what the client speaks, and serves it. One that goes on in another protocol comes back.
async fn welcome(socket: Socket, peer: Arc<Peer>, idle: Arc<Idle>, stay: &Stay) -> Option<Box<Client>> {
    // What HTTP/2 needs for a connection is apart, so that those of HTTP/1 hold no room for it.
    let farewell = Arc::clone(&stay.guests.farewell);
    // By TLS it was agreed on in the handshake, and nothing else is spoken.
    let is_secure = socket.is_secure();
    if is_secure && socket.alpn() == Some(b"h2") {
        // It hears of the door's closing by itself.
        idle.set(false);
        Box::pin(http2::serve(Conn::new(socket), &stay.door, peer, farewell)).await;
        return None;
    }
    let mut client = Client::new(Conn::new(socket).into(), peer, idle);
    if is_secure || !begins_with_preface(&mut client, &stay.door).await.ok()? {
        http1::serve(&mut client, &stay.door).await;
        return client.agreed.is_some().then_some(client);
    }
    let Client { line, peer, .. } = *client;
    if let Line::Http1(conn) = line {
        Box::pin(http2::serve(conn, &stay.door, peer, farewell)).await;
    }
    None
}

/// Whether the first bytes are those of HTTP/2. They stay where they are.
async fn begins_with_preface(client: &mut Client, door: &Door) -> Result<bool, Error> {
    let limits = &door.options().limits;
    client.await_word(limits.idle_timeout).await?;
    let Client { line: Line::Http1(conn), alarm, .. } = client else { return Ok(false) };
    alarm.set_after(limits.head_timeout);
    loop {
        let begun = conn.inbox.filled();
        let seen = begun.len().min(PREFACE.len());
        if begun[..seen] != PREFACE[..seen] {
            return Ok(false);
        }
        if seen == PREFACE.len() {
            return Ok(true);
        }
        if alarm.guard(|cx| conn.poll_fill(cx, SMALL)).await? == 0 {
            return Err(Error::Truncated);
        }
    }
}

/// A connection's permit: given back however its task ends.
struct Stay {
    door: Door,
    guests: Guests,
    id: u64,
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.door.counts().connections.fetch_sub(1, Relaxed);
        self.guests.leave(self.id);
    }
}

/// The connections of one core.
#[derive(Clone, Default)]
struct Guests {
    book: Arc<Mutex<Book>>,
    /// Told to those who hear it between two requests, and in the middle of several.
    farewell: Arc<Notify>,
}

#[derive(Default)]
struct Book {
    next: u64,
    here: HashMap<u64, Guest>,
}

struct Guest {
    /// Between two requests.
    idle: Arc<Idle>,
    task: AbortHandle,
}

impl Guests {
    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(&self) -> u64 {
        let mut book = self.book();
        book.next += 1;
        book.next
    }

    /// The task has not run yet: it is spawned on this very thread.
    fn enter(&self, id: u64, guest: Guest) {
        self.book().here.insert(id, guest);
    }

    /// Another task serves it from now on.
    fn hand_over(&self, id: u64, other: Guest) {
        if let Some(guest) = self.book().here.get_mut(&id) {
            *guest = other;
        }
    }

    fn leave(&self, id: u64) {
        self.book().here.remove(&id);
    }

    /// Ends idle connections after `patience` and the others when their request is answered, or after `grace`.
    async fn see_off(&self, door: &Door, patience: Duration, grace: Duration) {
        let now = tokio::time::Instant::now();
        let (patient, end) = (now + patience.min(grace), now + grace);
        self.farewell.notify_waiters();
        let mut told = false;
        loop {
            if !told && tokio::time::Instant::now() >= end {
                told = true;
                door.go();
            }
            {
                let book = self.book();
                let now = tokio::time::Instant::now();
                let (over, idle_may_go) = (now >= end + PARTING, now >= patient);
                for guest in book.here.values() {
                    let goes = idle_may_go && guest.idle.is_now();
                    // By itself, where it can look whether a request has just come.
                    if over || (goes && !guest.idle.leave()) {
                        guest.task.abort();
                    }
                }
                if book.here.is_empty() {
                    return;
                }
            }
            tokio::time::sleep(LOOK).await;
            if tokio::time::Instant::now() >= end + PARTING + BREATH {
                return;
            }
        }
    }
}
