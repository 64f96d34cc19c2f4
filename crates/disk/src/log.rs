//! Keeps the log beside the file within a bound: what somebody still looks at cannot be folded into the file, so the
//! one who has looked for longest is cut off before the log fills the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tracing::warn;

use crate::readers::Shared;

/// The largest log that holders of readers may cause, in bytes. It is cut back to a quarter of this by itself.
pub(crate) const LOG_MOST: u64 = 256 << 20;

/// Commits between two looks at its size.
const COMMITS: u64 = 16;

/// The log of one database.
pub(crate) struct Log {
    file: PathBuf,
    most: u64,
    readers: Arc<Shared>,
}

impl Log {
    pub(crate) fn new(database: &Path, most: u64, readers: Arc<Shared>) -> Log {
        let mut file = database.as_os_str().to_owned();
        file.push("-wal");
        Log { file: file.into(), most, readers }
    }

    /// Looks at it now and then, after a commit; on the connection that writes.
    pub(crate) fn look(&self, commits: u64, connection: &Connection) {
        if !commits.is_multiple_of(COMMITS) {
            return;
        }
        let size = fs::metadata(&self.file).map_or(0, |file| file.len());
        if size <= self.most {
            return;
        }
        // The file of a log that was folded keeps its size until the next write begins it anew.
        let folded = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            Ok(row.get::<_, i64>(1)? <= row.get::<_, i64>(2)?)
        });
        match folded {
            Ok(true) => {}
            Ok(false) => {
                if let Some(age) = self.readers.cut_oldest() {
                    let path = self.file.display();
                    warn!(%path, size, ?age, "the log grows behind a slow reader, which is cut off");
                }
            }
            Err(error) => warn!(path = %self.file.display(), %error, "the log cannot be folded"),
        }
    }
}
