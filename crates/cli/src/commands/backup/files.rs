//! Files of backups on their way here and there, piece by piece.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use sdk::{Client, Download};

use super::{Bring, Fetch, of};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::counted;
use crate::session::Session;

pub(super) async fn download(
    session: &mut Session<'_>,
    client: &Client,
    fetch: &Fetch,
) -> Result<Exit, Fault> {
    let backups = of(session, client, &fetch.one.service)?;
    let id = &fetch.one.id;
    let about = backups.get(id).await;
    session.tell_trace();
    let about = about?;
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let file = backups.download(id).await;
    session.tell_trace();
    let mut file = file?;
    if fetch.file.as_deref() == Some(Path::new("-")) {
        while let Some(piece) = next(&mut file).await? {
            session.terminal.data(&piece)?;
        }
        session.terminal.flush()?;
        return Ok(Exit::Done);
    }
    let named = || PathBuf::from(format!("{}-{}.{}", about.service, about.id, about.format));
    let place = fetch.file.clone().unwrap_or_else(named);
    let draft = Draft::new(&place)?;
    loop {
        let piece = tokio::select! {
            piece = next(&mut file) => piece?,
            _ = &mut interrupt => return Ok(Exit::Interrupted),
        };
        match piece {
            Some(piece) => draft.file().write_all(&piece).map_err(|error| unwritten(&place, &error))?,
            None => break,
        }
    }
    draft.keep()?;
    session.say(&format!("wrote {} into {}", counted(about.bytes, "byte"), place.display()));
    Ok(Exit::Done)
}

async fn next(file: &mut Download) -> Result<Option<Vec<u8>>, Fault> {
    match file.next().await {
        Ok(piece) => Ok(piece.map(|piece| piece.to_vec())),
        Err(error) => Err(Fault::from(error)
            .instead("the file was cut off: this is not all of it")
            .fix("fetch it once more")),
    }
}

/// A file that is put in its place when it is whole, and is not there before. It is for its owner alone.
struct Draft {
    file: std::fs::File,
    draft: PathBuf,
    place: PathBuf,
    is_kept: bool,
}

impl Draft {
    fn new(place: &Path) -> Result<Draft, Fault> {
        if place.exists() {
            return Err(Fault::new(Exit::Conflict, format!("`{}` is there already", place.display()))
                .fix("name another file, or take that one away"));
        }
        let mut draft = place.as_os_str().to_owned();
        draft.push(".part");
        let draft = PathBuf::from(draft);
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&draft).map_err(|error| unwritten(&draft, &error))?;
        Ok(Draft { file, draft, place: place.to_owned(), is_kept: false })
    }

    fn file(&self) -> &std::fs::File {
        &self.file
    }

    fn keep(mut self) -> Result<(), Fault> {
        let kept = self.file.sync_all().and_then(|()| std::fs::rename(&self.draft, &self.place));
        kept.map_err(|error| unwritten(&self.place, &error))?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_kept {
            // Half of it is of use to nobody.
            let _ = std::fs::remove_file(&self.draft);
        }
    }
}

fn unwritten(place: &Path, error: &std::io::Error) -> Fault {
    Fault::new(Exit::Failed, format!("cannot write `{}`", place.display())).why(error.to_string())
}

pub(super) async fn upload(session: &mut Session<'_>, client: &Client, bring: &Bring) -> Result<Exit, Fault> {
    let backups = of(session, client, &bring.service)?;
    let id = match &bring.id {
        Some(id) => id.clone(),
        None => id_of(&bring.file)?,
    };
    let file = tokio::fs::File::open(&bring.file).await.map_err(|error| {
        Fault::usage(format!("cannot read `{}`", bring.file.display())).why(error.to_string())
    })?;
    let sent = tokio::select! {
        sent = backups.upload(&id, file) => sent,
        _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
    };
    session.tell_trace();
    let kept = sent?;
    let body = session.send(backups.get(&kept.id)).await?;
    let service = &bring.service;
    session.changed(&format!("`throome backup restore {service} {id}` puts it in place"), &body, &id)?;
    Ok(Exit::Done)
}

/// The name of a file without its ending, in the letters of ids.
fn id_of(file: &Path) -> Result<String, Fault> {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let fit = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let id: String = stem.chars().map(fit).take(64).collect();
    let id = id.trim_matches('-');
    if id.is_empty() {
        return Err(Fault::usage(format!("`{}` makes no id", file.display())).fix("say one with --id"));
    }
    Ok(id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_made_of_names_of_files() {
        for (file, id) in [
            ("/somewhere/Shop Orders_2026.dump", "shop-orders-2026"),
            ("db.tar", "db"),
            (".hidden", "hidden"),
        ] {
            assert_eq!(id_of(Path::new(file)).unwrap(), id, "{file}");
        }
        assert_eq!(id_of(Path::new("/somewhere/---.rdb")).unwrap_err().exit(), Exit::Usage);
    }
}
