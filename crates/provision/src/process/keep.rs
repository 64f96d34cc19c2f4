//! Keeps a program running: brings over what it says, sees its end, and starts it again, later each time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::warn;

use super::child::{self, Running};
use super::unit::Unit;

/// The first pause before it is started again; each is twice the one before.
const FIRST: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);

/// What has run so long runs well: its next end is a first one.
const WELL: Duration = Duration::from_secs(60);

/// How late what it says may be told, and how exact its time is.
const MOMENT: Duration = Duration::from_millis(250);

/// Keeps it running, for as long as this is polled.
pub(super) async fn keep(unit: Arc<Unit>, mut running: Arc<Running>) {
    let (mut pause, mut count) = (FIRST, 0);
    loop {
        let since = Instant::now();
        listen(&unit, &running).await;
        // What it leaves behind would hold its port and its data.
        let code = running.finish().await.flatten();
        child::end_strays(unit.place.lock(), unit.log.out()).await;
        unit.close_log().await;
        if since.elapsed() >= WELL {
            (pause, count) = (FIRST, 0);
        }
        let (cluster, service) = (&unit.name.cluster, &unit.name.service);
        warn!(%cluster, %service, code, pause_ms = pause.as_millis(), "a local process has ended by itself");
        running = loop {
            unit.restarting(code, count);
            sleep(pause).await;
            (pause, count) = ((pause * 2).min(LONGEST), count + 1);
            match unit.start_again() {
                Ok(running) => break running,
                Err(error) => warn!(%cluster, %service, %error, "a local process is not started again"),
            }
        };
    }
}

/// Brings over what it says until it has ended.
pub(super) async fn listen(unit: &Arc<Unit>, running: &Running) {
    let mut moments = interval(MOMENT);
    moments.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ended = running.ended();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            () = &mut ended => return,
            _ = moments.tick() => unit.harvest().await,
        }
    }
}
