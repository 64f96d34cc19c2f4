//! The time that leases and delays are measured by: milliseconds since 1970 when it was made, and never set since.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::progress::Millis;

/// A clock that only goes forward. Copies show the same time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started: Instant,
    at: Millis,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock { started: Instant::now(), at: today().unsigned_abs() }
    }

    pub(super) fn now(&self) -> Millis {
        self.at + millis(self.started.elapsed())
    }
}

/// The time of day, for what people read: milliseconds since 1970.
pub(super) fn today() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    millis(since).cast_signed()
}

/// A length of time in whole milliseconds; one that is too long for them is as good as for ever.
pub(super) fn millis(time: Duration) -> Millis {
    // Half of what fits, so that sums of moments and lengths never overflow.
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(u64::MAX / 4)
}
