//! A line to an endpoint whose connections are limited: a turn, for which others may have to end, then the connection.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use adapters::http::{Full, Limited, Turn};
use clusters::{Attempt, Endpoint};
use model::{Code, Failure};
use tokio::time::{Instant, timeout_at};
use wire::Line;

use crate::exchange::{self, Fault};

/// When there may be a connection again.
const SOON: Duration = Duration::from_secs(1);

/// A line, and whether it has carried something before. A client that leaves meanwhile waits no more.
pub(crate) async fn line(
    client: &mut Line,
    limited: Limited<'_>,
    attempt: &mut Attempt,
) -> Result<(Line, bool), Fault> {
    let mut had = pin!(line_for_nobody(limited, attempt, true));
    poll_fn(|cx| {
        if let Poll::Ready(had) = had.as_mut().poll(cx) {
            return Poll::Ready(had);
        }
        match client.poll_broken(cx) {
            Some(error) => Poll::Ready(Err(exchange::of_leaving(&error))),
            None => Poll::Pending,
        }
    })
    .await
}

/// The same, without looking at the client.
pub(crate) async fn line_for_nobody(
    mut limited: Limited<'_>,
    attempt: &mut Attempt,
    may_wait: bool,
) -> Result<(Line, bool), Fault> {
    let service = Arc::clone(attempt.service());
    loop {
        let turn = match limited.turn_at_once() {
            Some(turn) => turn,
            None if may_wait => {
                let turn = wait(attempt).await?;
                let now = |own: &&Arc<Endpoint>| Arc::ptr_eq(own, attempt.endpoint());
                limited = service.endpoints.iter().find(now).and_then(of).unwrap_or(limited);
                turn
            }
            None => return Err(full(attempt, "all of them are in use")),
        };
        let end = attempt.connect_deadline().into();
        let connected = timeout_at(end, limited.taken(turn)).await;
        let connected = connected.map_err(|_| exchange::of_no_connection())?;
        if let Some(had) = connected.map_err(exchange::of_unreached)? {
            return Ok(had);
        }
    }
}

/// The connections of an endpoint, which are limited.
fn of(endpoint: &Arc<Endpoint>) -> Option<Limited<'_>> {
    endpoint.adapter().http()?.limited()
}

/// Waits until a connection of any endpoint has ended or was given back: the attempt is that endpoint's then. None is
/// blamed for that time.
async fn wait(attempt: &mut Attempt) -> Result<Turn, Fault> {
    let began = Instant::now();
    let own = [Arc::clone(attempt.endpoint())];
    let endpoints: Vec<Arc<Endpoint>> = own.into_iter().chain(attempt.siblings().cloned()).collect();
    let mut turns: Turns<'_> =
        endpoints.iter().filter_map(|endpoint| Some((endpoint, turn(of(endpoint)?)))).collect();
    attempt.pause();
    let first = timeout_at(attempt.end_of_all().into(), poll_fn(|cx| poll_first(cx, &mut turns))).await;
    drop(turns);
    if let Ok(Ok((_, endpoint))) = &first
        && !Arc::ptr_eq(endpoint, attempt.endpoint())
    {
        attempt.move_to(endpoint);
    }
    attempt.resume();
    match first {
        Ok(Ok((turn, _))) => Ok(turn),
        Ok(Err(Full)) => Err(full(attempt, "as many requests as may wait already for one of them")),
        Err(_) => {
            let why = format!("none of them was free within {} ms", began.elapsed().as_millis());
            Err(full(attempt, &why))
        }
    }
}

/// The places of one request in the queues of several endpoints.
type Turns<'a> = Vec<(&'a Arc<Endpoint>, Waiting<'a>)>;
type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Turn, Full>> + Send + 'a>>;

fn turn(limited: Limited<'_>) -> Waiting<'_> {
    Box::pin(async move { limited.turn().await })
}

/// The first turn of any; full when all are.
fn poll_first(cx: &mut Context<'_>, turns: &mut Turns<'_>) -> Poll<Result<(Turn, Arc<Endpoint>), Full>> {
    let mut at = 0;
    while let Some((endpoint, turn)) = turns.get_mut(at) {
        match turn.as_mut().poll(cx) {
            Poll::Ready(Ok(turn)) => return Poll::Ready(Ok((turn, Arc::clone(endpoint)))),
            Poll::Ready(Err(Full)) => drop(turns.remove(at)),
            Poll::Pending => at += 1,
        }
    }
    if turns.is_empty() { Poll::Ready(Err(Full)) } else { Poll::Pending }
}

fn full(attempt: &Attempt, why: &str) -> Fault {
    let most = of(attempt.endpoint()).map_or(0, |limited| limited.occupancy().most);
    let path = attempt.service().path();
    let which = match attempt.service().endpoints.len() {
        1 => format!("`{path}` takes {most} connections"),
        _ => format!("`{path}` takes {most} connections to each endpoint"),
    };
    Fault::of_full(
        Failure::gateway(Code::Overloaded, format!("{which}, and {why}."))
            .with_service(attempt.service().name.clone())
            .with_retry_after(SOON)
            .with_hint(
                "`limits` of the service says how many connections it takes, and how many requests wait.",
            ),
    )
}
