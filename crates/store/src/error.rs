//! What can go wrong with the store, and how a caller of the API is told.

use std::io;
use std::path::PathBuf;

use model::{Code, Failure};

/// Why something could not be remembered or recalled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file or a statement.
    #[error(transparent)]
    Disk(#[from] disk::Error),
    /// The directory cannot be made, or its files not kept private.
    #[error("`{}` cannot be kept for this user alone ({source}): name a directory that it may write to", path.display())]
    Directory {
        /// The directory or file.
        path: PathBuf,
        /// The reason the system gives.
        source: io::Error,
    },
    /// The tables have been used by a later version.
    #[error(
        "`{place}` was written by a newer version (its migration {found}, this version knows {known}): \
         start that version, or put back the copy from before the upgrade"
    )]
    Newer {
        /// The file or database.
        place: String,
        /// The highest migration it has been through.
        found: i64,
        /// The highest one known here.
        known: i64,
    },
    /// The tables have been through a migration of the same number with another text.
    #[error(
        "`{place}` went through another migration {number} than this version's: \
         it belongs to a build that was never released; move it away to begin empty"
    )]
    Changed {
        /// The file or database.
        place: String,
        /// The migration.
        number: i64,
    },
    /// The words that say where the store is cannot be read.
    #[error("{0}")]
    Url(String),
    /// The database is not there, or not ready, or the way to it is cut.
    #[error("the store at `{place}` is away ({why})")]
    Away {
        /// The database.
        place: String,
        /// What was seen of it.
        why: String,
    },
    /// The database was lost while it was told to keep something.
    #[error(
        "the store at `{place}` was lost at the last moment ({why}): whether it has kept the change is not known"
    )]
    Doubtful {
        /// The database.
        place: String,
        /// What was seen of it.
        why: String,
    },
    /// The database has not answered since the gateway was started.
    #[error("the store has not answered since the start: {why}")]
    NotYet {
        /// What was seen last.
        why: String,
    },
    /// All connections to the database were in use for too long.
    #[error(
        "all connections to the store at `{place}` are in use: raise `store.pool.max`, or see what holds them up"
    )]
    Crowded {
        /// The database.
        place: String,
    },
    /// The database has understood and refused.
    #[error("the store at `{place}` refuses: {message} {code}")]
    Refused {
        /// The database.
        place: String,
        /// Its code.
        code: String,
        /// In its words.
        message: String,
    },
    /// No thread can be started for it.
    #[error("no thread can be started for the store ({source}): raise the limit of threads")]
    Threads {
        /// The reason the system gives.
        source: io::Error,
    },
    /// A route cannot be told by its id, since it has none.
    #[error("a route needs an id before it is kept")]
    NoRouteId,
    /// A route cannot be written as JSON, or its JSON not be read.
    #[error("the kept route `{id}` is not a route ({source}): delete it and create it again")]
    Route {
        /// The route.
        id: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An operation cannot be written as JSON, or its JSON not be read.
    #[error("the kept operation `{id}` cannot be read ({source}): it is of another version than this")]
    Operation {
        /// The operation.
        id: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A token carries a role that does not exist.
    #[error("the token `{name}` has the role `{role}`, which does not exist: revoke it and make another")]
    UnknownRole {
        /// The token's name.
        name: String,
        /// What stands in its place.
        role: String,
    },
    /// So many tokens are in use that no other may be.
    #[error("{most} tokens are in use, and no more may be")]
    TooManyTokens {
        /// How many may be.
        most: i64,
    },
    /// Without this token nobody could change anything any more.
    #[error("it is the last token by which somebody may change everything here")]
    LastAdmin,
    /// The system's source of random numbers gave none.
    #[error("the system gives no random numbers, so no token can be made")]
    Random,
}

impl Error {
    /// Whether it may be over in a while without anybody's help.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Error::Away { .. } | Error::Doubtful { .. } | Error::NotYet { .. } | Error::Crowded { .. }
        )
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let failure = match &error {
            Error::Disk(disk::Error::Busy { .. }) | Error::Crowded { .. } => {
                Failure::gateway(Code::Busy, "The store is busy.")
            }
            Error::Away { .. } | Error::NotYet { .. } => {
                Failure::gateway(Code::Busy, "The store is away: nothing was changed.")
                    .with_hint("What runs goes on; changes wait until it is back. `/health` says when it is.")
            }
            Error::Doubtful { .. } => Failure::gateway(
                Code::Busy,
                "The store was lost at the last moment: whether it has kept the change is not known.",
            )
            .with_retryable(false)
            .with_hint("Look at what is there when it is back, as `/health` says."),
            Error::Disk(disk::Error::Closed) => Failure::gateway(Code::Draining, "The store is closed."),
            Error::Disk(disk::Error::Full { .. }) => {
                Failure::gateway(Code::Internal, "The store has no space left.")
                    .with_hint("Free some space on its disk; nothing was changed.")
            }
            Error::TooManyTokens { most } => {
                Failure::client(Code::Conflict, format!("{most} tokens are in use, and no more may be."))
                    .with_hint(
                        "Revoke those that nobody needs; `throome token list` shows when each was last used.",
                    )
            }
            Error::LastAdmin => Failure::client(
                Code::Conflict,
                "It is the last token of an administrator: nobody could come in after it.",
            )
            .with_hint("Create another with the role `admin` first."),
            Error::Disk(_)
            | Error::Directory { .. }
            | Error::Url(_)
            | Error::Refused { .. }
            | Error::Threads { .. }
            | Error::Newer { .. }
            | Error::Changed { .. }
            | Error::NoRouteId
            | Error::Route { .. }
            | Error::Operation { .. }
            | Error::UnknownRole { .. }
            | Error::Random => Failure::gateway(Code::Internal, "The store could not do it.")
                .with_hint("The log of the gateway has the reason."),
        };
        failure.with_cause(error)
    }
}
