//! A copy of the database while it is in use: one moment of it, whole, under its name only when it is complete.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use crate::error::Error;
use crate::session::Session;

/// Pages between two looks at whether the copy is still wanted: a few megabytes.
const PAGES: i32 = 1024;

/// Copies what this session sees to a file of its own. The session must stand in a transaction that has looked:
/// without that each change of the database would begin the copy anew.
///
/// The copy grows under another name in the same directory and takes the place of `to` when it is on the disk, so
/// that there is a whole copy under that name at any time, or none.
pub(crate) fn copy(session: &Session<'_>, to: &Path) -> Result<(), Error> {
    if to.canonicalize().is_ok_and(|to| session.path.canonicalize().is_ok_and(|own| own == to)) {
        return Err(unwritable(to, "it is the database itself"));
    }
    if to.file_name().is_none() {
        return Err(unwritable(to, "it names no file"));
    }
    let part = beside(to);
    let done = fill(session, &part).and_then(|()| settle(&part, to));
    if done.is_err() {
        // The error is what matters; what is left under this name is written over by the next copy.
        let _ = fs::remove_file(&part);
    }
    done
}

fn fill(session: &Session<'_>, part: &Path) -> Result<(), Error> {
    let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(part);
    made.map_err(|error| unwritable(part, &error.to_string()))?;
    let of = |error| Error::of(error, part);
    let mut copy = Connection::open(part).map_err(of)?;
    // Nothing reads it before it is complete, and then all of it is brought to the disk at once.
    copy.pragma_update(None, "synchronous", "OFF").map_err(of)?;
    copy.pragma_update(None, "journal_mode", "OFF").map_err(of)?;
    {
        let steps = Backup::new(session.connection, &mut copy).map_err(of)?;
        loop {
            match steps.step(PAGES).map_err(of)? {
                StepResult::Done => break,
                StepResult::More if session.wanted() => {}
                StepResult::More => return Err(Error::Interrupted),
                // The moment is this session's, and nobody else knows the copy.
                _ => return Err(Error::Busy { path: part.to_path_buf() }),
            }
        }
    }
    copy.close().map_err(|(_, error)| of(error))
}

fn settle(part: &Path, to: &Path) -> Result<(), Error> {
    let moved = || -> io::Result<()> {
        File::open(part)?.sync_all()?;
        fs::rename(part, to)?;
        match to.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => File::open(parent)?.sync_all(),
            None => File::open(".")?.sync_all(),
        }
    };
    moved().map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull => Error::Full { path: to.to_path_buf() },
        _ => unwritable(to, &error.to_string()),
    })
}

fn beside(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    to.with_file_name(name)
}

fn unwritable(path: &Path, detail: &str) -> Error {
    Error::ReadOnly { path: path.to_path_buf(), detail: detail.to_owned() }
}
