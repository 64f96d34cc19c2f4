//! A directory of data as a tar archive: written, looked through, and laid out again.
//!
//! An archive may come from anybody. What is taken of it are plain files, directories, and links that stay within; a path
//! never leads through a link, so that nothing is ever written outside. Anything else, and an archive that is cut off, is
//! refused as a whole.

mod bridge;
mod read;

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use tar::{Builder, EntryType, Header};

pub(crate) use bridge::{Waiting, reading, writing};
pub(crate) use read::Bad;
use read::{What, each};

/// Whose files are, by numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u64,
    pub(crate) gid: u64,
}

/// Writes all that is in this directory. What could not be laid out again is refused.
pub(crate) fn pack(dir: &Path, output: impl Write) -> Result<(), Bad> {
    let mut builder = Builder::new(output);
    builder.follow_symlinks(false);
    // Holes are written out: what is claimed to be in an archive is in it.
    builder.sparse(false);
    pack_all(&mut builder, dir, Path::new(""))?;
    builder.into_inner().and_then(|mut output| output.flush()).map_err(Bad::Output)
}

fn pack_all(builder: &mut Builder<impl Write>, root: &Path, within: &Path) -> Result<(), Bad> {
    for entry in fs::read_dir(root.join(within)).map_err(Bad::Output)? {
        let entry = entry.map_err(Bad::Output)?;
        let kind = entry.file_type().map_err(Bad::Output)?;
        let (path, name) = (entry.path(), within.join(entry.file_name()));
        if kind.is_symlink() {
            let target = fs::read_link(&path).map_err(Bad::Output)?;
            if !read::stays_within(&name, &target) {
                return Err(Bad::Archive(format!("the link `{}` leads out of them", name.display())));
            }
        } else if !kind.is_file() && !kind.is_dir() {
            let what = "is neither a file, a directory nor a link";
            return Err(Bad::Archive(format!("`{}` {what}", name.display())));
        }
        builder.append_path_with_name(&path, &name).map_err(Bad::Output)?;
        if kind.is_dir() {
            pack_all(builder, root, &name)?;
        }
    }
    Ok(())
}

/// Copies an archive, and only what may be in one. All is `owner`'s in the copy, where one is said.
pub(crate) fn sift(input: impl Read, output: impl Write, owner: Option<Owner>) -> Result<(), Bad> {
    let mut builder = Builder::new(output);
    let mut said = HashSet::new();
    each(input, |item, body| {
        let owner = owner.unwrap_or(item.owner);
        // Directories that are not said would be whoever's that lays it out.
        let parents = item.path.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty());
        let mut unsaid: Vec<_> = parents.take_while(|path| !said.contains(*path)).collect();
        while let Some(parent) = unsaid.pop() {
            builder.append_data(&mut directory(owner, item.mtime), parent, io::empty())?;
            said.insert(parent.to_owned());
        }
        if said.len() > read::MOST_DIRECTORIES {
            return Err(io::Error::other("there are too many directories in it"));
        }
        let mut header = Header::new_gnu();
        header.set_uid(owner.uid);
        header.set_gid(owner.gid);
        header.set_mode(item.mode);
        header.set_mtime(item.mtime);
        header.set_size(0);
        match &item.what {
            What::File(size) => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(*size);
                builder.append_data(&mut header, &item.path, body)
            }
            What::Directory => {
                said.insert(item.path.clone());
                header.set_entry_type(EntryType::Directory);
                builder.append_data(&mut header, &item.path, io::empty())
            }
            What::Symbolic(target) => {
                header.set_entry_type(EntryType::Symlink);
                builder.append_link(&mut header, &item.path, target)
            }
            What::Hard(target) => {
                header.set_entry_type(EntryType::Link);
                builder.append_link(&mut header, &item.path, target)
            }
        }
    })?;
    builder.into_inner().and_then(|mut output| output.flush()).map_err(Bad::Output)
}

fn directory(owner: Owner, mtime: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Directory);
    header.set_uid(owner.uid);
    header.set_gid(owner.gid);
    header.set_mode(0o700);
    header.set_mtime(mtime);
    header.set_size(0);
    header
}

/// Lays an archive out in a directory that is empty, and sees it onto the disk.
pub(crate) fn unpack(input: impl Read, dir: &Path) -> Result<(), Bad> {
    // Those that may not be written into get their modes when all is in them.
    let mut closed = Vec::new();
    each(input, |item, body| {
        let path = dir.join(&item.path);
        if let Some(parent) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        match &item.what {
            What::File(_) => {
                let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
                io::copy(body, &mut file)?;
                file.set_permissions(fs::Permissions::from_mode(item.mode))?;
                let time = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(item.mtime));
                time.map_or(Ok(()), |time| file.set_modified(time))
            }
            What::Directory => {
                DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
                closed.push((path, item.mode));
                Ok(())
            }
            What::Symbolic(target) => symlink(target, &path),
            What::Hard(target) => fs::hard_link(dir.join(target), &path),
        }
    })?;
    for (path, mode) in closed {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(Bad::Output)?;
    }
    File::open(dir).and_then(|dir| Ok(rustix::fs::syncfs(dir)?)).map_err(Bad::Output)
}

#[cfg(test)]
mod tests;
