//! Where a service lives: one directory, with its data, its files, its log, and what is known of it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use model::Failure;
use model::recipe::File;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::refuse;
use super::user::{self, User};
use crate::Name;

/// The directory of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    root: PathBuf,
}

impl Place {
    /// That of this service.
    pub(super) fn of(dir: &Path, name: &Name) -> Place {
        Place { root: dir.join(&*name.cluster).join(&*name.service) }
    }

    /// What outlives the program, and nobody else's eyes.
    pub(super) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Data that are about to take the place of those, and those when they have.
    pub(super) fn other_data(&self) -> PathBuf {
        self.root.join("data.new")
    }

    /// What is written for it.
    pub(super) fn config(&self) -> PathBuf {
        self.root.join("config")
    }

    /// What it has said.
    pub(super) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// What runs, or is to.
    pub(super) fn run(&self) -> PathBuf {
        self.root.join("run.json")
    }

    /// What is locked while something is being started.
    pub(super) fn lock(&self) -> PathBuf {
        self.root.join("starting")
    }

    /// Who has made the data, and whether they are whole.
    pub(super) fn made(&self) -> PathBuf {
        self.root.join("made.json")
    }

    /// Whether there is anything of it.
    pub(super) fn exists(&self) -> bool {
        self.root.is_dir()
    }

    /// Whether there are data.
    pub(super) fn has_data(&self) -> bool {
        fs::read_dir(self.data()).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// Makes all directories, as those of whoever is to run here.
    pub(super) fn make(&self, user: Option<&User>) -> Result<(), Failure> {
        let make = |dir: &Path| {
            let make = || DirBuilder::new().recursive(true).mode(0o700).create(dir);
            // The cluster's own may just have been taken away, as an empty one.
            let made = make().or_else(|_| make());
            made.map_err(|error| refuse::disk("make", dir, error))
        };
        for dir in [self.data(), self.config(), self.log()] {
            make(&dir)?;
        }
        let Some(user) = user else { return Ok(()) };
        for dir in [self.data(), self.config()] {
            // Data may come from a time at which somebody else ran here.
            user::give(&dir, user).map_err(|error| refuse::disk("give away", &dir, error))?;
        }
        user::let_pass(user, &self.data())
    }

    /// Writes the files of the program, for it alone to read. A name that leads elsewhere is refused.
    pub(super) fn write(&self, files: &[File], user: Option<&User>) -> Result<(), Failure> {
        for file in files {
            let path = self.config().join(&file.name);
            if Path::new(&file.name).file_name().and_then(|name| name.to_str()) != Some(&file.name) {
                return Err(refuse::disk("write", &path, io::ErrorKind::InvalidFilename.into()));
            }
            let written = renamed(&path, file.text.reveal().as_bytes(), user);
            written.map_err(|error| refuse::disk("write", &path, error))?;
        }
        Ok(())
    }

    /// Empties the data.
    pub(super) fn empty(&self, user: Option<&User>) -> Result<(), Failure> {
        let data = self.data();
        let emptied =
            gone(fs::remove_dir_all(&data)).and_then(|()| DirBuilder::new().mode(0o700).create(&data));
        emptied.map_err(|error| refuse::disk("empty", &data, error))?;
        user.map_or(Ok(()), |user| {
            user::give(&data, user).map_err(|error| refuse::disk("give away", &data, error))
        })
    }

    /// An empty directory for data that are about to come.
    pub(super) fn make_other(&self) -> io::Result<()> {
        self.remove_other()?;
        DirBuilder::new().mode(0o700).create(self.other_data())
    }

    /// Takes those away.
    pub(super) fn remove_other(&self) -> io::Result<()> {
        gone(fs::remove_dir_all(self.other_data()))
    }

    /// Puts them in the place of the data, in one step: at any moment the one or the other are there, and whole.
    pub(super) fn exchange(&self) -> io::Result<()> {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        renameat_with(CWD, self.other_data(), CWD, self.data(), RenameFlags::EXCHANGE)?;
        fs::File::open(&self.root)?.sync_all()
    }

    /// Takes away all but the data, and what is known of them.
    pub(super) fn remove_but_data(&self) -> Result<(), Failure> {
        if !self.has_data() {
            return self.remove();
        }
        let removed = gone(fs::remove_file(self.run()))
            .and_then(|()| gone(fs::remove_file(self.lock())))
            .and_then(|()| gone(fs::remove_dir_all(self.other_data())))
            .and_then(|()| gone(fs::remove_dir_all(self.config())))
            .and_then(|()| gone(fs::remove_dir_all(self.log())));
        removed.map_err(|error| refuse::disk("remove", &self.root, error))
    }

    /// Takes away all.
    pub(super) fn remove(&self) -> Result<(), Failure> {
        // Data go in one step, so that half of them are never taken for all; and without them nothing says that they are
        // there, so that they are made anew should a crash come now and somebody start it after that.
        let half = self.root.join("removed");
        let removed = gone(fs::remove_dir_all(&half))
            .and_then(|()| gone(fs::remove_file(self.made())))
            .and_then(|()| gone(fs::rename(self.data(), &half)))
            .and_then(|()| gone(fs::remove_dir_all(&self.root)));
        removed.map_err(|error| refuse::disk("remove", &self.root, error))?;
        // The cluster's goes with the last of its services.
        if let Some(cluster) = self.root.parent() {
            let _ = fs::remove_dir(cluster);
        }
        Ok(())
    }
}

/// What a file of ours says; `None` where there is none, or it says nothing that we know.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let text = fs::read(path).ok()?;
    let read = serde_json::from_slice(&text);
    read.inspect_err(|error| tracing::warn!(path = %path.display(), %error, "a record is not read")).ok()
}

/// Writes a file of ours, whole or not at all.
pub(super) fn save<T: Serialize>(path: &Path, what: &T) -> Result<(), Failure> {
    let text = serde_json::to_vec_pretty(what).map_err(io::Error::from);
    let saved = text.and_then(|text| renamed(path, &text, None));
    saved.map_err(|error| refuse::disk("write", path, error))
}

fn renamed(path: &Path, text: &[u8], user: Option<&User>) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    gone(fs::remove_file(&new))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text)?;
    file.sync_data()?;
    if let Some(user) = user {
        // The file itself, whatever stands at its name by now: the directory is that user's.
        fchown(&file, Some(user.uid), Some(user.gid))?;
    }
    fs::rename(&new, path)
}

/// What is not there need not be removed.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes the directory of all, for the gateway and those who pass.
pub(super) fn ready(dir: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| refuse::disk("make", dir, error))?;
    let seen = fs::metadata(dir).map_err(|error| refuse::disk("read", dir, error))?;
    let own = rustix::process::geteuid();
    if own.is_root() || (seen.uid() == own.as_raw() && seen.permissions().mode() & 0o300 == 0o300) {
        return Ok(());
    }
    // It is of another user, who may still let us write.
    let probe = dir.join(".writable");
    let written = fs::write(&probe, "").and_then(|()| fs::remove_file(&probe));
    written.map_err(|error| refuse::disk("write into", dir, error))
}

#[cfg(test)]
mod tests {
    use model::secret::Secret;

    use super::*;

    fn place(dir: &Path) -> Place {
        Place::of(dir, &Name { cluster: "site".into(), service: "cache".into() })
    }

    #[test]
    fn files_are_for_the_program_alone_and_stay_in_their_directory() {
        let dir = tempfile::TempDir::new().unwrap();
        let place = place(dir.path());
        place.make(None).unwrap();
        let file = |name: &str| File { name: name.into(), text: Secret::new("requirepass s3cret") };
        place.write(&[file("redis.conf")], None).unwrap();
        place.write(&[file("redis.conf")], None).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&place.config().join("redis.conf")), 0o600);
        assert_eq!(mode(&place.data()), 0o700);
        for name in ["../run.json", "a/b", "/etc/passwd", "", ".."] {
            assert!(place.write(&[file(name)], None).is_err(), "{name}");
        }
    }

    #[test]
    fn data_are_kept_or_go_and_the_last_takes_its_cluster_along() {
        let dir = tempfile::TempDir::new().unwrap();
        let place = place(dir.path());
        place.make(None).unwrap();
        save(&place.made(), &1).unwrap();
        assert!(!place.has_data());
        fs::write(place.data().join("rows"), "7").unwrap();
        place.remove_but_data().unwrap();
        assert!(place.has_data() && !place.config().exists() && place.made().exists());
        place.remove().unwrap();
        assert!(!dir.path().join("site").exists());
        place.remove().unwrap();
    }
}
