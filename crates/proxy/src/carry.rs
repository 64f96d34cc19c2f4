//! A connection whose bytes are carried to a service as they are. It walks the same try loop as a request: an endpoint that
//! cannot be reached is passed over for another, since nothing was sent yet.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use clusters::{
    Access, Attempt, Ending, Miss, Order, Outcome, RequestId, Service, Settled, Shape, Target, Tries,
};
use model::route::RetryOn;
use model::{Code, Failure, Strategy};
use policy::{Affinity, Asker};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use wire::http1::tunnel::Tunnel;
use wire::proxy_protocol::Ends;
use wire::{Alarm, Conn, Error, Line, Socket, cores};

use crate::door::Door;

/// Where a listener leads, and how long nobody may speak on its connections.
#[derive(Debug, Clone)]
pub struct Carrier {
    /// The service.
    pub target: Arc<Target>,
    /// Without a byte either way.
    pub idle_timeout: Duration,
}

/// What such a connection is called among operations.
const OPERATION: &str = "connection";

/// Carries bytes between a client and an endpoint of the service, until both have said their last.
pub(crate) async fn serve(client: Socket, ends: Ends, door: &Door, carrier: &Carrier) {
    let service = match carrier.target.find(door.clusters()) {
        Ok(service) => service,
        Err(failure) => return refuse(&client, door, &failure),
    };
    let mut tries = begin(&service, &ends, door, &carrier.target);
    let (stream, mut attempt) = match connect(&mut tries).await {
        Ok(connected) => connected,
        Err(failure) => {
            tries.fail(&failure);
            return refuse(&client, door, &failure);
        }
    };
    attempt.connected();
    service.flow.connected(cores::index());
    let mut to_service = Conn::new(Socket::Tcp(stream));
    if let Some(version) = attempt.adapter().introduces() {
        version.write(Some(ends), &mut to_service.outbox);
    }
    let lines = (Line::from(Conn::new(client)), Line::from(to_service));
    let mut carried = Carried::new(lines, &service, carrier.idle_timeout);
    let end = carried.run(door).await;
    // It was made well; who ends it, and when, says nothing of the endpoint.
    attempt.end(Outcome::Good);
    tries.finish(match end {
        End::Over | End::Idle => Ending::Success(None),
        End::Cut | End::Told => Ending::Cancelled,
    });
}

/// Nobody can be told anything in words that he would understand: the connection is reset, and counted.
fn refuse(client: &Socket, door: &Door, failure: &Failure) {
    tracing::debug!(code = failure.code().name(), detail = failure.detail(), "a connection is not carried");
    client.reset_on_close(true);
    door.counts().refuse(failure.code());
}

fn begin(service: &Arc<Service>, ends: &Ends, door: &Door, target: &Target) -> Tries {
    let address = ends.source.ip().to_canonical().to_string();
    let asker = Asker { header: &|_| None, cookies: &|_| None, query: None, address: &address };
    let by_address = service.tactics.strategy == Strategy::Hash;
    let order = Order {
        operation: OPERATION,
        shape: Shape::Text((&*target.listener).into()),
        // Whatever goes over it may be a write, and cannot be said again.
        access: Access::Write,
        rerun: false,
        // Nobody knows whether an answer is awaited: silence says nothing.
        uploads: true,
        patience: Duration::ZERO,
        key: if by_address { Affinity::by_address().key(&asker) } else { None },
        request_id: RequestId::take_or_make(None),
    };
    Tries::begin(Arc::clone(service), None, order, door.clusters().activity().clone())
}

/// One endpoint after the other, until a connection stands.
async fn connect(tries: &mut Tries) -> Result<(TcpStream, Attempt), Failure> {
    loop {
        let attempt = tries.next().await?;
        let connecting = timeout_at(attempt.connect_deadline().into(), attempt.endpoint().dial().connect());
        let connected = match connecting.await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(miss(&attempt, Code::BadGateway, &format!("cannot connect: {error}"))),
            Err(_) => Err(miss(&attempt, Code::Timeout, "no connection in time")),
        };
        match tries.settle(attempt, connected)? {
            Settled::Answer(stream, attempt) => return Ok((stream, attempt)),
            Settled::Again => {}
        }
    }
}

fn miss(attempt: &Attempt, code: Code, trouble: &str) -> Miss {
    let failure = Failure::service(code, format!("{}: {trouble}", attempt.endpoint().label))
        .with_service(attempt.service().name.clone())
        .with_retryable(true);
    let outcome = Outcome::Unreached(trouble.to_owned());
    Miss { failure, cause: RetryOn::Connect, sent: false, outcome, wants_primary: false }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Both have said their last.
    Over,
    /// One of them broke it.
    Cut,
    /// Nobody has said anything for too long.
    Idle,
    /// The gateway stops, and has waited for as long as it may.
    Told,
}

/// A connection under way.
struct Carried<'s> {
    client: Line,
    to_service: Line,
    service: &'s Service,
    tunnel: Tunnel,
    alarm: Alarm,
    idle: Duration,
    last: Instant,
    /// Bytes that are counted: those from the client, and all.
    counted: (u64, u64),
}

impl<'s> Carried<'s> {
    fn new((client, to_service): (Line, Line), service: &'s Service, idle: Duration) -> Self {
        let (tunnel, alarm, last) = (Tunnel::of_bytes(), Alarm::default(), Instant::now());
        Carried { client, to_service, service, tunnel, alarm, idle, last, counted: (0, 0) }
    }

    async fn run(&mut self, door: &Door) -> End {
        let mut going = pin!(door.going());
        let end = loop {
            self.alarm.set(self.last + self.idle);
            let Carried { client, to_service, service, tunnel, alarm, last, counted, .. } = &mut *self;
            let moved = alarm.guard(|cx| {
                let ended = tunnel.poll(cx, client, to_service);
                count(tunnel, service, counted, last);
                if let Poll::Ready(ended) = ended {
                    return Poll::Ready(Ok(if ended.is_ok() { End::Over } else { End::Cut }));
                }
                going.as_mut().poll(cx).map(|()| Ok(End::Told))
            });
            match moved.await {
                Ok(end) => break end,
                // What has moved since the alarm was set has not moved the alarm.
                Err(Error::TimedOut) if self.last + self.idle > Instant::now() => {}
                Err(_) => break End::Idle,
            }
        };
        if matches!(end, End::Cut | End::Told) {
            // Neither takes what has come for all that there is.
            for line in [&mut self.client, &mut self.to_service] {
                if let Some(conn) = line.http1() {
                    conn.socket.reset_on_close(true);
                }
            }
        }
        end
    }
}

/// Counts what has moved since the last look.
fn count(tunnel: &Tunnel, service: &Service, counted: &mut (u64, u64), last: &mut Instant) {
    let (up, all) = (tunnel.heard(), tunnel.moved());
    let (up_before, all_before) = std::mem::replace(counted, (up, all));
    if all > all_before {
        *last = Instant::now();
        let up = up - up_before;
        service.flow.carried(cores::index(), up, all - all_before - up);
    }
}
