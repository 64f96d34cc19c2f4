//! What goes wrong, in the codes that clients know. Only a fault of the engine counts against the endpoint; what a
//! statement did wrong is its client's, and a full disk still lets others read.

use std::time::Duration;

use disk::{Constraint, Error};
use model::{Code, Failure};

/// Where SQLite's own code is told.
const NATIVE: &str = "sqlite";

/// When to come back if somebody else holds the writer.
pub(super) const SOON: Duration = Duration::from_secs(1);

/// Why a job gave up.
#[derive(Debug)]
pub(super) enum Stop {
    /// It failed.
    Failed(Failure),
    /// It writes, and was sent where one only looks.
    Writes,
}

impl Stop {
    /// The statement is refused for this reason.
    pub(super) fn refused(why: impl Into<std::borrow::Cow<'static, str>>) -> Stop {
        Stop::Failed(Failure::client(Code::QueryFailed, why))
    }

    pub(super) fn into_failure(self) -> Failure {
        match self {
            Stop::Failed(failure) => failure,
            // Whoever asks for a writing place never hears it.
            Stop::Writes => Failure::client(Code::QueryFailed, "The statement writes."),
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(of(&error))
    }
}

/// The failure that an error of the engine is.
pub(super) fn of(error: &Error) -> Failure {
    let detail = || error.to_string();
    match error {
        Error::NotBegun => Failure::gateway(
            Code::Busy,
            "The database is busy: the turn did not come in time, and nothing was done.",
        )
        .with_retry_after(SOON),
        Error::Interrupted => Failure::service(
            Code::Timeout,
            "The statement took too long and was ended; nothing of it is kept.",
        ),
        Error::Refused { why } => Failure::client(Code::QueryFailed, sentence(why)),
        Error::Ended => {
            Failure::client(Code::TransactionEnded, "The transaction is over; nothing of it is kept.")
                .with_hint("Begin another.")
        }
        Error::Closed => Failure::gateway(Code::Draining, "The database is closed."),
        // The rest of the service still answers, and must be let in.
        Error::Full { .. } => Failure::gateway(Code::Overloaded, sentence(&detail()))
            .with_native(NATIVE, "SQLITE_FULL")
            .with_hint("Free some space on its disk; nothing was changed."),
        Error::Busy { .. } => Failure::gateway(Code::Busy, sentence(&detail())).with_retry_after(SOON),
        Error::Thread(_) => Failure::gateway(Code::Overloaded, sentence(&detail())),
        Error::Corrupt { .. } | Error::NotADatabase { .. } | Error::ReadOnly { .. } => {
            Failure::service(Code::BadGateway, sentence(&detail())).with_cause(error.clone())
        }
        Error::Sql(_) => statement(error),
    }
}

/// A statement that failed.
fn statement(error: &Error) -> Failure {
    let Some(native) = error.native() else {
        return Failure::client(Code::QueryFailed, format!("The statement was refused: {error}."));
    };
    let detail = format!("The statement was refused: {}.", error.message());
    let failure = match native {
        "SQLITE_TOOBIG" => Failure::client(Code::TooLarge, "A value, a row or the statement is too large.")
            .with_hint("Raise `max_value` of the service."),
        "SQLITE_INTERRUPT" => return of(&Error::Interrupted),
        "SQLITE_NOMEM" => Failure::gateway(Code::Overloaded, "There is no memory for the statement."),
        _ if native.starts_with("SQLITE_IOERR") => Failure::service(
            Code::BadGateway,
            format!("The file cannot be read or written: {}.", error.message()),
        ),
        _ => match error.constraint() {
            Some(Constraint::Data) => Failure::client(Code::ConstraintViolation, detail),
            Some(Constraint::Type) | None => Failure::client(Code::QueryFailed, detail),
        },
    };
    failure.with_native(NATIVE, native)
}

/// The same failure, with words before its detail.
pub(super) fn prefixed(prefix: &str, failure: &Failure) -> Failure {
    let detail = format!("{prefix}{}", failure.detail());
    let mut named =
        Failure::new(failure.code(), failure.origin(), detail).with_retryable(failure.retryable());
    if let Some((field, value)) = failure.native() {
        named = named.with_native(field, value);
    }
    if let Some(hint) = failure.hint() {
        named = named.with_hint(hint.to_owned());
    }
    if let Some(after) = failure.retry_after() {
        named = named.with_retry_after(after);
    }
    named
}

/// With a capital letter and a full stop.
fn sentence(words: &str) -> String {
    let mut characters = words.chars();
    let first = characters.next().map(char::to_uppercase);
    let mut sentence: String = first.into_iter().flatten().chain(characters).collect();
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}
