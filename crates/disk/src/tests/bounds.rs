//! What strangers cannot take: all readers, the health of the database, and the disk for its log.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::deadlines::{LIFE, later};
use super::{insert, numbers, on_disk, table};
use crate::readers::MOST_HELD;
use crate::{Disk, Error, Session, Turn};

/// A stream that nobody reads; `None` when it could not be begun.
async fn stream(disk: &Disk, life: Duration) -> Option<mpsc::Receiver<i64>> {
    let (pieces, read) = mpsc::channel::<i64>(1);
    let job = move |s: &Session<'_>, reply: &mut crate::Reply<bool, Error>| {
        let Some(hold) = s.hold(life) else { return Ok(false) };
        numbers(s).map_err(|error| s.explain(error))?;
        let reader = pieces.clone();
        reply.early(s, true, hold, move || !reader.is_closed());
        while s.send(&pieces, 0) {}
        Ok(true)
    };
    disk.read_until(later(), job).await.unwrap().then_some(read)
}

#[tokio::test]
async fn a_crowd_that_does_not_read_leaves_readers_and_health() {
    let (_dir, disk) = on_disk();
    let mut streams = Vec::new();
    let mut turns = Vec::new();
    for n in 0..MOST_HELD {
        if n % 2 == 0 {
            streams.push(stream(&disk, LIFE).await.unwrap());
        } else {
            turns.push(disk.begin_looking(later(), LIFE).await.unwrap());
        }
    }
    assert!(stream(&disk, LIFE).await.is_none(), "streams have their part");
    let soon = || Instant::now() + Duration::from_millis(200);
    let mut waiting = Vec::new();
    for _ in 0..30 {
        let disk = disk.clone();
        waiting.push(tokio::spawn(async move { disk.begin_looking(soon(), LIFE).await }));
    }
    for n in 0..100 {
        disk.write(insert(n)).await.unwrap();
        disk.read_until(soon(), |s, _| numbers(s).map_err(|e| s.explain(e))).await.unwrap();
        disk.probe(soon()).await.unwrap();
    }
    for turn in waiting {
        let error = turn.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::NotBegun), "{error}");
    }
    let waits = tokio::spawn({
        let disk = disk.clone();
        async move { disk.begin_looking(later(), LIFE).await.map(drop) }
    });
    turns.pop();
    waits.await.unwrap().unwrap();
    streams.pop();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(stream(&disk, LIFE).await.is_some(), "one that goes makes room");
    let (one, other) = (disk.probe(later()), disk.probe(later()));
    let (one, other) = tokio::join!(one, other);
    one.and(other).unwrap();
    disk.close().await;
    assert!(matches!(disk.probe(later()).await, Err(Error::Closed)));
}

#[tokio::test]
async fn results_and_looking_turns_have_a_life() {
    let (_dir, disk) = on_disk();
    let life = Duration::from_millis(300);
    let mut read = stream(&disk, life).await.unwrap();
    let mut turn = disk.begin_looking(later(), life).await.unwrap();
    look(&mut turn).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let error = look(&mut turn).await.unwrap_err();
    assert!(matches!(error, Error::Ended), "{error}");
    let mut pieces = 0;
    while read.recv().await.is_some() {
        pieces += 1;
    }
    assert!(pieces <= 2, "{pieces} pieces after its life");
    assert_eq!(disk.inner.readers.as_ref().unwrap().held(), 0);
}

async fn look(turn: &mut Turn) -> Result<Vec<i64>, Error> {
    turn.run(later(), |s| numbers(s).map_err(|error| s.explain(error))).await
}

#[tokio::test]
async fn the_oldest_reader_is_cut_when_the_log_grows_behind_it() {
    const MOST: u64 = 4 << 20;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("numbers.db");
    let (disk, ()) = Disk::open_within(&path, 1 << 30, MOST, table).unwrap();
    disk.write(|c| c.execute_batch("CREATE TABLE b (n INTEGER PRIMARY KEY, b BLOB)")).await.unwrap();
    let mut oldest = disk.begin_looking(later(), LIFE).await.unwrap();
    let mut streams = stream(&disk, LIFE).await.unwrap();
    let log = dir.path().join("numbers.db-wal");
    let begun = Instant::now();
    while look(&mut oldest).await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is never cut");
        disk.write(|c| c.execute("REPLACE INTO b VALUES (1, randomblob(200000))", [])).await.unwrap();
    }
    let mut largest = 0;
    for _ in 0..400 {
        disk.write(|c| c.execute("REPLACE INTO b VALUES (1, randomblob(200000))", [])).await.unwrap();
        largest = largest.max(std::fs::metadata(&log).unwrap().len());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(largest < 80 << 20, "80 MB were written behind the stream, and the log has {largest} bytes");
    assert!(largest > MOST);
    while streams.recv().await.is_some() {}
}
