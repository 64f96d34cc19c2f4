//! A real full disk, and copies of a database in use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::deadlines::{add, later, sql};
use super::{insert, numbers, on_disk, table};
use crate::{Disk, Error};

/// Set for the child that has a small file system for itself: where it is.
const SMALL: &str = "DISK_SMALL_FILE_SYSTEM";

/// Runs this very test again where a file system of one megabyte is mounted, in a name space of its own, so that it
/// is gone with the process. Needs to be root, or to be let in as if.
#[test]
fn a_full_disk_is_said_and_room_is_found_again() {
    if let Ok(place) = std::env::var(SMALL) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(fill_and_make_room(Path::new(&place)));
    }
    let dir = tempfile::tempdir().unwrap();
    let own = std::env::current_exe().unwrap();
    let script = "mount -t tmpfs -o size=1m tmpfs \"$1\" || exit 77; exec \"$2\" --exact \"$3\" --nocapture";
    let name = "tests::room::a_full_disk_is_said_and_room_is_found_again";
    for unshare in [&["-m"][..], &["-r", "-m"]] {
        let run = Command::new("unshare")
            .args(unshare)
            .args(["sh", "-c", script, "sh"])
            .arg(dir.path())
            .arg(&own)
            .arg(name)
            .env(SMALL, dir.path())
            .output();
        let Ok(run) = run else { continue };
        let said =
            format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        if run.status.success() && said.contains("1 passed") {
            return;
        }
        assert!(!said.contains("running 1 test"), "{said}");
    }
    println!(
        "no file system can be mounted here: only the other test of a full disk, by a limit of pages, was run"
    );
}

async fn fill_and_make_room(place: &Path) {
    let (disk, ()) = Disk::open_with(&place.join("numbers.db"), table).unwrap();
    disk.write_until(later(), sql("CREATE TABLE blobs (n INTEGER, b BLOB)", 0)).await.unwrap();
    let ballast = place.join("ballast");
    fs::write(&ballast, vec![1; 300_000]).unwrap();
    let mut kept = 0;
    let error = loop {
        match disk.write_until(later(), sql("INSERT INTO blobs VALUES (?1, zeroblob(30000))", kept)).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 1000, "a megabyte holds no more");
    };
    assert!(matches!(error, Error::Full { .. }), "{error:?}");
    let error = disk.write(insert(1)).await.err();
    assert!(matches!(error, None | Some(Error::Full { .. })), "{error:?}");
    let count = |disk: Disk| async move {
        disk.read(|c| c.query_row("SELECT count(*) FROM blobs", [], |r| r.get::<_, i64>(0))).await
    };
    assert_eq!(
        count(disk.clone()).await.unwrap(),
        kept,
        "reading goes on, and what was acknowledged is there"
    );
    fs::remove_file(&ballast).unwrap();
    disk.write_until(later(), sql("INSERT INTO blobs VALUES (?1, zeroblob(30000))", kept)).await.unwrap();
    assert_eq!(count(disk.clone()).await.unwrap(), kept + 1, "with room it goes on by itself");
    disk.close().await;
    let again = Disk::open(&place.join("numbers.db")).unwrap();
    assert_eq!(count(again).await.unwrap(), kept + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_one_moment_while_others_write() {
    let (dir, disk) = on_disk();
    let words = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
        INSERT INTO blobs SELECT i, zeroblob(2000) FROM n";
    disk.write_until(later(), sql("CREATE TABLE blobs (n INTEGER, b BLOB)", 0)).await.unwrap();
    disk.write_until(later(), sql(words, 0)).await.unwrap();
    let writes = tokio::spawn({
        let disk = disk.clone();
        async move {
            let mut n = 0;
            loop {
                // Always in pairs: a copy that holds one alone was of no one moment.
                let pair = sql("INSERT INTO numbers VALUES (?1), (-1 - ?1)", n);
                disk.write_until(later(), pair).await.unwrap();
                n += 1;
            }
        }
    });
    let copy = dir.path().join("copy.db");
    for _ in 0..3 {
        let before = disk.read(numbers).await.unwrap().len();
        disk.backup(&copy, later()).await.unwrap();
        let (opened, ()) = Disk::open_with(&copy, |_| Ok(())).unwrap();
        let copied = opened.read(numbers).await.unwrap();
        assert!(copied.len() >= before && copied.len() % 2 == 0, "{} then {}", before, copied.len());
        assert!(copied.iter().all(|n| copied.contains(&(-1 - n))), "both of each pair");
        opened.close().await;
    }
    writes.abort();
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&copy).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(!dir.path().join("copy.db.part").exists());
}

#[tokio::test]
async fn a_copy_that_fails_leaves_the_one_before() {
    let (dir, disk) = on_disk();
    disk.write_until(later(), add(1)).await.unwrap();
    let copy = dir.path().join("copy.db");
    disk.backup(&copy, later()).await.unwrap();
    let whole = fs::read(&copy).unwrap();
    for to in [dir.path().join("numbers.db"), dir.path().join("missing/copy.db"), PathBuf::from("/")] {
        let error = disk.backup(&to, later()).await.unwrap_err();
        assert!(matches!(error, Error::ReadOnly { .. }), "{}: {error}", to.display());
    }
    disk.write_until(later(), add(2)).await.unwrap();
    assert_eq!(disk.read(numbers).await.unwrap(), [1, 2], "the database itself is as it was");
    assert_eq!(fs::read(&copy).unwrap(), whole);
    let (in_memory, ()) = Disk::in_memory_with(table).unwrap();
    in_memory.write(insert(3)).await.unwrap();
    in_memory.backup(&copy, later()).await.unwrap();
    let opened = Disk::open(&copy).unwrap();
    assert_eq!(opened.read(numbers).await.unwrap(), [3], "a database in memory can be copied, too");
    let error = disk.backup(&copy, std::time::Instant::now()).await.unwrap_err();
    assert!(matches!(error, Error::NotBegun), "{error}");
    tokio::time::timeout(Duration::from_secs(5), disk.close()).await.unwrap();
    assert!(matches!(disk.backup(&copy, later()).await, Err(Error::Closed)));
}
