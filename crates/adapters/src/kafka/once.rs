//! Publishes that may be sent again: what each of them came to is remembered for a while.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::{Code, Failure};

use super::failure::is_definite;
use super::producer::{Fate, Parcel};
use crate::queue::Idempotency;

/// How long a publish can be sent again, and how many are remembered, with how many messages in all.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
const MOST_REMEMBERED: usize = 100_000;
const MOST_MESSAGES: usize = 1_000_000;

/// The publishes of one service.
#[derive(Default)]
pub(super) struct Once(Mutex<Memory>);

#[derive(Default)]
struct Memory {
    publishes: HashMap<Box<str>, Publish>,
    /// In the order in which they came.
    order: VecDeque<(Instant, Box<str>)>,
    /// Messages of all of them.
    messages: usize,
}

struct Publish {
    fingerprint: [u8; 32],
    parcel: Arc<Parcel>,
    /// Its messages.
    count: usize,
}

/// What is to be done for a publish.
pub(super) enum Turn {
    /// Hand over what has no fate in this parcel: nobody else does.
    Send(Arc<Parcel>),
    /// Somebody did.
    Wait(Arc<Parcel>),
}

impl Once {
    /// The turn of a publish of so many messages.
    ///
    /// # Errors
    /// `idempotency_mismatch` when the key stands for something else.
    pub(super) fn begin(&self, asked: &Idempotency, count: usize) -> Result<Turn, Failure> {
        let now = Instant::now();
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.forget(now);
        if let Some(known) = memory.publishes.get(&asked.key) {
            if known.fingerprint != asked.fingerprint {
                let detail = "The idempotency key was used for another publish.";
                return Err(Failure::client(Code::IdempotencyMismatch, detail));
            }
            return Ok(Turn::Wait(Arc::clone(&known.parcel)));
        }
        let parcel = Parcel::of(vec![None; count]);
        let publish = Publish { fingerprint: asked.fingerprint, parcel: Arc::clone(&parcel), count };
        memory.messages += count;
        memory.publishes.insert(asked.key.clone(), publish);
        memory.order.push_back((now, asked.key.clone()));
        Ok(Turn::Send(parcel))
    }

    /// The turn after one that came to these fates: what certainly failed may be handed over again, and what is not
    /// known may not.
    pub(super) fn again(&self, asked: &Idempotency, before: &Arc<Parcel>, fates: &[Fate]) -> Option<Turn> {
        if !fates.iter().any(failed) {
            return None;
        }
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = memory.publishes.get_mut(&asked.key)?;
        if !Arc::ptr_eq(&known.parcel, before) {
            return Some(Turn::Wait(Arc::clone(&known.parcel)));
        }
        let parcel = Parcel::of(fates.iter().map(|fate| (!failed(fate)).then_some(*fate)).collect());
        known.parcel = Arc::clone(&parcel);
        Some(Turn::Send(parcel))
    }
}

fn failed(fate: &Fate) -> bool {
    fate.as_ref().is_err_and(|code| is_definite(*code))
}

impl Memory {
    fn forget(&mut self, now: Instant) {
        while let Some((at, _)) = self.order.front()
            && (now.duration_since(*at) > REMEMBERED
                || self.order.len() >= MOST_REMEMBERED
                || self.messages >= MOST_MESSAGES)
            && let Some((_, key)) = self.order.pop_front()
        {
            self.messages -= self.publishes.remove(&key).map_or(0, |gone| gone.count);
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::error::RDKafkaErrorCode as E;

    use super::*;
    use crate::queue::Receipt;

    fn asked(key: &str, print: u8) -> Idempotency {
        Idempotency { key: key.into(), fingerprint: [print; 32] }
    }

    #[test]
    fn a_key_is_sent_once_and_stands_for_one_publish() {
        let once = Once::default();
        let Ok(Turn::Send(first)) = once.begin(&asked("k", 1), 2) else { panic!("it is new") };
        let Ok(Turn::Wait(second)) = once.begin(&asked("k", 1), 2) else { panic!("it is known") };
        assert!(Arc::ptr_eq(&first, &second));
        let refused = once.begin(&asked("k", 2), 2).err().map(|failure| failure.code());
        assert_eq!(refused, Some(Code::IdempotencyMismatch));
        assert!(matches!(once.begin(&asked("other", 2), 1), Ok(Turn::Send(_))));
    }

    #[tokio::test]
    async fn only_what_certainly_failed_is_sent_again() {
        let once = Once::default();
        let Ok(Turn::Send(first)) = once.begin(&asked("k", 1), 3) else { panic!("it is new") };
        let place = Ok(Receipt { partition: 0, offset: 4 });
        let fates = [place, Err(E::QueueFull), Err(E::MessageTimedOut)];
        let Some(Turn::Send(second)) = once.again(&asked("k", 1), &first, &fates) else {
            panic!("one failed")
        };
        assert_eq!(Parcel::open(&second), [1], "the place is known, and so is that one is not known");
        let Some(Turn::Wait(waits)) = once.again(&asked("k", 1), &first, &fates) else {
            panic!("it is sent")
        };
        assert!(Arc::ptr_eq(&second, &waits));
        let unknown = [place, place, Err(E::MessageTimedOut)];
        assert!(once.again(&asked("k", 1), &second, &unknown).is_none());
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let once = Once::default();
        for n in 0..MOST_REMEMBERED + 10 {
            assert!(once.begin(&asked(&n.to_string(), 0), 1).is_ok());
        }
        let memory = once.0.lock().unwrap();
        assert_eq!((memory.publishes.len(), memory.order.len()), (MOST_REMEMBERED, MOST_REMEMBERED));
        assert!(!memory.publishes.contains_key("9") && memory.publishes.contains_key("10"));
    }

    #[test]
    fn a_few_large_ones_are_no_more_than_many_small_ones() {
        let once = Once::default();
        for n in 0..30 {
            assert!(once.begin(&asked(&n.to_string(), 0), MOST_MESSAGES / 10).is_ok());
        }
        let memory = once.0.lock().unwrap();
        assert_eq!((memory.publishes.len(), memory.messages), (10, MOST_MESSAGES));
        assert!(memory.publishes.contains_key("29"));
    }
}
