//! What balancers know of one endpoint: its weight, what is in flight, how fast it has been.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::time::{Time, micros};

/// How fast the past is forgotten: after so long a third of it is left.
const DECAY: Duration = Duration::from_secs(10);

/// The whole of a share, in the parts that [`Load::share`] counts.
pub(super) const WHOLE: u64 = 1024;

/// What an endpoint has of its share at the moment at which it begins to get it back: a tenth.
const FIRST_STEP: u64 = WHOLE / 10;

/// The load of one endpoint, shared by all cores and by every balancer that may pick it.
#[derive(Debug)]
pub struct Load {
    weight: AtomicU32,
    /// When its share began to rise (upper half) and for how long it does (lower half), in milliseconds; 0 while it has
    /// all of it.
    rising: AtomicU64,
    in_flight: AtomicU32,
    /// Latency in microseconds (upper half) as of a moment in milliseconds (lower half); 0 when never measured.
    latency: AtomicU64,
    /// Where it stands in the rotation; 0 before its first turn. See [`turn`](super::turn).
    pub(super) pass: AtomicU64,
    /// Who it is, for keys; 0 when nobody said.
    name: u64,
}

impl Load {
    /// An endpoint of this weight, of which nothing is known yet.
    #[must_use]
    pub fn new(weight: u32) -> Self {
        Load {
            weight: AtomicU32::new(weight),
            rising: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            latency: AtomicU64::new(0),
            pass: AtomicU64::new(0),
            name: 0,
        }
    }

    /// The same under this name, by which keys find it. Siblings have different ones.
    #[must_use]
    pub fn named(mut self, name: u64) -> Self {
        self.name = name;
        self
    }

    /// Who it is: a key of this value means it and no other.
    #[must_use]
    pub fn name(&self) -> u64 {
        self.name
    }

    /// Its share of the traffic against its siblings. Whoever leaves one of weight 0 among the candidates gets it
    /// treated as 1.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight.load(Relaxed)
    }

    /// Changes its share from the next pick on.
    pub fn set_weight(&self, weight: u32) {
        self.weight.store(weight, Relaxed);
    }

    /// It joins its siblings, or comes back to them: from now on its share rises from a tenth to the whole, over this
    /// time. Caches are cold, pools empty, code not compiled yet: its full share at once is what such an endpoint falls
    /// over from.
    pub fn rise(&self, now: Time, over: Duration) {
        let over = u32::try_from(over.as_millis()).unwrap_or(u32::MAX);
        self.rising.store(if over == 0 { 0 } else { pack(millis(now), over) }, Relaxed);
    }

    /// How much of its share it has at this moment, in 1024ths: all of it, unless it is rising.
    #[must_use]
    pub fn part(&self, now: Time) -> u64 {
        let word = self.rising.load(Relaxed);
        if word == 0 {
            return WHOLE;
        }
        let (since, over) = unpack(word);
        let elapsed = elapsed(since, millis(now));
        if elapsed >= over {
            // Forgotten, since the milliseconds come round. One that begins to rise again at this moment goes on.
            let _ = self.rising.compare_exchange(word, 0, Relaxed, Relaxed);
            return WHOLE;
        }
        FIRST_STEP + (WHOLE - FIRST_STEP) * u64::from(elapsed) / u64::from(over)
    }

    /// Its share against its siblings at this moment, in 1024ths of a weight of 1.
    #[must_use]
    pub fn share(&self, now: Time) -> u64 {
        u64::from(self.weight().max(1)) * self.part(now)
    }

    /// Requests that have begun and not ended.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// A request begins. Exactly one [`end`](Load::end) or [`abandon`](Load::abandon) follows.
    pub fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// A request has ended, this long after it began. A failure is worth as much as an answer that took as long as
    /// the request's deadline allowed: an endpoint that fails at once must not look fast.
    pub fn end(&self, now: Time, latency: Duration, failed: bool, deadline: Duration) {
        self.abandon();
        self.observe(now, if failed { latency.max(deadline) } else { latency });
    }

    /// A request has ended and says nothing of the endpoint: its client went away.
    pub fn abandon(&self) {
        let previous = self.in_flight.fetch_sub(1, Relaxed);
        debug_assert!(previous > 0, "a request ended that had not begun");
    }

    /// Forgets how fast it was: it has come back from a failure that says nothing of it any more.
    pub fn forget(&self) {
        self.latency.store(0, Relaxed);
    }

    /// How long its answers take: a mean that forgets over ten seconds, that follows a rise at once, and that falls
    /// towards zero while nothing is measured, so that a slow endpoint is tried again. Zero when nothing is known.
    #[must_use]
    pub fn latency(&self, now: Time) -> Duration {
        let (value, measured) = unpack(self.latency.load(Relaxed));
        Duration::from_secs_f64(f64::from(value) * 1e-6 * remains(measured, millis(now)))
    }

    fn observe(&self, now: Time, latency: Duration) {
        let sample = u32::try_from(micros(latency)).unwrap_or(u32::MAX).max(1);
        let now = millis(now);
        let mut word = self.latency.load(Relaxed);
        loop {
            let (value, measured) = unpack(word);
            let mean = if sample >= value { sample } else { blend(value, sample, remains(measured, now)) };
            match self.latency.compare_exchange_weak(word, pack(mean, now), Relaxed, Relaxed) {
                Ok(_) => return,
                Err(found) => word = found,
            }
        }
    }
}

/// The share of a mean that is left after the time between these moments. Milliseconds wrap every 49 days.
fn remains(measured: u32, now: u32) -> f64 {
    (-f64::from(elapsed(measured, now)) / 1000.0 / DECAY.as_secs_f64()).exp()
}

/// Milliseconds from one moment to another.
fn elapsed(since: u32, now: u32) -> u32 {
    let elapsed = now.wrapping_sub(since);
    // More than half of all the milliseconds ahead is a moment behind: another core's clock was read first.
    if elapsed > u32::MAX / 2 { 0 } else { elapsed }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two values of its type")]
fn blend(old: u32, new: u32, weight_of_old: f64) -> u32 {
    (f64::from(old) * weight_of_old + f64::from(new) * (1.0 - weight_of_old)).max(1.0) as u32
}

#[expect(clippy::cast_possible_truncation, reason = "it wraps, and is compared as such")]
fn millis(now: Time) -> u32 {
    (now.0 / 1000) as u32
}

fn pack(value: u32, measured: u32) -> u64 {
    u64::from(value) << 32 | u64::from(measured)
}

#[expect(clippy::cast_possible_truncation, reason = "each half is taken")]
fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const DEADLINE: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Time {
        Time(seconds * 1_000_000)
    }

    fn answer(load: &Load, now: Time, latency: Duration, failed: bool) {
        load.begin();
        load.end(now, latency, failed, DEADLINE);
    }

    #[test]
    fn latency_follows_a_rise_at_once_and_a_fall_slowly() {
        let load = Load::new(1);
        assert_eq!(load.latency(at(1)), Duration::ZERO);
        answer(&load, at(1), 10 * MS, false);
        assert_eq!(load.latency(at(1)), 10 * MS);
        answer(&load, at(1), 50 * MS, false);
        assert_eq!(load.latency(at(1)), 50 * MS);
        for second in 2..=11 {
            answer(&load, at(second), 10 * MS, false);
        }
        let after_ten_seconds = load.latency(at(11)).as_secs_f64();
        assert!((0.024..0.026).contains(&after_ten_seconds), "{after_ten_seconds}");
        let idle = load.latency(at(41)).as_secs_f64();
        assert!(idle < 0.05 * after_ten_seconds, "{idle}");
    }

    #[test]
    fn a_failure_is_as_slow_as_the_deadline() {
        let load = Load::new(1);
        answer(&load, at(1), MS, true);
        assert_eq!(load.latency(at(1)), DEADLINE);
        load.forget();
        assert_eq!(load.latency(at(1)), Duration::ZERO);
        assert_eq!(load.in_flight(), 0);
    }

    #[test]
    fn a_share_rises_from_a_tenth_to_the_whole_and_stays_there() {
        let load = Load::new(4);
        assert_eq!((load.part(at(1)), load.share(at(1))), (WHOLE, 4 * WHOLE));
        load.rise(at(10), Duration::from_secs(10));
        let parts: Vec<u64> = [9, 10, 15, 19, 20, 5_000_000].map(|second| load.part(at(second))).to_vec();
        assert_eq!(parts, [102, 102, 563, 931, WHOLE, WHOLE], "a clock that was read before is no rise");
        assert_eq!(
            load.part(at(10)),
            WHOLE,
            "it has risen, whatever the milliseconds say when they come round"
        );
        load.rise(at(30), Duration::from_secs(10));
        load.rise(at(35), Duration::from_secs(10));
        assert_eq!(load.share(at(35)), 4 * 102, "it fell again, and begins anew");
        load.rise(at(36), Duration::ZERO);
        assert_eq!(load.part(at(36)), WHOLE);
    }

    #[test]
    fn a_clock_read_out_of_turn_changes_nothing() {
        let load = Load::new(1);
        answer(&load, at(5), 10 * MS, false);
        answer(&load, at(4), 2 * MS, false);
        assert_eq!(load.latency(at(4)), 10 * MS);
    }
}
