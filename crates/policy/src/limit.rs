//! How much one client may ask of a route: a rate by the generic cell rate algorithm (GCRA), and what is told of it.
//!
//! What clients have used stands in a table ([`Clients`]); who a client is, is the caller's to say
//! ([`client_address`] helps). The moment is an argument, as everywhere here.

mod address;
mod table;

#[cfg(test)]
mod tests;

use std::time::Duration;

use model::{Code, Failure};

use crate::time::Time;
pub use address::client_address;
pub use table::{ClientKey, Clients};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// What each client may ask: `burst` at once, and `requests` for each `per` in the long run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// What one request uses, in nanoseconds of a client's time.
    interval: u64,
    /// What may be used ahead of time.
    allowance: u64,
    burst: u32,
}

/// What a client may still ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remaining {
    /// The most that may be asked at once.
    pub limit: u32,
    /// What may be asked now.
    pub remaining: u32,
    /// When all of it may be asked again.
    pub reset: Duration,
}

/// A request that is one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// What the client may still ask: nothing.
    pub remaining: Remaining,
    /// When one more may be asked.
    pub retry_after: Duration,
}

impl Rate {
    /// So many requests in this time, and `burst` of them at once. None of them is zero: a client that may ask nothing
    /// is not limited but locked out, which is another rule.
    #[must_use]
    pub fn new(requests: u32, per: Duration, burst: u32) -> Rate {
        let per = u64::try_from(per.as_nanos()).unwrap_or(u64::MAX);
        let interval = (per / u64::from(requests.max(1))).max(1);
        let burst = burst.max(1);
        Rate { interval, allowance: interval.saturating_mul(u64::from(burst)), burst }
    }

    /// Asks for one request of a client whose time is used up to `used`, in nanoseconds. Says up to when it is then,
    /// also for one that is refused.
    fn ask(self, used: u64, now: u64) -> (u64, Result<Remaining, Refused>) {
        // Under a rate that was greater before, a client may have used more than this one ever grants.
        let used = used.clamp(now, now.saturating_add(self.allowance));
        let next = used.saturating_add(self.interval);
        if next - now > self.allowance {
            let retry_after = Duration::from_nanos(next - now - self.allowance);
            return (used, Err(Refused { remaining: self.remaining(used - now), retry_after }));
        }
        (next, Ok(self.remaining(next - now)))
    }

    /// What is left beside this much.
    fn remaining(self, used: u64) -> Remaining {
        let left = self.allowance.saturating_sub(used) / self.interval;
        Remaining {
            limit: self.burst,
            remaining: u32::try_from(left).unwrap_or(u32::MAX),
            reset: Duration::from_nanos(used),
        }
    }
}

impl Clients {
    /// Asks for one request of a client.
    ///
    /// # Errors
    /// It is one too many now; nothing was counted.
    pub fn ask(&self, rate: Rate, client: ClientKey, now: Time) -> Result<Remaining, Refused> {
        let now = nanos(now);
        self.change(client, now, |used| rate.ask(used, now))
    }
}

impl Remaining {
    /// The header fields that clients read it from, by name in lower case; times are whole seconds, rounded up.
    #[must_use]
    pub fn fields(&self) -> [(&'static str, u64); 3] {
        [
            ("ratelimit-limit", u64::from(self.limit)),
            ("ratelimit-remaining", u64::from(self.remaining)),
            ("ratelimit-reset", seconds(self.reset)),
        ]
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        let after = Duration::from_secs(seconds(refused.retry_after));
        let limit = refused.remaining.limit;
        Failure::client(Code::RateLimited, "The client asks more often than the route allows.")
            .with_hint(format!("It may ask {limit} times at once; wait as `Retry-After` says."))
            .with_retry_after(after)
    }
}

/// Nanoseconds since the beginning: fine enough for a million requests a second, and 584 years of them.
fn nanos(now: Time) -> u64 {
    now.0.saturating_mul(1000)
}

/// Whole seconds, rounded up: whoever waits as long as it is told is not refused again.
fn seconds(span: Duration) -> u64 {
    let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    nanos.div_ceil(SECOND)
}
