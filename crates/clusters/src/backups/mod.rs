//! Dumps that are kept: a file for each, with a page beside it that says what it is.
//!
//! `<data_dir>/backups/<cluster>/<service>/<id>.<format>` is the dump and `<id>.json` its page. The page is written last: a
//! dump without one is not whole, and is never shown. They outlive their service, which is what they are for.

mod sweep;
mod undo;
mod writing;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use model::view::Backup;
use model::{Code, Failure};
use provision::Name;

pub(crate) use writing::Writing;

/// The longest id.
const LONGEST: usize = 64;

/// Where they are.
pub(crate) struct Backups {
    dir: PathBuf,
}

impl Backups {
    pub(crate) fn new(data_dir: &Path) -> Backups {
        Backups { dir: data_dir.join("backups") }
    }

    /// All of a service, the newest first.
    pub(crate) fn list(&self, name: &Name) -> Result<Vec<Backup>, Failure> {
        let place = self.place(name)?;
        let failed = |error| unreadable(&place, &error);
        let entries = match fs::read_dir(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                match read(&path) {
                    Ok(backup) => all.extend(backup.filter(|backup| is_of(backup, name))),
                    Err(failure) => tracing::warn!(%failure, "a backup is not listed"),
                }
            }
        }
        all.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| b.id.cmp(&a.id)));
        Ok(all)
    }

    /// One of a service.
    pub(crate) fn get(&self, name: &Name, id: &str) -> Result<Backup, Failure> {
        let page = self.place(name)?.join(format!("{}.json", checked(id)?));
        let found = read(&page)?.filter(|backup| is_of(backup, name) && backup.id == id);
        found.ok_or_else(|| not_found(name, id))
    }

    /// The file of one.
    pub(crate) fn file(&self, backup: &Backup) -> PathBuf {
        self.dir.join(&backup.cluster).join(&backup.service).join(format!("{}.{}", backup.id, backup.format))
    }

    /// Opens the file of one.
    pub(crate) async fn open(&self, backup: &Backup) -> Result<tokio::fs::File, Failure> {
        let path = self.file(backup);
        tokio::fs::File::open(&path).await.map_err(|error| unreadable(&path, &error))
    }

    /// Takes one away.
    pub(crate) fn remove(&self, name: &Name, id: &str) -> Result<(), Failure> {
        let backup = self.get(name, id)?;
        let place = self.place(name)?;
        // Its page first: what has none is not there.
        let removed = fs::remove_file(place.join(format!("{id}.json")))
            .and_then(|()| fs::remove_file(self.file(&backup)))
            .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) });
        removed.map_err(|error| {
            Failure::gateway(Code::Internal, format!("Cannot remove the backup `{id}`: {error}."))
        })
    }

    /// Takes away what a crash has left of one that was being written.
    pub(crate) fn forget_part(&self, name: &Name, id: &str) {
        let Ok(place) = self.place(name) else { return };
        if !matches!(self.get(name, id), Err(failure) if failure.code() == Code::NotFound) {
            return;
        }
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            let file = entry.file_name();
            let rest = file.to_str().and_then(|file| file.strip_prefix(id));
            if rest.is_some_and(|rest| rest.starts_with('.')) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// The directory of a service. Its name may come from anybody, and must not lead elsewhere.
    fn place(&self, name: &Name) -> Result<PathBuf, Failure> {
        let Name { cluster, service } = name;
        if is_plain(cluster) && is_plain(service) {
            return Ok(self.dir.join(&**cluster).join(&**service));
        }
        Err(Failure::client(Code::NotFound, format!("There is no service `{cluster}/{service}`.")))
    }
}

/// Whether this can be the name of a cluster or a service.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 63
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || byte == b'-' || byte == b'_')
}

/// Whether a page is what we have written for this service: what lies there may be of anybody.
fn is_of(backup: &Backup, name: &Name) -> bool {
    *backup.cluster == *name.cluster
        && *backup.service == *name.service
        && checked(&backup.id).is_ok()
        && !backup.format.is_empty()
        && backup.format.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// An id that names a file here and nowhere else.
fn checked(id: &str) -> Result<&str, Failure> {
    let mut bytes = id.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let rest = bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if first && rest && id.len() <= LONGEST {
        return Ok(id);
    }
    let detail = format!("`{id}` cannot be the id of a backup.");
    Err(Failure::client(Code::InvalidRequest, detail)
        .with_hint("1 to 64 of a to z, 0 to 9 and `-`, of which `-` is not the first."))
}

/// What a page says; `None` where there is none.
fn read(page: &Path) -> Result<Option<Backup>, Failure> {
    let text = match fs::read(page) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| unreadable(page, &error))?,
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| unreadable(page, &error.into()))
}

pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::gateway(Code::Internal, format!("Cannot read `{}`: {error}.", path.display()))
}

/// A hash as it is shown.
pub(crate) fn hexadecimal(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn not_found(name: &Name, id: &str) -> Failure {
    let Name { cluster, service } = name;
    Failure::client(Code::NotFound, format!("There is no backup `{id}` of `{cluster}/{service}`."))
        .with_hint(format!("`throome backup list {cluster}/{service}` shows those that there are."))
}

#[cfg(test)]
mod tests {
    use model::view::BackupOrigin;
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn name() -> Name {
        Name { cluster: "shop".into(), service: "db".into() }
    }

    async fn kept(backups: &Backups, id: &str, text: &[u8]) -> Backup {
        let mut writing = backups.write(&name(), id, "postgres", "dump", BackupOrigin::Backup).unwrap();
        writing.write_all(text).await.unwrap();
        writing.keep().await.unwrap()
    }

    #[tokio::test]
    async fn what_is_kept_is_listed_read_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let backups = Backups::new(dir.path());
        assert!(backups.list(&name()).unwrap().is_empty());
        let one = kept(&backups, "one", b"abc").await;
        assert_eq!(one.bytes, 3);
        assert_eq!(one.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let two = kept(&backups, "two", b"").await;
        assert_eq!(backups.list(&name()).unwrap(), [two, one.clone()]);
        assert_eq!(fs::read(backups.file(&one)).unwrap(), b"abc");
        backups.remove(&name(), "two").unwrap();
        assert_eq!(backups.list(&name()).unwrap(), [one]);
        assert_eq!(backups.remove(&name(), "two").unwrap_err().code(), Code::NotFound);
        let there = backups.write(&name(), "one", "postgres", "dump", BackupOrigin::Upload).err().unwrap();
        assert_eq!(there.code(), Code::Conflict);
    }

    #[tokio::test]
    async fn what_breaks_off_leaves_nothing_and_is_not_shown_while_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let backups = Backups::new(dir.path());
        let mut writing = backups.write(&name(), "half", "postgres", "dump", BackupOrigin::Backup).unwrap();
        writing.write_all(b"half of it").await.unwrap();
        writing.flush().await.unwrap();
        assert!(backups.list(&name()).unwrap().is_empty());
        drop(writing);
        assert_eq!(fs::read_dir(backups.place(&name()).unwrap()).unwrap().count(), 0);
        // Nor does what a crash has left hinder anybody.
        for left in ["half.dump.00.part", "half.dump"] {
            fs::write(backups.place(&name()).unwrap().join(left), "x").unwrap();
        }
        backups.forget_part(&name(), "half");
        assert_eq!(fs::read_dir(backups.place(&name()).unwrap()).unwrap().count(), 0);
        assert_eq!(kept(&backups, "half", b"all").await.bytes, 3);
        backups.forget_part(&name(), "half");
        assert_eq!(backups.list(&name()).unwrap().len(), 1, "what is whole stays");
    }

    #[tokio::test]
    async fn of_two_that_are_brought_under_one_id_the_first_that_is_whole_counts() {
        let dir = tempfile::tempdir().unwrap();
        let backups = Backups::new(dir.path());
        let begin = || backups.write(&name(), "one", "postgres", "dump", BackupOrigin::Upload).unwrap();
        let (mut first, mut second) = (begin(), begin());
        first.write_all(b"first").await.unwrap();
        second.write_all(b"the second").await.unwrap();
        let kept = second.keep().await.unwrap();
        assert_eq!(first.keep().await.unwrap_err().code(), Code::Conflict);
        assert_eq!(fs::read(backups.file(&kept)).unwrap(), b"the second");
        assert_eq!(backups.list(&name()).unwrap(), [kept]);
        assert_eq!(fs::read_dir(backups.place(&name()).unwrap()).unwrap().count(), 2);
    }

    #[test]
    fn a_page_that_names_another_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let backups = Backups::new(dir.path());
        let place = backups.place(&name()).unwrap();
        fs::create_dir_all(&place).unwrap();
        let page = |cluster: &str, format: &str| {
            format!(
                r#"{{"id":"x","cluster":"{cluster}","service":"db","kind":"k","format":"{format}","origin":"upload",
                "bytes":1,"sha256":"","created_at":"2026-01-01T00:00:00Z"}}"#
            )
        };
        for (text, is_one) in [
            (page("shop", "dump"), true),
            (page("/etc", "dump"), false),
            (page("shop", "../x"), false),
            ("{".into(), false),
        ] {
            fs::write(place.join("x.json"), &text).unwrap();
            assert_eq!(backups.list(&name()).unwrap().len(), usize::from(is_one), "{text}");
            assert_eq!(backups.get(&name(), "x").is_ok(), is_one, "{text}");
        }
    }

    #[test]
    fn an_id_names_a_file_here_and_nowhere_else() {
        let backups = Backups::new(Path::new("/nowhere"));
        for id in ["", "../x", "a/b", "A", "-a", "a.b", &"x".repeat(65)] {
            assert_eq!(backups.get(&name(), id).unwrap_err().code(), Code::InvalidRequest, "{id}");
        }
        assert_eq!(backups.get(&name(), "a-1").unwrap_err().code(), Code::NotFound);
        for other in ["..", ".", "", "a/b", "\0", "A", "-a", "a.b"] {
            for (cluster, service) in [(other, "db"), ("shop", other)] {
                let name = Name { cluster: cluster.into(), service: service.into() };
                assert_eq!(backups.list(&name).unwrap_err().code(), Code::NotFound, "{cluster}/{service}");
                let begun = backups.write(&name, "x", "postgres", "dump", BackupOrigin::Upload);
                assert_eq!(begun.err().unwrap().code(), Code::NotFound, "{cluster}/{service}");
            }
        }
    }
}
