//! Help, as people see it.

use insta::assert_snapshot;

use super::ran;

#[test]
fn help_of_the_program() {
    assert_snapshot!(ran(&["throome", "--help"]).ended(0).out);
}

#[test]
fn help_of_some_commands() {
    for path in [
        "cluster",
        "cluster create",
        "cluster delete",
        "service restart",
        "service logs",
        "apply",
        "cache set",
        "serve",
        "token create",
        "validate",
        "sql",
        "publish",
        "consume",
        "group reset",
        "tap",
        "import",
    ] {
        let words: Vec<&str> = ["throome"].into_iter().chain(path.split(' ')).chain(["--help"]).collect();
        assert_snapshot!(path.replace(' ', "_"), ran(&words).ended(0).out);
    }
}

#[test]
fn version_and_help_show_no_secret_and_the_right_name() {
    assert_eq!(ran(&["throome", "--version"]).ended(0).out, "throome 1.2.3\n");
    assert_eq!(ran(&["/usr/bin/throome-cli", "version"]).ended(0).out, "throome 1.2.3\n");
    let alone = ran(&["throome-cli", "--help"]).ended(0).out;
    assert!(
        alone.contains("Usage: throome-cli")
            && !alone.contains("--proxy-port")
            && !alone.contains("  serve ")
    );
}
