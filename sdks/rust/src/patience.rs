//! How long a stream that broke is taken up again before its reader is told.

use std::time::{Duration, Instant};

use crate::error::{Error, Family};
use crate::retry;

/// A gateway that does not come back within this time is an error: whoever reads may want to know.
const AT_LONGEST: Duration = Duration::from_secs(300);

/// Counts failures since the stream last gave something.
#[derive(Debug, Default)]
pub(crate) struct Persistence {
    failures: u32,
    since: Option<Instant>,
}

impl Persistence {
    /// The stream works.
    pub(crate) fn rest(&mut self) {
        *self = Persistence::default();
    }

    /// Waits as long as is due before the stream is opened again; the error back where that has no sense.
    pub(crate) async fn after(&mut self, error: Error) -> Result<(), Error> {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.failures = self.failures.saturating_add(1);
        let wait = retry::wait(self.failures, error.retry_after());
        match wait.filter(|_| passes(&error) && since.elapsed() < AT_LONGEST) {
            Some(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            None => Err(error),
        }
    }
}

/// Whether the cause may be gone in a while: a gateway that restarts, a service without an endpoint.
fn passes(error: &Error) -> bool {
    match error.status() {
        None => error.retryable() || matches!(error.family(), Family::Connection | Family::Timeout),
        Some(408 | 429 | 502..=504) => true,
        Some(_) => error.retryable(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_passes_is_waited_for_and_what_stays_is_told() {
        let mut persistence = Persistence::default();
        assert!(persistence.after(Error::for_test(503, "no_endpoint", true)).await.is_ok());
        assert!(persistence.after(Error::new(Family::Connection, "broke")).await.is_ok());
        assert_eq!(persistence.failures, 2);
        persistence.rest();
        assert_eq!(persistence.failures, 0);
        assert!(persistence.after(Error::for_test(404, "not_found", false)).await.is_err());
        assert!(persistence.after(Error::new(Family::Protocol, "other")).await.is_err());
        persistence.since = Instant::now().checked_sub(AT_LONGEST);
        assert!(persistence.after(Error::new(Family::Connection, "broke")).await.is_err());
    }
}
