//! A network of one's own, where no port is taken and `host.docker.internal` is this machine, as the documents have
//! it. A process cannot enter one by itself without unsafe code: the test starts itself once more in there.

use std::fs;
use std::process::Command;

/// Set in a process that is in there.
const INSIDE: &str = "THROOME_NETWORK_OF_ITS_OWN";

/// Brings up the loopback and the names, and leaves off being root where one only was for that: PostgreSQL would
/// refuse to run.
const ENTER: &str = r#"
set -eu
ip link set lo up
mount --bind "$HOSTS" /etc/hosts
if [ "$ME" -eq 0 ]; then exec "$@"; else exec unshare --user --map-user="$ME" --map-group="$GROUP" -- "$@"; fi
"#;

/// Whether this process is in a network of its own. Where it is not, the test by this name has been run in one, and
/// has passed.
///
/// # Panics
/// When there is no entering one, and when the test has failed in there.
pub(super) fn is_ours(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let scratch = tempfile::tempdir().unwrap();
    let hosts = scratch.path().join("hosts");
    fs::write(&hosts, "127.0.0.1 localhost host.docker.internal\n").unwrap();
    let id = |flag: &str| {
        let said = Command::new("id").arg(flag).output().unwrap().stdout;
        String::from_utf8(said).unwrap().trim().to_owned()
    };
    let me = id("-u");
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount"]);
    if me != "0" {
        command.arg("--map-root-user");
    }
    command.args(["--", "sh", "-c", ENTER, "sh"]);
    command.arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    command.env(INSIDE, "1").env("HOSTS", &hosts).env("ME", me).env("GROUP", id("-g"));
    let output =
        command.output().unwrap_or_else(|error| panic!("unshare, of util-linux, is needed: {error}"));
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success(),
        "{said}{told}\n{test} failed in a network of its own; where none could be made, the system forbids them \
         (kernel.apparmor_restrict_unprivileged_userns), and root may"
    );
    assert!(said.contains("test result: ok. 1 passed"), "{test} was not run in there: {said}");
    false
}
