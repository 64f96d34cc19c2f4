//! The system's table of processes, as /proc shows it. A pid alone means nothing, since numbers come round again: here a
//! process is known by its pid and the moment at which it was started.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// One process, and no other one that gets its number later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Id {
    /// Its number.
    pub(super) pid: u32,
    /// When it was started, in ticks since the machine was.
    pub(super) start: u64,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// Which process.
    pub(super) id: Id,
    /// Its process group, by the number of the one that leads it.
    pub(super) group: u32,
    /// Whether it has ended, and only waits for somebody to ask how.
    pub(super) ended: bool,
}

/// The row of a pid.
pub(super) fn row(pid: u32) -> Option<Row> {
    parsed(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Whether this very process runs.
pub(super) fn runs(id: Id) -> bool {
    row(id.pid).is_some_and(|row| row.id == id && !row.ended)
}

/// All that run in the group which this process leads, or led: the number of a group is not given again while one of it is
/// left, and where it was given again there is nobody of the old one.
pub(super) fn group(leader: Id) -> Vec<Row> {
    if row(leader.pid).is_some_and(|row| row.id != leader) {
        return Vec::new();
    }
    rows().filter(|row| row.group == leader.pid && !row.ended).collect()
}

/// All whose standard output goes into this file.
pub(super) fn writing_to(file: &Path) -> Vec<Row> {
    let Ok(file) = fs::metadata(file) else { return Vec::new() };
    let is_it = |row: &Row| {
        let out = fs::metadata(format!("/proc/{}/fd/1", row.id.pid));
        out.is_ok_and(|out| out.dev() == file.dev() && out.ino() == file.ino())
    };
    rows().filter(|row| !row.ended && is_it(row)).collect()
}

/// What is another one after each start of the machine; empty where the system does not say.
pub(super) fn boot() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

fn rows() -> impl Iterator<Item = Row> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| row(entry.file_name().to_str()?.parse().ok()?))
}

/// `pid (name) state parent group …`, where the name may have anything in it, spaces and brackets too.
fn parsed(pid: u32, stat: &str) -> Option<Row> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    // The 22nd field of all is the 20th after the name; three are gone.
    let start = fields.nth(16)?.parse().ok()?;
    Some(Row { id: Id { pid, start }, group, ended: matches!(state, "Z" | "X") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_whatever_the_name() {
        let stat = "812 (a) b (c) S 1 811 811 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 44321 99 7";
        let row = parsed(812, stat).unwrap();
        assert_eq!((row.id, row.group, row.ended), (Id { pid: 812, start: 44321 }, 811, false));
        assert!(parsed(812, &stat.replace(" S ", " Z ")).unwrap().ended);
        assert_eq!(parsed(812, "812 (short) S 1"), None);
    }

    #[test]
    fn this_process_is_in_it() {
        let own = row(std::process::id()).unwrap();
        assert!(runs(own.id));
        assert!(!runs(Id { start: own.id.start + 1, ..own.id }), "another one of the same number");
        assert!(rows().any(|row| row.id == own.id));
        assert!(!boot().is_empty());
    }
}
