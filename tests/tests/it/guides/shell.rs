//! One shell that a whole page is typed into: what an earlier line set or started is there for a later one.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use throome_e2e::process::{gateway_binary, wait_for};

use super::page::Step;

/// What a page's reader stops by hand is stopped after so many seconds.
const BY_HAND: u32 = 2;
const CTRL_C: &str = "# Ctrl-C ends it";

/// How long a page may take.
const LIMIT: Duration = Duration::from_secs(120);

/// What a step said.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) out: String,
    pub(super) err: String,
    /// The command that failed.
    pub(super) failed: Option<String>,
}

/// Does all of it, in a directory of its own beside the gateway with this control door, and says what was said.
pub(super) fn run(control: SocketAddr, steps: &[Step]) -> Vec<Said> {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    fs::create_dir(file("bin")).unwrap();
    std::os::unix::fs::symlink(gateway_binary(), file("bin/throome")).unwrap();
    fs::create_dir(file("here")).unwrap();
    std::os::unix::fs::symlink(super::root().join("examples"), file("here/examples")).unwrap();
    fs::write(file("page.sh"), script(steps)).unwrap();
    if steps.iter().any(installs) {
        std::os::unix::fs::symlink(libraries(), file("here/node_modules")).unwrap();
    }
    let path = std::env::join_paths(
        [file("bin")].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let mut shell = Command::new("bash")
        .arg("../page.sh")
        .current_dir(file("here"))
        .env("PATH", path.unwrap())
        .env("HOME", dir.path())
        .env("THROOME_URL", format!("http://{control}"))
        .env_remove("THROOME_TOKEN")
        .env_remove("THROOME_CLUSTER")
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let group = shell.id();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_for("the end of the page", LIMIT, || shell.try_wait().unwrap())
    }));
    if ended.is_err() {
        // The shell is still there, so that its number is that of its own group.
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{group}")]).status();
        let _ = shell.wait();
    }
    let read = |name: &str, at: usize| fs::read_to_string(file(&format!("{name}.{at}"))).unwrap_or_default();
    let said = |at| Said {
        out: read("out", at),
        err: read("err", at),
        failed: Some(read("failed", at)).filter(|failed| !failed.is_empty()),
    };
    let said: Vec<Said> = (0..steps.len()).map(said).collect();
    assert!(ended.is_ok(), "the page did not end: {said:#?}");
    said
}

/// Whether it has its reader install libraries by npm.
fn installs(step: &Step) -> bool {
    matches!(step, Step::Type { left_out, .. } if left_out.iter().any(|line| line.starts_with("npm ")))
}

/// What pages have installed by npm, as `tests/clients` has it. Installed once, whoever asks first.
pub(crate) fn libraries() -> PathBuf {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let client = super::root().join("tests/clients/upstash");
    let libraries = client.join("node_modules");
    if !libraries.join("@upstash/redis/package.json").is_file() {
        let installed =
            Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&client).output();
        let output =
            installed.unwrap_or_else(|error| panic!("npm, which comes with Node.js, is needed: {error}"));
        assert!(output.status.success(), "npm ci: {}", String::from_utf8_lossy(&output.stderr));
    }
    libraries
}

/// The steps as one script, each with files of its own for what it says.
fn script(steps: &[Step]) -> String {
    let mut script = String::from("trap 'echo \"$BASH_COMMAND\" >> \"../failed.$STEP\"' ERR\n");
    for (at, step) in steps.iter().enumerate() {
        let _ = writeln!(script, "STEP={at}\n{{\n:");
        match step {
            Step::Type { script: typed, .. } => {
                typed.lines().for_each(|line| as_a_person_types(line, &mut script))
            }
            Step::Write { name, text } => {
                let _ = writeln!(script, "cat > '{name}' <<'END OF FILE'\n{text}END OF FILE");
            }
        }
        let _ = writeln!(script, "}} > ../out.{at} 2> ../err.{at}");
    }
    // Services of the reader's own that are still there.
    script.push_str("trap - ERR\nkill $(jobs -p) 2> ../rest\n");
    script
}

/// A person waits until what was started answers, and stops what does not end.
fn as_a_person_types(line: &str, script: &mut String) {
    if let Some(endless) = line.strip_suffix(CTRL_C) {
        let endless = endless.trim_end().replace('\'', r"'\''");
        let _ = writeln!(script, "timeout --signal=INT {BY_HAND} bash -c '{endless}' || [ $? = 124 ]");
    } else {
        let _ = writeln!(script, "{line}");
        if let Some(port) =
            line.strip_prefix("python3 -m http.server ").and_then(|rest| rest.split(' ').next())
        {
            let _ =
                writeln!(script, "until curl -s -o /dev/null http://127.0.0.1:{port}/; do sleep 0.1; done");
        }
    }
}
