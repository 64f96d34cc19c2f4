//! A dump that is being written: counted and hashed as it comes, and there only when it is whole.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aws_lc_rs::digest;
use model::view::{Backup, BackupOrigin};
use model::{Code, Failure};
use provision::Name;
use tokio::fs::File;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{Backups, checked, hexadecimal};

/// The ending of what is being written.
pub(super) const PART: &str = "part";
/// The ending of the page that is being written beside it.
pub(super) const PAGE: &str = "page";

/// Dropped before it is kept, it never was.
pub(crate) struct Writing {
    file: File,
    digest: digest::Context,
    /// What it will be.
    backup: Backup,
    name: Name,
    /// Where it is until then.
    part: PathBuf,
    whole: PathBuf,
    page: PathBuf,
}

impl Backups {
    /// Begins to write one.
    ///
    /// # Errors
    /// `conflict` when there is one of this id; what hinders writing.
    pub(crate) fn write(
        &self,
        name: &Name,
        id: &str,
        kind: &str,
        format: &str,
        origin: BackupOrigin,
    ) -> Result<Writing, Failure> {
        let id = checked(id)?;
        let place = self.place(name)?;
        let page = place.join(format!("{id}.json"));
        if page.exists() {
            return Err(there_is_one(name, id));
        }
        // Two that are written under one id know nothing of each other.
        let part = place.join(format!("{id}.{format}.{:08x}.{PART}", crate::choice::random()));
        let open = || -> io::Result<fs::File> {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&place)?;
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
            // Held until it is closed: whoever sweeps up behind a crash knows by it that somebody writes.
            file.lock()?;
            Ok(file)
        };
        let file = open().map_err(|error| unwritable(&part, &error))?;
        let backup = Backup {
            id: id.to_owned(),
            cluster: name.cluster.to_string(),
            service: name.service.to_string(),
            kind: kind.to_owned(),
            format: format.to_owned(),
            origin,
            bytes: 0,
            sha256: String::new(),
            created_at: jiff::Timestamp::now(),
        };
        Ok(Writing {
            file: File::from_std(file),
            digest: digest::Context::new(&digest::SHA256),
            whole: self.file(&backup),
            name: name.clone(),
            backup,
            part,
            page,
        })
    }
}

impl Writing {
    /// How many bytes have come.
    pub(crate) fn bytes(&self) -> u64 {
        self.backup.bytes
    }

    /// It is whole: on the disk when this returns, and shown from here on.
    pub(crate) async fn keep(mut self) -> Result<Backup, Failure> {
        self.file.flush().await.map_err(|error| unwritable(&self.part, &error))?;
        self.file.sync_all().await.map_err(|error| unwritable(&self.part, &error))?;
        self.backup.sha256 = hexadecimal(self.digest.clone().finish().as_ref());
        self.backup.created_at = jiff::Timestamp::now();
        match self.put_in_place() {
            Ok(()) => Ok(self.backup.clone()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(there_is_one(&self.name, &self.backup.id))
            }
            Err(error) => Err(unwritable(&self.whole, &error)),
        }
    }

    /// Both files in their places, the page last. What another has put there stays.
    fn put_in_place(&self) -> io::Result<()> {
        fs::hard_link(&self.part, &self.whole)?;
        let page = self.part.with_extension(PAGE);
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&page)?;
            file.write_all(&serde_json::to_vec_pretty(&self.backup)?)?;
            file.sync_all()?;
            fs::rename(&page, &self.page)?;
            // The names are on the disk too.
            self.page.parent().map_or(Ok(()), |place| fs::File::open(place)?.sync_all())
        };
        write().inspect_err(|_| {
            for half in [&page, &self.page, &self.whole] {
                let _ = fs::remove_file(half);
            }
        })
    }

    /// What hinders writing it, in words.
    pub(crate) fn failed(&self, error: &io::Error) -> Failure {
        unwritable(&self.part, error)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // Kept, it has another name by now.
        let _ = fs::remove_file(&self.part);
    }
}

impl AsyncWrite for Writing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.file).poll_write(cx, bytes))?;
        self.digest.update(&bytes[..written]);
        self.backup.bytes += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.file).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.file).poll_shutdown(cx)
    }
}

fn there_is_one(name: &Name, id: &str) -> Failure {
    let Name { cluster, service } = name;
    Failure::client(Code::Conflict, format!("There is a backup `{id}` of `{cluster}/{service}` already."))
        .with_hint("Choose another id, or delete it.")
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::gateway(Code::Internal, format!("Cannot write `{}`: {error}.", path.display()));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => failure
            .with_hint("Make room there, or delete backups that nobody needs (`throome backup delete`)."),
        _ => failure.with_hint("Check the directory's owner, mode and free space."),
    }
}
