//! The side of the process that goes: SIGUSR2 starts the program that takes its place, which may fail and change nothing.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use adapters::gate;
use anyhow::{Context, anyhow, bail};
use clusters::{Changes, Clusters};
use rustix::process::Pid;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::channel::{AT_ONCE, Channel};
use super::program::Program;
use super::{Keep, LEFT, Offer, Sockets, VERSION, notify};
use crate::certificates::happening;
use crate::shutdown::Closing;

/// How long the other program may take until it is ready.
const START: Duration = Duration::from_secs(60);

/// How often it is looked meanwhile whether this process is being stopped.
const GLANCE: Duration = Duration::from_millis(100);

/// Why there is no change.
const STOPPED: &str = "it is being stopped";

/// How long one that is not ready may take to end.
const END: Duration = Duration::from_secs(5);

/// How long an idle connection to an engine may bring one more call. Calls to the other process wait meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_millis(300);

/// How long calls under way may take before the engines are closed: less than the calls that wait for it at the other process
/// may take, as settings are when they say nothing.
const UNDER_WAY: Duration = Duration::from_secs(3);

/// How often it is looked whether they have ended.
const LOOK: Duration = Duration::from_millis(5);

/// What a process needs to give its place to another one.
pub(crate) struct Leaving {
    told: Signal,
    program: Program,
    clusters: Clusters,
    closing: Closing,
    sockets: Sockets,
    data_dir: PathBuf,
}

impl Leaving {
    /// Listens for SIGUSR2 on the calling runtime.
    pub(crate) fn listen(
        clusters: &Clusters,
        closing: &Closing,
        sockets: &Sockets,
        data_dir: &Path,
    ) -> io::Result<Leaving> {
        Ok(Leaving {
            told: signal(SignalKind::user_defined2())?,
            program: Program::of_this_process()?,
            clusters: clusters.clone(),
            closing: closing.clone(),
            sockets: sockets.clone(),
            data_dir: std::path::absolute(data_dir)?,
        })
    }

    /// Changes the program when it is told to. Once that has come to something, the doors close, and what remains to be
    /// given away is given to `give`.
    ///
    /// Ends when the gateway is stopped instead, and no program is left then that would go on in its place.
    pub(crate) async fn watch(mut self, give: oneshot::Sender<Changes>) {
        let mut give = Some(give);
        loop {
            tokio::select! {
                told = self.told.recv() => if told.is_none() { return },
                () = self.closing.clone().wait(), if give.is_some() => return,
            }
            let Some(free) = give.take() else {
                self.refuse("another process has taken the place of this one already");
                continue;
            };
            let given = match self.change_once().await {
                Ok((child, changes)) => self.give_way(child, changes, free).await,
                Err(error) => Err((error, free)),
            };
            if let Err((error, free)) = given {
                self.refuse(&format!("{error:#}"));
                give = Some(free);
            }
        }
    }

    /// The place is the other one's from here on, unless this process is being stopped: then both are.
    async fn give_way(
        &self,
        child: Child,
        changes: Changes,
        free: oneshot::Sender<Changes>,
    ) -> Result<(), (anyhow::Error, oneshot::Sender<Changes>)> {
        let (pid, mut given) = (child.id(), Some((changes, free)));
        // Whoever sees the doors close finds what is to be given away.
        let first = self.closing.give_way(|| {
            let message =
                format!("Process {pid} takes the place of this one, which finishes what is under way.");
            self.clusters.events().tell(happening("gateway.replaced", "signal", message));
            notify::replaced_by(pid);
            self.sockets.let_go();
            if let Some((changes, free)) = given.take() {
                let _ = free.send(changes);
            }
        });
        let Some((_, free)) = given.filter(|_| !first) else { return Ok(()) };
        let ended = tokio::task::spawn_blocking(move || stop(child)).await;
        Err((ended.unwrap_or_else(Into::into), free))
    }

    fn refuse(&self, why: &str) {
        let message = format!("The program was not changed, and this process goes on: {why}.");
        tracing::error!("the program was not changed");
        self.clusters.events().tell(happening("gateway.not_replaced", "signal", message));
    }

    /// One attempt; whoever asks for another meanwhile is told.
    async fn change_once(&mut self) -> anyhow::Result<(Child, Changes)> {
        let (clusters, sockets) = (self.clusters.clone(), self.sockets.clone());
        let change =
            change(self.program.clone(), clusters, sockets, self.data_dir.clone(), self.closing.clone());
        let mut change = Box::pin(change);
        loop {
            tokio::select! {
                biased;
                changed = &mut change => return changed,
                Some(()) = self.told.recv() => self.refuse("it is being changed already, and one change is made at a time"),
            }
        }
    }
}

async fn change(
    program: Program,
    clusters: Clusters,
    sockets: Sockets,
    data_dir: PathBuf,
    closing: Closing,
) -> anyhow::Result<(Child, Changes)> {
    if std::process::id() == 1 {
        bail!("it is process 1, with whose end the container ends; replace the container instead");
    }
    if closing.is_closing() {
        bail!(STOPPED);
    }
    if gate::is_shut() {
        bail!("it has not yet got the engines of the process before it; try again");
    }
    tracing::info!(program = %program.path().display(), "the program is changed");
    // The other one reads the world now: a change after that would be missed there.
    let changes = tokio::select! {
        changes = clusters.hold_changes() => changes,
        () = closing.clone().wait() => bail!(STOPPED),
    };
    if let Some(id) = clusters.operations().under_way() {
        bail!(
            "the operation {id} is under way, which the other process could not go on with; try again when it has ended"
        );
    }
    let start = move || start(&program, &sockets, data_dir, &closing);
    Ok((tokio::task::spawn_blocking(start).await??, changes))
}

/// Starts the program, and waits until it is ready. When this process is stopped meanwhile, it is stopped too.
fn start(
    program: &Program,
    sockets: &Sockets,
    data_dir: PathBuf,
    closing: &Closing,
) -> anyhow::Result<Child> {
    let (line, other) = Channel::pair()?;
    let path = program.path().display();
    let mut child = program.start(other).with_context(|| format!("`{path}` cannot be started"))?;
    let until = Instant::now() + START;
    line.wait_at_most(GLANCE)?;
    // One that is gone already has said why, or its end says it.
    let offered = sockets.with_all(|all| offer(&line, all, data_dir));
    let heard = loop {
        let heard = line.receive();
        if closing.is_closing() {
            return Err(stop(child));
        }
        match heard {
            Err(error) if error.kind() == io::ErrorKind::TimedOut && Instant::now() < until => {}
            heard => break heard,
        }
    };
    let why = match heard {
        Ok(Some((words, _))) if words == b"ready" => return Ok(child),
        Ok(Some((words, _))) => {
            let words = String::from_utf8_lossy(&words).into_owned();
            words.strip_prefix("failed: ").map(str::to_owned).unwrap_or(words)
        }
        Ok(None) => match offered {
            Ok(()) => "it ended before it was ready".to_owned(),
            Err(error) => format!("it took no sockets ({error})"),
        },
        Err(error) => format!("{error}, which was {} s", START.as_secs()),
    };
    Err(match end(&mut child) {
        Ok(status) => anyhow!("`{path}` is not ready: {why} ({status})"),
        Err(error) => anyhow!("`{path}` is not ready: {why}, and does not end: {error}"),
    })
}

fn offer(line: &Channel, all: &[BorrowedFd<'_>], data_dir: PathBuf) -> io::Result<()> {
    let mut offer = Offer { version: VERSION, more: true, data_dir };
    let mut chunks = all.chunks(AT_ONCE).peekable();
    loop {
        let chunk = chunks.next().unwrap_or_default();
        offer.more = chunks.peek().is_some();
        line.send(&serde_json::to_vec(&offer)?, chunk)?;
        if !offer.more {
            return Ok(());
        }
    }
}

/// Tells a program that nobody waits for any more to end. Says why.
fn stop(mut child: Child) -> anyhow::Error {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // Nobody has asked for its end yet, so that the number is still its own.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    match end(&mut child) {
        Ok(_) => anyhow!("{STOPPED}, and the other program was stopped too"),
        Err(error) => anyhow!("{STOPPED}, and the other program does not end: {error}"),
    }
}

/// Waits for its end for a while, and then makes it.
fn end(child: &mut Child) -> io::Result<ExitStatus> {
    let until = Instant::now() + END;
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(LOOK);
    }
    child.kill()?;
    child.wait()
}

/// Gives away what the other process waits for, when calls under way have ended: engines, history, and last the data
/// directory. The store is both processes' as long as there are two.
pub(crate) async fn let_go(
    changes: Changes,
    clusters: &Clusters,
    calls: &api::Data,
    closing: &Closing,
    data_dir: &Path,
    keep: &Keep,
) {
    let until = Instant::now() + UNDER_WAY;
    let connections = || {
        let of = |door: &clusters::doors::Door| door.connections.load(std::sync::atomic::Ordering::Relaxed);
        of(clusters.control()) + of(clusters.data())
    };
    while !(closing.was_heard() && connections() == 0) && Instant::now() < until {
        tokio::time::sleep(LOOK).await;
    }
    let cut = connections();
    if cut > 0 {
        tracing::warn!(connections = cut, "the engines are closed while calls may be under way");
    }
    // Nobody can reach them any more, and what they hold locked others wait for.
    let transactions = calls.end_transactions();
    if transactions > 0 {
        tracing::warn!(transactions, "transactions that are open are rolled back");
    }
    changes.give_away(&data_dir.join(LEFT)).await;
    clusters.end_history().await;
    let lock = keep.lock().unwrap_or_else(PoisonError::into_inner).take();
    drop(lock);
    tracing::info!("the engines are given away");
}
