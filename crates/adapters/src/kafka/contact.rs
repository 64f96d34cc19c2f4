//! Whether a client still finds its brokers.
//!
//! While a cluster has given a broker up, the answers of that broker name none. librdkafka takes that at its word, and where
//! two such answers come at once it looks for brokers never again (its issue 5301). A client that was told so, or that
//! finds none for long, is made anew.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// For how long a client finds no broker before it is made anew: librdkafka tries each again within a second.
const LOST: Duration = Duration::from_secs(5);

/// What a client has been told of its brokers, and since when it has found none.
#[derive(Debug, Default)]
pub(super) struct Contact {
    told_of_none: AtomicBool,
    missed: Mutex<Option<Instant>>,
}

impl Contact {
    /// An answer has named no broker.
    pub(super) fn told_of_none(&self) {
        self.told_of_none.store(true, Ordering::Release);
    }

    /// Hears whether a question found no broker at all; says whether the client may find one never again.
    pub(super) fn is_lost(&self, found_none: bool) -> bool {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        if !found_none {
            *missed = None;
        }
        let for_long = found_none && missed.get_or_insert_with(Instant::now).elapsed() > LOST;
        for_long || self.told_of_none.load(Ordering::Acquire)
    }
}

/// Whether there was nobody who could have been asked.
pub(super) fn found_none(error: &KafkaError) -> bool {
    error.rdkafka_error_code().is_some_and(is_unreachable)
}

/// Whether a code says that no broker was reached, or that none has answered.
pub(super) fn is_unreachable(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    matches!(
        code,
        E::BrokerTransportFailure
            | E::AllBrokersDown
            | E::Resolve
            | E::SSL
            | E::Authentication
            | E::OperationTimedOut
            | E::WaitingForCoordinator
            | E::TimedOutQueue
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_lost_that_finds_no_broker_for_long_or_was_told_of_none() {
        let contact = Contact::default();
        assert!(!contact.is_lost(true), "it has just begun");
        let long_ago = Instant::now().checked_sub(LOST * 2).unwrap();
        *contact.missed.lock().unwrap() = Some(long_ago);
        assert!(contact.is_lost(true));
        assert!(!contact.is_lost(false));
        assert!(!contact.is_lost(true), "it begins again");
        contact.told_of_none();
        assert!(contact.is_lost(false), "it forgets all that it knew");
    }
}
