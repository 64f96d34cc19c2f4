//! Closed-loop load: so many exchanges under way on every connection, and each one's end begins the next.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use super::wire::Wire;
use super::{Load, Moment, Notes, PAUSE, Report};

/// Runs the load to its end, with so many exchanges at once on each connection. A connection on which nothing was
/// completed in the whole time counts as an error. Must run inside a `LocalSet`.
pub async fn run(load: Load, at_once: usize) -> anyhow::Result<Report> {
    let load = Rc::new(load);
    let notes = Rc::new(Notes::default());
    let counts: Vec<Rc<Cell<u64>>> = (0..load.connections).map(|_| Rc::default()).collect();
    for count in &counts {
        let (load, notes, count) = (Rc::clone(&load), Rc::clone(&notes), Rc::clone(count));
        tokio::task::spawn_local(async move {
            let mut is_known = false;
            loop {
                // It never ends well: the load is over when its runtime is.
                if let Err(error) = converse(&load, at_once, &notes, &count, &mut is_known).await {
                    notes.fail(error.to_string());
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    notes.all_ready(load.connections).await?;
    tokio::time::sleep(load.warm_up).await;
    let before = Moment::now(&load.watched, &notes)?;
    let counted: Vec<u64> = counts.iter().map(|count| count.get()).collect();
    tokio::time::sleep(load.length).await;
    let after = Moment::now(&load.watched, &notes)?;
    for _ in counts.iter().zip(&counted).filter(|(count, before)| count.get() == **before) {
        notes.fail("a connection on which nothing was answered");
    }
    let mut report = after.since(&before, &notes);
    report.completed *= load.script.speech.weight();
    Ok(report)
}

async fn converse(
    load: &Load,
    at_once: usize,
    notes: &Notes,
    count: &Cell<u64>,
    is_known: &mut bool,
) -> io::Result<()> {
    let (mut wire, mut talker) = Wire::begin(load.address, load.secure.as_ref(), &load.script).await?;
    if !std::mem::replace(is_known, true) {
        notes.ready.set(notes.ready.get() + 1);
    }
    for _ in 0..at_once {
        talker.ask(&mut wire.output);
    }
    loop {
        wire.send().await?;
        wire.receive().await?;
        let done = talker.hear(&mut wire.input, &mut wire.output)?;
        count.set(count.get() + done as u64);
        notes.completed.set(notes.completed.get() + done as u64);
        for _ in 0..done {
            talker.ask(&mut wire.output);
        }
    }
}
