//! Where programs are: on the path, and where systems keep those that are not for everybody's path.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use model::Failure;
use model::recipe::Recipe;

use super::refuse;

/// Where else they are. A star stands for one name; where several fit, the newest is first.
const PLACES: &[&str] = &[
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/kafka/bin",
    "/opt/homebrew/bin",
    "/opt/homebrew/sbin",
    "/opt/homebrew/opt/*/bin",
    "/usr/local/opt/*/bin",
];

/// What a program sees of the gateway's own environment: where things are, and how people write. Nothing else, as what is
/// in there may be a secret.
const SHARED: &[&str] =
    &["LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "JAVA_HOME", "KAFKA_HOME"];

/// The programs of a recipe.
#[derive(Debug)]
pub(super) struct Programs {
    found: BTreeMap<String, PathBuf>,
}

impl Programs {
    /// Finds all of them, or says which is not there. Those that stand beside the one that runs come before others of
    /// the same name: it may be there in several versions.
    pub(super) fn of(recipe: &Recipe) -> Result<Programs, Failure> {
        let mut dirs = places();
        let run = find(&recipe.run.program, &dirs)?;
        if let Some(dir) = run.canonicalize().ok().as_deref().and_then(Path::parent) {
            dirs.insert(0, dir.to_owned());
        }
        let mut found = BTreeMap::from([(recipe.run.program.clone(), run)]);
        for preparation in &recipe.prepare {
            let name = &preparation.run.program;
            if !found.contains_key(name) {
                found.insert(name.clone(), find(name, &dirs)?);
            }
        }
        Ok(Programs { found })
    }

    /// Where this one is.
    pub(super) fn path<'a>(&'a self, name: &'a str) -> &'a Path {
        self.found.get(name).map_or(Path::new(name), PathBuf::as_path)
    }

    /// Where one is that stands beside: with the recipe's own before others of its name.
    pub(super) fn beside(&self, name: &str) -> Result<PathBuf, Failure> {
        let own = self.found.values().filter_map(|path| path.parent().map(Path::to_owned));
        find(name, &own.chain(places()).collect::<Vec<_>>())
    }

    /// All of them with their places.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.found.iter().map(|(name, path)| (name.as_str(), path.as_path()))
    }

    /// What a program begins with of the world: a path on which the others of its recipe are.
    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        let kept = |name: &&str| Some(((*name).to_owned(), env::var(name).ok()?));
        let mut words: BTreeMap<_, _> = SHARED.iter().filter_map(kept).collect();
        let mut dirs: Vec<PathBuf> = Vec::new();
        let own = self.found.values().filter_map(|path| path.parent().map(Path::to_owned));
        for dir in own.chain(on_path()) {
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
        }
        if let Some(path) = env::join_paths(dirs).ok().and_then(|path| path.into_string().ok()) {
            words.insert("PATH".to_owned(), path);
        }
        words
    }
}

fn find(name: &str, dirs: &[PathBuf]) -> Result<PathBuf, Failure> {
    if name.contains('/') {
        let path = PathBuf::from(name);
        return if runs(&path) { Ok(path) } else { Err(refuse::no_program(name, &[])) };
    }
    let mut paths = dirs.iter().map(|dir| dir.join(name));
    paths.find(|path| runs(path)).ok_or_else(|| refuse::no_program(name, dirs))
}

fn runs(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|seen| seen.is_file() && seen.permissions().mode() & 0o111 != 0)
}

fn places() -> Vec<PathBuf> {
    let kafka = env::var_os("KAFKA_HOME").map(|home| Path::new(&home).join("bin"));
    let known = PLACES.iter().flat_map(|place| spread(Path::new("/"), place));
    let mut dirs = Vec::new();
    for dir in on_path().into_iter().chain(kafka).chain(known) {
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    dirs
}

fn on_path() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).filter(|dir| dir.is_absolute()).collect()
}

/// The directories that fit, the newest first: that with the greatest number in its name.
fn spread(root: &Path, place: &str) -> Vec<PathBuf> {
    let mut dirs = vec![root.to_owned()];
    for part in place.split('/').filter(|part| !part.is_empty()) {
        let Some((before, after)) = part.split_once('*') else {
            dirs.iter_mut().for_each(|dir| dir.push(part));
            continue;
        };
        let fits = |name: &str| name.starts_with(before) && name.ends_with(after);
        let entries = dirs.iter().flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten());
        let mut found: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|path| path.file_name().and_then(OsStr::to_str).is_some_and(fits))
            .collect();
        found.sort_by_key(|path| std::cmp::Reverse(version(path)));
        dirs = found;
    }
    dirs.retain(|dir| dir.is_dir());
    dirs
}

/// The numbers of a name: 9.6 is before 10, and what has none is before both.
fn version(path: &Path) -> Vec<u64> {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_versions_the_newest_is_first() {
        let root = tempfile::TempDir::new().unwrap();
        for version in ["9.6", "15", "10"] {
            fs::create_dir_all(root.path().join("usr/lib/postgresql").join(version).join("bin")).unwrap();
        }
        fs::create_dir_all(root.path().join("usr/lib/postgresql/16-without")).unwrap();
        let found = spread(root.path(), "/usr/lib/postgresql/*/bin");
        let names: Vec<_> =
            found.iter().map(|dir| dir.strip_prefix(root.path()).unwrap().to_str().unwrap()).collect();
        let expected = ["15", "10", "9.6"].map(|version| format!("usr/lib/postgresql/{version}/bin"));
        assert_eq!(names, expected);
        assert!(spread(root.path(), "/nowhere/*/bin").is_empty());
    }

    #[test]
    fn what_is_not_there_is_named_with_what_to_do() {
        let failure = find("no-such-program", &places()).unwrap_err();
        assert!(failure.detail().contains("no-such-program"), "{failure:?}");
        assert!(failure.detail().contains("/usr/sbin"), "{failure:?}");
        assert!(failure.hint().unwrap().contains("docker"), "{failure:?}");
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(find(file.path().to_str().unwrap(), &[]).is_err(), "a file that is no program");
        assert_eq!(find("/bin/sh", &[]).unwrap(), Path::new("/bin/sh"));
    }
}
