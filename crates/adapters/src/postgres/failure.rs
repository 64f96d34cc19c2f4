//! What goes wrong, in the codes that clients know. Only a fault of the server counts against the endpoint; what a
//! statement did wrong is its client's.

use std::io;
use std::time::Duration;

use model::{Address, Code, Failure};

use super::conn::{ServerError, Trouble};

/// Where the server's own code is told.
const NATIVE: &str = "sqlstate";

/// The server takes no more connections.
const LIMIT: &str = "53300";

/// When to come back if all connections are in use.
const SOON: Duration = Duration::from_secs(1);

/// What must be known to judge a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Circumstances {
    /// Something was asked to be done that may have been done.
    pub(super) asked: bool,
    /// It can have changed nothing.
    pub(super) only_looks: bool,
    /// Who asked did not say that it only looks: it ran on a standby in a transaction that does.
    pub(super) kept_from_writing: bool,
    /// It may commit in the middle, so that a part of it may have been done though it failed.
    pub(super) in_parts: bool,
    /// The server is a standby.
    pub(super) standby: bool,
}

/// The failure of a statement.
pub(super) fn of(trouble: Trouble, circumstances: Circumstances) -> Failure {
    match trouble {
        Trouble::Ours(failure) => failure,
        Trouble::Broken(error) => broken(&error, circumstances),
        Trouble::Refused(error) => refused(&error, circumstances),
    }
}

/// The connection broke.
fn broken(error: &io::Error, circumstances: Circumstances) -> Failure {
    let Circumstances { asked, only_looks, kept_from_writing, standby, .. } = circumstances;
    let may = if asked && !only_looks && !kept_from_writing && !standby {
        " The statement may have been carried out all the same."
    } else {
        ""
    };
    Failure::service(Code::BadGateway, format!("The connection to the server broke: {error}.{may}"))
        .with_retryable(!asked || kept_from_writing)
}

/// The server refused a statement.
fn refused(error: &ServerError, circumstances: Circumstances) -> Failure {
    let farewell = if error.is_fatal() { farewell(error, circumstances) } else { None };
    let failure = farewell.unwrap_or_else(|| undone(error, circumstances));
    let failure = match (error.hint(), failure.hint()) {
        (Some(hint), None) => failure.with_hint(hint.to_owned()),
        _ => failure,
    };
    failure.with_native(NATIVE, error.code()).with_engine_words(error.words())
}

/// What the server says of itself when it ends a session. In an error that leaves the session be, the same codes are
/// the statement's: any statement can raise them.
fn farewell(error: &ServerError, circumstances: Circumstances) -> Option<Failure> {
    let message = error.message().trim_end_matches('.');
    let retryable = !(circumstances.asked && circumstances.in_parts);
    Some(match error.code() {
        "25P03" => {
            Failure::client(Code::TransactionEnded, format!("The server ended the transaction: {message}."))
        }
        // Whoever says so has undone what it was doing.
        "57P01" | "57P03" | "57P05" => {
            Failure::service(Code::BadGateway, format!("The server ended the connection: {message}."))
                .with_retryable(retryable)
        }
        LIMIT => {
            Failure::service(Code::Overloaded, format!("The server takes no more connections: {message}."))
                .with_retryable(retryable)
        }
        "XX001" | "XX002" => {
            Failure::service(Code::BadGateway, format!("The server's data are damaged: {message}."))
        }
        code if matches!(code.get(..2), Some("08" | "57" | "58")) => {
            Failure::service(Code::BadGateway, format!("The server could not go on: {message}."))
        }
        _ => return None,
    })
}

/// What is wrong with a statement, of which nothing is kept unless it commits in the middle.
fn undone(error: &ServerError, circumstances: Circumstances) -> Failure {
    let message = error.message().trim_end_matches('.');
    // As the embedded kind has it.
    let place = error.position().map(|place| format!(" (at character {place})")).unwrap_or_default();
    let detail = format!("The statement was refused: {message}{place}.");
    // What commits in the middle must not be sent again for what came after.
    let undone = !circumstances.in_parts;
    match error.code() {
        "25006"
            if circumstances.kept_from_writing || (circumstances.standby && !circumstances.only_looks) =>
        {
            Failure::client(Code::QueryFailed, detail).with_primary_wanted()
        }
        // What a standby has to apply was in the way; on the primary it is not.
        "40001" if circumstances.standby => Failure::client(Code::Conflict, detail)
            .with_retryable(true)
            .with_hint("Send it again: nothing was done.")
            .with_primary_wanted(),
        "25006" => Failure::client(Code::QueryFailed, detail)
            .with_hint("What was said to be read-only may not write."),
        "25P02" => Failure::client(Code::QueryFailed, detail)
            .with_hint("Roll the transaction back and begin another."),
        "40001" | "40P01" | "55P03" => {
            Failure::client(Code::Conflict, detail).with_retryable(undone).with_hint(if undone {
                "Another transaction was in the way; nothing was done. Send all of the transaction again."
            } else {
                "Another transaction was in the way; what the statement had committed before is kept."
            })
        }
        "42501" => Failure::client(Code::PermissionDenied, detail),
        "57014" => Failure::client(Code::Timeout, format!("The server ended the statement: {message}.")),
        "53100" => Failure::gateway(Code::Overloaded, detail)
            .with_retryable(false)
            .with_hint("Free some space on the server's disk."),
        "42601" if message.contains("multiple commands") => {
            Failure::client(Code::QueryFailed, "The text holds several statements; one is taken.").with_hint(
                "Send a list of them, to `db/batch` or as `queries` of Neon's shape: all or none are run.",
            )
        }
        "53000" | "53200" | "53400" => Failure::gateway(Code::Overloaded, detail).with_retryable(false),
        code if code.starts_with("23") => Failure::client(Code::ConstraintViolation, detail),
        _ => Failure::client(Code::QueryFailed, detail),
    }
}

/// No connection was opened. Nothing has left.
pub(super) fn unopened(address: &Address, trouble: Trouble) -> Failure {
    let failure = match trouble {
        Trouble::Ours(failure) => failure,
        Trouble::Broken(error) => {
            Failure::service(Code::BadGateway, format!("No connection to {address}: {}.", reason(&error)))
        }
        Trouble::Refused(error) => {
            let message = error.message().trim_end_matches('.');
            let (code, hint) = match error.code() {
                "28P01" => (Code::BadGateway, Some("Look at `username` and `password` of the service.")),
                "28000" => (
                    Code::BadGateway,
                    Some("Look at the server's `pg_hba.conf`, and at `sslmode` of the service."),
                ),
                "3D000" => (Code::BadGateway, Some("Look at `database` of the service.")),
                LIMIT => {
                    (Code::Overloaded, Some("Lower `pool.max_connections`, or raise the server's limit."))
                }
                _ => (Code::BadGateway, None),
            };
            let failure = Failure::service(code, format!("{address} lets nobody in: {message}."))
                .with_native(NATIVE, error.code())
                .with_engine_words(error.words());
            match hint {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            }
        }
    };
    failure.with_retryable(true)
}

/// An error in words that name what is wrong, without the words of the layers in between.
fn reason(error: &io::Error) -> String {
    error.to_string().trim_end_matches('.').to_owned()
}

/// Whether no connection was opened since the server takes no more.
pub(super) fn is_limit(failure: &Failure) -> bool {
    failure.native() == Some((NATIVE, LIMIT))
}

/// No connection was opened in time. Nothing has left.
pub(super) fn unopened_in_time(address: &Address) -> Failure {
    Failure::service(Code::Timeout, format!("No connection to {address} in time.")).with_retryable(true)
}

/// The server cannot encrypt.
pub(super) fn unencrypted(address: &Address) -> Failure {
    Failure::service(
        Code::BadGateway,
        format!("{address} does not encrypt connections, and the service wants it."),
    )
    .with_hint("Turn `ssl` on at the server, or set `sslmode` to `prefer` or `disable`.")
}

/// No certificate can be for that name.
pub(super) fn no_name(host: &str) -> Failure {
    Failure::client(Code::InvalidConfig, format!("tls.sni: `{host}` is no name that a certificate can have"))
}

/// All connections are in use.
pub(super) fn full(most: usize) -> Failure {
    Failure::gateway(
        Code::Busy,
        format!("All {most} connections of the pool are in use, and none came free in time."),
    )
    .with_retry_after(SOON)
    .with_hint("Raise `pool.max_connections` of the service, or ask for less at once.")
}

/// The server takes no more connections than there are, and all are in use. Nothing has left.
pub(super) fn limited(address: &Address) -> Failure {
    let detail =
        format!("{address} takes no more connections, and of those that there are none came free in time.");
    Failure::gateway(Code::Overloaded, detail)
        .with_native(NATIVE, LIMIT)
        .with_retry_after(SOON)
        .with_hint("Lower `pool.max_connections`, or raise the server's limit.")
}

/// All connections are in use, and the server does not answer on them. Nothing has left.
pub(super) fn stuck(address: &Address) -> Failure {
    Failure::service(
        Code::Timeout,
        format!("{address} answers on none of the connections, and none came free in time."),
    )
    .with_retryable(true)
}

/// The adapter was closed.
pub(super) fn closed() -> Failure {
    Failure::gateway(Code::Draining, "The connections to the server are closed.")
}

/// The statement's time is over.
pub(super) fn late(ended: Ended) -> Failure {
    let detail = match ended {
        Ended::NotBegun => "There was no time left to ask the server; nothing was done.",
        Ended::Undone => "The statement took too long and was ended; nothing of it is kept.",
        Ended::Unknown => {
            "The statement took too long and is being ended; it may have been carried out all the same."
        }
        Ended::Looked => "The statement took too long and is being ended; it changes nothing.",
    };
    match ended {
        Ended::NotBegun => Failure::gateway(Code::Timeout, detail),
        Ended::Undone | Ended::Unknown | Ended::Looked => Failure::service(Code::Timeout, detail),
    }
}

/// What became of a statement whose time was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    NotBegun,
    Undone,
    Unknown,
    /// It can have changed nothing.
    Looked,
}

impl Ended {
    /// The same of a statement that may have committed in the middle.
    pub(super) fn of(self, in_parts: bool) -> Ended {
        if in_parts && self == Ended::Undone { Ended::Unknown } else { self }
    }
}

/// The transaction is over.
pub(super) fn ended() -> Failure {
    Failure::client(Code::TransactionEnded, "The transaction is over; nothing of it is kept.")
        .with_hint("Begin another.")
}

/// The server ended the transaction while nothing was asked: nothing of it is kept.
pub(super) fn ended_by_server(trouble: &Trouble) -> Failure {
    let hint = "Begin another.";
    match trouble {
        Trouble::Refused(error) => {
            let message = error.message().trim_end_matches('.');
            let detail = format!("The server ended the transaction: {message}. Nothing of it is kept.");
            Failure::client(Code::TransactionEnded, detail)
                .with_hint(hint)
                .with_native(NATIVE, error.code())
                .with_engine_words(error.words())
        }
        Trouble::Broken(_) | Trouble::Ours(_) => {
            let detail = "The connection of the transaction broke; nothing of it is kept.";
            Failure::client(Code::TransactionEnded, detail).with_hint(hint)
        }
    }
}

/// The transaction had failed before it was to be kept.
pub(super) fn ended_by_failure() -> Failure {
    let detail = "A statement of the transaction had failed, so that the server rolled it back; nothing of it is kept.";
    Failure::client(Code::TransactionEnded, detail).with_hint("Begin another.")
}

/// A statement that moves files or streams.
pub(super) fn copy() -> Failure {
    Failure::client(Code::QueryFailed, "`COPY` from and to the client is not carried.")
        .with_hint("Insert with a batch, or with arrays and `unnest`; read with a query, whose rows stream.")
}

/// A row that is larger than what is taken.
pub(super) fn oversized(most: u64) -> Failure {
    Failure::client(Code::TooLarge, format!("A row of the result is larger than {most} bytes."))
        .with_hint("Raise `max_value` of the service.")
}

/// A result that has to be held whole and does not fit.
pub(super) fn too_much(most: u64) -> Failure {
    Failure::client(Code::TooLarge, format!("The result is larger than {most} bytes."))
        .with_hint("Ask for less, or raise `max_collected` of the service.")
}

/// A cell that JSON cannot hold.
pub(super) fn no_text(column: &str) -> Failure {
    Failure::client(
        Code::QueryFailed,
        format!("Column `{column}` holds what is no UTF-8, which JSON cannot hold."),
    )
    .with_hint("Cast it to `bytea`, or convert the database.")
}

/// More arguments than the protocol has room for.
pub(super) fn too_many(count: usize, most: usize) -> Failure {
    Failure::client(
        Code::QueryFailed,
        format!("There are {count} arguments; the server takes {most} at most."),
    )
    .with_hint("Send a list as one argument, and take it apart with `unnest`.")
}

/// Arguments that no message of the protocol holds.
pub(super) fn too_long() -> Failure {
    Failure::client(Code::TooLarge, "The arguments together are larger than what the server takes.")
}

/// A transaction in which a statement that was kept prepared has met other tables than it was prepared for.
pub(super) fn outdated(failure: &Failure) -> Failure {
    let detail = format!("{} A table has changed since the statement was prepared.", failure.detail());
    let mut outdated = Failure::client(Code::Conflict, detail)
        .with_retryable(true)
        .with_engine_words(failure.engine_words().to_vec())
        .with_hint("Nothing was done. Send all of the transaction again.");
    if let Some((field, value)) = failure.native() {
        outdated = outdated.with_native(field, value);
    }
    outdated
}

/// The failure to tell the rows of a statement that was carried out.
pub(super) fn untold(failure: &Failure) -> Failure {
    reworded(format!("{} The statement was carried out all the same.", failure.detail()), failure)
        .with_retryable(false)
}

/// The same failure, with words before its detail.
pub(super) fn prefixed(prefix: &str, failure: &Failure) -> Failure {
    reworded(format!("{prefix}{}", failure.detail()), failure)
}

fn reworded(detail: String, failure: &Failure) -> Failure {
    let mut named = Failure::new(failure.code(), failure.origin(), detail)
        .with_retryable(failure.retryable())
        .with_engine_words(failure.engine_words().to_vec());
    if let Some((field, value)) = failure.native() {
        named = named.with_native(field, value);
    }
    if let Some(hint) = failure.hint() {
        named = named.with_hint(hint.to_owned());
    }
    if let Some(after) = failure.retry_after() {
        named = named.with_retry_after(after);
    }
    if failure.wants_primary() { named.with_primary_wanted() } else { named }
}
