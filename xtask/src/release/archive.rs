//! The archive: the program with all that belongs to it, the same bytes each time it is made from the same program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::{run, said};

/// Files of the sources, and where they are in the archive.
const FILES: &[(&str, &str)] = &[
    ("README.md", "README.md"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("LICENSE", "LICENSE"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("configs/throome.example.yaml", "throome.example.yaml"),
    ("configs/cluster.example.yaml", "cluster.example.yaml"),
    ("deploy/systemd/throome.service", "systemd/throome.service"),
];

/// Completion for each shell, by the name under which it looks for it.
const COMPLETION: &[(&str, &str)] = &[
    ("bash", "completions/throome.bash"),
    ("zsh", "completions/_throome"),
    ("fish", "completions/throome.fish"),
];

/// Makes `NAME.tar.gz`, of which all is in the directory NAME.
pub(super) fn make(binary: &Path, name: &str, bill: &Path, output: &Path) -> anyhow::Result<PathBuf> {
    let top = output.join(name);
    if top.exists() {
        fs::remove_dir_all(&top)?;
    }
    for directory in ["completions", "systemd"] {
        fs::create_dir_all(top.join(directory))?;
    }
    for (from, to) in FILES {
        fs::copy(crate::root().join(from), top.join(to)).with_context(|| format!("cannot copy {from}"))?;
    }
    fs::copy(bill, top.join("throome.cdx.json"))?;
    let program = top.join("throome");
    fs::copy(binary, &program).with_context(|| format!("cannot copy {}", binary.display()))?;
    std::os::unix::fs::symlink("throome", top.join("throome-cli"))?;
    for (shell, to) in COMPLETION {
        // The program that is packed says it, so that it is one that runs at all.
        let script = said(Command::new(&program).args(["completion", shell]))?;
        fs::write(top.join(to), script)?;
    }
    let archive = output.join(format!("{name}.tar"));
    run(Command::new("tar")
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--format=gnu"])
        .arg("--mode=u+rwX,go+rX,go-w")
        .arg("--create")
        .arg("--file")
        .arg(&archive)
        .arg("--directory")
        .arg(output)
        .arg(name))?;
    run(Command::new("gzip").args(["--force", "--no-name"]).arg(&archive))?;
    fs::remove_dir_all(&top)?;
    Ok(output.join(format!("{name}.tar.gz")))
}
