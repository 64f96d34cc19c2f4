//! Who is sent what: groups by themselves, one consumer for a partition, no more than the credit.

use std::collections::BTreeSet;
use std::time::Duration;

use model::Code;

use super::{ConsumeOptions, From, Message, PATIENCE, Subject, keyed, options, passed, refused, texts};
use crate::queue::Happening;

pub(super) async fn run(subject: &Subject) {
    groups_read_by_themselves(subject).await;
    a_new_group_may_begin_at_the_end(subject).await;
    consumers_share_partitions_and_take_over(subject).await;
    the_credit_bounds_what_is_unsettled(subject).await;
    a_wait_that_is_given_up_loses_nothing(subject).await;
    what_is_published_later_wakes_who_waits(subject).await;
    a_consumer_resumes_behind_what_it_saw(subject).await;
}

async fn groups_read_by_themselves(subject: &Subject) {
    let topic = subject.topic("independent", 1).await;
    subject.say(&topic, &["a", "b", "c"]).await;
    for group in ["one", "two"] {
        let mut reader = subject.join(&topic, group).await;
        let deliveries = reader.some(3).await;
        assert_eq!(texts(&deliveries), ["a", "b", "c"]);
        assert_eq!(subject.ack(&topic, group, &deliveries).await, 3);
    }
    let mut three = subject.join(&topic, "three").await;
    assert_eq!(texts(&three.some(3).await), ["a", "b", "c"]);
    // Who settled is not sent it again.
    drop(three);
    let mut again = subject.join(&topic, "one").await;
    again.silence().await;
}

async fn a_new_group_may_begin_at_the_end(subject: &Subject) {
    let topic = subject.topic("latest", 2).await;
    subject.publish(&topic, &[keyed("a", "old"), keyed("b", "old"), keyed("c", "old")]).await;
    let latest = ConsumeOptions { from: From::Latest, ..options(&topic, "late") };
    let mut reader = subject.join_with(&latest).await;
    subject.publish(&topic, &[keyed("a", "new"), keyed("b", "new"), keyed("c", "new")]).await;
    let deliveries = reader.some(3).await;
    assert!(deliveries.iter().all(|own| own.value == "new"), "{deliveries:?}");
    drop(reader);
    // A group that has a place goes on there, whatever is asked.
    let mut reader = subject.join_with(&latest).await;
    subject.ack(&topic, "late", &deliveries).await;
    subject.publish(&topic, &[keyed("a", "newer")]).await;
    while reader.one().await.value != "newer" {}
}

async fn consumers_share_partitions_and_take_over(subject: &Subject) {
    let topic = subject.topic("shared", 2).await;
    let mut first = subject.join(&topic, "g").await;
    first.owns(2).await;
    let mut second = subject.join(&topic, "g").await;
    first.owns(1).await;
    second.owns(1).await;
    let third = subject.join(&topic, "g").await;
    assert_eq!(third.consumer.assignment(), Vec::<u32>::new(), "the third of two partitions waits");
    let all: BTreeSet<u32> =
        [first.consumer.assignment(), second.consumer.assignment()].concat().into_iter().collect();
    assert_eq!(all.len(), 2, "no partition is read by two");

    let messages: Vec<Message> = (0..20).map(|n| keyed(&format!("k{n}"), &n.to_string())).collect();
    let receipts = subject.publish(&topic, &messages).await;
    for reader in [&mut first, &mut second] {
        let own = reader.consumer.assignment();
        let count = receipts.iter().filter(|receipt| own.contains(&receipt.partition)).count();
        let deliveries = reader.some(count).await;
        assert!(deliveries.iter().all(|delivery| own.contains(&delivery.partition)));
        subject.ack(&topic, "g", &deliveries).await;
        reader.silence().await;
    }
    let ids: BTreeSet<&str> = [&first, &second, &third].iter().map(|reader| reader.consumer.id()).collect();
    assert_eq!(ids.len(), 3, "each has an id of its own");
    drop(first);
    let mut third = third;
    third.owns(1).await;
    drop(second);
    third.owns(2).await;
    subject.publish(&topic, &messages).await;
    third.some(20).await;
}

async fn the_credit_bounds_what_is_unsettled(subject: &Subject) {
    let topic = subject.topic("credit", 2).await;
    let messages: Vec<Message> = (0..12).map(|n| keyed(&format!("k{n}"), "x")).collect();
    subject.publish(&topic, &messages).await;
    let mut reader = subject.join_with(&ConsumeOptions { credit: 5, ..options(&topic, "g") }).await;
    let deliveries = reader.some(5).await;
    reader.silence().await;
    assert_eq!(subject.ack(&topic, "g", &deliveries[..2]).await, 2);
    reader.some(2).await;
    reader.silence().await;
    let none = ConsumeOptions { credit: 0, ..options(&topic, "g") };
    assert_eq!(refused(subject.queue().consume(&none)).await, Code::InvalidRequest);
}

async fn a_wait_that_is_given_up_loses_nothing(subject: &Subject) {
    let topic = subject.topic("given-up", 1).await;
    let mut reader = subject.join(&topic, "g").await;
    let mut seen = Vec::new();
    for n in 0..40 {
        let text = n.to_string();
        // The wait ends at some moment while the message is on its way.
        let given_up = tokio::time::timeout(Duration::from_micros(150 * n), reader.consumer.next());
        let said = [text.as_str()];
        let (_, happened) = tokio::join!(subject.say(&topic, &said), given_up);
        if let Ok(Ok(Happening::Messages(messages))) = happened {
            seen.extend(messages);
        }
    }
    while seen.len() < 40 {
        seen.push(reader.one().await);
    }
    let expected: Vec<String> = (0..40).map(|n: u32| n.to_string()).collect();
    assert_eq!(texts(&seen), expected, "each came once, in order");
    assert!(seen.iter().all(|own| own.delivery == 1), "nothing came twice");
}

async fn what_is_published_later_wakes_who_waits(subject: &Subject) {
    let topic = subject.topic("waking", 1).await;
    let mut readers = Vec::new();
    for n in 0..5 {
        readers.push(subject.join(&topic, &format!("g{n}")).await);
    }
    for reader in &mut readers {
        reader.silence().await;
    }
    subject.say(&topic, &["now"]).await;
    for reader in &mut readers {
        assert_eq!(reader.one().await.value, "now");
    }
}

async fn a_consumer_resumes_behind_what_it_saw(subject: &Subject) {
    let topic = subject.topic("resume", 2).await;
    let messages: Vec<Message> = (0..6).map(|n| keyed(&format!("k{n}"), &n.to_string())).collect();
    subject.publish(&topic, &messages).await;
    let mut reader = subject.join(&topic, "g").await;
    let deliveries = reader.some(6).await;
    let (id, own) = (reader.consumer.id().to_owned(), reader.consumer.assignment());
    drop(reader);
    // Three of six arrived: the other three come again at once, though their lease is long.
    let resume = Some(deliveries[2].resume.clone());
    let mut reader = subject.join_with(&ConsumeOptions { resume, ..options(&topic, "g") }).await;
    assert_eq!((reader.consumer.id(), reader.consumer.assignment()), (id.as_str(), own));
    let places =
        |of: &[super::Delivery]| of.iter().map(|own| (own.partition, own.offset)).collect::<BTreeSet<_>>();
    let again = reader.some(3).await;
    assert_eq!(places(&again), places(&deliveries[3..]));
    assert!(again.iter().all(|delivery| delivery.delivery == 2), "they were delivered before");
    reader.silence().await;
    assert_eq!(
        subject.ack(&topic, "g", &deliveries[..3]).await,
        3,
        "what arrived is still its own to settle"
    );
    let elsewhere = ConsumeOptions { resume: Some(again[0].resume.clone()), ..options(&topic, "other") };
    assert_eq!(refused(subject.queue().consume(&elsewhere)).await, Code::InvalidRequest);
    let nonsense = ConsumeOptions { resume: Some("nonsense".into()), ..options(&topic, "g") };
    assert_eq!(refused(subject.queue().consume(&nonsense)).await, Code::InvalidRequest);
    let waits =
        tokio::time::timeout(PATIENCE, subject.queue().groups(Some(&topic))).await.expect("it answers");
    let groups = waits.unwrap_or_else(|failure| panic!("groups failed: {failure}"));
    let consumers: usize = groups.iter().map(|group| group.consumers.len()).sum();
    assert_eq!(consumers, 1, "a consumer that resumed is one, not two");
    drop(passed("consume", subject.queue().consume(&options(&topic, "g"))).await);
}
