//! Where an embedded service may keep its file: where its options say, unless that is somebody else's place.

use std::path::{Component, Path, PathBuf};

use model::{Code, Failure};

use super::settled;
use crate::Home;

/// Where the gateway keeps the directories of its services, below its own.
const SERVICES: &str = "services";

/// Whether a text can name a file; the error completes "path ...".
pub(crate) fn check(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() {
        return Err("is empty: leave it out for a file in the service's own directory");
    }
    if text.contains('\0') {
        return Err("holds a NUL character, which no path can");
    }
    if text.ends_with('/') {
        return Err("names a directory: name the file in it");
    }
    // SQLite would read it as a URI, with parameters that choose how the file is kept.
    if text.starts_with("file:") {
        return Err("is a URI: name the file itself");
    }
    Ok(())
}

/// The file of a service: the one it names, or `own` in its own directory.
///
/// # Errors
/// When the one it names is in a directory that the gateway keeps for itself and other services.
pub(crate) fn file(named: Option<&str>, own: &str, home: &Home) -> Result<PathBuf, Failure> {
    let Some(named) = named else { return Ok(home.dir.join(own)) };
    let path = settled(Path::new(named));
    let refused = |why: &str| {
        let detail = format!("path: `{}` {why}.", path.display());
        Failure::client(Code::InvalidConfig, detail)
            .with_hint("Leave `path` out for a file in the service's own directory, or name one elsewhere.")
    };
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(refused("goes up from a directory that is not there"));
    }
    let home_dir = settled(&home.dir);
    let below: PathBuf = [SERVICES, &home.cluster, &home.service].iter().collect();
    let gateway = home_dir.ends_with(&below).then(|| home_dir.ancestors().nth(3)).flatten();
    if gateway.is_some_and(|gateway| path.starts_with(gateway)) && !path.starts_with(&home_dir) {
        return Err(refused("is in a directory that the gateway keeps for itself and its other services"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_others_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let gateway = dir.path().canonicalize().unwrap();
        let own = gateway.join("services/shop/orders");
        let home = Home { cluster: "shop".into(), service: "orders".into(), dir: own.clone() };
        let of = |path: PathBuf| file(path.to_str(), "own.db", &home);
        assert_eq!(file(None, "own.db", &home).unwrap(), own.join("own.db"));
        for right in [own.join("other.db"), PathBuf::from("/srv/own.db")] {
            assert_eq!(of(right.clone()).unwrap(), right);
        }
        for wrong in ["store.db", "services/shop/orders2/own.db", "services/shop/orders/../x/own.db"] {
            assert_eq!(of(gateway.join(wrong)).unwrap_err().code(), Code::InvalidConfig, "{wrong}");
        }
    }

    #[test]
    fn a_path_is_a_path() {
        for bad in ["", " ", "a\0b", "dir/", "file:x?mode=ro"] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        assert!(check("/srv/own.db").is_ok());
    }
}
