//! Groups, savepoints, readers, and the end of a database.

mod bounds;
mod crash;
mod deadlines;
mod files;
mod room;
mod strangers;
mod stress;
mod turns;

use std::sync::mpsc;

use tokio::task::JoinHandle;

use crate::{Connection, Disk, Error, SqlResult};

fn table(connection: &Connection) -> SqlResult<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS numbers (n INTEGER PRIMARY KEY) STRICT;
         CREATE TABLE IF NOT EXISTS parts (
             n INTEGER NOT NULL REFERENCES numbers (n),
             late INTEGER REFERENCES numbers (n) DEFERRABLE INITIALLY DEFERRED
         ) STRICT;",
    )
}

fn on_disk() -> (tempfile::TempDir, Disk) {
    let dir = tempfile::tempdir().unwrap();
    let (disk, ()) = Disk::open_with(&dir.path().join("numbers.db"), table).unwrap();
    (dir, disk)
}

fn insert(n: i64) -> impl FnOnce(&Connection) -> SqlResult<usize> + Send + 'static {
    move |c| c.prepare_cached("INSERT INTO numbers VALUES (?1)")?.execute([n])
}

fn numbers(connection: &Connection) -> SqlResult<Vec<i64>> {
    connection.prepare_cached("SELECT n FROM numbers ORDER BY n")?.query_map([], |row| row.get(0))?.collect()
}

/// Keeps the writer in a job until the sender is dropped: what waits by then becomes one group.
async fn hold(disk: &Disk) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel::<()>();
    let (began, begun) = tokio::sync::oneshot::channel();
    spawn(disk, move |_| {
        began.send(()).unwrap();
        let _ = held.recv();
        Ok(())
    });
    begun.await.unwrap();
    release
}

/// Returns when that many jobs wait behind the one that holds the writer.
async fn all_wait(disk: &Disk, jobs: usize) {
    while disk.inner.writer.waiting() < jobs {
        tokio::task::yield_now().await;
    }
}

fn spawn<T: Send + 'static>(
    disk: &Disk,
    job: impl FnOnce(&Connection) -> SqlResult<T> + Send + 'static,
) -> JoinHandle<Result<T, Error>> {
    let disk = disk.clone();
    tokio::spawn(async move { disk.write(job).await })
}

#[tokio::test]
async fn writes_that_wait_together_commit_together() {
    let (_dir, disk) = on_disk();
    let release = hold(&disk).await;
    let writes: Vec<_> = (0..100).map(|n| spawn(&disk, insert(n))).collect();
    all_wait(&disk, 100).await;
    drop(release);
    for write in writes {
        assert_eq!(write.await.unwrap().unwrap(), 1);
    }
    assert_eq!(disk.commits(), 2, "one for the job that held the writer, one for the hundred");
    assert_eq!(disk.read(numbers).await.unwrap(), (0..100).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_among_many_callers() {
    let (_dir, disk) = on_disk();
    let writes: Vec<_> = (0..2000).map(|n| spawn(&disk, insert(n))).collect();
    for write in writes {
        write.await.unwrap().unwrap();
    }
    assert_eq!(disk.read(numbers).await.unwrap(), (0..2000).collect::<Vec<_>>());
    assert!(disk.commits() < 2000, "{} transactions for 2000 writes", disk.commits());
}

#[tokio::test]
async fn a_failing_job_undoes_only_itself() {
    let (_dir, disk) = on_disk();
    let release = hold(&disk).await;
    let before = spawn(&disk, insert(1));
    let fails = spawn(&disk, |c| {
        insert(2)(c)?;
        insert(1)(c)
    });
    let panics = spawn(&disk, |c| -> SqlResult<()> {
        insert(3)(c)?;
        panic!("a bug in the job");
    });
    let orphan = spawn(&disk, |c| c.execute("INSERT INTO parts VALUES (77, NULL)", []));
    let after = spawn(&disk, insert(4));
    all_wait(&disk, 5).await;
    drop(release);
    before.await.unwrap().unwrap();
    let error = fails.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("UNIQUE constraint failed"), "{error}");
    assert!(panics.await.unwrap_err().is_panic(), "the panic belongs to the caller of the job");
    let error = orphan.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("FOREIGN KEY constraint failed"), "{error}");
    after.await.unwrap().unwrap();
    assert_eq!(disk.commits(), 2, "all five were one group");
    assert_eq!(disk.read(numbers).await.unwrap(), [1, 4]);
}

#[tokio::test]
async fn when_the_transaction_is_lost_nobody_in_it_is_told_it_was_kept() {
    let (_dir, disk) = on_disk();
    let release = hold(&disk).await;
    let before = spawn(&disk, insert(1));
    // What SQLite does by itself on a failing disk.
    let loses = spawn(&disk, |c| c.execute_batch("ROLLBACK"));
    let after = spawn(&disk, insert(2));
    all_wait(&disk, 3).await;
    drop(release);
    assert!(before.await.unwrap().is_err());
    assert!(loses.await.unwrap().is_err());
    after.await.unwrap().unwrap();
    assert_eq!(disk.read(numbers).await.unwrap(), [2]);
}

#[tokio::test]
async fn a_commit_that_fails_fails_its_whole_group_and_only_that() {
    let (_dir, disk) = on_disk();
    let release = hold(&disk).await;
    let good = spawn(&disk, insert(1));
    let open = spawn(&disk, |c| {
        insert(2)(c)?;
        c.execute("INSERT INTO parts VALUES (2, 77)", [])
    });
    all_wait(&disk, 2).await;
    drop(release);
    assert!(good.await.unwrap().is_err() && open.await.unwrap().is_err());
    disk.write(insert(3)).await.unwrap();
    assert_eq!(disk.read(numbers).await.unwrap(), [3]);
}

#[tokio::test]
async fn a_full_disk_is_said_and_survived() {
    let (_dir, disk) = on_disk();
    disk.write(insert(1)).await.unwrap();
    // The same error as that of a full disk, without filling one.
    let pages: i64 = disk.read(|c| c.query_row("PRAGMA page_count", [], |row| row.get(0))).await.unwrap();
    let limit = move |c: &Connection, pages: i64| c.pragma_update(None, "max_page_count", pages);
    disk.write(move |c| limit(c, pages + 10)).await.unwrap();
    let release = hold(&disk).await;
    let small = spawn(&disk, insert(2));
    let large = spawn(&disk, |c| {
        c.execute_batch("CREATE TABLE blobs (b BLOB); INSERT INTO blobs VALUES (zeroblob(1000000))")
    });
    all_wait(&disk, 2).await;
    drop(release);
    let error = large.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert!(error.to_string().starts_with("no space is left for `"), "{error}");
    let kept = small.await.unwrap().is_ok();
    disk.write(move |c| limit(c, 1_000_000)).await.unwrap();
    disk.write(insert(3)).await.unwrap();
    let expected: &[i64] = if kept { &[1, 2, 3] } else { &[1, 3] };
    assert_eq!(disk.read(numbers).await.unwrap(), expected, "what was answered and what is there agree");
}

#[tokio::test]
async fn a_caller_that_left_takes_its_job_along() {
    let (_dir, disk) = on_disk();
    let release = hold(&disk).await;
    let leaves = spawn(&disk, insert(1));
    let stays = spawn(&disk, insert(2));
    all_wait(&disk, 2).await;
    leaves.abort();
    assert!(leaves.await.unwrap_err().is_cancelled());
    drop(release);
    stays.await.unwrap().unwrap();
    assert_eq!(disk.read(numbers).await.unwrap(), [2]);
}

#[tokio::test]
async fn a_reader_sees_one_moment_and_cannot_write() {
    let (_dir, on_disk) = on_disk();
    let (in_memory, ()) = Disk::in_memory_with(table).unwrap();
    for disk in [on_disk, in_memory] {
        disk.write(insert(1)).await.unwrap();
        let error = disk.read(insert(2)).await.unwrap_err();
        assert!(error.to_string().contains("readonly database"), "{error}");
        let panics = disk.clone();
        let panics = tokio::spawn(async move { panics.read(|_| -> SqlResult<()> { panic!("a bug") }).await });
        assert!(panics.await.unwrap_err().is_panic());
        disk.write(insert(3)).await.unwrap();
        assert_eq!(disk.read(numbers).await.unwrap(), [1, 3]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_looks_of_one_reader_agree() {
    let (_dir, disk) = on_disk();
    disk.write(insert(1)).await.unwrap();
    let (looked, first) = tokio::sync::oneshot::channel();
    let (resume, second) = mpsc::channel::<()>();
    let reader = disk.clone();
    let reader = tokio::spawn(async move {
        reader
            .read(move |c| {
                let before = numbers(c)?;
                looked.send(()).unwrap();
                second.recv().unwrap();
                Ok((before, numbers(c)?))
            })
            .await
    });
    first.await.unwrap();
    disk.write(insert(2)).await.unwrap();
    resume.send(()).unwrap();
    assert_eq!(reader.await.unwrap().unwrap(), (vec![1], vec![1]));
    assert_eq!(disk.read(numbers).await.unwrap(), [1, 2], "the next one sees what was acknowledged");
}

#[tokio::test]
async fn closing_finishes_what_waits_and_refuses_what_comes() {
    let (dir, disk) = on_disk();
    let release = hold(&disk).await;
    let waits = spawn(&disk, insert(1));
    all_wait(&disk, 1).await;
    let closing = tokio::spawn({
        let disk = disk.clone();
        async move { disk.close().await }
    });
    tokio::task::yield_now().await;
    drop(release);
    closing.await.unwrap();
    waits.await.unwrap().unwrap();
    assert!(matches!(disk.write(insert(2)).await, Err(Error::Closed)));
    assert!(matches!(disk.read(numbers).await, Err(Error::Closed)));
    disk.close().await;
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["numbers.db"], "the log is folded into the file");
    let again = Disk::open(&dir.path().join("numbers.db")).unwrap();
    assert_eq!(again.read(numbers).await.unwrap(), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_every_reader_whoever_of_them_hears_of_it() {
    // The readers race for the word; each round is another race.
    for _ in 0..50 {
        let (_dir, disk) = on_disk();
        let reads: Vec<_> = (0..8)
            .map(|_| {
                tokio::spawn({
                    let disk = disk.clone();
                    async move { disk.read(numbers).await }
                })
            })
            .collect();
        tokio::time::timeout(std::time::Duration::from_secs(10), disk.close()).await.unwrap();
        for read in reads {
            let read = read.await.unwrap();
            assert!(matches!(read, Ok(_) | Err(Error::Closed)), "{read:?}");
        }
    }
}

#[test]
fn a_first_job_that_fails_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("numbers.db");
    let failed = Disk::open_with(&path, |c| {
        table(c)?;
        c.execute_batch("INSERT INTO nowhere VALUES (1)")
    });
    assert!(failed.is_err_and(|error| error.to_string().contains("nowhere")));
    let (_disk, tables) = Disk::open_with(&path, |c| {
        c.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get::<_, i64>(0))
    })
    .unwrap();
    assert_eq!(tables, 0);
}
