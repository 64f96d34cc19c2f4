//! What is set is what is got, byte for byte.

use std::sync::Arc;

use bytes::Bytes;
use model::Code;

use super::{Subject, passed, refused};
use crate::key_value::{MAX_KEY, SetOptions, Value};

pub(super) async fn run(subject: &Subject) {
    a_value_stays_until_it_is_replaced_or_deleted(subject).await;
    bytes_are_kept_as_they_are(subject).await;
    a_media_type_is_kept_with_its_value(subject).await;
    only_what_is_absent_is_set_if_absent(subject).await;
    one_of_many_at_once_sets_if_absent(subject).await;
    what_is_too_large_is_refused(subject).await;
}

async fn a_value_stays_until_it_is_replaced_or_deleted(subject: &Subject) {
    let key = subject.key("plain");
    assert_eq!(subject.get(&key).await, None);
    assert!(!subject.delete(&key).await);
    for value in ["first", "a longer second", "3rd", ""] {
        subject.set(&key, value).await;
        assert_eq!(subject.get(&key).await, Some(Value::plain(value)));
        assert_eq!(subject.get(&key).await, Some(Value::plain(value)), "a read takes nothing away");
    }
    assert!(subject.delete(&key).await);
    assert!(!subject.delete(&key).await);
    assert_eq!(subject.get(&key).await, None);
}

async fn bytes_are_kept_as_they_are(subject: &Subject) {
    let all: Bytes = (0..=u8::MAX).collect();
    let key = subject.key(&all);
    subject.set(&key, all.clone()).await;
    assert_eq!(subject.get(&key).await, Some(Value::plain(all)));

    // Keys that a careless protocol takes for one another.
    let keys: Vec<_> =
        ["a", "a\0", "a\r\n", "a ", "A", "\u{e9}", "e\u{301}"].map(|name| subject.key(name)).into();
    for key in &keys {
        subject.set(key, key.clone()).await;
    }
    for key in &keys {
        assert_eq!(subject.get(key).await, Some(Value::plain(key.clone())));
    }

    let large: Bytes = (0..1 << 20).map(|n: u32| n.to_le_bytes()[n as usize % 3]).collect();
    let key = subject.key("large");
    subject.set(&key, large.clone()).await;
    assert!(subject.get(&key).await.is_some_and(|value| value.bytes == large), "a mebibyte is kept");

    let longest = subject.key("k".repeat(MAX_KEY - subject.key("").len()));
    subject.set(&longest, "v").await;
    assert_eq!(subject.text(&longest).await.as_deref(), Some("v"));
}

async fn a_media_type_is_kept_with_its_value(subject: &Subject) {
    let key = subject.key("typed");
    let typed = Value { bytes: "{}".into(), content_type: Some("application/json".into()) };
    assert!(passed("set", subject.kv().set(&key, typed.clone(), SetOptions::default())).await);
    // An engine without a place for it gives the same bytes without a type, and never another one.
    let kept = if subject.kv().keeps_media_types() { typed } else { Value::plain("{}") };
    assert_eq!(subject.get(&key).await, Some(kept));
    subject.set(&key, "plain").await;
    assert_eq!(subject.get(&key).await, Some(Value::plain("plain")), "the type goes with its value");
}

async fn only_what_is_absent_is_set_if_absent(subject: &Subject) {
    let key = subject.key("absent");
    let if_absent = SetOptions { if_absent: true, ..SetOptions::default() };
    assert!(subject.set_with(&key, "first", if_absent).await);
    assert!(!subject.set_with(&key, "second", if_absent).await);
    assert_eq!(subject.text(&key).await.as_deref(), Some("first"));
    assert!(subject.delete(&key).await);
    assert!(subject.set_with(&key, "third", if_absent).await);
    assert_eq!(subject.text(&key).await.as_deref(), Some("third"));
}

async fn one_of_many_at_once_sets_if_absent(subject: &Subject) {
    let key: Arc<[u8]> = subject.key("race").into();
    let if_absent = SetOptions { if_absent: true, ..SetOptions::default() };
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let (adapter, key) = (Arc::clone(&subject.adapter), Arc::clone(&key));
            tokio::spawn(async move {
                let kv = adapter.key_value().expect("the adapter keeps keys and values");
                passed("set", kv.set(&key, Value::plain(format!("{n}")), if_absent)).await
            })
        })
        .collect();
    let mut winners = Vec::new();
    for (n, task) in tasks.into_iter().enumerate() {
        if task.await.expect("no task panics") {
            winners.push(format!("{n}"));
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(subject.text(&key).await, winners.pop());
}

async fn what_is_too_large_is_refused(subject: &Subject) {
    let key = subject.key("k".repeat(MAX_KEY));
    let kv = subject.kv();
    assert_eq!(refused(kv.set(&key, Value::plain("v"), SetOptions::default())).await, Code::TooLarge);
    assert_eq!(refused(kv.get(&key)).await, Code::TooLarge);
    assert_eq!(refused(kv.delete(&key)).await, Code::TooLarge);
    assert_eq!(refused(kv.incr(&key, 1)).await, Code::TooLarge);
}
