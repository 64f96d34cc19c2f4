//! What is published stands where its receipt says, in order, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use model::Code;

use super::{Message, Receipt, Subject, keyed, message, passed, refused};
use crate::queue::Idempotency;

pub(super) async fn run(subject: &Subject) {
    receipts_are_dense_and_keys_stay_together(subject).await;
    what_is_published_arrives_as_it_was(subject).await;
    a_message_too_large_fails_alone(subject).await;
    many_publishers_lose_nothing(subject).await;
    the_same_publish_gives_the_same_receipts(subject).await;
}

async fn receipts_are_dense_and_keys_stay_together(subject: &Subject) {
    let topic = subject.topic("dense", 4).await;
    let mut homes: BTreeMap<String, u32> = BTreeMap::new();
    let mut ends: BTreeMap<u32, u64> = BTreeMap::new();
    for round in 0..3 {
        let keys: Vec<String> = (0..12).map(|n| format!("key-{n}")).collect();
        let messages: Vec<Message> = keys.iter().map(|key| keyed(key, &format!("{key} {round}"))).collect();
        let receipts = subject.publish(&topic, &messages).await;
        assert_eq!(receipts.len(), messages.len());
        for (key, Receipt { partition, offset }) in keys.into_iter().zip(receipts) {
            assert_eq!(*homes.entry(key).or_insert(partition), partition, "a key stays in its partition");
            let end = ends.entry(partition).or_default();
            assert_eq!(offset, *end, "offsets begin at 0 and leave none out");
            *end += 1;
        }
    }
    assert!(ends.len() > 1, "twelve keys are in more than one of four partitions");
    // In each partition the order is the order of publishing.
    let mut reader = subject.join(&topic, "g").await;
    let mut seen: BTreeMap<Bytes, Vec<Bytes>> = BTreeMap::new();
    for delivery in reader.some(36).await {
        seen.entry(delivery.key.expect("each has its key")).or_default().push(delivery.value);
    }
    for (key, values) in seen {
        let key = String::from_utf8_lossy(&key).into_owned();
        let expected: Vec<Bytes> = (0..3).map(|round| format!("{key} {round}").into()).collect();
        assert_eq!(values, expected);
    }
}

async fn what_is_published_arrives_as_it_was(subject: &Subject) {
    let topic = subject.topic("exact", 1).await;
    let messages = [
        Message {
            key: Some(Bytes::from_static(b"\x00\xffkey")),
            value: Bytes::from_static(b"\x00\x01\xfe\xff"),
            headers: vec![
                ("a".into(), "1".into()),
                ("b".into(), Bytes::from_static(b"\xff")),
                ("a".into(), "2".into()),
            ],
        },
        Message::default(),
        Message { key: Some(Bytes::new()), ..message("an empty key is a key") },
        Message { value: vec![b'x'; 500 << 10].into(), ..Message::default() },
    ];
    let receipts = subject.publish(&topic, &messages).await;
    let mut reader = subject.join(&topic, "g").await;
    for (message, receipt) in messages.iter().zip(receipts) {
        let delivery = reader.one().await;
        assert_eq!((delivery.partition, delivery.offset), (receipt.partition, receipt.offset));
        assert_eq!((&delivery.key, delivery.value.len()), (&message.key, message.value.len()));
        assert!(delivery.value == message.value, "values are bytes");
        assert_eq!(delivery.headers, message.headers);
        assert_eq!(delivery.delivery, 1);
        assert!(delivery.timestamp > 1_600_000_000_000, "milliseconds of our days: {}", delivery.timestamp);
    }
}

async fn a_message_too_large_fails_alone(subject: &Subject) {
    let topic = subject.topic("large", 1).await;
    // Ten times what an engine takes unless it is told otherwise.
    let large = Message { value: vec![0; 10 << 20].into(), ..Message::default() };
    let messages = [message("before"), large.clone(), message("after")];
    let results = passed("publish", subject.queue().publish(&topic, &messages, None)).await;
    let codes: Vec<_> = results.iter().map(|result| result.as_ref().map_err(model::Failure::code)).collect();
    let at = |offset| Ok(Receipt { partition: 0, offset });
    let expected = [at(0), Err(Code::TooLarge), at(1)];
    let shown: Vec<_> = codes.into_iter().map(|result| result.copied()).collect();
    assert_eq!(shown, expected);
    let results = passed("publish", subject.queue().publish(&topic, &[large], None)).await;
    assert_eq!(results.len(), 1);
    assert_eq!(results[0].as_ref().expect_err("it is too large").code(), Code::TooLarge);
}

async fn many_publishers_lose_nothing(subject: &Subject) {
    const PUBLISHERS: usize = 16;
    const EACH: usize = 20;
    let topic = subject.topic("many", 3).await;
    let mut tasks = tokio::task::JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let (adapter, topic) = (Arc::clone(&subject.adapter), topic.clone());
        tasks.spawn(async move {
            let queue = adapter.queue().expect("the adapter keeps messages");
            let mut receipts = Vec::new();
            for n in 0..EACH {
                let one = keyed(&format!("p{publisher}"), &n.to_string());
                let results = passed("publish", queue.publish(&topic, &[one], None)).await;
                receipts.extend(results.into_iter().map(|result| result.expect("it is published")));
            }
            receipts
        });
    }
    let receipts: Vec<Receipt> = tasks.join_all().await.into_iter().flatten().collect();
    let places: BTreeSet<(u32, u64)> = receipts.iter().map(|own| (own.partition, own.offset)).collect();
    assert_eq!(places.len(), PUBLISHERS * EACH, "no place is given twice");
    let mut reader = subject.join(&topic, "g").await;
    let mut next: BTreeMap<Bytes, usize> = BTreeMap::new();
    for _ in 0..PUBLISHERS * EACH {
        let delivery = reader.one().await;
        subject.ack(&topic, "g", std::slice::from_ref(&delivery)).await;
        let next = next.entry(delivery.key.expect("each has its key")).or_default();
        assert_eq!(delivery.value, next.to_string(), "each publisher's messages are in order");
        *next += 1;
    }
    reader.silence().await;
}

async fn the_same_publish_gives_the_same_receipts(subject: &Subject) {
    let topic = subject.topic("once", 2).await;
    let key = |key: &str, print: u8| Idempotency { key: subject.name(key).into(), fingerprint: [print; 32] };
    let messages = [keyed("a", "1"), message("2"), keyed("b", "3")];
    let (first, changed, other) = (key("first", 1), key("first", 2), key("second", 1));
    let places = |results: Vec<Result<Receipt, model::Failure>>| {
        results.into_iter().map(|result| result.expect("it is published")).collect::<Vec<_>>()
    };
    let publish = |idempotency| subject.queue().publish(&topic, &messages, Some(idempotency));
    let once = places(passed("publish", publish(&first)).await);
    let twice = places(passed("publish", publish(&first)).await);
    assert_eq!(once, twice);
    assert_eq!(refused(publish(&changed)).await, Code::IdempotencyMismatch);
    let more = places(passed("publish", publish(&other)).await);
    assert!(more.iter().all(|place| !once.contains(place)), "another key is another publish");
    // Also when both are under way at once.
    let third = key("third", 1);
    let (one, two) = tokio::join!(publish(&third), publish(&third));
    let both = [one, two].map(|result| result.ok().map(places));
    assert!(both.iter().flatten().all(|own| Some(own) == both.iter().flatten().next()), "{both:?}");
    let shown = passed("topic", subject.queue().topic(&topic)).await;
    assert_eq!(
        shown.partitions.iter().flatten().map(|own| own.next).sum::<u64>(),
        9,
        "each was published once"
    );
}
