//! What others do to the same topics, with programs of Kafka's own.

use engines::{Engines, Server};
use model::Code;
use throome_adapters::queue::Happening;

use super::{PATIENCE, ack, connected, join, message, next, options, publish, queue, service, topic};

/// Has one of Kafka's programs do something, beside this runtime.
async fn tool(broker: &Server, class: &'static str, words: &[&str]) -> String {
    let (broker, words) = (broker.clone(), words.iter().map(ToString::to_string).collect::<Vec<_>>());
    let run = move || broker.kafka_tool(class, &words.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.expect("it runs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_others_delete_is_missed() {
    let broker = Engines::shared().kafka();
    let mut service = service(broker.port);
    service.options.insert("auto_create".to_owned(), "false".into());
    let adapter = connected(&service);
    let topic = topic(&adapter, "taken", 1).await;
    publish(&adapter, &topic, &[message(None, "x")]).await;
    let mut reader = join(&adapter, &options(&topic)).await;
    next(&mut reader).await;
    let address = broker.address().to_string();
    let words = ["--bootstrap-server", &address, "--delete", "--topic", &topic];
    tool(&broker, "org.apache.kafka.tools.TopicCommand", &words).await;
    let end = async {
        loop {
            match reader.next().await {
                Ok(Happening::Assignment(_)) => {}
                other => return other,
            }
        }
    };
    let end = tokio::time::timeout(PATIENCE, end).await.expect("the stream ends");
    assert_eq!(end.expect_err("there is nothing to read").code(), Code::NotFound);
    assert_eq!(reader.next().await.expect_err("nor later").code(), Code::NotFound);
    // Nothing makes it again: neither the gateway, which is told not to, nor the broker, which would.
    let sent = [message(None, "y")];
    let missed = queue(&adapter).publish(&topic, &sent, None);
    let missed = match tokio::time::timeout(PATIENCE, missed).await.expect("it is missed") {
        Err(failure) => failure,
        Ok(results) => results.into_iter().next().and_then(Result::err).expect("nobody can take it"),
    };
    assert_eq!(missed.code(), Code::NotFound, "{missed}");
    assert_eq!(queue(&adapter).topic(&topic).await.expect_err("it is gone").code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_publish_is_read_however_it_is_packed() {
    let broker = Engines::shared().kafka();
    let adapter = connected(&service(broker.port));
    let topic = topic(&adapter, "packed", 1).await;
    let servers = format!("bootstrap.servers={}", broker.address());
    for compression in ["gzip", "snappy", "lz4", "zstd"] {
        let packed = format!("compression.type={compression}");
        let words = [
            "--topic",
            &topic,
            "--num-records",
            "5",
            "--record-size",
            "100",
            "--throughput",
            "-1",
            "--producer-props",
            &servers,
            &packed,
        ];
        tool(&broker, "org.apache.kafka.tools.ProducerPerformance", &words).await;
    }
    publish(&adapter, &topic, &[message(None, "behind them")]).await;
    let mut reader = join(&adapter, &options(&topic)).await;
    let mut seen = Vec::new();
    while seen.len() < 21 {
        seen.extend(next(&mut reader).await);
    }
    assert_eq!(ack(&adapter, &topic, &seen).await, 21);
    drop(reader);
    let groups = queue(&adapter).groups(Some(&topic)).await.expect("groups are shown");
    assert_eq!(
        groups[0].partitions[0].expect("it is known").settled,
        21,
        "five of each packing, and one behind them"
    );
}
