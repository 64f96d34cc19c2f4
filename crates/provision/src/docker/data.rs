//! All data of a container that does not run, out of its volume and into it.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bollard::query_parameters::{DownloadFromContainerOptions, UploadToContainerOptions};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use model::{Code, Failure};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use crate::archive::{self, Owner};
use crate::beside::{self, broken};
use crate::docker::engine::Engine;
use crate::docker::wrong::{self, Asked};
use crate::docker::{Docker, Maker, Stopped, Whose, container, create, names, network, volume};
use crate::{Data, Input, Name, NotPut, Output, Work};

/// How long an upload may take: the answer comes when all of it is there.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// What is under way at once.
const ROOM: usize = 256 << 10;

impl Docker {
    /// The container of a service that stands still; it is made where only its data are there.
    pub(super) async fn at_rest(&self, engine: &Engine, work: &Work) -> Result<String, Failure> {
        let name = &work.name;
        if let Some(seen) = container::inspect(engine, name).await? {
            if seen.state.running == Some(true) || seen.state.restarting == Some(true) {
                return Err(beside::runs(name));
            }
            return Ok(seen.id);
        }
        if volume::owner(engine, name).await?.is_none() {
            return Err(beside::no_data(name));
        }
        self.make(engine, work).await
    }

    /// Makes the container and what it stands on, and does not start it.
    async fn make(&self, engine: &Engine, work: &Work) -> Result<String, Failure> {
        let maker = self.maker(&work.name);
        let made = match self.making(engine, work, &maker).await {
            Err(Stopped::Again) => self.making(engine, work, &maker).await,
            other => other,
        };
        let id = made.map_err(|stopped| match stopped {
            Stopped::For(failure) => failure,
            Stopped::Again => wrong::changed_meanwhile(&names::container(&work.name)),
        })?;
        self.adopt(&work.name);
        Ok(id)
    }

    async fn making(&self, engine: &Engine, work: &Work, maker: &Maker<'_>) -> Result<String, Stopped> {
        let network = network::ensure(engine, &work.name.cluster, maker).await?;
        create(engine, work, &network, maker, &|_| {}).await
    }

    /// What is in the archive in the place of all its data: container and volume are made anew, and not started.
    pub(super) async fn fill(&self, work: &Work, input: Input<'_>) -> Result<(), NotPut> {
        let engine = self.engine()?;
        let name = &work.name;
        if let Err(failure) = self.at_rest(&engine, work).await
            && failure.code() != Code::NotFound
        {
            return Err(failure.into());
        }
        let kept = kept(name, input).await?;
        // That may have taken long: somebody may have started it since.
        if let Err(failure) = self.at_rest(&engine, work).await
            && failure.code() != Code::NotFound
        {
            return Err(failure.into());
        }
        let lost = |failure| NotPut { failure, is_lost: true };
        // Of what is taken away in part, nothing is of use.
        self.take_away(name, Data::Remove, Whose::Ours).await.map_err(lost)?;
        let filled = async {
            let id = self.make(&engine, work).await?;
            let owner = owner(&engine, &id, work).await?;
            put(&engine, &id, work, owner, kept).await
        };
        let Err(failure) = filled.await else { return Ok(()) };
        // Half of it is never taken for all.
        if let Err(failure) = self.take_away(name, Data::Remove, Whose::Ours).await {
            tracing::warn!(%failure, "what is there of a service is half of what was to be put there");
        }
        let detail = format!("{} What was there before is gone: put it there once more.", failure.detail());
        let service = name.service.clone();
        Err(lost(Failure::gateway(failure.code(), detail).with_service(service).with_cause(failure)))
    }
}

/// An archive of the data of this container, as ours are.
pub(super) async fn take(engine: &Engine, id: &str, work: &Work, output: Output<'_>) -> Result<(), Failure> {
    let name = &work.name;
    let what = format!("read the data of the container `{}`", names::container(name));
    let asked = Asked::new(engine, what);
    // What is in the directory, and not the directory itself.
    let options = DownloadFromContainerOptions { path: format!("{}/.", work.recipe.data) };
    let mut parts = Box::pin(engine.ask().download_from_container(id, Some(options)));
    let (mut far, near) = duplex(ROOM);
    let brings = async move {
        while let Some(part) = parts.next().await {
            let part = part.map_err(|error| asked.failed(error))?;
            if far.write_all(&part).await.is_err() {
                // Whoever read it says why no more.
                break;
            }
        }
        Ok(())
    };
    let own = name.clone();
    let sifts = archive::writing(output, move |written| {
        archive::sift(archive::Waiting::of(near), written, None).map_err(|bad| bad.of_data(&own))
    });
    let (brought, sifted) = tokio::join!(brings, sifts);
    brought.and(sifted)
}

/// The archive, looked through to its end and kept in a file without a name.
pub(super) async fn kept(name: &Name, input: Input<'_>) -> Result<File, Failure> {
    let own = name.clone();
    archive::reading(input, move |read| {
        let unkept = |error| broken(&own, "kept for a moment", error);
        let mut file = nameless().map_err(unkept)?;
        let sifted = archive::sift(read, io::BufWriter::with_capacity(ROOM, &file), None);
        sifted.map_err(|bad| bad.of_input(unkept))?;
        file.rewind().map_err(unkept)?;
        Ok(file)
    })
    .await
}

fn nameless() -> io::Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("throome-{}-{number}.tar", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// Whose the data are to be: whoever owns the directory, as the image has made it.
pub(super) async fn owner(engine: &Engine, id: &str, work: &Work) -> Result<Owner, Failure> {
    let what = format!("look at the data of the container `{}`", names::container(&work.name));
    let asked = Asked::new(engine, what);
    let options = DownloadFromContainerOptions { path: work.recipe.data.clone() };
    let mut parts = Box::pin(engine.ask().download_from_container(id, Some(options)));
    let mut head = Vec::new();
    while head.len() < 512 {
        let part = parts.next().await.ok_or_else(|| asked.broke_off())?;
        head.extend_from_slice(&part.map_err(|error| asked.failed(error))?);
    }
    let header = tar::Header::from_byte_slice(&head[..512]);
    match (header.uid(), header.gid()) {
        (Ok(uid), Ok(gid)) => Ok(Owner { uid, gid }),
        _ => Err(Failure::gateway(Code::Internal, "An engine's archive says no owner.")),
    }
}

/// Puts what was kept into this container.
pub(super) async fn put(
    engine: &Engine,
    id: &str,
    work: &Work,
    owner: Owner,
    file: File,
) -> Result<(), Failure> {
    let name = work.name.clone();
    let what = format!("write the data of the container `{}`", names::container(&work.name));
    let asked = Asked::new(engine, what);
    let (far, near) = duplex(ROOM);
    let mut written = archive::Waiting::of(near);
    let sifts = tokio::task::spawn_blocking(move || {
        let unread = |error| broken(&name, "read", error);
        let read = io::BufReader::with_capacity(ROOM, file);
        archive::sift(read, &mut written, Some(owner)).map_err(|bad| bad.of_input(unread))?;
        drop(written);
        Ok(())
    });
    let body = stream::unfold(far, |mut far| async {
        let mut chunk = vec![0; 64 << 10];
        match far.read(&mut chunk).await {
            Ok(0) => None,
            Ok(read) => {
                chunk.truncate(read);
                Some((Ok(Bytes::from(chunk)), far))
            }
            Err(error) => Some((Err(error), far)),
        }
    });
    let options =
        UploadToContainerOptions { path: work.recipe.data.clone(), ..UploadToContainerOptions::default() };
    let client = engine.wait(LONG);
    let sent = client.upload_to_container(id, Some(options), bollard::body_try_stream(body)).await;
    let sifted = sifts.await.unwrap_or_else(|error| Err(broken(&work.name, "read", error.into())));
    // It cannot be written any more where the engine has refused it.
    sent.map_err(|error| asked.failed(error)).and(sifted)
}
