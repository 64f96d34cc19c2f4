//! What a key is known by, over time, restarts and its bounds.

use std::time::Duration;

use disk::params;

use super::{Claim, Claimed, Fingerprint, KEPT_MS, KeptAnswer, MOST_BYTES, MOST_KEYS, ROW};
use crate::Store;
use crate::db::cells;
use crate::tests::home::{Home, on_both};

fn print(text: &str) -> Fingerprint {
    Fingerprint::of(&[text.as_bytes()])
}

async fn first(store: &Store, key: &str) -> Claimed {
    match store.claim(print(key), print("request")).await.unwrap() {
        Claim::First(claimed) => claimed,
        other => panic!("{key} was known: {other:?}"),
    }
}

async fn again(store: &Store, key: &str) -> Claim {
    store.claim(print(key), print("request")).await.unwrap()
}

fn answer(body: &[u8]) -> KeptAnswer {
    let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
    KeptAnswer { status: 201, headers, body: body.to_vec() }
}

#[test]
fn parts_do_not_run_into_each_other() {
    assert_eq!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"ab", b"c"]));
    assert_ne!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"a", b"bc"]));
    assert_ne!(Fingerprint::of(&[b"ab"]), Fingerprint::of(&[b"ab", b""]));
}

on_both! {
    a_key_is_claimed_once_and_answered_again
    a_restart_forgets_no_answer_and_knows_what_it_does_not_know
    what_another_process_has_under_way_is_in_flight_until_it_is_gone
    one_of_many_at_once_claims_a_key
    after_a_day_a_key_is_new
}

async fn a_key_is_claimed_once_and_answered_again(home: Home) {
    let store = home.open().await;
    let claimed = first(&store, "a").await;
    assert!(matches!(again(&store, "a").await, Claim::InFlight));
    assert!(matches!(store.claim(print("a"), print("other")).await.unwrap(), Claim::Mismatch));
    claimed.keep(201, Some(answer(b"it is done"))).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(again(&store, "a").await, Claim::Done(kept) if kept == answer(b"it is done")));
    }
    assert!(matches!(store.claim(print("a"), print("other")).await.unwrap(), Claim::Mismatch));

    first(&store, "b").await.keep(200, None).await.unwrap();
    assert!(matches!(again(&store, "b").await, Claim::DoneUnkept(200)));
    first(&store, "c").await.release().await.unwrap();
    drop(first(&store, "c").await);
    assert!(matches!(again(&store, "c").await, Claim::Unknown), "it began, and nobody said how it ended");
}

async fn a_restart_forgets_no_answer_and_knows_what_it_does_not_know(home: Home) {
    let store = home.open().await;
    first(&store, "done").await.keep(201, Some(answer(b"yes"))).await.unwrap();
    let cut = first(&store, "cut").await;
    store.close().await;
    let store = home.open().await;
    assert!(matches!(again(&store, "done").await, Claim::Done(kept) if kept == answer(b"yes")));
    assert!(matches!(again(&store, "cut").await, Claim::Unknown));
    // The first of them ends, too late: it is of a store that is closed.
    assert!(cut.keep(201, None).await.is_err());
    assert!(matches!(again(&store, "cut").await, Claim::Unknown));
}

async fn what_another_process_has_under_way_is_in_flight_until_it_is_gone(home: Home) {
    let before = home.open().await;
    let (slow, lost) = (first(&before, "slow").await, first(&before, "lost").await);
    let store = home.open().await;
    store.shares_keys();
    assert!(matches!(again(&store, "slow").await, Claim::InFlight));
    assert!(matches!(store.claim(print("slow"), print("other")).await.unwrap(), Claim::Mismatch));
    store.shares_keys_for(Duration::from_secs(60));
    slow.keep(201, Some(answer(b"late"))).await.unwrap();
    assert!(matches!(again(&store, "slow").await, Claim::Done(kept) if kept == answer(b"late")));
    assert!(matches!(again(&store, "lost").await, Claim::InFlight));
    drop(lost);
    before.close().await;
    store.shares_keys_for(Duration::ZERO);
    assert!(matches!(again(&store, "lost").await, Claim::Unknown));
}

async fn one_of_many_at_once_claims_a_key(home: Home) {
    let store = home.open().await;
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.claim(print("race"), print("request")).await.unwrap() })
        })
        .collect();
    let mut claims = Vec::new();
    for task in tasks {
        claims.push(task.await.unwrap());
    }
    let (first, rest): (Vec<Claim>, Vec<Claim>) =
        claims.into_iter().partition(|claim| matches!(claim, Claim::First(_)));
    assert_eq!(first.len(), 1);
    assert!(rest.iter().all(|claim| matches!(claim, Claim::InFlight)));
}

#[tokio::test]
async fn a_claim_that_cannot_be_written_is_none() {
    let store = Store::in_memory().unwrap();
    let refuse = "CREATE TEMP TRIGGER full BEFORE INSERT ON idempotency BEGIN SELECT raise(ABORT, 'no'); END";
    store.disk().write(move |c| c.execute_batch(refuse)).await.unwrap();
    assert!(store.claim(print("a"), print("request")).await.is_err());
    store.disk().write(|c| c.execute_batch("DROP TRIGGER full")).await.unwrap();
    first(&store, "a").await;
}

async fn after_a_day_a_key_is_new(home: Home) {
    let store = home.open().await;
    first(&store, "old").await.keep(201, Some(answer(b"old"))).await.unwrap();
    first(&store, "older").await.keep(201, Some(answer(b"older"))).await.unwrap();
    let age = "UPDATE idempotency SET began_at = began_at - ?1";
    store.write(move |s| s.execute(age, cells![KEPT_MS])).await.unwrap();
    first(&store, "old").await.keep(200, Some(answer(b"new"))).await.unwrap();
    assert!(matches!(again(&store, "old").await, Claim::Done(kept) if kept.body == b"new"));
    assert_eq!(counted(&store).await.0, 1, "the other went as well");
}

#[tokio::test]
async fn the_oldest_go_when_there_are_too_many_or_they_are_too_large() {
    let store = Store::in_memory().unwrap();
    let most = MOST_KEYS.cast_signed();
    let fill = move |c: &disk::Connection| {
        c.execute(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
             INSERT INTO idempotency (key, request, began_at, size)
             SELECT CAST(printf('%032d', n) AS BLOB), zeroblob(32), ?2 + n, ?3 FROM n",
            params![most, jiff::Timestamp::now().as_millisecond() - most, ROW.cast_signed()],
        )
    };
    store.disk().write(fill).await.unwrap();
    let claimed = first(&store, "new").await;
    assert_eq!(counted(&store).await, (most, most * ROW.cast_signed()), "one came and one went");
    drop(claimed);

    let swell = move |c: &disk::Connection| {
        c.execute("DELETE FROM idempotency WHERE rowid < (SELECT max(rowid) - 100 FROM idempotency)", [])?;
        let last = "UPDATE idempotency SET size = ?1 WHERE rowid = (SELECT max(rowid) - 1 FROM idempotency)";
        c.execute(last, [MOST_BYTES.cast_signed() - 10 * ROW.cast_signed()])
    };
    store.disk().write(swell).await.unwrap();
    // Counted anew, as after a restart.
    *super::lock(&store.inner.under_way.kept) = None;
    first(&store, "newer").await.keep(201, Some(answer(b"small"))).await.unwrap();
    let (keys, bytes) = counted(&store).await;
    assert!(bytes <= MOST_BYTES.cast_signed() && keys < 12, "{keys} keys, {bytes} bytes");
    assert!(matches!(again(&store, "newer").await, Claim::Done(_)), "what is new stays");
}

/// Keys and bytes on disk, which are what the store believes they are.
async fn counted(store: &Store) -> (i64, i64) {
    let count = "SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM idempotency";
    let real = store.read(move |s| s.row(count, &[], |row| Ok((row.get(0)?, row.get(1)?)))).await;
    let real: (i64, i64) = real.unwrap().unwrap();
    let believed = super::lock(&store.inner.under_way.kept).unwrap();
    assert_eq!(real, (believed.keys.cast_signed(), believed.bytes.cast_signed()));
    real
}
