//! The rules of the house, as code that a test runs.
//!
//! What a rule is for, and how people keep it, is in ARCHITECTURE.md and CONTRIBUTING.md.

pub mod kinds;
pub mod layers;
pub mod release;
pub mod source;
pub mod tidy;

use std::path::{Path, PathBuf};

/// The directory of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

/// Every file below these directories of the workspace whose name ends so, in the order of their paths.
///
/// # Panics
/// When a directory cannot be read.
#[must_use]
pub fn files(directories: &[&str], ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left: Vec<PathBuf> = directories.iter().map(|directory| root().join(directory)).collect();
    while let Some(directory) = left.pop() {
        let entries =
            std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            if path.is_dir() {
                left.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A path as people say it: from the workspace on.
#[must_use]
pub fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
