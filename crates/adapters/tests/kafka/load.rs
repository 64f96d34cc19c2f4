//! Publishers that go on whatever happens, and what they were told against what is there in the end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::{Failure, ServiceSpec};
use throome_adapters::Adapter;
use tokio::task::JoinHandle;

use super::{PATIENCE, ack, connected, join, message, next, options, queue};

/// Publishers at a time.
const PUBLISHERS: usize = 8;

/// Publishers of one topic.
pub(super) struct Load {
    adapter: Arc<dyn Adapter>,
    topic: String,
    watch: Arc<Watch>,
    publishers: Vec<JoinHandle<Told>>,
}

impl Load {
    pub(super) fn on(adapter: &Arc<dyn Adapter>, topic: &str) -> Load {
        let watch = Arc::new(Watch::default());
        let one = |name| {
            let (adapter, watch) = (Arc::clone(adapter), Arc::clone(&watch));
            tokio::spawn(publish_until(adapter, topic.to_owned(), name, watch))
        };
        let publishers = (0..PUBLISHERS).map(one).collect();
        Load { adapter: Arc::clone(adapter), topic: topic.to_owned(), watch, publishers }
    }

    /// Waits until so many more have arrived.
    pub(super) async fn more(&self, count: usize) {
        self.watch.more(count).await;
    }

    /// Ends it, and compares what was told with what another gateway finds there.
    pub(super) async fn finish(self, service: &ServiceSpec) {
        let Load { adapter, topic, watch, publishers } = self;
        watch.stop.store(true, Ordering::Release);
        let (mut arrived, mut failed) = (Vec::new(), Vec::new());
        for publisher in publishers {
            let told = publisher.await.expect("it ends");
            arrived.extend(told.arrived);
            failed.extend(told.failed);
        }
        // Messages that were told to be unknown may still be on their way.
        adapter.close().await.expect("it closes");
        let adapter = connected(service);
        let found = read_all(&adapter, &topic).await;
        for (text, partition, offset) in &arrived {
            assert_eq!(
                found.get(text),
                Some(&vec![(*partition, *offset)]),
                "{text} is there, where it was told, once"
            );
        }
        for (text, perhaps) in &failed {
            let places = found.get(text).map_or(0, Vec::len);
            assert!(places <= usize::from(*perhaps), "{text} is there {places} times; perhaps: {perhaps}");
        }
    }
}

/// What a publisher was told of each of its messages.
#[derive(Default)]
struct Told {
    arrived: Vec<(String, u32, u64)>,
    /// Said to have failed: these may be there all the same where the answer says so.
    failed: Vec<(String, bool)>,
}

/// What publishers look at, and what they count.
#[derive(Default)]
struct Watch {
    stop: AtomicBool,
    arrived: AtomicUsize,
    /// What was said last of one that did not.
    failed: Mutex<String>,
}

impl Watch {
    fn says(&self, failure: &Failure) {
        *self.failed.lock().expect("sound") = failure.to_string();
    }

    /// Waits until so many more have arrived.
    async fn more(&self, count: usize) {
        let until = self.arrived.load(Ordering::Acquire) + count;
        let wait = async {
            while self.arrived.load(Ordering::Acquire) < until {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            let (arrived, failed) =
                (self.arrived.load(Ordering::Acquire), self.failed.lock().expect("sound"));
            panic!("publishing does not go on: {arrived} of {until} have arrived; last failed: {failed}");
        }
    }
}

async fn publish_until(adapter: Arc<dyn Adapter>, topic: String, name: usize, watch: Arc<Watch>) -> Told {
    let mut told = Told::default();
    for n in 0.. {
        if watch.stop.load(Ordering::Acquire) {
            break;
        }
        let text = format!("{name}-{n}");
        let one = [message(Some(&text), text.clone())];
        match queue(&adapter).publish(&topic, &one, None).await {
            Ok(results) => match results.into_iter().next().expect("one for each") {
                Ok(receipt) => {
                    watch.arrived.fetch_add(1, Ordering::AcqRel);
                    told.arrived.push((text, receipt.partition, receipt.offset));
                }
                Err(failure) => {
                    watch.says(&failure);
                    told.failed.push((text, failure.detail().contains("all the same")));
                }
            },
            Err(failure) => {
                assert!(failure.retryable(), "a call that fails has sent nothing: {failure}");
                watch.says(&failure);
                told.failed.push((text, false));
            }
        }
    }
    told
}

/// Everything that the topic holds, by its text: where it stands, each time that it does.
async fn read_all(adapter: &Arc<dyn Adapter>, topic: &str) -> BTreeMap<String, Vec<(u32, u64)>> {
    let whole = queue(adapter).topic(topic).await.expect("it is there");
    let count: u64 = whole.partitions.iter().map(|own| own.expect("it is known").messages()).sum();
    let mut reader = join(adapter, &options(topic)).await;
    let (mut found, mut seen) = (BTreeMap::<String, Vec<(u32, u64)>>::new(), 0);
    while seen < count {
        let messages = next(&mut reader).await;
        assert_eq!(ack(adapter, topic, &messages).await, messages.len() as u64);
        seen += messages.len() as u64;
        for own in messages {
            let text = String::from_utf8(own.value.to_vec()).expect("it is a text");
            found.entry(text).or_default().push((own.partition, own.offset));
        }
    }
    found
}
