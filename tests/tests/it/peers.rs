//! Clients and services of others, and plain ones written for a theme: installed once by `scripts/protocol-tools.sh`, run
//! against a gateway. A tool that cannot be had fails the test that needs it, and says how to get it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use throome_e2e::process::free_port;
use throome_e2e::{Gateway, Layout};

/// Where a tool stands, by the name that the script prints.
pub(crate) fn tool(name: &str) -> PathBuf {
    static TOOLS: OnceLock<HashMap<String, PathBuf>> = OnceLock::new();
    let tools = TOOLS.get_or_init(|| {
        let script = root().join("scripts/protocol-tools.sh");
        let output = Command::new(&script).output().unwrap_or_else(|error| panic!("{script:?}: {error}"));
        assert!(output.status.success(), "{}", told(&output));
        let line = |line: &str| {
            let (name, path) = line.split_once('=')?;
            Some((name.to_owned(), PathBuf::from(path.replace('\\', ""))))
        };
        String::from_utf8_lossy(&output.stdout).lines().filter_map(line).collect()
    });
    tools.get(name).unwrap_or_else(|| panic!("scripts/protocol-tools.sh names no {name}")).clone()
}

/// Runs a theme of `tests/clients/protocols`, all of whose cases must hold: so many there are, so that none is left out
/// unseen.
#[track_caller]
pub(crate) fn run(theme: &str, args: &[String], cases: usize) {
    let script = root().join("tests/clients/protocols").join(theme);
    let mut command = Command::new(tool("PEERS_PYTHON"));
    let output = command.arg("-B").arg(script).args(args).output().unwrap();
    let said = told(&output);
    show(&said);
    assert!(output.status.success(), "{theme} {args:?}:\n{said}");
    assert!(
        said.contains(&format!("# {cases} of {cases}\n")),
        "{theme} has other cases than {cases}:\n{said}"
    );
}

/// Runs a program; what it said, and whether it ended well.
pub(crate) fn outcome(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = told(&output);
    show(&said);
    (output.status.success(), said)
}

#[expect(clippy::print_stdout, reason = "what the cases did, shown with --nocapture")]
fn show(said: &str) {
    println!("{said}");
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A gateway that leads everything to one service on a port where nobody listens yet; `service` is what its file says of
/// it besides. Without probes the service sees what clients ask and nothing else.
pub(crate) fn gateway_before(service: &str, gateway_file: &str) -> (Gateway, u16) {
    gateway_before_with(service, "", gateway_file)
}

/// The same, where its cluster's file says more.
pub(crate) fn gateway_before_with(service: &str, cluster: &str, gateway_file: &str) -> (Gateway, u16) {
    let port = free_port();
    let layout = Layout::default().with_file(gateway_file).with_args(&["--config", "throome.yaml"]);
    layout.write_cluster(
        "c",
        &format!(
            "health: {{ enabled: false }}\n{cluster}\
             services:\n  app: {{ {service}, host: 127.0.0.1, port: {port} }}\n\
             routes:\n  - {{ id: all, path: \"/*\", service: app, timeout: 20s }}\n"
        ),
    );
    (layout.start(), port)
}
