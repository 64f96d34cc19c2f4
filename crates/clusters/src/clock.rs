//! The one clock of the process: monotonic microseconds for decisions, and what they are on the wall.

use std::sync::OnceLock;
use std::time::Instant;

use policy::Time;

static BEGAN: OnceLock<(Instant, jiff::Timestamp)> = OnceLock::new();

fn began() -> &'static (Instant, jiff::Timestamp) {
    // Whole microseconds, as the store keeps them: a moment reads the same wherever it is read from.
    BEGAN.get_or_init(|| {
        let wall = jiff::Timestamp::now();
        (Instant::now(), jiff::Timestamp::from_microsecond(wall.as_microsecond()).unwrap_or(wall))
    })
}

/// Now, in microseconds since the process began.
#[must_use]
pub fn now() -> Time {
    at(Instant::now())
}

/// The same for a moment that was taken before.
#[must_use]
pub fn at(moment: Instant) -> Time {
    let micros = moment.saturating_duration_since(began().0).as_micros();
    Time(u64::try_from(micros).unwrap_or(u64::MAX))
}

/// When that was on the wall. A wall clock that is set while the process runs does not move the past.
#[must_use]
pub fn wall(time: Time) -> jiff::Timestamp {
    began().1.saturating_add(jiff::SignedDuration::from_micros(time.0.cast_signed())).unwrap_or(began().1)
}
