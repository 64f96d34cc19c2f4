//! Sums are exact, one at a time, and refused where there is none.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::Code;

use super::{Subject, passed, refused};

pub(super) async fn run(subject: &Subject) {
    sums_begin_at_zero_and_are_text(subject).await;
    what_is_no_number_is_refused_and_stays(subject).await;
    a_sum_beyond_64_bits_is_refused(subject).await;
    no_sum_is_lost_among_many(subject).await;
}

async fn sums_begin_at_zero_and_are_text(subject: &Subject) {
    let key = subject.key("number");
    assert_eq!(subject.incr(&key, 0).await, 0);
    assert_eq!(subject.incr(&key, 41).await, 41);
    assert_eq!(subject.incr(&key, -51).await, -10);
    assert_eq!(subject.text(&key).await.as_deref(), Some("-10"));
    subject.set(&key, "99").await;
    assert_eq!(subject.incr(&key, 1).await, 100);
    assert_eq!(subject.text(&key).await.as_deref(), Some("100"));
}

async fn what_is_no_number_is_refused_and_stays(subject: &Subject) {
    let key = subject.key("text");
    for text in ["abc", "", " 1", "1 ", "1.5", "1e3", "+1", "007", "-", "9223372036854775808", "\u{661}"] {
        subject.set(&key, text).await;
        assert_eq!(refused(subject.kv().incr(&key, 1)).await, Code::CommandFailed, "{text:?}");
        assert_eq!(subject.text(&key).await.as_deref(), Some(text));
    }
}

async fn a_sum_beyond_64_bits_is_refused(subject: &Subject) {
    let key = subject.key("edge");
    for (edge, inwards) in [(i64::MAX, -1), (i64::MIN, 1)] {
        subject.set(&key, edge.to_string()).await;
        assert_eq!(subject.incr(&key, 0).await, edge);
        assert_eq!(refused(subject.kv().incr(&key, -inwards)).await, Code::CommandFailed);
        assert_eq!(subject.text(&key).await, Some(edge.to_string()), "a refused sum changes nothing");
        assert_eq!(subject.incr(&key, inwards).await, edge + inwards);
    }
}

async fn no_sum_is_lost_among_many(subject: &Subject) {
    const TASKS: i64 = 16;
    const EACH: i64 = 100;
    let key: Arc<[u8]> = subject.key("many").into();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (adapter, key) = (Arc::clone(&subject.adapter), Arc::clone(&key));
            tokio::spawn(async move {
                let kv = adapter.key_value().expect("the adapter keeps keys and values");
                let mut sums = Vec::new();
                for _ in 0..EACH {
                    sums.push(passed("incr", kv.incr(&key, 1)).await);
                }
                sums
            })
        })
        .collect();
    let mut seen = BTreeSet::new();
    for task in tasks {
        let sums = task.await.expect("no task panics");
        assert!(sums.is_sorted(), "each task sees the number grow");
        seen.extend(sums);
    }
    assert!(seen.into_iter().eq(1..=TASKS * EACH), "each sum is given once");
}
