//! What goes wrong with the file, as failures of the service.

use model::{Code, Failure};

/// The answer to a call whose job did not succeed: its transaction was undone, or never begun.
pub(super) fn of(error: &disk::Error) -> Failure {
    let detail = error.to_string();
    match error {
        // No fault of the endpoint: whoever reads what is there, or takes some of it away, must still be let in.
        disk::Error::Full { .. } => Failure::gateway(Code::Overloaded, detail).with_retryable(true),
        disk::Error::Busy { .. } => Failure::gateway(Code::Busy, detail),
        disk::Error::Closed => closed(),
        _ => Failure::service(Code::BadGateway, detail).with_cause(error.clone()),
    }
}

/// The answer when the service is being closed, or was.
pub(super) fn closed() -> Failure {
    Failure::gateway(Code::Draining, "The queue is closed.")
}

/// The answer when it ended in the middle of a call: what became of the call is not known.
pub(super) fn cut_off() -> Failure {
    Failure::gateway(Code::Draining, "The queue was closed during the call.").with_retryable(false)
}
