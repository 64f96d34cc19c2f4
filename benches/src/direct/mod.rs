//! The engines used directly, without a gateway: what data calls over HTTP are compared with. Each job is as many
//! callers as asked for, each making one call after the other until the time is over.

#[cfg(feature = "kafka")]
pub mod kafka;
pub mod log;
pub mod postgres;
pub mod sqlite;

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::proc;
use crate::timings::{Tally, Timings};

/// Where the files are, how many call, for how long.
#[derive(Debug, Clone)]
pub struct Job {
    pub directory: PathBuf,
    pub callers: usize,
    pub length: Duration,
}

/// Where the server is, how many call, for how long.
#[derive(Debug, Clone)]
pub struct Remote {
    /// As the engine's client is told.
    pub server: String,
    pub callers: usize,
    pub length: Duration,
}

/// Runs one thread a caller, each with what `open` gives it, and sums up what they had.
fn on_threads<C, O, F>(job: &Job, open: O, call: F) -> anyhow::Result<Timings>
where
    C: Send,
    O: Fn(usize) -> anyhow::Result<C>,
    F: Fn(&mut C, usize) -> anyhow::Result<usize> + Sync,
{
    let callers: Vec<C> = (0..job.callers).map(&open).collect::<anyhow::Result<_>>()?;
    let me = [std::process::id()];
    let cpu = proc::cpu_time(&me)?;
    let start = Instant::now();
    let mut sum = Tally::default();
    let call = &call;
    std::thread::scope(|scope| {
        let threads: Vec<_> = callers
            .into_iter()
            .enumerate()
            .map(|(index, caller)| scope.spawn(move || repeat(job, start, caller, index, call)))
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(tally) => sum.add(tally),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    let timings = sum.timings(start);
    Ok(Timings { cpu_seconds: Some((proc::cpu_time(&me)? - cpu).as_secs_f64()), ..timings })
}

/// Calls until the time is over. Callers begin at different places of what they go through.
fn repeat<C>(
    job: &Job,
    start: Instant,
    mut caller: C,
    index: usize,
    call: impl Fn(&mut C, usize) -> anyhow::Result<usize>,
) -> Tally {
    let mut tally = Tally::default();
    for at in (index * 1_009).. {
        let begun = Instant::now();
        if begun - start >= job.length {
            break;
        }
        match call(&mut caller, at) {
            Ok(bytes) => tally.done(begun.elapsed(), bytes),
            Err(error) => tally.fail(format!("{error:#}")),
        }
    }
    tally
}

/// Runs one task a caller on one thread, each with what `open` gives it, and sums up what they had.
fn on_tasks<C, O, F>(job: &Remote, open: O, call: F) -> anyhow::Result<Timings>
where
    C: 'static,
    O: AsyncFn() -> anyhow::Result<C>,
    F: AsyncFn(&mut C, usize) -> anyhow::Result<usize> + 'static,
{
    let runtime = runtime()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let mut callers = Vec::with_capacity(job.callers);
        for _ in 0..job.callers {
            callers.push(open().await?);
        }
        let me = [std::process::id()];
        let (cpu, start, length) = (proc::cpu_time(&me)?, Instant::now(), job.length);
        let call = Rc::new(call);
        let tasks: Vec<_> = callers
            .into_iter()
            .enumerate()
            .map(|(index, mut caller)| {
                let call = Rc::clone(&call);
                tokio::task::spawn_local(async move {
                    let mut tally = Tally::default();
                    for at in (index * 1_009).. {
                        let begun = Instant::now();
                        if begun - start >= length {
                            break;
                        }
                        match call(&mut caller, at).await {
                            Ok(bytes) => tally.done(begun.elapsed(), bytes),
                            Err(error) => tally.fail(format!("{error:#}")),
                        }
                    }
                    tally
                })
            })
            .collect();
        let mut sum = Tally::default();
        for task in tasks {
            sum.add(task.await?);
        }
        let timings = sum.timings(start);
        Ok(Timings { cpu_seconds: Some((proc::cpu_time(&me)? - cpu).as_secs_f64()), ..timings })
    })
}

/// The runtime that asynchronous callers run on: one thread, as a core of the gateway has.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")
}
