//! Statements on a connection: asked in one go, read into JSON, streamed where they are long.

mod batch;
mod native;
mod read;
mod single;
mod stream;
mod transaction;

use std::sync::Arc;

use model::{Code, Failure};

use super::conn::{Conn, Prepared, Standing, Trouble};
use super::failure::{self, Circumstances};
use super::text::Look;
use super::types;
use crate::sql::limits::Limits;
use crate::sql::{Argument, Isolation, QueryOptions, RowShape, Statement, TransactionOptions};

pub(super) use batch::{Batch, batch, late};
pub(super) use native::native;
pub(super) use single::{Done, Progress, start};
pub(super) use stream::hand_over;
pub(super) use transaction::PostgresTransaction;

/// The server has no such prepared statement: somebody let go of it, or a pooler gave us another server.
const NO_SUCH_STATEMENT: &str = "26000";

/// Among others: a prepared statement would give other columns than it said, since its tables have changed.
const NOT_SUPPORTED: &str = "0A000";

/// Arguments of a statement at most: the protocol counts them by 16 bits.
const MOST_ARGUMENTS: usize = 65_535;

/// All arguments of a statement at most, in bytes: the server reads messages of up to a gigabyte.
const LARGEST: usize = (1 << 30) - (1 << 10);

/// What a statement is for, and what it may do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) limits: Limits,
    pub(super) look: Look,
    /// The lesser of the service's and the client's.
    pub(super) max_rows: u64,
    /// The server is told to stop there.
    pub(super) counted: bool,
    pub(super) shape: RowShape,
    /// It must not change anything.
    pub(super) only_looks: bool,
    /// It did not say so itself: the server is a standby, and may have been promoted since it said that it is one.
    pub(super) kept_from_writing: bool,
    /// Whether rows are wanted, or only their effect.
    pub(super) rows: bool,
    /// It is one of several: it does not stand for itself, and its rows are held whole.
    pub(super) within: bool,
    /// The server is asked for a page of rows after the other, so that a cut ends it without ending its transaction.
    pub(super) paged: bool,
    /// Bytes of JSON at most.
    pub(super) room: u64,
}

/// Rows of a page. Most results are one.
const PAGE: i32 = 4096;

impl Terms {
    /// For rows as these options ask for them.
    pub(super) fn query(limits: Limits, look: Look, options: &QueryOptions) -> Terms {
        Terms {
            max_rows: options.max_rows.unwrap_or(limits.max_rows).min(limits.max_rows),
            counted: options.max_rows.is_some(),
            shape: options.shape,
            only_looks: limits.read_only || options.read_only,
            rows: true,
            ..Terms::execute(limits, look)
        }
    }

    /// For the effect.
    pub(super) fn execute(limits: Limits, look: Look) -> Terms {
        Terms {
            limits,
            look,
            max_rows: limits.max_rows,
            counted: false,
            shape: RowShape::Objects,
            only_looks: limits.read_only,
            kept_from_writing: false,
            rows: false,
            within: false,
            paged: false,
            room: limits.max_result,
        }
    }

    /// As one of several.
    pub(super) fn within(self, room: u64) -> Terms {
        Terms { within: true, room: self.room.min(room), ..self }
    }

    /// On a standby, where it can change nothing anyway: that is made sure of, so that it may be asked of another server
    /// whatever becomes of it here. A text that may commit in the middle is left alone.
    pub(super) fn on_standby(self) -> Terms {
        if self.only_looks || self.look.in_parts {
            return self;
        }
        Terms { only_looks: true, kept_from_writing: true, ..self }
    }

    /// In a transaction of several calls.
    pub(super) fn paged(self) -> Terms {
        Terms { paged: self.rows, ..self.within(self.limits.max_collected) }
    }

    /// Rows that the server is asked for at once; 0 is all. One more than is wanted tells a whole result from a cut
    /// one.
    fn asked_rows(&self) -> i32 {
        if !self.rows || !(self.counted || self.paged) {
            return 0;
        }
        let wanted = i32::try_from(self.max_rows.saturating_add(1)).unwrap_or(i32::MAX);
        if self.paged { wanted.min(PAGE) } else { wanted }
    }

    /// Whether it can be left in the middle, since it changes nothing.
    fn looks(&self) -> bool {
        self.only_looks || self.look.seems_to_look
    }

    /// How a refusal is judged.
    pub(super) fn circumstances(&self, conn: &Conn) -> Circumstances {
        Circumstances {
            asked: conn.has_asked(),
            only_looks: self.only_looks,
            kept_from_writing: self.kept_from_writing,
            in_parts: self.look.in_parts && !self.within,
            standby: !self.within && conn.standby() == Some(true),
        }
    }
}

/// Refuses arguments that are too large for anybody.
pub(super) fn check_sizes(args: &[Argument], limits: &Limits) -> Result<(), Failure> {
    for (at, argument) in args.iter().enumerate() {
        let size = match argument {
            Argument::Null | Argument::Bool(_) | Argument::Integer(_) | Argument::Float(_) => continue,
            Argument::Text(text) | Argument::Json(text) => text.len(),
            Argument::Bytes(bytes) => bytes.len(),
        };
        if size as u64 > limits.max_value {
            let detail =
                format!("Argument ${} has {size} bytes; at most {} are taken.", at + 1, limits.max_value);
            return Err(
                Failure::client(Code::TooLarge, detail).with_hint("Raise `max_value` of the service.")
            );
        }
    }
    Ok(())
}

/// The arguments as the server reads them, by the types that it wants.
fn arguments(statement: &Statement, prepared: &Prepared) -> Result<Vec<Option<Vec<u8>>>, Failure> {
    counted(statement, prepared)?;
    let typed = statement.args.iter().zip(&prepared.parameters).enumerate();
    let convert = |(at, (argument, known))| {
        types::argument(argument, known)
            .map_err(|why| Failure::client(Code::QueryFailed, format!("Argument ${} {why}.", at + 1)))
    };
    fitting(typed.map(convert).collect::<Result<_, _>>()?)
}

/// Arguments that fit into one message.
fn fitting(args: Vec<Option<Vec<u8>>>) -> Result<Vec<Option<Vec<u8>>>, Failure> {
    let size: usize = args.iter().map(|arg| 4 + arg.as_ref().map_or(0, Vec::len)).sum();
    if size > LARGEST { Err(failure::too_long()) } else { Ok(args) }
}

fn counted(statement: &Statement, prepared: &Prepared) -> Result<(), Failure> {
    let (wanted, given) = (prepared.parameters.len(), statement.args.len());
    if given > MOST_ARGUMENTS {
        return Err(failure::too_many(given, MOST_ARGUMENTS));
    }
    if wanted == given {
        return Ok(());
    }
    let detail = format!("The statement has {wanted} placeholders, and {given} arguments are given.");
    Err(Failure::client(Code::QueryFailed, detail))
}

/// Whether a statement failed for what this connection remembers of it, so that it may be prepared anew.
fn is_stale(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Refused(error) if error.code() == NO_SUCH_STATEMENT) || is_outdated(trouble)
}

/// Whether the tables of a prepared statement have changed. Servers say that in many languages, and in one place.
fn is_outdated(trouble: &Trouble) -> bool {
    let Trouble::Refused(error) = trouble else { return false };
    let says_so =
        || error.routine() == Some("RevalidateCachedQuery") || error.message().contains("cached plan");
    error.code() == NOT_SUPPORTED && says_so()
}

/// Brings a connection to rest after a failure, so that it can be used at once where that takes no effort.
async fn recover(conn: &mut Conn, trouble: Trouble) -> Trouble {
    if !matches!(trouble, Trouble::Refused(_)) || conn.is_broken() {
        return trouble;
    }
    if let Err(Trouble::Broken(error)) = conn.rest().await {
        return Trouble::Broken(error);
    }
    trouble
}

/// What becomes of a statement by itself whose rows cannot be told: one that writes is carried out whole, and whoever
/// asked must know.
async fn seen_through(conn: &mut Conn, terms: &Terms, trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Ours(failure) if conn.has_asked() && !terms.within && !terms.looks() => {
            match conn.rest().await {
                Ok(()) => Trouble::Ours(failure::untold(&failure)),
                Err(trouble) => trouble,
            }
        }
        trouble => trouble,
    }
}

/// Ends a transaction that a failed statement has left open.
async fn undo(conn: &mut Conn) {
    if !conn.is_broken() && conn.standing() != Standing::Free {
        // If it fails, the connection is not clean, and is seen to by others.
        let _ = conn.run_alone("ROLLBACK").await;
    }
}

/// The words that begin a transaction.
pub(super) fn begin_words(options: TransactionOptions) -> Arc<str> {
    let isolation = match options.isolation {
        None => "",
        Some(Isolation::ReadUncommitted) => " ISOLATION LEVEL READ UNCOMMITTED",
        Some(Isolation::ReadCommitted) => " ISOLATION LEVEL READ COMMITTED",
        Some(Isolation::RepeatableRead) => " ISOLATION LEVEL REPEATABLE READ",
        Some(Isolation::Serializable) => " ISOLATION LEVEL SERIALIZABLE",
    };
    // A role's own default may be to read only.
    let access = if options.read_only { " READ ONLY" } else { "" };
    let deferrable = if options.deferrable { " DEFERRABLE" } else { "" };
    format!("BEGIN{isolation}{access}{deferrable}").into()
}

/// The failure of what is one of several, which names the statement.
pub(super) fn numbered(at: usize, failure: &Failure) -> Failure {
    failure::prefixed(&format!("statement {}: ", at + 1), failure)
}

#[cfg(test)]
mod tests {
    use super::super::conn::ServerError;
    use super::*;

    #[test]
    fn what_is_stale_is_known_in_any_language() {
        let refused = |body: &[u8]| Trouble::Refused(Box::new(ServerError::read(body)));
        for (body, stale, outdated) in [
            (&b"C26000\0Mprepared statement does not exist\0"[..], true, false),
            (b"C0A000\0Mcached plan must not change result type\0", true, true),
            (
                b"C0A000\0Mder Plan soll den Ergebnistyp nicht \xc3\xa4ndern\0RRevalidateCachedQuery\0",
                true,
                true,
            ),
            (b"C0A000\0Mnot supported\0RExecInitFunc\0", false, false),
            (b"C42601\0Mcached plan\0", false, false),
        ] {
            assert_eq!((is_stale(&refused(body)), is_outdated(&refused(body))), (stale, outdated));
        }
    }
}
