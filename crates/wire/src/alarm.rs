//! One timer for all the waiting of a connection.
//!
//! Arming a runtime's timer for every wait costs more than the wait's bookkeeping is worth, since nearly
//! no deadline is ever reached. An alarm keeps one timer: a later deadline is only noted, and when the
//! timer rings early it is wound up again for what is left.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::error::Error;

/// The one timer of a connection.
#[derive(Debug, Default)]
pub struct Alarm {
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Rings at `deadline` from now on.
    pub fn set(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }

    /// Rings `after` from now on.
    pub fn set_after(&mut self, after: Duration) {
        self.deadline = Some(Instant::now() + after);
    }

    /// Rings no more.
    pub fn clear(&mut self) {
        self.deadline = None;
    }

    /// When it rings.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Ready when the deadline has passed.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }

    /// Carries out `work`, but not past the deadline.
    ///
    /// # Errors
    /// [`Error::TimedOut`] past the deadline, else the work's own.
    pub async fn guard<T>(
        &mut self,
        mut work: impl FnMut(&mut Context<'_>) -> Poll<Result<T, Error>>,
    ) -> Result<T, Error> {
        poll_fn(|cx| {
            if let Poll::Ready(done) = work(cx) {
                return Poll::Ready(done);
            }
            self.poll(cx).map(|()| Err(Error::TimedOut))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_moved_later_or_earlier_rings_when_it_says() {
        let mut alarm = Alarm::default();
        let start = Instant::now();
        alarm.set_after(Duration::from_secs(60));
        alarm.set_after(Duration::from_secs(1));
        alarm.guard::<()>(|_| Poll::Pending).await.unwrap_err();
        assert_eq!(start.elapsed().as_secs(), 1);
        alarm.set_after(Duration::from_secs(2));
        let mut polls = 0;
        let moved = alarm.guard(|_| {
            polls += 1;
            Poll::<Result<(), _>>::Pending
        });
        moved.await.unwrap_err();
        assert_eq!(start.elapsed().as_secs(), 3);
        alarm.clear();
        assert!(
            tokio::time::timeout(Duration::from_secs(9), alarm.guard::<()>(|_| Poll::Pending)).await.is_err()
        );
    }
}
