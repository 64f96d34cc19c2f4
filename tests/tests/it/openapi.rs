//! The OpenAPI document, held to its word by Schemathesis: whatever it lets one ask is answered as it says.

use std::process::Command;

use throome_e2e::process::gateway_binary;
use throome_e2e::turn;

/// In seconds. A run takes two minutes on two slow cores, and the first also installs.
const LIMIT: &str = "900";

#[test]
fn whatever_the_document_lets_one_ask_is_answered_as_it_says() {
    let _turn = turn::together();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/schemathesis.sh");
    let output =
        Command::new("timeout").args([LIMIT, script]).env("THROOME_BIN", gateway_binary()).output().unwrap();
    let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {said}\n{log}", output.status);
    let (_, summary) = said.split_once("SUMMARY").unwrap_or_else(|| panic!("no summary: {said}\n{log}"));
    println!("{summary}");
    // `Selected: 67/67` and `Tested: 67`: nothing was left out.
    let figure = |name: &str| {
        let line = summary.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap();
        line.trim().to_owned()
    };
    let tested: u32 = figure("Tested:").parse().unwrap();
    assert_eq!(figure("Selected:"), format!("{tested}/{tested}"));
    assert!(tested > 60, "{summary}");
}
