//! Cluster files: read whole and checked, written atomically, found again after a crash.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use adapters::Registry;
use model::cluster::ClusterInput;
use model::tree::Place;
use model::{ClusterId, ClusterSpec, Problem, Problems};
use policy::Conflict;

use crate::named_files;

/// The file in a cluster's directory.
const FILE: &str = "config.yaml";
/// What a write begins as; one that is found at start was never finished.
const NEW: &str = ".config.yaml.new";

/// A cluster file as read: its text, and what it asks for.
pub(crate) struct Read {
    pub(crate) text: String,
    pub(crate) spec: ClusterSpec,
}

/// The directory of clusters.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    dir: PathBuf,
    /// What routes may name.
    listeners: Arc<[String]>,
}

impl Files {
    pub(crate) fn new(dir: &Path, listeners: Arc<[String]>) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        // Events name real paths; a symbolic link or `./` would hide them from the watch.
        Ok(Files { dir: dir.canonicalize()?, listeners })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn path(&self, id: &ClusterId) -> PathBuf {
        self.dir.join(id.as_str()).join(FILE)
    }

    /// The clusters that have a file, and directories that hold one but whose name is no id.
    pub(crate) fn ids(&self) -> io::Result<(Vec<ClusterId>, Vec<Problem>)> {
        let (mut ids, mut problems) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            let file = self.dir.join(&*name).join(FILE);
            if name.starts_with('.') || !file.is_file() {
                continue;
            }
            match name.parse() {
                Ok(id) => ids.push(id),
                Err(why) => {
                    let mut found = Problems::new(Some(&file.to_string_lossy()));
                    found.add("", model::tree::Place::default(), format!("its directory: {why}"));
                    problems.append(&mut found.into_vec());
                }
            }
        }
        ids.sort();
        Ok((ids, problems))
    }

    /// The text of a cluster's file; `None` when there is none.
    pub(crate) fn text(&self, id: &ClusterId) -> io::Result<Option<String>> {
        match fs::read_to_string(self.path(id)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a text as the file of this cluster: all problems at once, or what it asks for.
    pub(crate) fn read(&self, id: &ClusterId, text: String) -> Result<Read, Vec<Problem>> {
        let path = self.path(id);
        let input = parse(&text, &path.to_string_lossy(), Some(id), Some(&self.listeners))?;
        let written = fs::metadata(&path).and_then(|meta| meta.modified()).ok();
        let since = written.and_then(|time| jiff::Timestamp::try_from(time).ok());
        let spec = input.settle(id.clone(), since.unwrap_or_else(jiff::Timestamp::now));
        Ok(Read { text, spec })
    }

    /// Writes a cluster's file, whole or not at all: after a crash the old text stands there, or the new.
    pub(crate) fn write(&self, id: &ClusterId, text: &str, holds_secret: bool) -> io::Result<()> {
        let dir = self.dir.join(id.as_str());
        fs::create_dir_all(&dir)?;
        let new = dir.join(NEW);
        let mode = if holds_secret { 0o600 } else { 0o644 };
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, dir.join(FILE))?;
        File::open(&dir)?.sync_all()?;
        File::open(&self.dir)?.sync_all()
    }

    /// Takes a cluster's file away, and its directory when nothing else is in it.
    pub(crate) fn remove(&self, id: &ClusterId) -> io::Result<()> {
        let dir = self.dir.join(id.as_str());
        match fs::remove_file(dir.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let _ = fs::remove_file(dir.join(NEW));
        // Something of somebody else's may be in it; then it stays, and must not bring the file back after a crash.
        if fs::remove_dir(&dir).is_err()
            && let Ok(dir) = File::open(&dir)
        {
            dir.sync_all()?;
        }
        File::open(&self.dir)?.sync_all()
    }

    /// Takes away what a crash left half done.
    pub(crate) fn clean(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let dir = entry?.path();
            if dir.join(NEW).is_file() {
                fs::remove_file(dir.join(NEW))?;
                let _ = fs::remove_dir(&dir);
            }
        }
        Ok(())
    }
}

/// Reads a cluster file's text; `id` is its directory's name, when it has one, and `listeners` what its routes may name,
/// where that is known.
pub(crate) fn parse(
    text: &str,
    file: &str,
    id: Option<&ClusterId>,
    listeners: Option<&[String]>,
) -> Result<ClusterInput, Vec<Problem>> {
    let mut problems = Problems::new(Some(file));
    let mut tree = match model::yaml::parse(text) {
        Ok(tree) => tree,
        Err(found) => {
            found.into_iter().for_each(|problem| problems.push(problem));
            return Err(problems.into_vec());
        }
    };
    if tree.is_null() {
        // Somebody may be about to write it: an empty file is no wish for an empty cluster.
        problems.at(&tree, "", "is empty; a cluster without services says `services: {}`");
        return Err(problems.into_vec());
    }
    model::expand::expand(&mut tree, &|name| std::env::var(name).ok(), &mut problems);
    if let Some(id) = id {
        model::read::check_id(&tree, id, &mut problems);
    }
    if let Some(listeners) = listeners {
        model::read::check_listeners(&tree, listeners, &mut problems);
    }
    let input = model::read::read_cluster(&tree, &Registry, &mut problems);
    let problems = problems.into_vec();
    match input {
        Some(input) if problems.is_empty() => Ok(input),
        _ => Err(problems),
    }
}

/// That a route of a file matches what another does, with its place in the file. The other may stand in another one.
pub(crate) fn clash(
    file: Option<(&str, &str)>,
    index: usize,
    conflict: &Conflict,
    of: Option<&str>,
) -> Problem {
    let path = format!("routes[{index}]");
    let of = of.map(|cluster| format!(" of cluster `{cluster}`")).unwrap_or_default();
    let message = if conflict.other.is_empty() {
        conflict.message.clone()
    } else if conflict.other == conflict.id {
        format!("its id, `{}`, is that of a route{of}", conflict.id)
    } else {
        format!("matches the same requests as route `{}`{of}", conflict.other)
    };
    let tree = file.and_then(|(_, text)| model::yaml::parse(text).ok());
    let node = tree.as_ref().and_then(|tree| tree.get("routes")?.items().get(index));
    let mut problems = Problems::new(file.map(|(path, _)| path));
    problems.add(&path, node.map_or_else(Place::default, |node| node.at), message);
    problems.into_vec().remove(0)
}

/// Checks the text of a cluster file that need not be in a clusters directory. What it asks for comes with every file that
/// it names and that could not be used here: the gateway may run on another machine.
///
/// # Errors
/// Every problem.
pub fn check_file(path: &Path, text: &str) -> Result<(ClusterSpec, Vec<Problem>), Vec<Problem>> {
    let name = path.to_string_lossy();
    let input = parse(text, &name, None, None)?;
    let stem = path.parent().and_then(Path::file_name).map(|dir| dir.to_string_lossy().into_owned());
    let of_dir = stem.and_then(|dir| dir.parse().ok());
    let id = input.cluster_id.clone().or(of_dir).unwrap_or_else(|| ClusterId::from_name("cluster", "file"));
    let mut named = named_files::problems(&input.services);
    named_files::locate(&mut named, Some(&name), text);
    Ok((input.settle(id, jiff::Timestamp::now()), named))
}
