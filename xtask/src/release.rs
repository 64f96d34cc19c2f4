//! `cargo xtask release`: what is shipped, made from one program: an archive, what it is made of, the image, and the sums.

mod archive;
mod sbom;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

pub use sbom::sbom;

/// What is to be made.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Options {
    /// The program; left out, it is built for release.
    pub binary: Option<PathBuf>,
    /// What it is built for; left out, this machine.
    pub target: Option<String>,
    /// Where everything goes; left out, `dist`.
    pub output: Option<PathBuf>,
    /// Whether the image is made too; left out, where an engine answers.
    pub image: Option<bool>,
}

impl Options {
    /// Reads the words behind `release`.
    ///
    /// # Errors
    /// At a word that is not known, and at one whose value is missing.
    pub fn read(words: impl IntoIterator<Item = String>) -> anyhow::Result<Options> {
        let mut options = Options::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                "--binary" => options.binary = Some(value()?.into()),
                "--target" => options.target = Some(value()?),
                "--output" => options.output = Some(value()?.into()),
                "--image" => options.image = Some(true),
                "--no-image" => options.image = Some(false),
                _ => bail!(
                    "`{word}` is not known; known are --binary, --target, --output, --image, --no-image"
                ),
            }
        }
        Ok(options)
    }
}

/// Makes everything, and says which files that are.
///
/// # Errors
/// When something is missing, or a program that is needed fails.
pub fn release(options: &Options) -> anyhow::Result<Vec<PathBuf>> {
    let target = match &options.target {
        Some(target) => target.clone(),
        None => host()?,
    };
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => build(options.target.as_deref())?,
    };
    ensure!(binary.is_file(), "{} is not there", binary.display());
    let version = version()?;
    let output = options.output.clone().unwrap_or_else(|| crate::root().join("dist"));
    fs::create_dir_all(&output).with_context(|| format!("cannot make {}", output.display()))?;
    let name = format!("throome-{version}-{target}");
    let bill = output.join(format!("{name}.cdx.json"));
    fs::write(&bill, sbom(&target)?)?;
    let mut made = vec![archive::make(&binary, &name, &bill, &output)?, bill];
    if options.image.unwrap_or_else(engine_answers) {
        made.push(image(&binary, &output.join(format!("{name}.image.tar.gz")))?);
    }
    made.push(sums(&made, &output)?);
    Ok(made)
}

/// The program, built as it is shipped.
fn build(target: Option<&str>) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--locked", "--profile", "release", "--package", "throome"])
        .current_dir(crate::root());
    let mut directory = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| crate::root().join("target"), |directory| crate::root().join(directory));
    if let Some(target) = target {
        command.args(["--target", target]);
        directory.push(target);
    }
    run(&mut command)?;
    Ok(directory.join("release/throome"))
}

/// The image as a file that `docker load` takes.
fn image(binary: &Path, file: &Path) -> anyhow::Result<PathBuf> {
    let version = version()?;
    let tag = format!("akshitmadan/throome:{version}");
    let binary = binary.canonicalize()?;
    run(Command::new(crate::root().join("deploy/docker/build.sh"))
        .args(["--tag", &tag, "--binary"])
        .arg(binary)
        .current_dir(crate::root()))?;
    let tar = file.with_extension("");
    run(Command::new("docker").args(["save", "--output"]).arg(&tar).arg(&tag))?;
    run(Command::new("gzip").args(["--force", "--no-name"]).arg(&tar))?;
    // The engine's own command writes it for whoever has called it alone.
    fs::set_permissions(file, fs::Permissions::from_mode(0o644))?;
    Ok(file.to_owned())
}

/// Their sums, as `sha256sum --check` reads them.
fn sums(files: &[PathBuf], output: &Path) -> anyhow::Result<PathBuf> {
    let names = files.iter().filter_map(|file| file.file_name());
    let said = said(Command::new("sha256sum").args(names).current_dir(output))?;
    let file = output.join("SHA256SUMS");
    fs::write(&file, said)?;
    Ok(file)
}

fn engine_answers() -> bool {
    let asked = Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output();
    asked.is_ok_and(|output| output.status.success())
}

/// The version that all of ours have.
fn version() -> anyhow::Result<String> {
    Ok(env!("CARGO_PKG_VERSION").to_owned())
}

/// What this machine's programs are built for.
fn host() -> anyhow::Result<String> {
    let said = said(Command::new("rustc").arg("-vV"))?;
    let line = said.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).context("rustc does not say what it builds for")
}

/// Runs it to its end.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// What it says.
pub(crate) fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let why = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}: {}", output.status, why.trim());
    Ok(String::from_utf8(output.stdout)?)
}
