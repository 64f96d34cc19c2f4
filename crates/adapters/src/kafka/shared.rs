//! Questions that many ask at once and that are asked once: who comes while one is on its way hears its answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Failure;
use tokio::sync::OnceCell;

/// Questions on their way, by what they are about.
#[derive(Default)]
pub(super) struct Shared(Mutex<Table>);

type Table = HashMap<Box<str>, Arc<Answer>>;

type Answer = OnceCell<Result<(), Failure>>;

impl Shared {
    /// Asks, or waits for the answer to whoever asks already. When he goes away, one of those who wait asks anew.
    pub(super) async fn ask(
        &self,
        about: &str,
        question: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Failure> {
        let turn =
            Turn { shared: self, about, answer: Arc::clone(self.lock().entry(about.into()).or_default()) };
        match turn.answer.get_or_init(|| question).await {
            Ok(()) => Ok(()),
            Err(failure) => Err(the_same(failure)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits for an answer. The last to go takes it out; once it is there nobody new may hear it, and the first does.
struct Turn<'s> {
    shared: &'s Shared,
    about: &'s str,
    answer: Arc<Answer>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut table = self.shared.lock();
        let is_own = table.get(self.about).is_some_and(|own| Arc::ptr_eq(own, &self.answer));
        // One is in the table, and one is ours: others are taken while the table is held.
        if is_own && (self.answer.initialized() || Arc::strong_count(&self.answer) == 2) {
            table.remove(self.about);
        }
    }
}

/// The failure of a question, for another who asked it.
fn the_same(failure: &Failure) -> Failure {
    let mut own = Failure::new(failure.code(), failure.origin(), failure.detail().to_owned())
        .with_retryable(failure.retryable());
    if let Some(hint) = failure.hint() {
        own = own.with_hint(hint.to_owned());
    }
    match failure.native() {
        Some((field, code)) => own.with_native(field, code),
        None => own,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use model::Code;

    use super::*;

    const PAUSE: Duration = Duration::from_millis(20);

    fn failure() -> Failure {
        Failure::service(Code::BadGateway, "away").with_hint("wait").with_native("kafka", "_TRANSPORT")
    }

    #[tokio::test]
    async fn many_ask_once_and_hear_the_same() {
        let (shared, asked) = (Arc::new(Shared::default()), Arc::new(AtomicUsize::new(0)));
        let ask = || {
            let (shared, asked) = (Arc::clone(&shared), Arc::clone(&asked));
            tokio::spawn(async move {
                let question = async {
                    asked.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(PAUSE).await;
                    Err(failure().with_retryable(true))
                };
                shared.ask("t", question).await
            })
        };
        let all: Vec<_> = (0..10).map(|_| ask()).collect();
        for one in all {
            let heard = one.await.unwrap().unwrap_err();
            assert_eq!(
                (heard.code(), heard.detail(), heard.hint()),
                (Code::BadGateway, "away", Some("wait"))
            );
            assert_eq!((heard.native(), heard.retryable()), (Some(("kafka", "_TRANSPORT")), true));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        // Who comes later asks anew.
        assert!(shared.ask("t", async { Ok(()) }).await.is_ok());
        assert!(shared.lock().is_empty());
    }

    #[tokio::test]
    async fn one_who_goes_away_leaves_the_question_to_the_others() {
        let shared = Arc::new(Shared::default());
        let slow = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move { shared.ask("t", std::future::pending()).await }
        });
        tokio::task::yield_now().await;
        let other = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move { shared.ask("t", async { Ok(()) }).await }
        });
        tokio::task::yield_now().await;
        assert!(!other.is_finished());
        slow.abort();
        assert!(other.await.unwrap().is_ok());
        // And when all have gone, nothing stays.
        let gone = tokio::time::timeout(PAUSE, shared.ask("u", std::future::pending()));
        assert!(gone.await.is_err());
        assert!(shared.lock().is_empty());
    }
}
