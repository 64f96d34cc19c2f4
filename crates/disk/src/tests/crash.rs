//! A process killed in the middle of its writes: what it acknowledged is there when the file is opened again.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::{insert, numbers, table};
use crate::Disk;

/// Set for the child that writes until it is killed: the file, and the first number of its round.
const CHILD: (&str, &str) = ("DISK_CRASH_FILE", "DISK_CRASH_FROM");

/// Callers of the child at once, so that it dies within a group.
const CALLERS: i64 = 16;

/// Acknowledged writes after which the child is killed.
const ENOUGH: usize = 300;

#[test]
fn kill_loses_nothing_acknowledged() {
    if let Ok(file) = std::env::var(CHILD.0) {
        let from = std::env::var(CHILD.1).unwrap().parse().unwrap();
        write_until_killed(Path::new(&file), from);
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("numbers.db");
    let mut acknowledged = BTreeSet::new();
    for round in 0..3 {
        acknowledged.extend(run_and_kill(&path, round * 1_000_000));
        let (_disk, kept) = Disk::open_with(&path, numbers).unwrap();
        let kept: BTreeSet<i64> = kept.into_iter().collect();
        let lost: Vec<_> = acknowledged.difference(&kept).collect();
        assert!(lost.is_empty(), "round {round}: {} acknowledged, lost {lost:?}", acknowledged.len());
    }
    assert!(acknowledged.len() >= 3 * ENOUGH);
}

/// The numbers that the child said were acknowledged before it died.
fn run_and_kill(path: &Path, from: i64) -> Vec<i64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::crash::kill_loses_nothing_acknowledged", "--nocapture"])
        .env(CHILD.0, path)
        .env(CHILD.1, from.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut numbers = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(n) = line.strip_prefix("acknowledged ") {
            numbers.push(n.parse().unwrap());
        }
        if numbers.len() == ENOUGH {
            child.kill().unwrap(); // SIGKILL; the loop goes on to what is left in the pipe.
        }
    }
    let status = child.wait().unwrap();
    assert!(!status.success() && numbers.len() >= ENOUGH, "the child ended by itself: {status}, {numbers:?}");
    numbers
}

fn write_until_killed(path: &Path, from: i64) -> ! {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (disk, ()) = Disk::open_with(path, table).unwrap();
    for caller in 0..CALLERS {
        let disk = disk.clone();
        runtime.spawn(async move {
            for n in (from + caller..).step_by(CALLERS as usize) {
                disk.write(insert(n)).await.unwrap();
                // One call for the line, so that the kill cannot cut it in two.
                std::io::stdout().write_all(format!("acknowledged {n}\n").as_bytes()).unwrap();
            }
        });
    }
    loop {
        std::thread::park();
    }
}
