//! Chores of the house: `cargo xtask layers` checks who may depend on whom, `cargo xtask generate` writes
//! what is generated and checked in, `cargo xtask release` makes what is shipped.

use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use xtask::release::Options;

const USAGE: &str = "\
cargo xtask layers      says every dependency that goes against the layers
cargo xtask generate    writes what is generated and checked in: contract/*.json, tables of docs/guide
cargo xtask release     makes what is shipped, in dist/: an archive, its bill of materials, the image where an engine answers,
                        and SHA256SUMS
    --binary PROGRAM    from this program, which is built already
    --target TRIPLE     for another target than this machine
    --output DIRECTORY  into another directory
    --image, --no-image with the image, or without, whether an engine answers or not";

fn main() -> ExitCode {
    let word = std::env::args().nth(1).unwrap_or_default();
    let done = match word.as_str() {
        "layers" => layers(),
        "generate" => generate(),
        "release" => release(),
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

fn release() -> anyhow::Result<()> {
    let options = Options::read(std::env::args().skip(2))?;
    for file in xtask::release::release(&options)? {
        eprintln!("made {}", file.display());
    }
    Ok(())
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
