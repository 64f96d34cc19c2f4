//! Brokers that go and come back: what was acknowledged is there, once, and nobody has to do anything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engines::Engines;
use model::Code;
use throome_adapters::Adapter;
use throome_adapters::queue::{Happening, Idempotency, Message};

use super::between::Between;
use super::load::Load;
use super::{
    PATIENCE, ack, connected, join, message, next, options, publish, queue, service, topic, until_well,
};

/// Publishes while this happens to the broker, and compares what was told with what is there.
async fn no_message_is_lost(fault: impl FnOnce(&engines::Server) + Send + 'static) {
    let broker = Engines::own().kafka();
    let adapter = connected(&service(broker.port));
    let topic = topic(&adapter, "lasting", 3).await;
    let load = Load::on(&adapter, &topic);
    load.more(200).await;
    let broker = tokio::task::spawn_blocking(move || {
        fault(&broker);
        broker
    });
    let broker = broker.await.expect("it is done");
    until_well(&adapter).await;
    load.more(200).await;
    load.finish(&service(broker.port)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_restart_under_load_loses_nothing() {
    no_message_is_lost(engines::Server::restart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crash_under_load_loses_nothing() {
    let crash = |broker: &engines::Server| {
        broker.kill();
        broker.restart();
    };
    no_message_is_lost(crash).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn consumers_go_on_after_a_restart() {
    let broker = Engines::own().kafka();
    let adapter = connected(&service(broker.port));
    let topic = topic(&adapter, "reading", 2).await;
    let messages: Vec<Message> = (0..20).map(|n| message(Some(&format!("k{n}")), format!("{n}"))).collect();
    publish(&adapter, &topic, &messages).await;
    let mut reader = join(&adapter, &options(&topic)).await;
    let mut seen = Vec::new();
    while seen.len() < 20 {
        seen.extend(next(&mut reader).await);
    }
    assert_eq!(ack(&adapter, &topic, &seen[..10]).await, 10);
    let restarted = tokio::task::spawn_blocking(move || {
        broker.restart();
        broker
    });
    let broker = restarted.await.expect("it restarts");
    until_well(&adapter).await;
    // A broker that was away for long has given the partitions up, and these are nobody's to settle for a moment. It is
    // remembered all the same.
    let settled = ack(&adapter, &topic, &seen[10..]).await;
    assert!(settled <= 10, "{settled}");
    publish(&adapter, &topic, &messages).await;
    let mut more = Vec::new();
    while more.len() < 20 {
        more.extend(next(&mut reader).await);
    }
    assert!(
        more.iter().all(|own| own.delivery == 1
            && seen.iter().all(|old| { (old.partition, old.offset) != (own.partition, own.offset) })),
        "what was settled does not come again: {more:?}"
    );
    assert_eq!(ack(&adapter, &topic, &more).await, 20);
    // Another process finds everything settled.
    drop(reader);
    adapter.close().await.expect("it closes");
    let other = connected(&service(broker.port));
    let groups = queue(&other).groups(Some(&topic)).await.expect("groups are shown");
    assert_eq!(groups[0].partitions.iter().flatten().map(|own| own.lag).sum::<u64>(), 0, "{groups:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broker_that_is_away_is_said_and_missed_no_longer_than_it_is() {
    let broker = Engines::own().kafka();
    broker.stop();
    let adapter = connected(&service(broker.port));
    let failure = adapter.probe(Duration::from_secs(2)).await.expect_err("it is away");
    assert_eq!(failure.code(), Code::BadGateway);
    assert!(failure.detail().contains("refused"), "{failure}");
    let broker = tokio::task::spawn_blocking(move || {
        broker.restart();
        broker
    });
    let broker = broker.await.expect("it starts");
    let began = Instant::now();
    until_well(&adapter).await;
    assert!(began.elapsed() < Duration::from_secs(5), "found after {:?}", began.elapsed());
    let topic = topic(&adapter, "again", 1).await;
    publish(&adapter, &topic, &[message(None, "x")]).await;
    // One that is frozen takes connections and answers nothing.
    broker.freeze();
    let began = Instant::now();
    let failure = adapter.probe(Duration::from_secs(2)).await.expect_err("it does not answer");
    assert!(began.elapsed() < Duration::from_secs(4), "said after {:?}", began.elapsed());
    assert!(matches!(failure.code(), Code::Timeout | Code::BadGateway), "{failure}");
    // A message that is given up is not said to be published, and neither to be lost.
    let key = Idempotency { key: "k".into(), fingerprint: [1; 32] };
    let sent = [message(None, "while it froze")];
    let given_up = queue(&adapter).publish(&topic, &sent, Some(&key));
    assert!(tokio::time::timeout(Duration::from_secs(1), given_up).await.is_err(), "nobody answers");
    broker.thaw();
    until_well(&adapter).await;
    // Under its key it may be asked for again, and is there once.
    let again = queue(&adapter).publish(&topic, &sent, Some(&key));
    let results = tokio::time::timeout(PATIENCE, again).await.expect("it answers").expect("it is taken");
    assert!(results[0].is_ok(), "{results:?}");
    let until = Instant::now() + PATIENCE;
    let whole = loop {
        // Its own cluster may have given it up meanwhile, for a moment.
        match queue(&adapter).topic(&topic).await {
            Ok(whole) => break whole,
            Err(failure) => assert!(failure.retryable() && Instant::now() < until, "{failure:?}"),
        }
    };
    assert_eq!(whole.partitions[0].expect("it is known").next, 2);
}

/// A broker that was away from its own cluster has to come in again, and until then its answers name no broker. Where two
/// of these come at once, librdkafka looks for brokers never again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn brokers_that_name_none_for_a_while_are_found_again() {
    let between = Between::of(Engines::shared().kafka().port).await;
    let adapter = connected(&service(between.port));
    let name = topic(&adapter, "found", 1).await;
    publish(&adapter, &name, &[message(None, "before")]).await;
    // Whether two come at once is a matter of luck.
    for _ in 0..20 {
        between.name_none(false);
        if adapter.probe(Duration::from_secs(2)).await.is_err() {
            break;
        }
        between.name_none(true);
        let probes = (0..16).map(|_| adapter.probe(Duration::from_secs(2)));
        futures_util::future::join_all(probes).await;
    }
    between.name_none(false);
    until_well(&adapter).await;
    publish_until_taken(&adapter, &name).await;
    topic(&adapter, "made", 1).await;
}

/// The same of a consumer, in whose place another client joins.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_consumer_that_finds_no_broker_while_others_do_joins_anew() {
    let between = Between::of(Engines::shared().kafka().port).await;
    let adapter = connected(&service(between.port));
    let name = topic(&adapter, "kept-out", 1).await;
    let mut reader = join(&adapter, &options(&name)).await;
    publish(&adapter, &name, &[message(None, "a"), message(None, "b")]).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.extend(next(&mut reader).await);
    }
    assert_eq!(ack(&adapter, &name, &seen[..1]).await, 1);

    between.keep_out(Some("throome-consumer"));
    let lost =
        async { while reader.next().await.expect("it goes on") != Happening::Assignment(Vec::new()) {} };
    tokio::time::timeout(PATIENCE, lost).await.expect("another joins in its place");
    until_well(&adapter).await;
    between.keep_out(None);

    publish_until_taken(&adapter, &name).await;
    let after = async {
        loop {
            if let Happening::Messages(more) = reader.next().await.expect("it goes on") {
                return more;
            }
        }
    };
    let after = tokio::time::timeout(PATIENCE * 2, after).await.expect("the group misses the old one");
    assert_eq!(
        after.iter().map(|delivery| &*delivery.value).collect::<Vec<_>>(),
        [b"after"],
        "what came does not come again"
    );
    // It is still its own to settle.
    assert_eq!(ack(&adapter, &name, &seen[1..]).await, 1);
    assert_eq!(ack(&adapter, &name, &after).await, 1);
}

async fn publish_until_taken(adapter: &Arc<dyn Adapter>, topic: &str) {
    let until = Instant::now() + PATIENCE;
    let after = [message(None, "after")];
    while !queue(adapter).publish(topic, &after, None).await.is_ok_and(|told| told[0].is_ok()) {
        assert!(Instant::now() < until, "nothing is published");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_waits_for_a_broker_is_bounded_and_given_up_in_time() {
    let broker = Engines::own().kafka();
    let mut service = service(broker.port);
    service.options.insert("buffer".to_owned(), "1mb".into());
    service.options.insert("delivery_timeout".to_owned(), "2s".into());
    let adapter = connected(&service);
    let topic = topic(&adapter, "full", 1).await;
    publish(&adapter, &topic, &[message(None, "x")]).await;
    broker.freeze();
    let many: Vec<Message> = (0..30).map(|_| message(None, vec![b'x'; 100_000])).collect();
    let began = Instant::now();
    let results = queue(&adapter).publish(&topic, &many, None).await.expect("each has its own answer");
    assert!(began.elapsed() < Duration::from_secs(10), "given up after {:?}", began.elapsed());
    let count =
        |code: Code| results.iter().filter(|one| one.as_ref().is_err_and(|own| own.code() == code)).count();
    let (late, refused) = (count(Code::Timeout), count(Code::Overloaded));
    assert_eq!(late + refused, 30, "{results:?}");
    assert!(late >= 5 && refused >= 15, "{late} waited, {refused} were refused");
    for failure in results.iter().filter_map(|one| one.as_ref().err()) {
        let is_unknown = failure.detail().contains("all the same");
        assert_eq!(is_unknown, failure.code() == Code::Timeout, "{failure}");
        assert_eq!(failure.retryable(), !is_unknown, "{failure}");
    }
    broker.thaw();
    until_well(&adapter).await;
    publish(&adapter, &topic, &[message(None, "goes on")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_cannot_leave_is_refused_soon_and_may_be_sent_again() {
    let broker = Engines::own().kafka();
    let adapter = connected(&service(broker.port));
    let topic = topic(&adapter, "away", 1).await;
    publish(&adapter, &topic, &[message(None, "before")]).await;
    let broker = tokio::task::spawn_blocking(move || {
        broker.kill();
        broker
    });
    let broker = broker.await.expect("it is gone");
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Many at once ask once, and none of them waits for the others.
    let began = Instant::now();
    let one = |n: usize| {
        let (adapter, topic) = (Arc::clone(&adapter), topic.clone());
        tokio::spawn(async move {
            let sent = [message(None, format!("away {n}"))];
            queue(&adapter).publish(&topic, &sent, None).await.expect_err("nobody takes it")
        })
    };
    for refused in (0..100).map(one).collect::<Vec<_>>() {
        let failure = refused.await.expect("it ends");
        assert_eq!((failure.code(), failure.retryable()), (Code::BadGateway, true), "{failure}");
        assert!(failure.detail().contains("refused"), "{failure}");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "refused after {:?}", began.elapsed());
    let restarted = tokio::task::spawn_blocking(move || {
        broker.restart();
        broker
    });
    let _broker = restarted.await.expect("it restarts");
    let began = Instant::now();
    let sent = [message(None, "after")];
    let again = async { while queue(&adapter).publish(&topic, &sent, None).await.is_err() {} };
    tokio::time::timeout(PATIENCE, again).await.expect("it recovers by itself");
    assert!(began.elapsed() < Duration::from_secs(4), "published after {:?}", began.elapsed());
    let whole = queue(&adapter).topic(&topic).await.expect("it is there");
    assert_eq!(whole.partitions[0].expect("it is known").next, 2, "what was refused never left");
}
