//! `scripts/servers.sh` and `scripts/docker.sh` as functions: one run for each thing asked. A set of one's own ends with
//! whoever asked for it, also when that is killed.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where both stand.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts");
/// The one that starts servers.
const SERVERS: &str = "servers.sh";
/// The one that starts a Docker Engine.
const DOCKER: &str = "docker.sh";

/// The scripts with the directory that they work in.
pub(crate) struct Script {
    /// None is what the scripts take by themselves.
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
        let mut command = command(SERVERS, Some(&directory));
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

    /// Runs `servers.sh`, and gives what it prints.
    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) -> String {
        self.run_any(SERVERS, words)
    }

    /// Runs `docker.sh`, and gives what it prints.
    #[track_caller]
    pub(crate) fn run_docker(&self, words: &[&str]) -> String {
        self.run_any(DOCKER, words)
    }

    #[track_caller]
    fn run_any(&self, script: &str, words: &[&str]) -> String {
        let mut command = command(script, self.own.as_ref().map(|own| own.directory.as_path()));
        let output = command.args(words).output();
        let output = output.unwrap_or_else(|error| panic!("bash does not start: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "scripts/{script} {}: {}", words.join(" "), said.trim_end());
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

fn command(script: &str, directory: Option<&Path>) -> Command {
    let mut command = Command::new("bash");
    command.arg(Path::new(SCRIPTS).join(script)).stdin(Stdio::null());
    if let Some(directory) = directory {
        // Nobody else's, also where a whole run of tests shares one.
        command.env("THROOME_SERVERS_DIR", directory).env_remove("THROOME_SERVERS_SHARED");
    }
    command
}
