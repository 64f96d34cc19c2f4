//! What says that something else is about to take the place of what a service holds, and where that is kept: written before it
//! begins, and taken away when it is over. Whoever finds it after a crash puts back what was there.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use model::{Code, Failure};
use provision::Name;

use super::{Backups, checked};

/// The file, beside the backups of a service.
const MARK: &str = "put-back";

impl Backups {
    /// Says that until further notice this backup is what is to be there. It is on the disk when this returns.
    pub(crate) fn begin_undo(&self, name: &Name, id: &str) -> Result<(), Failure> {
        let place = self.place(name)?;
        let mark = place.join(MARK);
        let new = place.join(format!("{MARK}.new"));
        let write = || -> io::Result<()> {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(checked(id).unwrap_or_default().as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &mark)?;
            fs::File::open(&place)?.sync_all()
        };
        write().map_err(|error| {
            Failure::gateway(Code::Internal, format!("Cannot write `{}`: {error}.", mark.display()))
                .with_hint("Nothing was changed. Check the directory's owner, mode and free space.")
        })
    }

    /// What is there is what is to be there.
    pub(crate) fn end_undo(&self, name: &Name) {
        let Ok(place) = self.place(name) else { return };
        match fs::remove_file(place.join(MARK)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!(%error, place = %place.display(), "what says that a backup is to be put back cannot be removed");
            }
            _ => {}
        }
    }

    /// The backup that is to be put back.
    pub(crate) fn undo_of(&self, name: &Name) -> Option<String> {
        fs::read_to_string(self.place(name).ok()?.join(MARK)).ok()
    }

    /// All that are to be put back.
    pub(crate) fn undos(&self) -> Vec<(Name, String)> {
        let below = |dir: &std::path::Path| {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>()
        };
        let mut all = Vec::new();
        for cluster in below(&self.dir) {
            for service in below(&self.dir.join(&cluster)) {
                let name = Name { cluster: cluster.as_str().into(), service: service.into() };
                all.extend(self.undo_of(&name).map(|id| (name, id)));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn it_is_found_until_it_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let backups = Backups::new(dir.path());
        let name = Name { cluster: "shop".into(), service: "queue".into() };
        assert!(backups.undos().is_empty() && backups.undo_of(&name).is_none());
        fs::create_dir_all(backups.place(&name).unwrap()).unwrap();
        backups.begin_undo(&name, "one").unwrap();
        assert_eq!(backups.undo_of(&name).as_deref(), Some("one"));
        assert_eq!(Backups::new(Path::new(dir.path())).undos(), [(name.clone(), "one".to_owned())]);
        assert!(backups.list(&name).unwrap().is_empty(), "it is no backup");
        backups.end_undo(&name);
        backups.end_undo(&name);
        assert!(backups.undos().is_empty());
    }
}
