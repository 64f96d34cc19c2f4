//! As whom programs run. Never as root because the gateway is root: PostgreSQL refuses that, and no other should. Then it is
//! the user that the settings name; else `throome`, where there is one; else the user that the program's package has made
//! (`postgres`, `redis`); else `nobody`.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use model::Failure;
use serde::{Deserialize, Serialize};

use super::refuse;

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct User {
    /// Its name.
    pub(super) name: String,
    /// Its number.
    pub(super) uid: u32,
    /// The number of its first group.
    pub(super) gid: u32,
}

/// Who runs this program; `None` for whoever the gateway is.
pub(super) fn choose(wanted: Option<&str>, program: &str) -> Result<Option<User>, Failure> {
    let own = rustix::process::geteuid();
    let known = Known::read();
    if !own.is_root() {
        return match wanted {
            Some(name) if known.named(name).is_none_or(|user| user.uid != own.as_raw()) => {
                Err(refuse::other_user(name))
            }
            _ => Ok(None),
        };
    }
    if let Some(name) = wanted {
        let user = known.named(name).ok_or_else(|| refuse::no_user(name))?;
        return Ok((user.uid != 0).then_some(user));
    }
    let program = Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let package = program.split(['-', '.']).next().unwrap_or_default();
    let names = ["throome", program, package, "nobody"];
    let user = names.into_iter().find_map(|name| known.named(name).filter(|user| user.uid != 0));
    user.map(Some).ok_or_else(|| refuse::no_user("throome"))
}

/// Lets this user pass through all directories above this one. Those in which people are at home stay as they are.
pub(super) fn let_pass(user: &User, dir: &Path) -> Result<(), Failure> {
    open_way(&Known::read().homes, user, dir)
}

fn open_way(homes: &[PathBuf], user: &User, dir: &Path) -> Result<(), Failure> {
    for parent in dir.ancestors().skip(1) {
        let Ok(seen) = fs::metadata(parent) else { continue };
        let mode = seen.permissions().mode();
        let passes = match seen.uid() == user.uid {
            true => mode & 0o100 != 0,
            false if seen.gid() == user.gid => mode & 0o010 != 0,
            false => mode & 0o001 != 0,
        };
        if passes {
            continue;
        }
        if homes.iter().any(|home| home == parent) {
            return Err(refuse::no_way(&user.name, parent, dir));
        }
        let wider = fs::Permissions::from_mode(mode & 0o7777 | 0o011);
        fs::set_permissions(parent, wider).map_err(|error| refuse::disk("open the way to", parent, error))?;
    }
    Ok(())
}

/// Gives a file, or a directory with all that is in it, to this user. Links are given, not followed.
pub(super) fn give(path: &Path, user: &User) -> io::Result<()> {
    let seen = fs::symlink_metadata(path)?;
    if seen.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), user)?;
        }
    }
    if seen.uid() == user.uid && seen.gid() == user.gid {
        return Ok(());
    }
    lchown(path, Some(user.uid), Some(user.gid))
}

/// The users of this machine.
struct Known {
    users: Vec<User>,
    homes: Vec<PathBuf>,
}

impl Known {
    fn read() -> Known {
        Known::parsed(&fs::read_to_string("/etc/passwd").unwrap_or_default())
    }

    fn parsed(text: &str) -> Known {
        let mut known = Known { users: Vec::new(), homes: Vec::new() };
        for line in text.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, _, home, ..] = fields.as_slice() else { continue };
            let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse()) else { continue };
            known.users.push(User { name: (*name).to_owned(), uid, gid });
            // Services have `/`, or a directory of their data, for a home.
            if uid == 0 || (1000..65534).contains(&uid) {
                known.homes.push(PathBuf::from(home));
            }
        }
        known
    }

    fn named(&self, name: &str) -> Option<User> {
        self.users.iter().find(|user| user.name == name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_from_the_table_of_the_system() {
        let known = Known::parsed(
            "root:x:0:0:root:/root:/bin/bash\nredis:x:102:105::/var/lib/redis:/bin/false\n# no user\nada:x:1000:1000:Ada:/Users/ada:/bin/sh\n",
        );
        assert_eq!(known.named("redis"), Some(User { name: "redis".into(), uid: 102, gid: 105 }));
        assert_eq!(known.named("nemo"), None);
        assert_eq!(known.homes, [PathBuf::from("/root"), PathBuf::from("/Users/ada")]);
    }

    #[test]
    fn the_way_is_opened_but_not_through_a_home() {
        let dir = tempfile::TempDir::new().unwrap();
        let inner = dir.path().join("processes/site");
        fs::create_dir_all(&inner).unwrap();
        let shut = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
        shut(dir.path());
        shut(&dir.path().join("processes"));
        let nobody = User { name: "nobody".into(), uid: 65534, gid: 65534 };
        let_pass(&nobody, &inner).unwrap();
        for path in [dir.path(), &dir.path().join("processes")] {
            assert_eq!(
                fs::metadata(path).unwrap().permissions().mode() & 0o7777,
                0o711,
                "{}",
                path.display()
            );
        }
    }
}
