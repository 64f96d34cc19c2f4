//! Groups over several gateways: each has its share, and what one leaves behind another takes over.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use engines::Engines;
use throome_adapters::Adapter;
use throome_adapters::queue::{
    ConsumeOptions, Consumer, Delivery, Happening, Message, Position, Settlement, Topic,
};

use super::{PATIENCE, ack, connected, join, message, next, options, publish, queue, service, topic};

/// Follows a consumer until it has so many partitions; gives what came meanwhile.
async fn owns(consumer: &mut Box<dyn Consumer>, count: usize) -> Vec<Delivery> {
    let mut seen = Vec::new();
    let wait = async {
        while consumer.assignment().len() != count {
            if let Happening::Messages(messages) = consumer.next().await.expect("it goes on") {
                seen.extend(messages);
            }
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    assert!(waited.is_ok(), "it has {:?}, not {count}", consumer.assignment());
    seen
}

fn next_of(topic: &Topic, partition: u32) -> u64 {
    topic.partitions[partition as usize].expect("it is known").next
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_gateways_share_a_topic_and_take_over() {
    let broker = Engines::shared().kafka();
    let gateways = [0; 3].map(|_| connected(&service(broker.port)));
    let topic = topic(&gateways[0], "shared", 6).await;
    let mut readers = Vec::new();
    for gateway in &gateways {
        readers.push(join(gateway, &options(&topic)).await);
    }
    let mut all = BTreeSet::new();
    for reader in &mut readers {
        owns(reader, 2).await;
        all.extend(reader.assignment());
    }
    assert_eq!(all.len(), 6, "each partition is read once");
    let messages: Vec<Message> = (0..600).map(|n| message(Some(&format!("k{n}")), format!("{n}"))).collect();
    publish(&gateways[0], &topic, &messages).await;
    let mut places = BTreeSet::new();
    let whole = queue(&gateways[0]).topic(&topic).await.expect("it is there");
    for (at, (gateway, reader)) in gateways.iter().zip(&mut readers).enumerate() {
        let own = reader.assignment();
        let count: u64 = own.iter().map(|partition| next_of(&whole, *partition)).sum();
        let mut seen = Vec::new();
        while (seen.len() as u64) < count {
            seen.extend(next(reader).await);
        }
        assert!(seen.iter().all(|delivery| own.contains(&delivery.partition) && delivery.delivery == 1));
        places.extend(seen.iter().map(|delivery| (delivery.partition, delivery.offset)));
        // The last settles nothing.
        if at < 2 {
            assert_eq!(ack(gateway, &topic, &seen).await, count);
        }
    }
    assert_eq!(places.len(), 600, "each message was sent to one of them");
    // Its gateway goes: the others are sent what it has not settled, and nothing else.
    let left = readers.pop().expect("there are three");
    let own = left.assignment();
    gateways[2].close().await.expect("it closes");
    let owed: u64 = own.iter().map(|partition| next_of(&whole, *partition)).sum();
    let mut again = Vec::new();
    for reader in &mut readers {
        again.extend(owns(reader, 3).await);
    }
    while (again.len() as u64) < owed {
        let [first, second] = &mut readers[..] else { panic!("two are left") };
        tokio::select! {
            more = next(first) => again.extend(more),
            more = next(second) => again.extend(more),
        }
    }
    assert!(again.iter().all(|delivery| own.contains(&delivery.partition)), "only what was owed comes again");
    let unique: BTreeSet<_> = again.iter().map(|delivery| (delivery.partition, delivery.offset)).collect();
    assert_eq!((unique.len() as u64, again.len() as u64), (owed, owed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_counts_where_its_stream_is() {
    let broker = Engines::shared().kafka();
    let (here, elsewhere) = (connected(&service(broker.port)), connected(&service(broker.port)));
    let topic = topic(&here, "tokens", 1).await;
    publish(&here, &topic, &[message(None, "a"), message(None, "b")]).await;
    let mut reader = join(&here, &options(&topic)).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.extend(next(&mut reader).await);
    }
    assert_eq!(ack(&elsewhere, &topic, &seen).await, 0, "that gateway knows nothing of them");
    assert_eq!(ack(&here, &topic, &seen[..1]).await, 1);
    // Both show the group alike, but for what is on its way.
    let shown = |adapter: Arc<dyn Adapter>| {
        let topic = topic.clone();
        async move { queue(&adapter).groups(Some(&topic)).await.expect("groups are shown").remove(0) }
    };
    let one = shown(Arc::clone(&here)).await;
    let place = one.partitions[0].expect("it is known");
    assert_eq!((place.settled, place.lag, place.delivered), (1, 1, 1));
    // The broker tells of members when they have all agreed.
    let agreed = async {
        while shown(Arc::clone(&elsewhere)).await.consumers != one.consumers {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, agreed).await.expect("both gateways show the same consumers");
    assert_eq!(one.consumers.len(), 1);
    let refused = queue(&elsewhere).reset_group(&topic, "g", Position::Earliest).await;
    assert_eq!(refused.expect_err("somebody reads").code(), model::Code::Conflict);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counts_of_deliveries_outlive_streams() {
    let broker = Engines::shared().kafka();
    let adapter = connected(&service(broker.port));
    let topic = topic(&adapter, "counts", 1).await;
    publish(&adapter, &topic, &[message(None, "settled"), message(None, "poison"), message(None, "fine")])
        .await;
    let short = ConsumeOptions { lease: Duration::from_millis(300), ..options(&topic) };
    for round in 1..=3 {
        let mut reader = join(&adapter, &short).await;
        let mut poison = None;
        while poison.is_none() {
            for own in next(&mut reader).await {
                match &own.value[..] {
                    b"poison" => poison = Some(own),
                    // Settled above what is not, it does not come again while this gateway lives.
                    _ => {
                        assert_eq!(round, 1, "{own:?}");
                        assert_eq!(ack(&adapter, &topic, &[own]).await, 1);
                    }
                }
            }
        }
        assert_eq!(poison.expect("it came").delivery, round, "its consumer died each time");
        drop(reader);
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    let mut reader = join(&adapter, &short).await;
    let poison = next(&mut reader).await.remove(0);
    let term = vec![poison.ack];
    let settlement =
        Settlement { topic: topic.as_str().into(), group: "g".into(), term, ..Settlement::default() };
    assert_eq!(queue(&adapter).settle(&settlement).await.expect("it is buried"), 1);
    let groups = queue(&adapter).groups(Some(&topic)).await.expect("groups are shown");
    assert_eq!(groups[0].partitions[0].expect("it is known").lag, 0);
}
