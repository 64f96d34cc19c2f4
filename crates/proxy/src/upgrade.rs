//! After a WebSocket was agreed on: bytes both ways until both have said their last, or a limit that its service sets is
//! reached. The connections are never used again.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use adapters::http::WebSockets;
use clusters::{Attempt, Ending, Outcome, RequestId, Tries};
use model::Code;
use tokio::time::Instant;
use wire::http1::PumpError;
use wire::http1::tunnel::Tunnel;
use wire::{Error, Line};

use crate::client::Client;
use crate::door::Door;
use crate::respond::{self, Extra};

/// Whether the service takes the WebSocket that it was asked for.
pub(crate) fn is_agreed(service: &Line, status: u16) -> bool {
    match service {
        Line::Http1(_) => status == 101,
        Line::Http2(_) => (200..300).contains(&status),
    }
}

/// What was agreed on, for whoever carries it on: apart from the walk of the request, which is over and takes ten times the room.
pub(crate) struct Agreed {
    service: Line,
    tries: Tries,
    carried: Carried,
    id: RequestId,
}

/// Switches protocols, as both sides agreed. Bytes pass when it is carried on; what the client sent before the 101
/// waits in its inbox until then.
pub(crate) fn agree(
    client: &mut Client,
    door: &Door,
    mut service: Line,
    attempt: Attempt,
    tries: Tries,
    extra: &Extra<'_>,
    id: &RequestId,
) {
    // Should the client be gone, the tunnel will find it so.
    let _ = respond::say_switch(client, extra, id);
    client.answering = true;
    client.reusable = false;
    client.request.rest();
    client.response.rest();
    if let Line::Http1(conn) = &mut service {
        conn.forget_unsent();
    }
    let no_rules = WebSockets::default();
    let rules = attempt.adapter().http().map_or(&no_rules, |pool| pool.websockets());
    let carried = Carried::new(rules, door);
    // Established: a long life says nothing more of the endpoint's speed or health.
    attempt.end(Outcome::Good);
    client.agreed = Some(Box::new(Agreed { service, tries, carried, id: *id }));
}

impl Agreed {
    /// Passes bytes through until it is over.
    pub(crate) async fn carry_on(self: Box<Self>, client: &mut Client, door: &Door) {
        let mut agreed = self;
        let ended = {
            let Agreed { service, carried, .. } = &mut *agreed;
            carried.run(client, service, door).await
        };
        let Agreed { tries, id, .. } = *agreed;
        tries.finish(match ended {
            Ok(()) => Ending::Success(Some(101)),
            Err((PumpError { error: Error::Io(_) | Error::Truncated, .. }, false)) => Ending::Cancelled,
            Err((PumpError { error: Error::Message(_), .. }, false)) => Ending::Success(Some(101)),
            Err(_) => Ending::Failure(Code::BadGateway, Some(101)),
        });
        tracing::debug!(request_id = %id, "a tunnel has ended");
    }
}

/// A connection that nobody follows is looked at so seldom; one of which somebody asks more, more often.
const LEAST_TICK: Duration = Duration::from_millis(50);
/// Our last words are waited for so long.
const FAREWELL: Duration = Duration::from_secs(1);

/// Codes that close a WebSocket (RFC 6455 7.4.1).
const GOING_AWAY: u16 = 1001;

/// A tunnel under way, with the limits that it is held to.
struct Carried {
    tunnel: Tunnel,
    /// Without a message either way.
    idle: Duration,
    /// Without a byte from the client, before it is asked, and again before it is taken for gone.
    ping: Option<Duration>,
    said: u64,
    heard: u64,
    last_said: Instant,
    last_heard: Instant,
    asked: bool,
}

impl Carried {
    fn new(rules: &WebSockets, door: &Door) -> Self {
        let tunnel = if rules.asks_for_frames() {
            Tunnel::of_frames(rules.max_message.unwrap_or(u64::MAX))
        } else {
            Tunnel::default()
        };
        let now = Instant::now();
        Carried {
            tunnel,
            idle: rules.idle.unwrap_or(door.options().limits.stream_timeout),
            ping: rules.ping,
            said: 0,
            heard: 0,
            last_said: now,
            last_heard: now,
            asked: false,
        }
    }

    /// Carries bytes until both have said their last, one breaks a rule, or the gateway goes.
    async fn run(
        &mut self,
        client: &mut Client,
        service: &mut Line,
        door: &Door,
    ) -> Result<(), (PumpError, bool)> {
        let mut going = pin!(door.going());
        let ended = loop {
            client.alarm.set(self.next_look());
            let Client { line, alarm, .. } = &mut *client;
            let tunnel = &mut self.tunnel;
            let moved = alarm.guard(|cx| {
                if let Poll::Ready(ended) = tunnel.poll(cx, line, service) {
                    return Poll::Ready(Ok(Some(ended)));
                }
                going.as_mut().poll(cx).map(|()| Ok(None))
            });
            match moved.await {
                Ok(Some(ended)) => break ended,
                Ok(None) => {
                    self.tunnel.close(GOING_AWAY, &mut client.line, service);
                    break Ok(());
                }
                Err(_) if self.is_over(client, service) => break Ok(()),
                Err(_) => {}
            }
        };
        if let Err((PumpError { error: Error::Message(broken), .. }, _)) = &ended {
            self.tunnel.close(broken.code(), &mut client.line, service);
        }
        flush(client, service).await;
        ended
    }

    fn next_look(&self) -> Instant {
        let idle = self.last_said + self.idle;
        let ping = self.ping.map(|ping| self.last_heard + if self.asked { 2 * ping } else { ping });
        ping.map_or(idle, |ping| ping.min(idle)).max(Instant::now() + LEAST_TICK)
    }

    /// Looks who was silent, asks the client whether it is there, and says whether it is over.
    fn is_over(&mut self, client: &mut Client, service: &mut Line) -> bool {
        let now = Instant::now();
        if self.tunnel.said() > self.said {
            (self.said, self.last_said) = (self.tunnel.said(), now);
        }
        if self.tunnel.heard() > self.heard {
            (self.heard, self.last_heard, self.asked) = (self.tunnel.heard(), now, false);
        }
        let silent = now.duration_since(self.last_heard);
        let is_gone = self.ping.is_some_and(|ping| self.asked && silent >= 2 * ping);
        if is_gone || now.duration_since(self.last_said) >= self.idle {
            self.tunnel.close(GOING_AWAY, &mut client.line, service);
            return true;
        }
        if self.ping.is_some_and(|ping| !self.asked && silent >= ping) {
            self.tunnel.ping(&mut client.line, service);
            self.asked = true;
        }
        false
    }
}

/// Sends what we said last, as far as it is taken.
async fn flush(client: &mut Client, service: &mut Line) {
    client.alarm.set_after(FAREWELL);
    let Client { line, alarm, .. } = client;
    let flushed = alarm.guard(|cx| {
        let (up, down) = (service.poll_flush(cx), line.poll_flush(cx));
        if up.is_ready() && down.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    });
    // Whoever does not take it is gone.
    let _ = flushed.await;
    for line in [&mut client.line, service] {
        if let Line::Http2(stream) = line {
            let _ = stream.end(&[]);
        }
    }
}
