//! Figures, for those who change the broker: run by hand, since what they say depends on the machine.

use std::time::Instant;

use super::*;

/// Messages of one publisher at a steady rate, to as many groups: prints the times from publish to answer and from
/// publish to delivery.
async fn follow(groups: usize, rate: u64, seconds: u64, settles: bool) {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    queue.create_topic(&spec("t", 1)).await.unwrap();
    let start = Instant::now();
    let count = rate * seconds;
    let mut readers = tokio::task::JoinSet::new();
    for group in 0..groups {
        let name = format!("g{group}");
        let joined = ConsumeOptions { credit: if settles { 100 } else { 10_000 }, ..options("t", &name) };
        let mut consumer = queue.consume(&joined).await.unwrap();
        let queue = Arc::clone(&queue);
        readers.spawn(async move {
            let mut times = Vec::new();
            let mut held = Vec::new();
            while (times.len() as u64) < count {
                let Happening::Messages(messages) = consumer.next().await.unwrap() else { continue };
                let now = start.elapsed().as_micros() as u64;
                times.extend(
                    messages.iter().map(|own| now - u64::from_le_bytes(own.value[..8].try_into().unwrap())),
                );
                held.extend(messages);
                if settles && held.len() >= 20 {
                    ack(&*queue, "t", &name, &std::mem::take(&mut held)).await;
                }
            }
            times
        });
    }
    let mut answers = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / rate));
    let mut publishes = tokio::task::JoinSet::new();
    for _ in 0..count {
        ticks.tick().await;
        let queue = Arc::clone(&queue);
        publishes.spawn(async move {
            let at = start.elapsed().as_micros() as u64;
            queue.publish("t", &[message(at.to_le_bytes())], None).await.unwrap();
            start.elapsed().as_micros() as u64 - at
        });
    }
    answers.extend(publishes.join_all().await);
    let mut times: Vec<u64> = readers.join_all().await.into_iter().flatten().collect();
    let commits = queue.engine().await.unwrap().commits();
    let at = |times: &mut Vec<u64>, share: usize| {
        times.sort_unstable();
        times[(times.len() - 1) * share / 100] as f64 / 1000.0
    };
    eprintln!(
        "{groups:4} groups {rate}/s settles {settles:5}: publish p50 {:.1} p99 {:.1} ms, delivery p50 {:.1} p99 {:.1} ms, {commits} commits",
        at(&mut answers, 50),
        at(&mut answers, 99),
        at(&mut times, 50),
        at(&mut times, 99),
    );
    queue.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures; half a minute on a quiet machine"]
async fn from_publish_to_delivery() {
    follow(1, 100, 4, true).await;
    follow(200, 100, 4, true).await;
    follow(200, 100, 6, false).await;
}
