//! What can go wrong with a database file, in words that name the file and the fix.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{ErrorCode, ffi};

use crate::codes::{self, Constraint};

/// Why a database could not be opened, or a job not be done. Clones, since one failed commit is the
/// answer to every job of its group.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Its pages contradict each other.
    #[error("`{}` is damaged ({detail}): put a backup in its place, or move it away to begin empty", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What the check found.
        detail: String,
    },
    /// It is some other kind of file.
    #[error("`{}` is not a database: move it away, or name another file", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// There is no room for another page.
    #[error("no space is left for `{}`: free some; what was acknowledged is safe", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be made or written.
    #[error(
        "`{}` cannot be opened for writing ({detail}): it needs a directory on a local disk that this user may write to",
        path.display()
    )]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// The reason the system gives.
        detail: String,
    },
    /// Another process holds it; safe to try again.
    #[error("`{}` is held by another process: stop that one, or try again", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The job's turn did not come before its deadline; nothing was done.
    #[error("the database is busy: the turn did not come in time, and nothing was done")]
    NotBegun,
    /// It was ended at its deadline, or because nobody waits for it; nothing of it is kept.
    #[error("the statement took too long and was ended; nothing of it is kept")]
    Interrupted,
    /// What a stranger's statement may not do.
    #[error("{why}")]
    Refused {
        /// The reason, with the way that there is.
        why: String,
    },
    /// The transaction was rolled back before.
    #[error("the transaction is over")]
    Ended,
    /// It was closed before the job's turn.
    #[error("the database is closed")]
    Closed,
    /// A thread for it could not be started.
    #[error("no thread can be started for the database ({0}): raise the limit of threads")]
    Thread(Arc<std::io::Error>),
    /// The statement itself failed.
    #[error("{0}")]
    Sql(#[source] Arc<rusqlite::Error>),
}

impl Error {
    /// SQLite's own code for a statement that failed, such as `SQLITE_CONSTRAINT_UNIQUE`.
    #[must_use]
    pub fn native(&self) -> Option<&'static str> {
        self.extended().map(codes::name)
    }

    /// What sort of constraint was violated, if that is what happened.
    #[must_use]
    pub fn constraint(&self) -> Option<Constraint> {
        self.extended().and_then(codes::constraint)
    }

    /// What SQLite says of a statement that failed, without repeating the statement; else what this error says.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Error::Sql(error) => match &**error {
                rusqlite::Error::SqlInputError { msg, sql, offset, .. } => {
                    let before = usize::try_from(*offset).ok().and_then(|offset| sql.get(..offset));
                    match before {
                        Some(before) => format!("{msg} (at character {})", before.chars().count() + 1),
                        None => msg.clone(),
                    }
                }
                rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
                other => other.to_string(),
            },
            other => other.to_string(),
        }
    }

    fn extended(&self) -> Option<i32> {
        match self {
            Error::Sql(error) => match &**error {
                rusqlite::Error::SqliteFailure(code, _)
                | rusqlite::Error::SqlInputError { error: code, .. } => Some(code.extended_code),
                _ => None,
            },
            _ => None,
        }
    }

    /// Tells the faults of the file from those of a statement.
    pub(crate) fn of(error: rusqlite::Error, path: &Path) -> Error {
        let rusqlite::Error::SqliteFailure(code, message) = &error else {
            return Error::Sql(Arc::new(error));
        };
        let detail = || message.clone().unwrap_or_else(|| code.to_string());
        let path = path.to_path_buf();
        match code.code {
            ErrorCode::DatabaseCorrupt => Error::Corrupt { path, detail: detail() },
            ErrorCode::NotADatabase => Error::NotADatabase { path },
            ErrorCode::DiskFull => Error::Full { path },
            // The index of the log is a mapped file; it cannot grow on a full disk, and that error has a name of its own.
            ErrorCode::SystemIoFailure if code.extended_code == ffi::SQLITE_IOERR_SHMSIZE => {
                Error::Full { path }
            }
            ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
                Error::ReadOnly { path, detail: detail() }
            }
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::Busy { path },
            _ => Error::Sql(Arc::new(error)),
        }
    }
}
