//! Continuous integration runs what the README and the Makefile name, by actions whose bytes are known.

use std::fs;

#[test]
fn workflows_run_our_own_commands_and_pinned_actions() {
    let makefile = fs::read_to_string(xtask::root().join("Makefile")).unwrap();
    let mut seen = Vec::new();
    for path in xtask::files(&[".github/workflows"], ".yml") {
        let name = xtask::shown(&path);
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().map(|line| line.trim().trim_start_matches("- ")) {
            if let Some(action) = line.strip_prefix("uses: ") {
                let commit =
                    action.split('@').nth(1).and_then(|rest| rest.split(" # v").next()).unwrap_or_default();
                let pinned = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
                assert!(
                    pinned && action.contains(" # v"),
                    "{name}: {action}: name its commit, and behind ` # ` its version"
                );
            }
            if let Some(target) = line.strip_prefix("run: make ") {
                assert!(makefile.contains(&format!("\n{target}: ")), "{name}: the Makefile has no {target}");
                seen.push(format!("make {target}"));
            } else if let Some(command) = line.strip_prefix("run: cargo ") {
                seen.push(format!("cargo {command}"));
            }
        }
        // A job may do no more than it says.
        assert!(text.contains("\npermissions:\n  contents: read\n"), "{name}: say what it may do");
        assert!(
            text.matches("timeout-minutes: ").count() == text.matches("runs-on: ").count(),
            "{name}: say how long"
        );
    }
    for command in ["make test", "make docker-build", "make docker-test", "cargo xtask release"] {
        assert!(seen.iter().any(|one| one == command), "no workflow runs `{command}`: {seen:?}");
    }
}
