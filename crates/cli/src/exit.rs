//! Exit codes: the one table.

use std::process::ExitCode;

use sdk::{Error, Family};

/// How a command ended, as scripts see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It is done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// There is no such thing.
    NotFound = 3,
    /// The token does not allow it.
    NotAllowed = 4,
    /// It exists already, or has changed since.
    Conflict = 5,
    /// The gateway cannot be reached, or is none.
    Unreachable = 6,
    /// Nothing answered in time.
    TimedOut = 7,
    /// A document is not valid, or `plan --exit-code` found changes.
    Invalid = 8,
    /// `status --check` found something that is not serving.
    NotServing = 9,
    /// Somebody pressed Ctrl-C, and what could be put in order was.
    Interrupted = 130,
}

impl Exit {
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(self as u8)
    }

    /// What a failed call means to a script.
    pub(crate) fn of(error: &Error) -> Exit {
        match error.family() {
            Family::NotFound => Exit::NotFound,
            Family::Unauthenticated | Family::PermissionDenied => Exit::NotAllowed,
            Family::Conflict => Exit::Conflict,
            Family::Connection | Family::Protocol => Exit::Unreachable,
            Family::Timeout => Exit::TimedOut,
            // It never left: the URL or the token, which are words of the command line.
            Family::Validation if error.status().is_none() => Exit::Usage,
            Family::Validation if error.code() == Some("invalid_config") || !error.fields().is_empty() => {
                Exit::Invalid
            }
            _ => Exit::Failed,
        }
    }
}

/// The table as `throome help` shows it. 130 is also what a shell makes of an interrupt that ends us at once.
pub(crate) const TABLE: &str = "\
Exit codes:
  0 done              4 not allowed             8 invalid, or changes with --exit-code
  1 failed            5 conflict                9 not serving (status --check)
  2 wrong usage       6 gateway unreachable   130 interrupted
  3 not found         7 timed out";
