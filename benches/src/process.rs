//! Child processes on chosen cores, which never outlive us: each is stopped when dropped, when we are interrupted,
//! and, where it was pinned, by the kernel should we be killed ourselves.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Who is running now, for the one place that must know without owning them: the end by a signal.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// How long a polite end may take before it becomes a kill.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a process may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// On one core only.
    Core(usize),
    /// Where the kernel likes, started without any program in between: what starting times are measured with.
    Anywhere,
}

/// A program and its arguments.
#[derive(Debug, Clone)]
pub struct Invocation {
    program: PathBuf,
    arguments: Vec<String>,
}

impl Invocation {
    /// The arguments are passed as they are; no shell reads them.
    pub fn new<A: Into<String>>(program: impl Into<PathBuf>, arguments: impl IntoIterator<Item = A>) -> Self {
        Self { program: program.into(), arguments: arguments.into_iter().map(Into::into).collect() }
    }

    /// The last part of the program's path.
    #[must_use]
    pub fn name(&self) -> String {
        self.program.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn command(&self, placement: Placement) -> Command {
        let mut command = match placement {
            Placement::Anywhere => Command::new(&self.program),
            // Both tools replace themselves by the next program, so that the pid is the program's own.
            Placement::Core(core) => {
                let mut command = Command::new("setpriv");
                command.args(["--pdeathsig", "TERM", "taskset", "-c", &core.to_string()]);
                command.arg(&self.program);
                command
            }
        };
        command.args(&self.arguments).stdin(Stdio::null());
        command
    }

    /// Runs to the end and returns what was printed.
    pub fn output(&self, placement: Placement) -> anyhow::Result<Output> {
        let mut command = self.command(placement);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("cannot start {}", self.name()))?;
        let pid = child.id();
        running().insert(pid);
        let output = child.wait_with_output();
        running().remove(&pid);
        let output = output?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{} ended with {}: {}", self.name(), output.status, said.trim());
        }
        Ok(output)
    }
}

/// A running server.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts it with both its outputs in `log`.
    pub fn start(invocation: &Invocation, placement: Placement, log: &Path) -> anyhow::Result<Self> {
        let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = invocation.command(placement);
        command.stdout(output.try_clone()?).stderr(output);
        // Held over the start, so that an interruption sees either none of it or all of it.
        let mut running = running();
        let child = command.spawn().with_context(|| format!("cannot start {}", invocation.name()))?;
        running.insert(child.id());
        drop(running);
        Ok(Self { child, name: invocation.name(), log: log.to_owned() })
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Says what it printed if it has ended by itself.
    pub fn check_alive(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended with {status}: {}", self.name, self.last_words());
        }
        Ok(())
    }

    /// The end of what it printed.
    #[must_use]
    pub fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.trim().lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        terminate(self.pid());
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                // Nothing more can be done about a failure here than the kill itself.
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        running().remove(&self.pid());
    }
}

/// Ends everything that runs now and waits until it is gone. For the end by a signal.
pub fn stop_all() {
    let pids: Vec<u32> = running().iter().copied().collect();
    for pid in &pids {
        terminate(*pid);
    }
    let deadline = Instant::now() + PATIENCE;
    for pid in pids {
        while is_running(pid) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A zombie has ended; only its parent has not looked yet.
fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// SIGTERM, which the standard library cannot send: nginx's master would leave its worker behind if it were killed.
fn terminate(pid: u32) {
    let _ = Command::new("kill").args(["-TERM", &pid.to_string()]).stderr(Stdio::null()).status();
}

fn running() -> std::sync::MutexGuard<'static, BTreeSet<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_process_is_gone_and_a_pinned_one_has_its_own_pid() {
        let directory = tempfile::tempdir().unwrap();
        for placement in [Placement::Anywhere, Placement::Core(0)] {
            let sleep = Invocation::new("sleep", ["60"]);
            let mut process = Process::start(&sleep, placement, &directory.path().join("log")).unwrap();
            let pid = process.pid();
            let command_line = || std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let deadline = Instant::now() + PATIENCE;
            while !command_line().starts_with("sleep") && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
            }
            assert!(command_line().starts_with("sleep"), "{placement:?}: {}", command_line());
            process.check_alive().unwrap();
            drop(process);
            assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{placement:?}");
        }
    }

    #[test]
    fn an_early_end_is_told_with_its_last_words() {
        let directory = tempfile::tempdir().unwrap();
        let shell = Invocation::new("sh", ["-c", "echo no such port >&2; exit 3"]);
        let mut process = Process::start(&shell, Placement::Anywhere, &directory.path().join("log")).unwrap();
        process.child.wait().unwrap();
        let error = process.check_alive().unwrap_err().to_string();
        assert!(error.contains("no such port") && error.contains('3'), "{error}");
        assert!(shell.output(Placement::Core(0)).unwrap_err().to_string().contains("no such port"));
    }
}
