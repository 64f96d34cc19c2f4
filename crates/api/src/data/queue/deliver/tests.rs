//! A stream over a consumer that the test plays, with time that stands still until it is moved.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use adapters::Call;
use bytes::Bytes;
use clusters::{Access, Order, Shape, Tries};
use tokio::sync::mpsc;
use wire::body::Frames;

use super::super::frames::{Written, written};
use super::*;
use crate::tests::Gateway;

struct Played {
    happenings: mpsc::Receiver<Result<Happening, Failure>>,
    pulled: Arc<AtomicUsize>,
    looking: Arc<AtomicBool>,
}

impl Consumer for Played {
    fn id(&self) -> &'static str {
        "c-1"
    }

    fn assignment(&self) -> Vec<u32> {
        vec![0]
    }

    fn next(&mut self) -> Call<'_, Happening> {
        self.pulled.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {
            match self.happenings.recv().await {
                Some(happening) => happening,
                None => std::future::pending().await,
            }
        })
    }

    fn is_looking(&self) -> bool {
        self.looking.load(Ordering::Relaxed)
    }
}

struct Scene {
    gateway: Gateway,
    body: Pin<Box<Written>>,
    play: mpsc::Sender<Result<Happening, Failure>>,
    pulled: Arc<AtomicUsize>,
    looking: Arc<AtomicBool>,
}

/// A stream on a service that runs; which one is all the same, since the consumer is played.
async fn scene(format: Format, wait: Option<Duration>) -> Scene {
    let gateway = crate::tests::shop().await;
    let service = Arc::clone(gateway.clusters.snapshot().service("shop", "cache").unwrap());
    let order = Order {
        operation: "SUBSCRIBE",
        shape: Shape::Text("t/g".into()),
        access: Access::Write,
        rerun: false,
        uploads: false,
        patience: std::time::Duration::ZERO,
        key: None,
        request_id: RequestId::make(),
    };
    let mut tries = Tries::begin(service, None, order, gateway.clusters.activity().clone());
    let mut attempt = tries.next().await.unwrap();
    attempt.heard(true);
    let (play, happenings) = mpsc::channel(100);
    let (pulled, looking) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let consumer = Played { happenings, pulled: Arc::clone(&pulled), looking: Arc::clone(&looking) };
    let consumer = Box::new(consumer);
    let (clusters, id) = (gateway.clusters.clone(), RequestId::make());
    let stream = Stream { attempt, clusters, topic: "t".into(), format, wait, id };
    let hello = json!({ "consumer": "c-1" });
    let body = Box::pin(written(|pen| stream.deliver(consumer, hello, pen)));
    Scene { gateway, body, play, pulled, looking }
}

impl Scene {
    async fn frame(&mut self) -> Option<Result<Bytes, Error>> {
        poll_fn(|cx| self.body.as_mut().poll_frame(cx)).await
    }

    async fn text(&mut self) -> String {
        String::from_utf8(self.frame().await.unwrap().unwrap().to_vec()).unwrap()
    }

    async fn is_silent(&mut self) -> bool {
        poll_fn(|cx| Poll::Ready(self.body.as_mut().poll_frame(cx).is_pending())).await
    }
}

fn delivery(offset: u64, size: usize) -> Delivery {
    Delivery {
        partition: 0,
        offset,
        key: None,
        value: vec![b'x'; size].into(),
        headers: Vec::new(),
        timestamp: 0,
        delivery: 1,
        ack: format!("a{offset}").into(),
        resume: format!("r{offset}").into(),
    }
}

fn messages(offsets: std::ops::Range<u64>, size: usize) -> Result<Happening, Failure> {
    Ok(Happening::Messages(offsets.map(|offset| delivery(offset, size)).collect()))
}

#[tokio::test]
async fn a_batch_is_one_frame_and_everything_has_its_turn() {
    let mut scene = scene(Format::Lines, None).await;
    assert_eq!(scene.text().await, "{\"event\":\"hello\",\"consumer\":\"c-1\"}\n");
    scene.play.send(messages(0..3, 1)).await.unwrap();
    scene.play.send(Ok(Happening::Assignment(vec![0, 2]))).await.unwrap();
    let batch = scene.text().await;
    let offsets: Vec<Value> =
        batch.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["offset"].clone()).collect();
    assert_eq!(offsets, [0, 1, 2]);
    assert_eq!(scene.text().await, "{\"event\":\"assignment\",\"assignment\":[0,2]}\n");
    assert!(scene.is_silent().await);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_nothing() {
    let mut scene = scene(Format::Events, None).await;
    for _ in 0..50 {
        scene.play.send(messages(0..10, 20_000)).await.unwrap();
    }
    assert_eq!(scene.pulled.load(Ordering::Relaxed), 0, "nothing happens before somebody reads");
    scene.text().await;
    let first = scene.text().await;
    assert!((FRAME..2 * FRAME).contains(&first.len()), "a large batch goes out in parts: {}", first.len());
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(
        scene.pulled.load(Ordering::Relaxed),
        1,
        "one batch is under way, the others stay with the engine"
    );
    let mut found = first.matches("event: message").count();
    while found < 10 {
        found += scene.text().await.matches("event: message").count();
    }
    assert_eq!((found, scene.pulled.load(Ordering::Relaxed)), (10, 1));
    scene.text().await;
    assert_eq!(scene.pulled.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn silence_has_a_heartbeat() {
    for (format, heartbeat) in [(Format::Events, ": \n\n"), (Format::Lines, "\n")] {
        let mut scene = scene(format, None).await;
        scene.text().await;
        tokio::time::pause();
        assert!(scene.is_silent().await);
        for _ in 0..2 {
            tokio::time::advance(Duration::from_millis(9_000)).await;
            assert!(scene.is_silent().await);
            tokio::time::advance(Duration::from_millis(1_100)).await;
            assert_eq!(scene.text().await, heartbeat);
            assert!(scene.is_silent().await);
        }
        // A message puts it off.
        tokio::time::advance(Duration::from_millis(9_000)).await;
        scene.play.send(messages(0..1, 1)).await.unwrap();
        scene.text().await;
        tokio::time::advance(Duration::from_millis(9_000)).await;
        assert!(scene.is_silent().await);
        tokio::time::advance(Duration::from_millis(1_100)).await;
        assert_eq!(scene.text().await, heartbeat);
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_stream_that_may_wait_so_long_ends_well() {
    let mut scene = scene(Format::Lines, Some(Duration::from_secs(25))).await;
    scene.text().await;
    tokio::time::pause();
    assert!(scene.is_silent().await);
    tokio::time::advance(Duration::from_secs(5)).await;
    scene.play.send(messages(0..1, 1)).await.unwrap();
    scene.text().await;
    let mut heartbeats = 0;
    for second in 0..24 {
        tokio::time::advance(Duration::from_secs(1)).await;
        if !scene.is_silent_or_beats(&mut heartbeats).await {
            panic!("ended after {second} s");
        }
    }
    assert_eq!(heartbeats, 2, "a heartbeat is no message: it puts nothing off");
    tokio::time::advance(Duration::from_millis(1_100)).await;
    assert!(scene.frame().await.is_none());
}

#[tokio::test]
async fn a_stream_whose_engine_is_still_looking_does_not_end() {
    let mut scene = scene(Format::Lines, Some(Duration::from_millis(100))).await;
    scene.looking.store(true, Ordering::Relaxed);
    scene.text().await;
    tokio::time::pause();
    assert!(scene.is_silent().await);
    tokio::time::advance(Duration::from_secs(3)).await;
    assert!(scene.is_silent().await);
    scene.play.send(messages(0..1, 1)).await.unwrap();
    assert!(scene.text().await.contains("\"offset\":0"));
    assert!(scene.is_silent().await);
    // One that never finds out is not waited for without end.
    tokio::time::advance(Duration::from_secs(9)).await;
    assert!(scene.is_silent_or_beats(&mut 0).await);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(!scene.is_silent_or_beats(&mut 0).await);
}

impl Scene {
    /// Whether the stream goes on; counts the heartbeats that come.
    async fn is_silent_or_beats(&mut self, heartbeats: &mut usize) -> bool {
        loop {
            match poll_fn(|cx| Poll::Ready(self.body.as_mut().poll_frame(cx))).await {
                Poll::Pending => return true,
                Poll::Ready(Some(Ok(frame))) => {
                    assert_eq!(frame, "\n");
                    *heartbeats += 1;
                }
                Poll::Ready(_) => return false,
            }
        }
    }
}

#[tokio::test]
async fn a_failure_is_told_before_the_cut() {
    let mut scene = scene(Format::Events, None).await;
    scene.text().await;
    scene.play.send(Err(Failure::client(Code::NotFound, "The topic is gone."))).await.unwrap();
    let told = scene.text().await;
    let data = told.strip_prefix("event: error\ndata: ").unwrap();
    let problem: Value = serde_json::from_str(data).unwrap();
    assert_eq!(
        (&problem["code"], &problem["status"], &problem["service"]),
        (&json!("not_found"), &json!(404), &json!("cache"))
    );
    assert!(scene.is_silent().await, "time to send it");
    assert!(matches!(scene.frame().await, Some(Err(Error::Truncated))));
    assert!(scene.frame().await.is_none());
}

#[tokio::test]
async fn a_stream_ends_with_its_service_and_with_no_other_change() {
    for (services, ends) in [
        (json!({ "cache": { "type": "memory" }, "more": { "type": "memory" } }), false),
        (json!({ "cache": { "type": "memory", "max_value": "1mb" } }), true),
        (json!({ "other": { "type": "memory" } }), true),
    ] {
        let mut scene = scene(Format::Lines, None).await;
        scene.text().await;
        let document = json!({ "name": "Shop", "services": services });
        let changed = scene.gateway.put("/api/v1/clusters/shop", &document).await;
        assert_eq!(changed.status, 200, "{}", changed.text());
        tokio::time::pause();
        assert!(scene.is_silent().await);
        tokio::time::advance(HEARTBEAT + Duration::from_millis(10)).await;
        let told = scene.text().await;
        if ends {
            assert!(
                told.starts_with("{\"event\":\"error\",") && told.contains("\"code\":\"draining\""),
                "{told}"
            );
            assert!(scene.is_silent().await);
            assert!(matches!(scene.frame().await, Some(Err(Error::Truncated))));
        } else {
            assert_eq!(told, "\n");
        }
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_client_that_goes_ends_everything_behind_it() {
    let mut scene = scene(Format::Lines, None).await;
    scene.text().await;
    assert!(scene.is_silent().await);
    drop(scene.body);
    assert!(scene.play.is_closed(), "the consumer is dropped with the body");
}
