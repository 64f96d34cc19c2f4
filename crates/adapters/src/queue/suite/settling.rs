//! What is settled never comes again; what is not comes again, counted, until it is a dead letter.

use std::time::{Duration, Instant};

use model::Code;

use super::{ConsumeOptions, Settlement, Subject, keyed, options, refused, settlement, texts, tokens};
use crate::queue::{DEAD_LETTERS, LAST_DELIVERY};

pub(super) async fn run(subject: &Subject) {
    what_is_acknowledged_is_done_with(subject).await;
    a_lease_that_runs_out_brings_it_again(subject).await;
    what_is_given_back_comes_again_after_its_delay(subject).await;
    what_is_terminated_is_a_dead_letter(subject).await;
    the_tenth_delivery_is_the_last(subject).await;
    tokens_are_checked_before_anything_is_settled(subject).await;
}

async fn what_is_acknowledged_is_done_with(subject: &Subject) {
    let topic = subject.topic("ack", 1).await;
    subject.say(&topic, &["a", "b", "c", "d"]).await;
    let mut reader = subject.join(&topic, "g").await;
    let deliveries = reader.some(4).await;
    // In any order; a second time changes nothing.
    assert_eq!(subject.ack(&topic, "g", &deliveries[2..]).await, 2);
    assert_eq!(subject.ack(&topic, "g", &deliveries[..1]).await, 1);
    assert_eq!(subject.ack(&topic, "g", &deliveries).await, 1);
    assert_eq!(subject.ack(&topic, "g", &deliveries).await, 0);
    let all = Settlement {
        nack: vec![(deliveries[0].ack.clone(), Duration::ZERO)],
        term: vec![deliveries[1].ack.clone()],
        ..settlement(&topic, "g")
    };
    assert_eq!(subject.settle(&all).await, 0, "what is settled is neither given back nor terminated");
    reader.silence().await;
}

async fn a_lease_that_runs_out_brings_it_again(subject: &Subject) {
    let topic = subject.topic("lease", 1).await;
    subject.say(&topic, &["slow"]).await;
    let short = ConsumeOptions { lease: Duration::from_secs(1), ..options(&topic, "g") };
    let mut reader = subject.join_with(&short).await;
    let began = Instant::now();
    let first = reader.one().await;
    reader.silence().await;
    let second = reader.one().await;
    assert!(began.elapsed() >= Duration::from_millis(900), "not before the lease has run out");
    assert_eq!((first.delivery, second.delivery), (1, 2));
    assert_eq!((first.offset, &first.value), (second.offset, &second.value));
    // The token of the first delivery still settles, but gives nothing back.
    let stale = Settlement { nack: vec![(first.ack.clone(), Duration::ZERO)], ..settlement(&topic, "g") };
    assert_eq!(subject.settle(&stale).await, 0);
    assert_eq!(subject.ack(&topic, "g", &[first]).await, 1);
    assert_eq!(subject.ack(&topic, "g", &[second]).await, 0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    reader.silence().await;
}

async fn what_is_given_back_comes_again_after_its_delay(subject: &Subject) {
    let topic = subject.topic("nack", 1).await;
    subject.say(&topic, &["later", "now"]).await;
    let mut reader = subject.join(&topic, "g").await;
    let deliveries = reader.some(2).await;
    let back = Settlement {
        nack: vec![
            (deliveries[0].ack.clone(), Duration::from_millis(1200)),
            (deliveries[1].ack.clone(), Duration::ZERO),
        ],
        ..settlement(&topic, "g")
    };
    let began = Instant::now();
    assert_eq!(subject.settle(&back).await, 2);
    let again = reader.some(2).await;
    assert_eq!(texts(&again), ["now", "later"]);
    assert!(began.elapsed() >= Duration::from_millis(1100), "not before its delay is over");
    assert!(again.iter().all(|delivery| delivery.delivery == 2));
    assert_eq!(subject.ack(&topic, "g", &again).await, 2);
}

async fn what_is_terminated_is_a_dead_letter(subject: &Subject) {
    let topic = subject.topic("term", 1).await;
    let mut bad = keyed("k", "bad");
    bad.headers.push(("trace".into(), "7".into()));
    subject.publish(&topic, &[bad, keyed("k", "good")]).await;
    let mut reader = subject.join(&topic, "g").await;
    let deliveries = reader.some(2).await;
    let both = Settlement {
        term: vec![deliveries[0].ack.clone()],
        ack: vec![deliveries[1].ack.clone()],
        ..settlement(&topic, "g")
    };
    assert_eq!(subject.settle(&both).await, 2);
    let mut undertaker = subject.join(&format!("{topic}{DEAD_LETTERS}"), "g").await;
    let letter = undertaker.one().await;
    assert_eq!((letter.key.as_deref(), &letter.value[..]), (Some(&b"k"[..]), &b"bad"[..]));
    let header = |name: &str| {
        let found = letter.headers.iter().find(|(own, _)| &**own == name);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    };
    assert_eq!(header("trace").as_deref(), Some("7"), "its own headers stay");
    assert_eq!(header("dead-topic"), Some(topic.clone()));
    assert_eq!(header("dead-partition").as_deref(), Some("0"));
    assert_eq!(header("dead-offset").as_deref(), Some("0"));
    assert_eq!(header("dead-deliveries").as_deref(), Some("1"));
    undertaker.silence().await;
    reader.silence().await;
}

async fn the_tenth_delivery_is_the_last(subject: &Subject) {
    let topic = subject.topic("tenth", 1).await;
    subject.say(&topic, &["poison", "fine"]).await;
    let mut reader = subject.join(&topic, "g").await;
    let mut poison = None;
    for _ in 0..2 {
        let delivery = reader.one().await;
        match &delivery.value[..] {
            b"fine" => assert_eq!(subject.ack(&topic, "g", &[delivery]).await, 1),
            _ => poison = Some(delivery),
        }
    }
    let mut poison = poison.expect("the poison came");
    for delivery in 1..=LAST_DELIVERY {
        assert_eq!(poison.delivery, delivery);
        let back = Settlement { nack: vec![(poison.ack.clone(), Duration::ZERO)], ..settlement(&topic, "g") };
        assert_eq!(subject.settle(&back).await, 1);
        if delivery < LAST_DELIVERY {
            poison = reader.one().await;
        }
    }
    reader.silence().await;
    let mut undertaker = subject.join(&format!("{topic}{DEAD_LETTERS}"), "g").await;
    assert_eq!(undertaker.one().await.value, "poison");
}

async fn tokens_are_checked_before_anything_is_settled(subject: &Subject) {
    let (topic, other) = (subject.topic("checked", 1).await, subject.topic("foreign", 1).await);
    subject.say(&topic, &["a"]).await;
    subject.say(&other, &["b"]).await;
    let (mut reader, mut foreign) = (subject.join(&topic, "g").await, subject.join(&other, "g").await);
    let (own, strange) = (reader.one().await, foreign.one().await);
    let mut elsewhere = subject.join(&topic, "h").await;
    let of_another_group = elsewhere.one().await;
    for bad in ["nonsense", "", &strange.ack, &of_another_group.ack, &own.resume] {
        for settlement in [
            Settlement { ack: vec![own.ack.clone(), bad.into()], ..settlement(&topic, "g") },
            Settlement {
                ack: tokens(std::slice::from_ref(&own)),
                term: vec![bad.into()],
                ..settlement(&topic, "g")
            },
        ] {
            assert_eq!(refused(subject.queue().settle(&settlement)).await, Code::InvalidRequest, "{bad}");
        }
    }
    assert_eq!(subject.ack(&topic, "g", &[own]).await, 1, "nothing was settled by what was refused");
}
