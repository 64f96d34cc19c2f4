//! Reading an archive that may come from anybody.

use std::cell::Cell;
use std::collections::HashSet;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use model::{Code, Failure};
use tar::{Archive, EntryType};

use super::Owner;
use crate::Name;
use crate::beside::broken;

/// How much may stand between two entries: names that are too long for a head, and what else is said of one.
const MOST_BETWEEN: u64 = 1 << 20;

/// How many links there may be, which have to be remembered, and how many directories.
const MOST_LINKS: usize = 100_000;
pub(super) const MOST_DIRECTORIES: usize = 1_000_000;

/// One thing of an archive.
#[derive(Debug)]
pub(crate) struct Item {
    /// Where, from the directory of the data. Plain names alone.
    pub(crate) path: PathBuf,
    pub(crate) what: What,
    /// Whoever owns it may read and write it; nothing else than reading, writing and entering is in it.
    pub(crate) mode: u32,
    pub(crate) mtime: u64,
    pub(crate) owner: Owner,
}

/// What it is.
#[derive(Debug)]
pub(crate) enum What {
    /// A file of so many bytes.
    File(u64),
    Directory,
    /// A link to this, as seen from where it stands.
    Symbolic(PathBuf),
    /// The same file as this one, which has been before it.
    Hard(PathBuf),
}

/// Why an archive is not taken.
#[derive(Debug)]
pub(crate) enum Bad {
    /// It is none, not a whole one, or of nothing that we would have.
    Archive(String),
    /// What is in it could not be put where it is to go.
    Output(io::Error),
}

impl Bad {
    /// In the words of a failure, of an archive that somebody brings. `put` says what could not be done with what is in it.
    pub(crate) fn of_input(self, put: impl FnOnce(io::Error) -> Failure) -> Failure {
        match self {
            Bad::Archive(why) => {
                let detail = format!("This is not an archive of data that could be put here: {why}.");
                Failure::client(Code::InvalidRequest, detail)
            }
            Bad::Output(error) => put(error),
        }
    }

    /// The same of data that were to be archived: what nobody could load is not made.
    pub(crate) fn of_data(self, name: &Name) -> Failure {
        match self {
            Bad::Archive(why) => {
                let detail = format!("The data of `{}` cannot be archived: {why}.", name.service);
                Failure::gateway(Code::ProvisionFailed, detail).with_service(name.service.clone())
            }
            Bad::Output(error) => broken(name, "written", error),
        }
    }
}

/// Hands over one after the other, with what is in it. All is read, to the end of the input.
pub(crate) fn each(
    input: impl Read,
    mut take: impl FnMut(&Item, &mut dyn Read) -> io::Result<()>,
) -> Result<(), Bad> {
    let meter = Rc::new(Meter { left: Cell::new(u64::MAX), over: Cell::new(false) });
    let mut archive = Archive::new(Metered { input, meter: meter.clone() });
    let mut links = HashSet::new();
    let mut entries = archive.entries().map_err(cut_or_no_archive)?;
    let mut is_empty = true;
    loop {
        meter.left.set(MOST_BETWEEN);
        let next = entries.next();
        meter.left.set(u64::MAX);
        let Some(entry) = next else { break };
        let mut entry = entry.map_err(cut_or_no_archive)?;
        let Some(item) = item(&entry, &mut links)? else { continue };
        is_empty = false;
        let mut body = Body { entry: &mut entry, failed: None, read: 0 };
        let taken = take(&item, &mut body);
        let Body { failed, mut read, .. } = body;
        if let Some(error) = failed {
            return Err(cut_or_no_archive(error));
        }
        taken.map_err(Bad::Output)?;
        if let What::File(size) = item.what {
            read += io::copy(&mut entry, &mut io::sink()).map_err(cut_or_no_archive)?;
            if read != size {
                return Err(cut());
            }
        }
    }
    // A whole one says that it is over.
    if meter.over.get() {
        return Err(cut());
    }
    if is_empty {
        return Err(Bad::Archive("there is nothing in it".to_owned()));
    }
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map(drop).map_err(cut_or_no_archive)
}

fn item<R: Read>(entry: &tar::Entry<'_, R>, links: &mut HashSet<PathBuf>) -> Result<Option<Item>, Bad> {
    let header = entry.header();
    let kind = header.entry_type();
    if kind == EntryType::XGlobalHeader {
        // A remark about the whole of it.
        return Ok(None);
    }
    let said = entry.path().map_err(cut_or_no_archive)?.into_owned();
    let Some(path) = plain(&said) else {
        return Err(Bad::Archive(format!("`{}` leads out of it", said.display())));
    };
    if path.as_os_str().is_empty() {
        return match kind {
            // The directory of the data itself is there.
            EntryType::Directory => Ok(None),
            _ => Err(Bad::Archive("something in it has no name".to_owned())),
        };
    }
    if let Some(link) = path.ancestors().find(|parent| links.contains(*parent)) {
        return Err(Bad::Archive(format!(
            "`{}` stands behind the link `{}`",
            path.display(),
            link.display()
        )));
    }
    let target = entry.link_name().map_err(cut_or_no_archive)?.map(std::borrow::Cow::into_owned);
    let leads_out = || Bad::Archive(format!("the link `{}` leads out of it", path.display()));
    let what = match (kind, target) {
        (EntryType::Regular | EntryType::Continuous, _) => What::File(entry.size()),
        (EntryType::Directory, _) => What::Directory,
        (EntryType::Symlink, Some(target)) if stays_within(&path, &target) => {
            if links.len() == MOST_LINKS {
                return Err(Bad::Archive(format!("there are more than {MOST_LINKS} links in it")));
            }
            links.insert(path.clone());
            What::Symbolic(target)
        }
        (EntryType::Link, Some(target)) => {
            let target = plain(&target).filter(|target| !target.as_os_str().is_empty());
            let target = target.filter(|target| !target.ancestors().any(|parent| links.contains(parent)));
            What::Hard(target.ok_or_else(leads_out)?)
        }
        (EntryType::Symlink, _) => return Err(leads_out()),
        (EntryType::GNUSparse, _) => {
            return Err(Bad::Archive(format!("`{}` is written with holes left out", path.display())));
        }
        _ => {
            let what = "is neither a file, a directory nor a link";
            return Err(Bad::Archive(format!("`{}` {what}", path.display())));
        }
    };
    let own = if matches!(what, What::Directory) { 0o700 } else { 0o600 };
    let number = |read: io::Result<u64>| read.map_err(cut_or_no_archive);
    Ok(Some(Item {
        mode: header.mode().map_err(cut_or_no_archive)? & 0o777 | own,
        mtime: number(header.mtime())?,
        owner: Owner { uid: number(header.uid())?, gid: number(header.gid())? },
        path,
        what,
    }))
}

/// The path as names alone; `None` where it leads elsewhere.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(plain)
}

/// Whether a link at this path leads to something within. It may go up first and then down, and not up again: where it has
/// come by then, other links may have a say.
pub(super) fn stays_within(path: &Path, target: &Path) -> bool {
    let depth = path.components().count() - 1;
    let (mut ups, mut down) = (0, false);
    for part in target.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if down || ups == depth => return false,
            Component::ParentDir => ups += 1,
            Component::Normal(_) => down = true,
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

fn cut() -> Bad {
    Bad::Archive("it ends in the middle".to_owned())
}

fn cut_or_no_archive(error: io::Error) -> Bad {
    if error.kind() == io::ErrorKind::UnexpectedEof { cut() } else { Bad::Archive(error.to_string()) }
}

/// What is in an entry. An error of reading is told from one of whoever writes it elsewhere.
struct Body<'a, R> {
    entry: &'a mut R,
    failed: Option<io::Error>,
    read: u64,
}

impl<R: Read> Read for Body<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.entry.read(buffer) {
            Ok(read) => {
                self.read += read as u64;
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }
}

struct Meter {
    /// So much may still be read.
    left: Cell<u64>,
    /// Whether the input has ended.
    over: Cell<bool>,
}

struct Metered<R> {
    input: R,
    meter: Rc<Meter>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            self.meter.over.set(true);
        }
        let left = self.meter.left.get().checked_sub(read as u64);
        self.meter.left.set(left.ok_or_else(|| io::Error::other("a name in it is far too long"))?);
        Ok(read)
    }
}
