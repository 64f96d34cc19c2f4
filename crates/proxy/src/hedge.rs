//! Two tries side by side: where the first takes long, another endpoint is asked as well, and the first answer counts.
//!
//! Only for what reads, has no body and may run twice (`Tries::hedge_at`). Whoever loses is dropped where it stands: its
//! connection is closed, or its stream reset, and nothing is said of its endpoint.

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use adapters::http::Pool;
use clusters::{Attempt, Miss, Outcome, RequestId, Tries};
use model::Failure;
use tokio::time::{Sleep, sleep_until, timeout_at};
use wire::http1::{RequestHead, ResponseHead};
use wire::{Error, Line};

use crate::admit::Passage;
use crate::client::{Client, Peer};
use crate::exchange;
use crate::{forward, relay, turn};

/// What is asked, of whichever endpoint.
struct Asked<'a> {
    request: &'a RequestHead,
    peer: &'a Peer,
    passage: &'a Passage,
    id: &'a RequestId,
    /// Interim answers that have come and are to be passed on.
    interim: Mutex<Vec<ResponseHead>>,
}

/// A try under way.
type Run<'a> = Pin<Box<dyn Future<Output = Ran> + Send + 'a>>;

/// How a try ended: with the head of an answer and the line that it came on, or with none.
type Ran = (Attempt, Result<(Line, ResponseHead), Miss>);

enum Event {
    Ran(Box<Ran>),
    /// The first has taken long enough.
    Late,
    /// The client has gone.
    Left(Error),
}

/// Asks the endpoint of `first`, and from `at` on another beside it. The head of the answer is in `client.response`.
///
/// # Errors
/// When the client has left.
pub(crate) async fn ask(
    client: &mut Client,
    passage: &Passage,
    id: &RequestId,
    tries: &mut Tries,
    mut first: Attempt,
    at: Instant,
) -> Result<(Attempt, Result<Line, Miss>), Failure> {
    let Client { line, request, response, peer, .. } = client;
    let asked = Asked { request, peer, passage, id, interim: Mutex::default() };
    let of_first = first.whereabouts();
    let mut runs: [Option<Run<'_>>; 2] = [Some(Box::pin(asked.run(first, true))), None];
    let mut late = Some(Box::pin(sleep_until(at.into())));
    loop {
        let event = poll_fn(|cx| poll(cx, &asked, line, &mut runs, &mut late)).await;
        let is_alone = runs.iter().all(Option::is_none);
        match event {
            Event::Ran(ran) => match *ran {
                (attempt, Err(miss)) if is_alone => return Ok((attempt, Err(miss))),
                (attempt, Err(miss)) => attempt.end(miss.outcome),
                // That a gateway behind it failed is no answer while another may have one.
                (attempt, Ok((_, head))) if !is_alone && matches!(head.status, 502..=504) => {
                    attempt.end(Outcome::Bad(format!("answered {}", head.status)));
                }
                (attempt, Ok((service, head))) => {
                    *response = head;
                    return Ok((attempt, Ok(service)));
                }
            },
            Event::Late => {
                late = None;
                // A second try that would have to wait for a connection is none.
                let second = tries.beside(&of_first);
                runs[1] = second.map(|second| Box::pin(asked.run(second, false)) as Run<'_>);
            }
            Event::Left(error) => return Err(exchange::of_leaving(&error).into_failure()),
        }
    }
}

fn poll(
    cx: &mut Context<'_>,
    asked: &Asked<'_>,
    client: &mut Line,
    runs: &mut [Option<Run<'_>>; 2],
    late: &mut Option<Pin<Box<Sleep>>>,
) -> Poll<Event> {
    for run in runs {
        let Some(running) = run else { continue };
        let ran = running.as_mut().poll(cx);
        asked.pass_interim(client);
        if let Poll::Ready(ran) = ran {
            *run = None;
            return Poll::Ready(Event::Ran(Box::new(ran)));
        }
    }
    if client.has_unsent() {
        // Interim answers. Should the client be gone, that shows in what is looked for next.
        let _ = client.poll_flush(cx);
    }
    if let Some(error) = client.poll_broken(cx) {
        return Poll::Ready(Event::Left(error));
    }
    match late {
        Some(at) => at.as_mut().poll(cx).map(|()| Event::Late),
        None => Poll::Pending,
    }
}

impl Asked<'_> {
    async fn run(&self, mut attempt: Attempt, may_wait: bool) -> Ran {
        let result = self.ask(&mut attempt, may_wait).await;
        (attempt, result)
    }

    /// One try, up to the head of the answer.
    async fn ask(&self, attempt: &mut Attempt, may_wait: bool) -> Result<(Line, ResponseHead), Miss> {
        let mut endpoint = Arc::clone(attempt.endpoint());
        let now = tokio::time::Instant::now();
        let mut reused = endpoint.adapter().http().and_then(|pool| pool.reuse(Duration::MAX, now));
        loop {
            let Some(pool) = endpoint.adapter().http() else { return Err(forward::unable(attempt)) };
            let had = match (reused.take(), pool.limited()) {
                (Some(conn), _) => Ok((Line::Http1(conn), true)),
                (None, Some(limited)) => turn::line_for_nobody(limited, attempt, may_wait).await,
                (None, None) => {
                    let connected = timeout_at(attempt.connect_deadline().into(), pool.line()).await;
                    let connected = connected.map_err(|_| exchange::of_no_connection());
                    let line = connected.and_then(|line| line.map_err(exchange::of_unreached));
                    line.map(|line| (line, false))
                }
            };
            let (mut line, was_used) = had.map_err(|fault| fault.into_miss(attempt))?;
            // It may have moved to one that had a connection.
            endpoint = Arc::clone(attempt.endpoint());
            self.passage
                .say_head(self.request, self.peer, self.id, &endpoint.label, &mut line)
                .map_err(|error| exchange::of_opening(&error).into_miss(attempt))?;
            let mark = line.mark();
            let heard = timeout_at(attempt.deadline().into(), self.head(&mut line)).await;
            let fault = match heard {
                Ok(Ok(head)) => {
                    attempt.heard(!relay::is_failure(head.status));
                    return Ok((line, head));
                }
                Ok(Err(error)) => exchange::of_answer(error),
                Err(_) => {
                    Pool::doubt(&line);
                    exchange::of_late(attempt)
                }
            };
            // A service may close an idle connection whenever it likes: another is made.
            if !(was_used && fault.is_farewell()) {
                let fault = if line.stands_at(mark) { fault.unsent() } else { fault };
                return Err(fault.into_miss(attempt));
            }
        }
    }

    /// The head of the final answer on this line.
    async fn head(&self, line: &mut Line) -> Result<ResponseHead, Error> {
        let mut head = ResponseHead::default();
        loop {
            poll_fn(|cx| {
                // A failed write shows in what is read next, unless the service has answered before it closed.
                let _ = line.poll_flush(cx);
                exchange::poll_answer(cx, line, &mut head, self.request.is_head)
            })
            .await?;
            if !matches!(head.status, 100 | 102..=199) {
                return Ok(head);
            }
            self.interim().push(mem::take(&mut head));
        }
    }

    fn pass_interim(&self, client: &mut Line) {
        for head in self.interim().drain(..) {
            exchange::pass_interim(client, self.request, &head);
        }
    }

    fn interim(&self) -> std::sync::MutexGuard<'_, Vec<ResponseHead>> {
        // What it guards is whole between any two statements, so a panic elsewhere does not spoil it.
        self.interim.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
