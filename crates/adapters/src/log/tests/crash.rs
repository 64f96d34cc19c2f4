//! A process killed in the middle of publishing, delivering and settling.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::*;

/// Set for the child that works until it is killed: the directory, and the first number of its round.
const CHILD: (&str, &str) = ("QUEUE_CRASH_DIR", "QUEUE_CRASH_FROM");

/// Lines after which the child is killed.
const ENOUGH: usize = 400;

const ROUNDS: usize = 10;

/// What children said before they died.
#[derive(Default)]
struct Said {
    published: BTreeSet<String>,
    settled: BTreeSet<String>,
    /// The count of the last delivery of each.
    delivered: BTreeMap<String, u32>,
}

#[test]
fn kill_loses_nothing_and_raises_deliveries() {
    if let Ok(dir) = std::env::var(CHILD.0) {
        let from = std::env::var(CHILD.1).unwrap().parse().unwrap();
        work_until_killed(Path::new(&dir), from);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    for round in 0..ROUNDS {
        run_and_kill(dir.path(), round * 1_000_000, &mut said);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(check(dir.path(), &mut said));
}

/// Reads what is left, and compares it with what was said.
async fn check(dir: &Path, said: &mut Said) {
    let queue = open(dir);
    let topic = queue.topic("t").await.unwrap();
    let kept: u64 = topic.partitions.iter().flatten().map(|own| own.next).sum();
    let mut consumer = queue.consume(&options("t", "g")).await.unwrap();
    let group = queue.groups(Some("t")).await.unwrap().remove(0);
    let open: u64 = group.partitions.iter().flatten().map(|own| own.lag).sum();
    let mut left = BTreeSet::new();
    while (left.len() as u64) < open {
        let deliveries = some(&mut consumer, 1).await;
        for own in &deliveries {
            let text = String::from_utf8(own.value.to_vec()).unwrap();
            said.see(&text, own.delivery);
            left.insert(text);
        }
        ack(&*queue, "t", "g", &deliveries).await;
    }
    let lost: Vec<_> =
        said.published.iter().filter(|own| !left.contains(*own) && !said.settled.contains(*own)).collect();
    // What was settled while the word of it was cut off is neither left nor said: at most what is under way.
    let unknown = kept - open - said.settled.len() as u64;
    assert!(lost.len() as u64 <= unknown, "lost {lost:?}, {unknown} unknown");
    assert!(unknown <= (ROUNDS * 8) as u64, "{unknown} of {kept}");
    let returned: Vec<_> = said.settled.intersection(&left).collect();
    assert!(returned.is_empty(), "settled and came again: {returned:?}");
    assert!(said.published.len() > 100 && said.settled.len() > 100);
    queue.close().await.unwrap();
}

impl Said {
    fn see(&mut self, text: &str, delivery: u32) {
        let before = self.delivered.insert(text.to_owned(), delivery).unwrap_or(0);
        assert!(delivery > before, "{text} was delivered as {before} and again as {delivery}");
    }
}

fn run_and_kill(dir: &Path, from: usize, said: &mut Said) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "log::tests::crash::kill_loses_nothing_and_raises_deliveries", "--nocapture"])
        .env(CHILD.0, dir)
        .env(CHILD.1, from.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("published"), Some(text), _) => drop(said.published.insert(text.to_owned())),
            (Some("settled"), Some(text), _) => drop(said.settled.insert(text.to_owned())),
            (Some("delivered"), Some(text), Some(count)) => said.see(text, count.parse().unwrap()),
            _ => continue,
        }
        lines += 1;
        if lines == ENOUGH {
            child.kill().unwrap(); // SIGKILL; the loop goes on to what is left in the pipe.
        }
    }
    let status = child.wait().unwrap();
    assert!(!status.success() && lines >= ENOUGH, "the child ended by itself: {status}");
}

/// One call for each line, so that the kill cannot cut it in two.
fn tell(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn work_until_killed(dir: &Path, from: usize) -> ! {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let queue = open_with(dir, Options { num_partitions: 2, ..Options::default() });
    for caller in 0..8 {
        let queue = Arc::clone(&queue);
        runtime.spawn(async move {
            for n in (from + caller..).step_by(8) {
                say(&*queue, "t", &[&n.to_string()]).await;
                tell(&format!("published {n}"));
            }
        });
    }
    runtime.block_on(async {
        while queue.topic("t").await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut consumer = queue.consume(&ConsumeOptions { credit: 8, ..options("t", "g") }).await.unwrap();
        loop {
            for own in some(&mut consumer, 1).await {
                let text = String::from_utf8(own.value.to_vec()).unwrap();
                tell(&format!("delivered {text} {}", own.delivery));
                // One in three is left to its lease, so that kills find some of them open.
                if own.offset % 3 > 0 || own.delivery > 1 {
                    ack(&*queue, "t", "g", &[own]).await;
                    tell(&format!("settled {text}"));
                }
            }
        }
    })
}
