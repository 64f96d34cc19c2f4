//! The tasks that carry out streams. One that is done waits for another stream, of whichever connection of its core, so
//! that a stream costs no task of its own.

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use clusters::RequestId;
use http::request::Parts;
use wire::http1::{Framing, Known, server};
use wire::http2::Stream;
use wire::{Error, Line};

use super::Stay;
use crate::client::{Client, Peer};
use crate::door::Door;
use crate::http1::of_head;
use crate::respond;
use crate::server::{Next, serve_one};

/// Tasks that a core keeps waiting.
const KEPT: usize = 256;

/// How long, and how much of a body that nobody wants is read on.
const PATIENCE: Duration = Duration::from_secs(2);
const THROWN_AWAY: u64 = 1024 * 1024;

thread_local! {
    static WAITING: RefCell<Vec<Arc<Desk>>> = RefCell::default();
}

/// A stream that was opened.
pub(super) struct Job {
    pub(super) head: Parts,
    pub(super) has_body: bool,
    pub(super) stream: Stream,
    pub(super) door: Door,
    pub(super) peer: Arc<Peer>,
    pub(super) stay: Stay,
}

/// Has it carried out, by a task that waits or by a new one.
pub(super) fn carry_out(mut job: Job) {
    while let Some(desk) = WAITING.with_borrow_mut(Vec::pop) {
        match desk.put(job) {
            None => return,
            // Its task has gone with its runtime.
            Some(refused) => job = refused,
        }
    }
    tokio::spawn(Task { desk: Arc::default(), client: None }.run(job));
}

/// Where a task that waits is given its next stream.
#[derive(Default)]
struct Desk(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    job: Option<Job>,
    waker: Option<Waker>,
    /// Nobody waits here any more.
    left: bool,
}

impl Desk {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, job: Job) -> Option<Job> {
        let mut waiting = self.waiting();
        if waiting.left {
            return Some(job);
        }
        waiting.job = Some(job);
        waiting.waker.take().into_iter().for_each(Waker::wake);
        None
    }

    fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Job> {
        let mut waiting = self.waiting();
        if let Some(job) = waiting.job.take() {
            return Poll::Ready(job);
        }
        waiting.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

struct Task {
    desk: Arc<Desk>,
    /// With the memory that heads took up.
    client: Option<Box<Client>>,
}

impl Task {
    async fn run(mut self, first: Job) {
        let mut job = first;
        loop {
            self.carry_out(job).await;
            let keeps = WAITING.with_borrow_mut(|waiting| {
                let keeps = waiting.len() < KEPT;
                keeps.then(|| waiting.push(Arc::clone(&self.desk))).is_some()
            });
            if !keeps {
                return;
            }
            job = poll_fn(|cx| self.desk.poll_take(cx)).await;
        }
    }

    async fn carry_out(&mut self, job: Job) {
        let Job { head, has_body, stream, door, peer, stay } = job;
        let line = Line::Http2(stream);
        let mut client = match self.client.take() {
            Some(mut client) => {
                client.turn_to(line, peer);
                client
            }
            None => Client::new(line, peer, Arc::default()),
        };
        answer(&mut client, &door, head, has_body, &stay).await;
        if client.agreed.is_some() {
            return pass_on(client, door, stay);
        }
        client.turn_from();
        self.client = Some(client);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.desk.waiting().left = true;
    }
}

/// What passes bytes on needs a fraction of the room that requests do, and may live long: it has a task of its own.
fn pass_on(mut client: Box<Client>, door: Door, stay: Stay) {
    tokio::spawn(async move {
        if let Some(agreed) = client.agreed.take() {
            agreed.carry_on(&mut client, &door).await;
        }
        count(&mut client, &stay);
        linger(&mut client).await;
    });
}

async fn answer(client: &mut Client, door: &Door, head: Parts, has_body: bool, stay: &Stay) {
    let limits = &door.options().limits;
    let taken = client.request.take_http2(&head, has_body, limits.head);
    drop(head);
    let begun = match taken.and_then(|()| client.begin(limits.body)) {
        Ok(()) if has_body && client.request.framing == Framing::None && !client.request.upgrade => {
            see_the_end(client, limits.body_timeout).await
        }
        begun => begun,
    };
    match begun {
        Ok(()) => {
            let next = serve_one(client, door).await;
            if client.agreed.is_some() {
                return;
            }
            count(client, stay);
            if let Next::Cut = next {
                return client.line.http2().into_iter().for_each(Stream::reset);
            }
        }
        Err(error) => {
            count(client, stay);
            refuse(client, door, &error).await;
        }
    }
    linger(client).await;
}

/// Counts a stream that its client has given up.
fn count(client: &mut Client, stay: &Stay) {
    if client.line.http2().is_some_and(Stream::is_given_up) {
        stay.give_up();
    }
}

/// A body that was said to be empty is seen to be so before anything is done with the request.
async fn see_the_end(client: &mut Client, patience: Duration) -> Result<(), Error> {
    let Client { line, alarm, .. } = client;
    let Some(stream) = line.http2() else { return Ok(()) };
    alarm.set_after(patience);
    alarm.guard(|cx| stream.poll_nothing(cx)).await
}

/// Reads on for a while where a body is still coming, and throws it away: a client in the middle of sending may take a
/// reset for a failure although its answer stands before it (RFC 9113 8.1 has it otherwise; some do not).
async fn linger(client: &mut Client) {
    if !client.upload_is_over() {
        let Client { line, upload, alarm, .. } = client;
        server::drain(line, &mut upload.body, THROWN_AWAY, alarm, PATIENCE).await;
    }
}

/// A head that is wrong.
async fn refuse(client: &mut Client, door: &Door, error: &Error) {
    let id = RequestId::take_or_make(client.request.fields.all(Known::RequestId).next());
    respond::refuse(client, door, &id, &of_head(error, door)).await;
}
