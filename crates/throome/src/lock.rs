//! One gateway for one data directory: two would undo each other's changes.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Held while the gateway runs; the system lets go of it when the process ends, however it ends.
pub(crate) struct Lock(#[expect(dead_code, reason = "held, not read")] File);

/// Takes the data directory for this process.
pub(crate) fn take(dir: &Path) -> anyhow::Result<Lock> {
    let (path, mut file) = open(dir)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            bail!(
                "another gateway (process {}) uses {}; stop it, or choose another --data-dir and --clusters-dir",
                pid.trim(),
                dir.display()
            );
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).context(format!("cannot lock {}", path.display()));
        }
    }
    signed(file)
}

/// Takes it when the process that has it lets go of it.
pub(crate) fn wait(dir: &Path) -> anyhow::Result<Lock> {
    let (path, file) = open(dir)?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    signed(file)
}

fn open(dir: &Path) -> anyhow::Result<(PathBuf, File)> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("cannot make {}", dir.display()))?;
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    Ok((path, file))
}

fn signed(mut file: File) -> anyhow::Result<Lock> {
    // For whoever comes second and wants to know who was first.
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(Lock(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_was_first() {
        let dir = tempfile::TempDir::new().unwrap();
        let first = take(dir.path()).unwrap();
        let words = take(dir.path()).err().unwrap().to_string();
        assert!(words.contains(&std::process::id().to_string()), "{words}");
        let path = dir.path().to_owned();
        let waits = std::thread::spawn(move || wait(&path).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!waits.is_finished());
        drop(first);
        drop(waits.join().unwrap());
        take(dir.path()).unwrap();
    }
}
