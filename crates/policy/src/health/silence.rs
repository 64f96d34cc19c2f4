//! Whether an endpoint has fallen silent, between two probes and before any time limit says so.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::time::Time;

/// Requests that must go unanswered before silence means anything.
const SEVERAL: u64 = 3;

/// Silence means nothing any more when it is that old: the endpoint gets a few requests to show itself again. A probe
/// that passes is heard as well, and mostly earlier.
const STALE: Duration = Duration::from_secs(60);

/// Whether an endpoint has stopped answering, before the first time limit says so. Soft: a silent endpoint is passed
/// over while another is usable, and any answer ends it.
///
/// What counts is requests sent since it was last heard from: none of an idle endpoint's, and not those that a slow
/// one is still busy with while it answers others.
#[derive(Debug, Default)]
pub struct Silence {
    /// When the first unanswered request was sent (48 bits of microseconds, nine years), and how many there are (16).
    /// 0 while there is none.
    unanswered: AtomicU64,
}

impl Silence {
    /// An endpoint that owes no answer.
    #[must_use]
    pub fn new() -> Self {
        Silence::default()
    }

    /// A request was sent to it.
    pub fn asked(&self, now: Time) {
        self.change(|first, count| {
            if count == 0 || now.since(first) > STALE { (now, 1) } else { (first, (count + 1).min(0xffff)) }
        });
    }

    /// Something came from it: the first byte of an answer, more of one, a probe that passed, a refusal.
    pub fn heard(&self, _now: Time) {
        if self.unanswered.load(Relaxed) != 0 {
            self.unanswered.store(0, Relaxed);
        }
    }

    /// A request was given up for reasons of its own: its client went away. It says nothing of the endpoint. One whose
    /// time ran out is not given up: it stays unanswered.
    pub fn gone(&self, _now: Time) {
        self.change(|first, count| (first, count.saturating_sub(1)));
    }

    /// Whether at least three requests are unanswered, and the first of them for longer than `limit` and than four
    /// times what an answer `typical`ly takes.
    #[must_use]
    pub fn silent(&self, now: Time, limit: Duration, typical: Duration) -> bool {
        let (first, count) = unpack(self.unanswered.load(Relaxed));
        let patience = limit.max(typical.saturating_mul(4));
        let waited = now.since(first);
        count >= SEVERAL && waited >= patience && waited <= STALE
    }

    fn change(&self, change: impl Fn(Time, u64) -> (Time, u64)) {
        let mut word = self.unanswered.load(Relaxed);
        loop {
            let (first, count) = unpack(word);
            let (first, count) = change(first, count);
            let next = if count == 0 { 0 } else { first.0.min(FIRST_MAX) << 16 | count };
            match self.unanswered.compare_exchange_weak(word, next, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(found) => word = found,
            }
        }
    }
}

const FIRST_MAX: u64 = (1 << 48) - 1;

fn unpack(word: u64) -> (Time, u64) {
    (Time(word >> 16), word & 0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time(millis * 1_000)
    }

    /// `a` asks, `h` hears, `g` gives up, each at its millisecond; then whether it is silent at a moment, with a limit of
    /// a second and answers that take so many milliseconds.
    fn check_silence(script: &[(u64, char)], moment: u64, typical: u64, expected: bool) {
        let silence = Silence::new();
        for (millis, step) in script {
            match step {
                'a' => silence.asked(at(*millis)),
                'h' => silence.heard(at(*millis)),
                _ => silence.gone(at(*millis)),
            }
        }
        let limit = Duration::from_secs(1);
        let silent = silence.silent(at(moment), limit, Duration::from_millis(typical));
        assert_eq!(silent, expected, "{script:?} at {moment} ms, typically {typical} ms");
    }

    #[test]
    fn several_unanswered_requests_are_silence() {
        let three = [(0, 'a'), (10, 'a'), (500, 'a')];
        check_silence(&[], 10_000, 5, false);
        check_silence(&three, 999, 5, false);
        check_silence(&three, 1_000, 5, true);
        check_silence(&three[..2], 5_000, 5, false);
        check_silence(&three, 1_500, 400, false);
        check_silence(&three, 1_600, 400, true);
    }

    #[test]
    fn any_answer_ends_silence_and_idleness_is_none() {
        let answered = [(0, 'a'), (10, 'a'), (20, 'a'), (30, 'a'), (900, 'h')];
        check_silence(&answered, 5_000, 5, false);
        let mut after = answered.to_vec();
        after.extend([(20_000, 'a'), (20_001, 'a'), (20_002, 'a')]);
        check_silence(&after, 20_999, 5, false);
        check_silence(&after, 21_000, 5, true);
    }

    #[test]
    fn clients_that_go_away_are_no_evidence_and_old_silence_is_forgotten() {
        let script = [(0, 'a'), (1, 'a'), (2, 'a'), (3, 'g')];
        check_silence(&script[..3], 2_000, 5, true);
        check_silence(&script, 2_000, 5, false);
        check_silence(&script[..3], 60_000, 5, true);
        check_silence(&script[..3], 60_001, 5, false);
        let asked_again = [(0, 'a'), (1, 'a'), (2, 'a'), (70_000, 'a'), (70_001, 'a'), (70_002, 'a')];
        check_silence(&asked_again, 70_500, 5, false);
        check_silence(&asked_again, 71_000, 5, true);
    }
}
