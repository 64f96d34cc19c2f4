//! The program that is started in our place: what stands now where we were started from.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use super::NAME;

/// How this process was started.
#[derive(Debug, Clone)]
pub(super) struct Program {
    path: PathBuf,
    name: OsString,
    args: Vec<OsString>,
}

impl Program {
    /// To be asked at the start: later the file may have another name, and the directory be another one.
    pub(super) fn of_this_process() -> std::io::Result<Program> {
        let mut args = env::args_os();
        let name = args.next().unwrap_or_default();
        let path = match place(&name, env::var_os("PATH").as_deref()) {
            Some(path) => path,
            None => env::current_exe()?,
        };
        Ok(Program { path, name, args: args.collect() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Starts it again, as it was started, at the end of this line.
    pub(super) fn start(&self, line: OwnedFd) -> std::io::Result<Child> {
        let mut command = Command::new(&self.path);
        command.arg0(&self.name).args(&self.args);
        command.env(NAME, std::process::id().to_string()).stdin(line).spawn()
    }
}

/// Where a program of that name is, by the name that it was called by: a link that leads elsewhere tomorrow is followed
/// tomorrow, and a file that was replaced is the new one.
fn place(name: &OsStr, path: Option<&OsStr>) -> Option<PathBuf> {
    if name.is_empty() {
        return None;
    }
    let found = if Path::new(name).components().count() > 1 || Path::new(name).is_absolute() {
        std::path::absolute(name).ok()
    } else {
        env::split_paths(path?)
            .map(|dir| dir.join(name))
            .find_map(|file| std::path::absolute(file).ok().filter(|file| file.is_file()))
    };
    found.filter(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_where_its_name_leads() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("throome");
        std::fs::write(&file, "").unwrap();
        let path = env::join_paths([Path::new("/nowhere"), dir.path()]).unwrap();
        assert_eq!(place(file.as_os_str(), None), Some(file.clone()));
        assert_eq!(place(OsStr::new("throome"), Some(&path)), Some(file));
        assert_eq!(place(OsStr::new("thrume"), Some(&path)), None);
        assert_eq!(place(OsStr::new(""), Some(&path)), None);
        assert_eq!(place(OsStr::new("/nowhere/throome"), Some(&path)), None);
    }
}
