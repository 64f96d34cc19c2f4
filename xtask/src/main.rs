//! Chores of the house: `cargo xtask layers` checks who may depend on whom, `cargo xtask generate` writes
//! what is generated and checked in.

use std::process::{Command, ExitCode};

use anyhow::{Context, bail};

const USAGE: &str = "\
cargo xtask layers      says every dependency that goes against the layers
cargo xtask generate    writes what is generated and checked in: contract/*.json, tables of docs/guide";

fn main() -> ExitCode {
    let word = std::env::args().nth(1).unwrap_or_default();
    let done = match word.as_str() {
        "layers" => layers(),
        "generate" => generate(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn layers() -> anyhow::Result<()> {
    let wrong = xtask::layers::wrong(&xtask::layers::edges()?);
    for one in &wrong {
        eprintln!("{one}");
    }
    match wrong.len() {
        0 => Ok(()),
        count => bail!(
            "{count} against the layers; ARCHITECTURE.md has the picture, xtask/src/layers.rs the table"
        ),
    }
}

/// The tests that compare these files with the code are the ones that know the code: they write when told to.
fn generate() -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "test",
            "--quiet",
            "--package",
            "throome-api",
            "--package",
            "throome",
            "--lib",
            "--bins",
            "checked_in",
        ])
        .env("THROOME_BLESS", "1")
        .current_dir(xtask::root())
        .status()
        .context("cannot run cargo")?;
    if status.success() { Ok(()) } else { bail!("not everything could be written") }
}
