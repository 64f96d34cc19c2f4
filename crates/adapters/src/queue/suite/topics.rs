//! Topics are made once, shown as they are, and gone when they are deleted.

use model::Code;

use super::{Message, PATIENCE, Settlement, Subject, options, passed, refused, settlement, spec};
use crate::queue::{Extent, MAX_NAME};

pub(super) async fn run(subject: &Subject) {
    a_topic_is_made_once_and_shown(subject).await;
    names_that_are_none_are_refused(subject).await;
    what_is_not_there_is_not_found(subject).await;
    a_deleted_topic_is_gone_and_its_name_is_free(subject).await;
}

async fn a_topic_is_made_once_and_shown(subject: &Subject) {
    let name = subject.name("made");
    let made = passed("create_topic", subject.queue().create_topic(&spec(&name, 3))).await;
    assert_eq!(
        (&*made.name, made.partitions.as_slice()),
        (name.as_str(), &[Some(Extent { earliest: 0, next: 0 }); 3][..])
    );
    assert_eq!(refused(subject.queue().create_topic(&spec(&name, 3))).await, Code::AlreadyExists);
    subject.say(&name, &["one"]).await;
    let shown = passed("topic", subject.queue().topic(&name)).await;
    assert_eq!(shown.partitions.iter().flatten().map(Extent::messages).sum::<u64>(), 1);
    let other = subject.topic("lister", 1).await;
    let all = passed("topics", subject.queue().topics()).await;
    let own: Vec<&str> = all
        .iter()
        .map(|topic| &*topic.name)
        .filter(|own| [&name, &other].iter().any(|one| one == own))
        .collect();
    assert_eq!(own, [other.as_str(), name.as_str()], "topics are listed by name");
}

async fn names_that_are_none_are_refused(subject: &Subject) {
    let long = "x".repeat(MAX_NAME + 1);
    for name in ["", "a b", "a/b", "\u{fc}", ".", "..", long.as_str()] {
        assert_eq!(
            refused(subject.queue().create_topic(&spec(name, 1))).await,
            Code::InvalidRequest,
            "{name}"
        );
        let messages = [Message::default()];
        assert_eq!(
            refused(subject.queue().publish(name, &messages, None)).await,
            Code::InvalidRequest,
            "{name}"
        );
    }
    let topic = subject.topic("of-names", 1).await;
    assert_eq!(refused(subject.queue().consume(&options(&topic, "a b"))).await, Code::InvalidRequest);
    assert_eq!(
        refused(subject.queue().create_topic(&spec(&subject.name("none"), 0))).await,
        Code::InvalidRequest
    );
}

async fn what_is_not_there_is_not_found(subject: &Subject) {
    let (missing, queue) = (subject.name("missing"), subject.queue());
    assert_eq!(refused(queue.topic(&missing)).await, Code::NotFound);
    assert_eq!(refused(queue.delete_topic(&missing)).await, Code::NotFound);
    assert_eq!(refused(queue.consume(&options(&missing, "g"))).await, Code::NotFound);
    assert_eq!(refused(queue.groups(Some(&missing))).await, Code::NotFound);
    assert_eq!(refused(queue.settle(&settlement(&missing, "g"))).await, Code::NotFound);
    let there = subject.topic("there", 1).await;
    assert_eq!(refused(queue.settle(&settlement(&there, "nobody"))).await, Code::NotFound);
    assert_eq!(refused(queue.delete_group(&there, "nobody")).await, Code::NotFound);
}

async fn a_deleted_topic_is_gone_and_its_name_is_free(subject: &Subject) {
    let topic = subject.topic("deleted", 1).await;
    subject.say(&topic, &["old"]).await;
    let mut reader = subject.join(&topic, "g").await;
    let old = reader.one().await;
    passed("delete_topic", subject.queue().delete_topic(&topic)).await;
    assert_eq!(refused(subject.queue().topic(&topic)).await, Code::NotFound);
    // The consumer is told, and told again.
    for _ in 0..2 {
        let next = tokio::time::timeout(PATIENCE, reader.consumer.next()).await.expect("the consumer ends");
        assert_eq!(next.expect_err("there is nothing to read").code(), Code::NotFound);
    }
    subject.topic("deleted", 1).await;
    subject.say(&topic, &["new"]).await;
    let mut reader = subject.join(&topic, "g").await;
    let new = reader.one().await;
    assert_eq!((new.offset, &new.value[..], new.delivery), (0, &b"new"[..], 1));
    let stale = Settlement { ack: vec![old.ack], ..settlement(&topic, "g") };
    match subject.queue().settle(&stale).await {
        Ok(settled) => assert_eq!(settled, 0, "a token of the deleted topic settles nothing"),
        Err(failure) => assert_eq!(failure.code(), Code::InvalidRequest),
    }
}
