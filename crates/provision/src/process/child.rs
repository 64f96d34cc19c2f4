//! One running program: how it is started, how its end is noticed, and how it is ended with all that it has started.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use model::recipe::Signal;
use rustix::process::{Pid, WaitOptions};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep, timeout_at};

use super::table::{self, Id};
use super::user::User;

/// How often is looked where the system does not tell.
const LOOK: Duration = Duration::from_millis(20);

/// How long what was started may take to become itself: far less, on a machine that does anything at all.
const SETTLED: Duration = Duration::from_secs(2);

/// How long those may take whom a program leaves behind, after it has ended as it was asked to.
const LAST: Duration = Duration::from_secs(2);

/// How long what was killed may take to be gone: it is, at once, but for a disk that does not answer.
const GONE: Duration = Duration::from_secs(10);

/// What is to be started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spawn<'a> {
    /// Which file.
    pub(super) program: &'a Path,
    /// With which words.
    pub(super) args: &'a [String],
    /// All of its environment.
    pub(super) env: &'a BTreeMap<String, String>,
    /// The file that is locked until it has become itself: see [`settled`].
    pub(super) lock: &'a Path,
    /// Where it is at the beginning.
    pub(super) dir: &'a Path,
    /// As whom; as the gateway, where nothing is said.
    pub(super) user: Option<&'a User>,
}

/// A program that runs, our child or one that an earlier gateway has started.
#[derive(Debug)]
pub(super) struct Running {
    id: Id,
    pid: Pid,
    /// It can be read when the process has ended. An old kernel has none.
    watch: Option<AsyncFd<OwnedFd>>,
}

impl Running {
    /// Starts it, in a process group of its own. It reads the file, or nothing. What it says goes straight into files, which
    /// it has for itself.
    pub(super) fn spawn(
        spawn: Spawn<'_>,
        input: Option<&Path>,
        [out, err]: [File; 2],
    ) -> io::Result<Running> {
        let input = input.map_or(Ok(Stdio::null()), |path| File::open(path).map(Stdio::from))?;
        Running::begin(spawn, [input, out.into(), err.into()]).map(|(running, _)| running)
    }

    /// The same, with these for its input and for what it says.
    pub(super) fn begin(spawn: Spawn<'_>, [input, out, err]: [Stdio; 3]) -> io::Result<(Running, Child)> {
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(spawn.lock)?;
        lock.lock()?;
        let mut command = Command::new(spawn.program);
        command
            .args(spawn.args)
            .env_clear()
            .envs(spawn.env)
            .current_dir(spawn.dir)
            .stdin(input)
            .stdout(out)
            .stderr(err)
            .process_group(0);
        if let Some(user) = spawn.user {
            // The groups that root has are let go of on the way: the standard library sees to that.
            command.uid(user.uid).gid(user.gid);
        }
        let mut child = command.spawn()?;
        // It cannot be gone, since nobody has asked yet how it ended.
        let id =
            table::row(child.id()).map(|row| row.id).ok_or_else(|| io::Error::other("/proc cannot be read"));
        let running = id.and_then(Running::watched);
        drop(lock);
        if running.is_err() {
            let _ = child.kill();
            let _ = child.wait();
        }
        Ok((running?, child))
    }

    /// One that is there already; `None` where this very process does not run.
    pub(super) fn adopt(id: Id) -> io::Result<Option<Running>> {
        let running = match Running::watched(id) {
            Ok(running) => running,
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if table::runs(id) {
            return Ok(Some(running));
        }
        running.reap();
        Ok(None)
    }

    fn watched(id: Id) -> io::Result<Running> {
        let raw = i32::try_from(id.pid).ok();
        let pid = raw.and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Running { id, pid, watch: watch(pid)? })
    }

    /// Which process.
    pub(super) fn id(&self) -> Id {
        self.id
    }

    /// Whether it still runs.
    pub(super) fn runs(&self) -> bool {
        table::runs(self.id)
    }

    /// Waits until it has ended. May be dropped and asked again.
    pub(super) async fn ended(&self) {
        if let Some(watch) = &self.watch
            && let Ok(mut told) = watch.readable().await
        {
            told.retain_ready();
            return;
        }
        while self.runs() {
            sleep(LOOK).await;
        }
    }

    /// Asks it to end, waits, and then ends it and all of its group by force. `None` where even that did not help; else
    /// the code that it ended with, where it was our child.
    pub(super) async fn end(&self, signal: Signal, grace: Duration) -> Option<Option<i64>> {
        if self.runs() {
            self.ask(signal);
            let _ = timeout_at(Instant::now() + grace, self.ended()).await;
        }
        if !self.runs() && !table::group(self.id).is_empty() {
            self.to_group(rustix::process::Signal::TERM);
            let last = Instant::now() + LAST;
            while Instant::now() < last && !table::group(self.id).is_empty() {
                sleep(LOOK).await;
            }
        }
        self.finish().await
    }

    /// Asks all of its group to end, at once, and after this time ends what is left of it by force.
    pub(super) async fn end_all(&self, grace: Duration) {
        let last = Instant::now() + grace;
        self.to_group(rustix::process::Signal::TERM);
        while Instant::now() < last && !table::group(self.id).is_empty() {
            sleep(LOOK).await;
        }
        self.finish().await;
    }

    /// Ends its group by force, and then asks for its code: until that is asked for, the number of the group is not given to
    /// others.
    pub(super) async fn finish(&self) -> Option<Option<i64>> {
        let gone = Instant::now() + GONE;
        while !table::group(self.id).is_empty() {
            if Instant::now() >= gone {
                return None;
            }
            self.to_group(rustix::process::Signal::KILL);
            sleep(LOOK).await;
        }
        Some(self.reap())
    }

    /// Ends it and its group by force, and does not wait for that.
    pub(super) fn kill(self) {
        kill_group(self.id);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // Somebody has to ask how it ended, or it stays in the table.
            runtime.spawn(async move {
                self.ended().await;
                self.reap();
            });
        }
    }

    /// The code that it has ended with. Only its parent is told; by others' doing an ended one is gone already.
    fn reap(&self) -> Option<i64> {
        let (_, status) = rustix::process::waitpid(Some(self.pid), WaitOptions::NOHANG).ok()??;
        // As shells and containers say it.
        let killed = status.terminating_signal().map(|signal| 128 + signal);
        status.exit_status().or(killed).map(i64::from)
    }

    fn ask(&self, signal: Signal) {
        // That it has just ended is as well.
        #[cfg(target_os = "linux")]
        if let Some(watch) = &self.watch {
            let _ = rustix::process::pidfd_send_signal(watch.get_ref(), named(signal));
            return;
        }
        let _ = rustix::process::kill_process(self.pid, named(signal));
    }

    fn to_group(&self, signal: rustix::process::Signal) {
        let _ = rustix::process::kill_process_group(self.pid, signal);
    }
}

/// Ends, by force, what is left of the group that this process leads, or led.
pub(super) fn kill_group(leader: Id) {
    if !table::group(leader).is_empty()
        && let Some(pid) = i32::try_from(leader.pid).ok().and_then(Pid::from_raw)
    {
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
}

/// Waits until nobody is between being started and being itself. Should the gateway be killed just then, what it has
/// started cannot be seen yet, and goes on. But it has all of the gateway's files open until it is itself, and so the lock.
pub(super) fn settled(lock: &Path) {
    let Ok(lock) = File::open(lock) else { return };
    let until = Instant::now() + SETTLED;
    while lock.try_lock().is_err() && Instant::now() < until {
        std::thread::sleep(LOOK);
    }
}

/// Ends, by force, all that write into this file: what was started there and is not accounted for.
pub(super) async fn end_strays(lock: PathBuf, file: PathBuf) {
    let gone = Instant::now() + GONE;
    loop {
        let (lock, looked) = (lock.clone(), file.clone());
        let look = move || {
            settled(&lock);
            table::writing_to(&looked)
        };
        let found = tokio::task::spawn_blocking(look).await;
        let strays = found.unwrap_or_default();
        if strays.is_empty() || Instant::now() >= gone {
            return;
        }
        for stray in strays {
            if let Some(pid) = i32::try_from(stray.id.pid).ok().and_then(Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        sleep(LOOK).await;
    }
}

fn named(signal: Signal) -> rustix::process::Signal {
    match signal {
        Signal::Term => rustix::process::Signal::TERM,
        Signal::Int => rustix::process::Signal::INT,
    }
}

#[cfg(target_os = "linux")]
#[expect(
    deprecated,
    reason = "its successor is unsafe, for what is no owner of its descriptor; an `OwnedFd` is one"
)]
fn watch(pid: Pid) -> io::Result<Option<AsyncFd<OwnedFd>>> {
    use rustix::process::{PidfdFlags, pidfd_open};
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(fd) => AsyncFd::with_interest(fd, Interest::READABLE).map(Some),
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn watch(_pid: Pid) -> io::Result<Option<AsyncFd<OwnedFd>>> {
    Ok(None)
}
