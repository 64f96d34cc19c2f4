//! Many callers at once who leave, fail, hurry and hold turns, by seeded chance: what was acknowledged is there, what
//! was undone is not, and nobody is stuck.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::deadlines::{LIFE, add, later, sql};
use super::{numbers, on_disk};
use crate::{Disk, Error, Reply, Session};

/// What became of the numbers of one caller. Those of calls that were left are in neither.
#[derive(Default)]
struct Told {
    kept: BTreeSet<i64>,
    undone: BTreeSet<i64>,
}

impl Told {
    fn tell<T>(&mut self, n: i64, outcome: &Result<T, Error>) {
        if outcome.is_ok() { &mut self.kept } else { &mut self.undone }.insert(n);
    }
}

/// A small generator of chances (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % most
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_callers_do_the_answers_are_true() {
    let (_dir, disk) = on_disk();
    let callers: Vec<_> = (0..12)
        .map(|caller| {
            let disk = disk.clone();
            tokio::spawn(async move { live(disk, caller).await })
        })
        .collect();
    let mut all = Told::default();
    for caller in callers {
        let told =
            tokio::time::timeout(Duration::from_secs(120), caller).await.expect("nobody is stuck").unwrap();
        all.kept.extend(told.kept);
        all.undone.extend(told.undone);
    }
    let there: BTreeSet<i64> = disk.read(numbers).await.unwrap().into_iter().collect();
    let lost: Vec<_> = all.kept.difference(&there).collect();
    assert!(lost.is_empty(), "acknowledged and not there: {lost:?}");
    let risen: Vec<_> = all.undone.intersection(&there).collect();
    assert!(risen.is_empty(), "told as undone, and there: {risen:?}");
    assert!(
        all.kept.len() > 100 && all.undone.len() > 50,
        "{} kept, {} undone",
        all.kept.len(),
        all.undone.len()
    );
    tokio::time::timeout(Duration::from_secs(10), disk.close()).await.expect("it closes");
}

async fn live(disk: Disk, caller: i64) -> Told {
    let mut chance = Chance(caller.unsigned_abs());
    let mut told = Told::default();
    for round in 0..60 {
        let n = caller * 1_000_000 + round * 10;
        match chance.below(8) {
            0 => {
                // Fails after it has written.
                let done = disk
                    .write_until(later(), move |s| {
                        add(n)(s)?;
                        sql("INSERT INTO numbers VALUES (?1)", n)(s)
                    })
                    .await;
                told.tell(n, &done);
            }
            1 => {
                // Leaves before long.
                let gone = Duration::from_micros(chance.below(3000));
                if let Ok(done) = tokio::time::timeout(gone, disk.write_until(later(), add(n))).await {
                    told.tell(n, &done);
                }
            }
            2 => {
                // Writes for longer than it may.
                let endless = "INSERT INTO numbers WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n) \
                               SELECT -1 - i FROM n";
                let deadline = Instant::now() + Duration::from_micros(chance.below(5000));
                let done = disk.write_until(deadline, sql(endless, n)).await;
                assert!(matches!(done, Err(Error::Interrupted | Error::NotBegun)), "{done:?}");
            }
            3 => hold_turn(&disk, &mut chance, &mut told, n).await,
            4 => {
                let done = disk.write_until(later(), sql("INSERT INTO parts VALUES (0, ?1)", -1 - n)).await;
                assert!(done.is_err(), "a key that is checked late leads nowhere");
            }
            5 => leave_a_result(&disk, &mut chance).await,
            _ => {
                let done = disk.write_until(later(), add(n)).await;
                assert!(done.is_ok(), "{done:?}");
                told.tell(n, &done);
            }
        }
    }
    told
}

async fn hold_turn(disk: &Disk, chance: &mut Chance, told: &mut Told, n: i64) {
    let Ok(mut turn) = disk.begin(Instant::now() + Duration::from_millis(chance.below(200))).await else {
        return;
    };
    let both = [n, n + 1];
    for n in both {
        turn.run(later(), add(n)).await.unwrap();
    }
    match chance.below(3) {
        0 => {
            drop(turn);
            told.undone.extend(both);
        }
        1 => {
            turn.rollback().await.unwrap();
            told.undone.extend(both);
        }
        _ => {
            turn.commit().await.unwrap();
            told.kept.extend(both);
        }
    }
}

async fn leave_a_result(disk: &Disk, chance: &mut Chance) {
    let (pieces, mut read) = tokio::sync::mpsc::channel::<i64>(2);
    let job = move |s: &Session<'_>, reply: &mut Reply<(), Error>| {
        let reader = pieces.clone();
        reply.early(s, (), s.hold(LIFE).unwrap(), move || !reader.is_closed());
        let mut piece = 0;
        while s.send(&pieces, piece) {
            piece += 1;
        }
        Ok(())
    };
    disk.read_until(later(), job).await.unwrap();
    for expected in 0..chance.below(20) {
        assert_eq!(read.recv().await, Some(i64::try_from(expected).unwrap()));
    }
}
