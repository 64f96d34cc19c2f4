//! Open-loop load: exchanges at the times that a schedule says, each latency counted from the time at which its exchange was
//! due. One thread does nothing but wake up when one is due; where all connections are busy then, it waits for the next
//! one that is not, which is in its latency.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::tally::{LATE, Report, Tally};
use super::wire::Wire;
use super::{Load, Notes, PATIENCE, PAUSE};
use crate::proc;
use crate::schedule::{Arrivals, Schedule};

/// An exchange that should have begun.
#[derive(Debug, Clone, Copy)]
struct Due {
    at: Instant,
    counts: bool,
}

/// Runs the load to its end, at so many exchanges a second. Must run inside a `LocalSet`.
pub async fn run(load: Load, rate: f64, seed: u64) -> anyhow::Result<Report> {
    let load = Rc::new(load);
    let notes = Rc::new(Notes::default());
    let tally = Rc::new(RefCell::new(Tally::default()));
    let (sender, receiver) = unbounded_channel();
    let queue = Rc::new(Mutex::new(receiver));
    let tasks: Vec<_> = (0..load.connections)
        .map(|_| {
            let (load, queue) = (Rc::clone(&load), Rc::clone(&queue));
            let (notes, tally) = (Rc::clone(&notes), Rc::clone(&tally));
            tokio::task::spawn_local(async move { serve(&load, &queue, &notes, &tally).await })
        })
        .collect();
    notes.all_ready(load.connections).await?;
    sharpen_sleep();
    let (warm_up, whole) = (load.warm_up, load.warm_up + load.length);
    let core = proc::core_time(load.watched.load_core)?;
    let start = Instant::now() + Duration::from_millis(5);
    std::thread::spawn(move || {
        for offset in Schedule::new(rate, whole, Arrivals::Poisson, seed) {
            let due = Due { at: start + offset, counts: offset >= warm_up };
            let early = due.at.saturating_duration_since(Instant::now());
            if !early.is_zero() {
                std::thread::sleep(early);
            }
            if sender.send(due).is_err() {
                return;
            }
        }
    });
    let end = tokio::time::Instant::from_std(start + whole + PATIENCE);
    let mut unfinished = 0;
    for task in tasks {
        if tokio::time::timeout_at(end, task).await.is_err() {
            unfinished += 1;
        }
    }
    let core = proc::core_time(load.watched.load_core)? - core;
    let load_core = (core.busy.as_secs_f64() / start.elapsed().as_secs_f64()).min(1.0);
    let counted = start.elapsed().saturating_sub(load.warm_up).as_secs_f64();
    let mut tally = tally.take();
    for _ in 0..unfinished {
        tally.fail("an exchange that did not end".to_owned());
    }
    Ok(tally.report(rate, counted, load_core))
}

/// Takes what is due next, again and again, until there is no more.
async fn serve(load: &Load, queue: &Mutex<UnboundedReceiver<Due>>, notes: &Notes, tally: &RefCell<Tally>) {
    let mut open = None;
    loop {
        let (mut wire, mut talker) = match open.take() {
            Some(open) => open,
            None => match Wire::begin(load.address, load.secure.as_ref(), &load.script).await {
                Ok(fresh) => {
                    notes.ready.set(notes.ready.get() + 1);
                    fresh
                }
                Err(error) => {
                    notes.fail(error.to_string());
                    tally.borrow_mut().fail(error.to_string());
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
        };
        let free_since = Instant::now();
        let Some(due) = queue.lock().await.recv().await else { return };
        let is_late = due.at.elapsed() > LATE;
        let outcome = wire.exchange(&mut talker).await;
        let mut tally = tally.borrow_mut();
        if due.counts && is_late {
            // Who was free when it was due, and still began late, was woken late.
            if free_since > due.at { tally.late_waiting += 1 } else { tally.late_waking += 1 }
        }
        match outcome {
            Ok(()) => {
                if due.counts {
                    tally.latencies.record(due.at.elapsed().as_nanos() as u64);
                }
                open = Some((wire, talker));
            }
            Err(error) => tally.fail(error.to_string()),
        }
    }
}

/// Linux lets a sleep end up to 50 us late in order to save wake-ups; threads inherit the setting of the one that
/// starts them. Where it cannot be set, the lateness shows as `late_waking` if it matters.
fn sharpen_sleep() {
    let _ = std::fs::write("/proc/self/timerslack_ns", "1");
}
