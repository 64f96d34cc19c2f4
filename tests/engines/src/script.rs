//! `scripts/servers.sh` as a function: one run of it for each thing asked. A set of one's own ends with whoever asked
//! for it, also when that is killed.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The script with the directory that it works in.
pub(crate) struct Script {
    /// None is what the script takes by itself.
    own: Option<Own>,
}

/// A directory of one's own, and the process that empties it.
struct Own {
    directory: PathBuf,
    /// Runs `servers.sh hold`: it waits until its input ends, which it does when we drop it or are no more.
    holder: Child,
}

impl Script {
    pub(crate) fn shared() -> Script {
        Script { own: None }
    }

    pub(crate) fn own() -> Script {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("throome-engines-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let mut command = command(Some(&directory));
        // In a group of its own, which the terminal's interrupt does not reach.
        command.arg("hold").stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0);
        let holder = command.spawn().unwrap_or_else(|error| panic!("bash does not start: {error}"));
        Script { own: Some(Own { directory, holder }) }
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.own.is_none()
    }

    pub(crate) fn directory(&self) -> PathBuf {
        match &self.own {
            Some(own) => own.directory.clone(),
            None => PathBuf::from(self.run(&["directory"]).trim_end()),
        }
    }

    /// Runs it, and gives what it prints.
    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) -> String {
        let mut command = command(self.own.as_ref().map(|own| own.directory.as_path()));
        let output = command.args(words).output();
        let output = output.unwrap_or_else(|error| panic!("bash does not start: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "scripts/servers.sh {}: {}", words.join(" "), said.trim_end());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What it says of all that is up.
    #[track_caller]
    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        let said = self.run(&["tell"]);
        let pairs = said.lines().filter_map(|line| line.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("own", &self.own.as_ref().map(|own| &own.directory)).finish()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // It has nothing to say to us, and says to standard error what went wrong.
        let _ = self.holder.wait();
    }
}

fn command(directory: Option<&Path>) -> Command {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/servers.sh");
    let mut command = Command::new("bash");
    command.arg(script).stdin(Stdio::null());
    if let Some(directory) = directory {
        command.env("THROOME_SERVERS_DIR", directory);
    }
    command
}
