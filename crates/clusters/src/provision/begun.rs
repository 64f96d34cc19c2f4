//! What has begun as an operation, in the hands of whoever asked for it.

use std::pin::Pin;
use std::sync::Arc;

use model::Failure;
use model::view::Operation;

/// An operation that has begun, and its rest. It goes on only while somebody carries it.
pub struct Begun {
    operation: Arc<Operation>,
    rest: Pin<Box<dyn Future<Output = Result<Arc<Operation>, Failure>> + Send>>,
}

impl Begun {
    pub(super) fn new(
        operation: Arc<Operation>,
        rest: impl Future<Output = Result<Arc<Operation>, Failure>> + Send + 'static,
    ) -> Begun {
        Begun { operation, rest: Box::pin(rest) }
    }

    /// The operation as it was when it had begun.
    #[must_use]
    pub fn operation(&self) -> Arc<Operation> {
        Arc::clone(&self.operation)
    }

    /// Carries it to its end.
    ///
    /// # Errors
    /// What failed.
    pub async fn carry(self) -> Result<Arc<Operation>, Failure> {
        self.rest.await
    }
}
