//! Transactions over several calls: the writer's turn, and readers of their own.

use std::time::{Duration, Instant};

use super::deadlines::{LIFE, add, later, sql};
use super::{insert, numbers, on_disk, table};
use crate::{Disk, Error, Session};

const SHORT: Duration = Duration::from_millis(100);

fn look(s: &Session<'_>) -> Result<Vec<i64>, Error> {
    numbers(s).map_err(|error| s.explain(error))
}

#[tokio::test]
async fn others_wait_for_the_turn_and_see_nothing_before_its_end() {
    let (_dir, disk) = on_disk();
    let mut turn = disk.begin(later()).await.unwrap();
    assert_eq!(turn.run(later(), add(1)).await.unwrap(), 1);
    assert_eq!(turn.run(later(), look).await.unwrap(), [1]);
    assert!(disk.read(numbers).await.unwrap().is_empty());
    let waits = tokio::spawn({
        let disk = disk.clone();
        async move { disk.write(insert(2)).await }
    });
    let error = disk.begin(Instant::now() + SHORT).await.unwrap_err();
    assert!(matches!(error, Error::NotBegun), "{error}");
    assert!(!waits.is_finished());
    turn.commit().await.unwrap();
    waits.await.unwrap().unwrap();
    assert_eq!(disk.read(numbers).await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn a_handle_that_is_dropped_rolls_back_at_once() {
    let (_dir, disk) = on_disk();
    let mut turn = disk.begin(later()).await.unwrap();
    turn.run(later(), add(1)).await.unwrap();
    drop(turn);
    disk.write(insert(2)).await.unwrap();
    let panics = tokio::spawn({
        let disk = disk.clone();
        async move {
            let mut turn = disk.begin(later()).await.unwrap();
            turn.run(later(), add(3)).await.unwrap();
            panic!("a bug of the holder");
        }
    });
    assert!(panics.await.unwrap_err().is_panic());
    disk.write(insert(4)).await.unwrap();
    assert_eq!(disk.read(numbers).await.unwrap(), [2, 4]);
}

#[tokio::test]
async fn a_job_that_panics_ends_the_transaction() {
    let (_dir, disk) = on_disk();
    let panics = tokio::spawn({
        let disk = disk.clone();
        async move {
            let mut turn = disk.begin(later()).await.unwrap();
            turn.run(later(), add(1)).await.unwrap();
            turn.run(later(), |_| -> Result<(), Error> { panic!("a bug of the job") }).await
        }
    });
    assert!(panics.await.unwrap_err().is_panic());
    disk.write(insert(2)).await.unwrap();
    assert_eq!(disk.read(numbers).await.unwrap(), [2]);
}

#[tokio::test]
async fn a_caller_that_leaves_in_the_middle_frees_the_turn() {
    let (_dir, disk) = on_disk();
    let holder = tokio::spawn({
        let disk = disk.clone();
        async move {
            let mut turn = disk.begin(later()).await.unwrap();
            let endless = "INSERT INTO numbers WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
            turn.run(later(), sql(endless, 0)).await
        }
    });
    tokio::time::sleep(SHORT).await;
    assert!(!holder.is_finished());
    holder.abort();
    let left = Instant::now();
    disk.write(insert(1)).await.unwrap();
    assert!(left.elapsed() < Duration::from_secs(1), "the writer was free after {:?}", left.elapsed());
    assert_eq!(disk.read(numbers).await.unwrap(), [1]);
}

#[tokio::test]
async fn what_fails_within_leaves_the_rest() {
    let (_dir, disk) = on_disk();
    let mut turn = disk.begin(later()).await.unwrap();
    turn.run(later(), add(1)).await.unwrap();
    let error = turn.run(later(), add(1)).await.unwrap_err();
    assert!(error.to_string().contains("UNIQUE"), "{error}");
    for step in ["SAVEPOINT a", "INSERT INTO numbers VALUES (2)", "ROLLBACK TO a", "RELEASE a"] {
        turn.run(later(), sql(step, 0)).await.unwrap();
    }
    turn.commit().await.unwrap();
    assert_eq!(disk.read(numbers).await.unwrap(), [1]);
}

#[tokio::test]
async fn a_transaction_that_sqlite_ended_is_over() {
    let (_dir, disk) = on_disk();
    let mut turn = disk.begin(later()).await.unwrap();
    turn.run(later(), add(1)).await.unwrap();
    turn.run(later(), sql("INSERT OR ROLLBACK INTO numbers VALUES (?1)", 1)).await.unwrap_err();
    let error = turn.run(later(), add(2)).await.unwrap_err();
    assert!(matches!(error, Error::Ended), "{error}");
    assert!(matches!(turn.commit().await, Err(Error::Ended)));
    assert!(disk.read(numbers).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_commit_that_is_refused_undoes_it() {
    let (_dir, disk) = on_disk();
    let mut turn = disk.begin(later()).await.unwrap();
    turn.run(later(), add(1)).await.unwrap();
    turn.run(later(), sql("INSERT INTO parts VALUES (?1, 77)", 1)).await.unwrap();
    let error = turn.commit().await.unwrap_err();
    assert!(error.to_string().contains("FOREIGN KEY"), "{error}");
    disk.write(insert(2)).await.unwrap();
    assert_eq!(disk.read(numbers).await.unwrap(), [2]);
}

#[tokio::test]
async fn who_looks_has_one_moment_and_a_reader_for_it() {
    let (_dir, disk) = on_disk();
    disk.write(insert(1)).await.unwrap();
    let mut turn = disk.begin_looking(later(), LIFE).await.unwrap();
    disk.write(insert(2)).await.unwrap();
    assert_eq!(turn.run(later(), look).await.unwrap(), [1], "it began before the second one");
    let error = turn.run(later(), add(3)).await.unwrap_err();
    assert!(error.to_string().contains("readonly"), "{error}");
    turn.rollback().await.unwrap();
    assert_eq!(disk.read(numbers).await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn closing_ends_transactions_and_results() {
    let (_dir, disk) = on_disk();
    let mut writes = disk.begin(later()).await.unwrap();
    writes.run(later(), add(1)).await.unwrap();
    let mut looks = disk.begin_looking(later(), LIFE).await.unwrap();
    let (pieces, mut read) = tokio::sync::mpsc::channel::<i64>(1);
    let job = move |s: &Session<'_>, reply: &mut crate::Reply<(), Error>| {
        let reader = pieces.clone();
        reply.early(s, (), s.hold(LIFE).unwrap(), move || !reader.is_closed());
        while s.send(&pieces, 0) {}
        Ok(())
    };
    disk.read_until(later(), job).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), disk.close())
        .await
        .expect("idle holders do not keep it open");
    assert!(matches!(writes.run(later(), add(2)).await, Err(Error::Ended)));
    assert!(matches!(looks.run(later(), look).await, Err(Error::Ended)));
    assert!(matches!(disk.begin(later()).await, Err(Error::Closed)));
    while read.recv().await.is_some() {}
}

#[tokio::test]
async fn in_memory_turns_are_taken_one_after_the_other() {
    let (disk, ()) = Disk::in_memory_with(table).unwrap();
    let mut turn = disk.begin(later()).await.unwrap();
    turn.run(later(), add(1)).await.unwrap();
    assert!(matches!(disk.begin_looking(Instant::now() + SHORT, LIFE).await, Err(Error::NotBegun)));
    turn.commit().await.unwrap();
    let mut turn = disk.begin_looking(later(), LIFE).await.unwrap();
    assert_eq!(turn.run(later(), look).await.unwrap(), [1]);
}

#[tokio::test]
async fn a_part_that_fails_is_undone_and_the_rest_stands() {
    let (_dir, disk) = on_disk();
    let mut turn = disk.begin(later()).await.unwrap();
    turn.run(later(), add(1)).await.unwrap();
    let fails = |s: &Session<'_>| s.undoing(|| add(2)(s).and(Err::<(), _>(Error::Interrupted)));
    turn.run(later(), fails).await.unwrap_err();
    turn.run(later(), |s| s.undoing(|| add(3)(s))).await.unwrap();
    turn.commit().await.unwrap();
    assert_eq!(disk.read(numbers).await.unwrap(), [1, 3]);
}
