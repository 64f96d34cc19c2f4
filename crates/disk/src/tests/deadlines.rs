//! Jobs of strangers: deadlines, callers that leave, groups that one of them breaks.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::{all_wait, hold, numbers, on_disk, table};
use crate::{Disk, Error, Glance, Session};

/// Runs until somebody ends it.
const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0";

const SHORT: Duration = Duration::from_millis(100);

/// What an interruption may take at most, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(1);

/// How long a result may be read.
pub(super) const LIFE: Duration = Duration::from_secs(60);

pub(super) fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Executes this text with numbers for `?1`.
pub(super) fn sql(
    text: &str,
    n: i64,
) -> impl FnMut(&Session<'_>) -> Result<usize, Error> + Send + 'static + use<> {
    let text = text.to_owned();
    move |s| {
        let mut statement = s.prepare_cached(&text).map_err(|error| s.explain(error))?;
        let run = if text.contains("?1") { statement.execute([n]) } else { statement.execute([]) };
        run.map_err(|error| s.explain(error))
    }
}

pub(super) fn add(n: i64) -> impl FnMut(&Session<'_>) -> Result<usize, Error> + Send + 'static + use<> {
    sql("INSERT INTO numbers VALUES (?1)", n)
}

fn spawn(
    disk: &Disk,
    deadline: Instant,
    job: impl FnMut(&Session<'_>) -> Result<usize, Error> + Send + 'static,
) -> JoinHandle<Result<usize, Error>> {
    let disk = disk.clone();
    tokio::spawn(async move { disk.write_until(deadline, job).await })
}

fn endless(s: &Session<'_>) -> Result<usize, Error> {
    s.query_row(ENDLESS, [], |row| row.get(0)).map_err(|error| s.explain(error))
}

fn endless_write(s: &Session<'_>) -> Result<usize, Error> {
    s.execute(&format!("INSERT INTO numbers {ENDLESS} OR i > 5"), []).map_err(|error| s.explain(error))
}

fn databases() -> [(Option<tempfile::TempDir>, Disk); 2] {
    let (dir, on_disk) = on_disk();
    let (in_memory, ()) = Disk::in_memory_with(table).unwrap();
    [(Some(dir), on_disk), (None, in_memory)]
}

#[tokio::test]
async fn what_has_not_begun_by_its_deadline_never_does() {
    for (_dir, disk) in databases() {
        let release = hold(&disk).await;
        let begun = Instant::now();
        let error = disk.write_until(begun + SHORT, add(1)).await.unwrap_err();
        assert!(matches!(error, Error::NotBegun), "{error}");
        assert!(begun.elapsed() >= SHORT && begun.elapsed() < SHORT + SOON, "{:?}", begun.elapsed());
        let error = disk.begin(Instant::now() + SHORT).await.unwrap_err();
        assert!(matches!(error, Error::NotBegun), "{error}");
        drop(release);
        let error = disk.write_until(Instant::now(), add(2)).await.unwrap_err();
        assert!(matches!(error, Error::NotBegun), "{error}");
        assert_eq!(disk.write_until(later(), add(3)).await.unwrap(), 1);
        assert_eq!(disk.read(numbers).await.unwrap(), [3]);
    }
}

#[tokio::test]
async fn what_has_begun_is_interrupted_at_its_deadline() {
    for (_dir, disk) in databases() {
        let begun = Instant::now();
        let error = disk.write_until(begun + SHORT, endless_write).await.unwrap_err();
        assert!(matches!(error, Error::Interrupted), "{error}");
        let error = disk.read_until(begun + SHORT * 2, |s, _| endless(s)).await.unwrap_err();
        assert!(matches!(error, Error::Interrupted), "{error}");
        assert!(begun.elapsed() >= SHORT * 2 && begun.elapsed() < SHORT * 2 + SOON, "{:?}", begun.elapsed());
        assert!(disk.read(numbers).await.unwrap().is_empty(), "nothing of it is kept");
    }
}

#[tokio::test]
async fn a_caller_that_leaves_ends_its_statement() {
    for (_dir, disk) in databases() {
        let write = spawn(&disk, later(), endless_write);
        let read = tokio::spawn({
            let disk = disk.clone();
            async move { disk.read_until(later(), |s, _| endless(s)).await }
        });
        tokio::time::sleep(SHORT).await;
        assert!(!write.is_finished() && !read.is_finished());
        write.abort();
        read.abort();
        let left = Instant::now();
        assert_eq!(disk.write_until(later(), add(1)).await.unwrap(), 1);
        assert!(left.elapsed() < SOON, "the writer was free after {:?}", left.elapsed());
        assert_eq!(disk.read(numbers).await.unwrap(), [1]);
    }
}

/// One instruction of SQLite's machine counts a whole table, and looks at no clock meanwhile.
#[tokio::test]
async fn a_single_long_instruction_is_interrupted() {
    let (_dir, disk) = on_disk();
    disk.write_until(later(), sql("CREATE TABLE wide (b BLOB)", 0)).await.unwrap();
    let fill = "INSERT INTO wide WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
        SELECT zeroblob(900) FROM n";
    let count = |s: &Session<'_>, _: &mut crate::Reply<i64, Error>| {
        s.query_row("SELECT count(*) FROM wide", [], |row| row.get(0)).map_err(|error| s.explain(error))
    };
    // A timer is exact to a millisecond, so it must take some.
    let mut whole = Duration::ZERO;
    for _ in 0..10 {
        disk.write_until(later(), sql(fill, 10_000)).await.unwrap();
        disk.read_until(later(), count).await.unwrap();
        let begun = Instant::now();
        disk.read_until(later(), count).await.unwrap();
        whole = begun.elapsed();
        if whole > Duration::from_millis(10) {
            break;
        }
    }
    // As often as it takes until a deadline falls into the middle of one.
    for part in [2, 3, 4].into_iter().cycle().take(200) {
        match disk.read_until(Instant::now() + whole / part, count).await {
            Err(Error::Interrupted) => return,
            Ok(_) | Err(Error::NotBegun) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("counting took {whole:?} and was never interrupted");
}

/// SQLite rolls the whole transaction back when a statement that writes is interrupted.
#[tokio::test]
async fn one_that_is_interrupted_costs_its_group_nothing() {
    let (_dir, disk) = on_disk();
    let release = hold(&disk).await;
    let before: Vec<_> = (1..=3).map(|n| spawn(&disk, later(), add(n))).collect();
    let double = spawn(&disk, later(), add(3));
    let slow = spawn(&disk, Instant::now() + SHORT * 3, endless_write);
    let after = spawn(&disk, later(), add(4));
    all_wait(&disk, 6).await;
    drop(release);
    let error = slow.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error}");
    for write in before.into_iter().chain([after]) {
        assert_eq!(write.await.unwrap().unwrap(), 1);
    }
    let error = double.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("UNIQUE"), "{error}");
    assert_eq!(disk.read(numbers).await.unwrap(), [1, 2, 3, 4], "each exactly once");
}

#[tokio::test]
async fn a_conflict_that_rolls_back_costs_its_group_nothing() {
    let (_dir, disk) = on_disk();
    let release = hold(&disk).await;
    let before = spawn(&disk, later(), add(1));
    let rolls_back = spawn(&disk, later(), sql("INSERT OR ROLLBACK INTO numbers VALUES (?1)", 1));
    let after = spawn(&disk, later(), add(2));
    all_wait(&disk, 3).await;
    drop(release);
    before.await.unwrap().unwrap();
    after.await.unwrap().unwrap();
    let error = rolls_back.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("UNIQUE"), "{error}");
    assert_eq!(disk.read(numbers).await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn a_deferred_violation_fails_the_job_and_not_its_group() {
    let (_dir, disk) = on_disk();
    let release = hold(&disk).await;
    let before = spawn(&disk, later(), add(1));
    let open = spawn(&disk, later(), |s| {
        add(2)(s)?;
        sql("INSERT INTO parts VALUES (?1, 77)", 2)(s)
    });
    let closed = spawn(&disk, later(), |s| {
        add(3)(s)?;
        sql("INSERT INTO parts VALUES (?1, 4)", 3)(s)?;
        add(4)(s)
    });
    let after = spawn(&disk, later(), add(5));
    all_wait(&disk, 4).await;
    drop(release);
    for write in [before, closed, after] {
        write.await.unwrap().unwrap();
    }
    let error = open.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("FOREIGN KEY"), "{error}");
    assert_eq!(error.native(), Some("SQLITE_CONSTRAINT_FOREIGNKEY"));
    assert_eq!(disk.read(numbers).await.unwrap(), [1, 3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_among_many_lose_and_double_nothing() {
    let (_dir, disk) = on_disk();
    let writes: Vec<_> = (0..1000)
        .map(|n| match n % 10 {
            7 => (n, spawn(&disk, later(), sql("INSERT INTO parts VALUES (0, ?1)", -n - 1))),
            8 => (
                n,
                spawn(
                    &disk,
                    later(),
                    sql("INSERT OR ROLLBACK INTO numbers SELECT n FROM numbers LIMIT ?1", 1),
                ),
            ),
            _ => (n, spawn(&disk, later(), add(n))),
        })
        .collect();
    let mut expected = Vec::new();
    for (n, write) in writes {
        let done = write.await.unwrap();
        if n % 10 != 7 && n % 10 != 8 {
            done.unwrap();
            expected.push(n);
        } else if n > 10 {
            done.unwrap_err();
        }
    }
    assert_eq!(disk.read(numbers).await.unwrap(), expected);
    assert!(disk.commits() < 1000, "{} transactions", disk.commits());
}

#[tokio::test]
async fn a_result_may_be_answered_early_and_sent_after_that() {
    let (_dir, disk) = on_disk();
    let (pieces, mut read) = tokio::sync::mpsc::channel::<i64>(1);
    let (ended, end) = tokio::sync::oneshot::channel();
    let mut ended = Some(ended);
    let job = move |s: &Session<'_>, reply: &mut crate::Reply<&'static str, Error>| {
        assert!(s.may_stream());
        let reader = pieces.clone();
        reply.early(s, "it begins", s.hold(LIFE).unwrap(), move || !reader.is_closed());
        let mut sent = 0;
        while s.send(&pieces, sent) {
            sent += 1;
        }
        ended.take().unwrap().send(sent).unwrap();
        Ok("nobody hears this")
    };
    assert_eq!(disk.read_until(Instant::now() + SHORT, job).await.unwrap(), "it begins");
    tokio::time::sleep(SHORT * 2).await;
    for expected in 0..100 {
        assert_eq!(read.recv().await, Some(expected), "it has no deadline any more");
    }
    drop(read);
    let sent = tokio::time::timeout(SOON, end).await.unwrap().unwrap();
    assert!((100..=102).contains(&sent), "{sent} were sent when the reader left");
}

#[tokio::test]
async fn a_reader_that_leaves_ends_what_is_computed_for_it() {
    let (_dir, disk) = on_disk();
    let (pieces, read) = tokio::sync::mpsc::channel::<i64>(1);
    let (ended, end) = tokio::sync::oneshot::channel();
    let mut ended = Some(ended);
    let job = move |s: &Session<'_>, reply: &mut crate::Reply<(), Error>| {
        let reader = pieces.clone();
        reply.early(s, (), s.hold(LIFE).unwrap(), move || !reader.is_closed());
        let done = endless(s);
        ended.take().unwrap().send(done.is_err()).unwrap();
        done.map(drop)
    };
    disk.read_until(later(), job).await.unwrap();
    drop(read);
    assert!(tokio::time::timeout(SOON, end).await.unwrap().unwrap());
}

#[tokio::test]
async fn slow_readers_get_company_and_go_again() {
    let (_dir, disk) = on_disk();
    let (release, held) = tokio::sync::watch::channel(());
    let slow: Vec<_> = (0..30)
        .map(|_| {
            let (disk, mut held) = (disk.clone(), held.clone());
            tokio::spawn(async move {
                disk.read(move |_| {
                    let _ = crate::wait::wait(held.changed());
                    Ok(())
                })
                .await
            })
        })
        .collect();
    let readers = disk.inner.readers.as_ref().unwrap();
    while readers.running() < 30 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(disk.read_until(later(), |s, _| numbers(s).map_err(|e| s.explain(e))).await.unwrap().is_empty());
    drop(release);
    for read in slow {
        read.await.unwrap().unwrap();
    }
    assert!(readers.running() <= 31);
}

#[tokio::test]
async fn when_all_readers_are_taken_others_wait_until_their_deadline() {
    let (_dir, disk) = on_disk();
    let (release, held) = tokio::sync::watch::channel(());
    let most = crate::readers::MOST_READERS;
    let slow: Vec<_> = (0..most)
        .map(|_| {
            let (disk, mut held) = (disk.clone(), held.clone());
            tokio::spawn(async move {
                disk.read(move |_| {
                    let _ = crate::wait::wait(held.changed());
                    Ok(())
                })
                .await
            })
        })
        .collect();
    while disk.inner.readers.as_ref().unwrap().running() < most {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(SHORT).await;
    let look = |s: &Session<'_>, _: &mut crate::Reply<Vec<i64>, Error>| numbers(s).map_err(|e| s.explain(e));
    let error = disk.read_until(Instant::now() + SHORT, look).await.unwrap_err();
    assert!(matches!(error, Error::NotBegun), "{error}");
    let waits = tokio::spawn({
        let disk = disk.clone();
        async move { disk.read_until(later(), look).await }
    });
    tokio::time::sleep(SHORT).await;
    assert!(!waits.is_finished());
    drop(release);
    assert!(waits.await.unwrap().unwrap().is_empty());
    for read in slow {
        read.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_glance_is_quick_or_nothing() {
    let (_dir, disk) = on_disk();
    let look = |s: &Session<'_>| numbers(s).unwrap();
    let seen = disk.glance(|s| numbers(s).map_err(|error| s.explain(error)).unwrap_err());
    assert!(matches!(seen, Glance::Seen(Error::Refused { .. })), "nothing is prepared in a glance: {seen:?}");
    let prepare = |s: &Session<'_>, _: &mut crate::Reply<(), Error>| {
        let prepared = numbers(s).and_then(|_| s.prepare_cached(ENDLESS).map(drop));
        prepared.map_err(|error| s.explain(error))
    };
    disk.read_until(later(), prepare).await.unwrap();
    for n in 0..10 {
        disk.write_until(later(), add(n)).await.unwrap();
        assert_eq!(disk.glance(look), Glance::Seen((0..=n).collect()), "it sees what was acknowledged");
    }
    let begun = Instant::now();
    let looked =
        disk.glance(|s| s.prepare_cached(ENDLESS).and_then(|mut endless| endless.exists([])).is_ok());
    assert_eq!(looked, Glance::TooLong, "it was more than a glance");
    assert!(begun.elapsed() < SOON);
    assert_eq!(
        disk.glance(|_| disk.glance(look)),
        Glance::Seen(Glance::NoneFree),
        "the one connection is taken"
    );
    assert_eq!(disk.glance(look), Glance::Seen((0..10).collect()));
    disk.close().await;
    assert_eq!(disk.glance(look), Glance::NoneFree);
}
