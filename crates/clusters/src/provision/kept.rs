//! Data that outlive their service are of use only with what they were made with: its name, password and database are kept
//! beside the gateway's own files (0600), for a service of the same name.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use model::{Code, Failure, Secret, ServiceSpec};
use provision::Name;
use serde::{Deserialize, Serialize};

use super::Hands;

/// What data were made with.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    kind: String,
    username: Option<String>,
    password: Option<String>,
    database: Option<String>,
}

impl Hands {
    fn place(&self, name: &Name) -> PathBuf {
        self.kept.join(format!("{}@{}.json", name.cluster, name.service))
    }

    /// Keeps what the data of this service were made with, which are to outlive it.
    pub(super) fn keep(&self, name: &Name, spec: &ServiceSpec) -> Result<(), Failure> {
        let kept = Kept {
            kind: spec.kind.clone(),
            username: spec.username.clone(),
            password: spec.password.as_ref().map(|password| password.reveal().to_owned()),
            database: spec.database.clone(),
        };
        let place = self.place(name);
        let write = || -> io::Result<()> {
            fs::create_dir_all(&self.kept)?;
            let new = place.with_extension("new");
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&serde_json::to_vec(&kept)?)?;
            file.sync_all()?;
            fs::rename(new, &place)
        };
        write().map_err(|error| {
            Failure::gateway(Code::Internal, format!("Cannot write `{}`: {error}.", place.display()))
        })
    }

    /// Gives a new service what data of its name were made with, where its document does not say otherwise.
    pub(super) fn take_up(&self, name: &Name, spec: &mut ServiceSpec) {
        let Ok(text) = fs::read(self.place(name)) else { return };
        let Ok(kept) = serde_json::from_slice::<Kept>(&text) else { return };
        if kept.kind != spec.kind {
            return;
        }
        spec.username = spec.username.take().or(kept.username);
        spec.password = spec.password.take().or(kept.password.map(Secret::new));
        spec.database = spec.database.take().or(kept.database);
    }

    /// Of which kind the data of this name are, where that was kept.
    pub(super) fn kept_kind(&self, name: &Name) -> Option<String> {
        let text = fs::read(self.place(name)).ok()?;
        serde_json::from_slice::<Kept>(&text).ok().map(|kept| kept.kind)
    }

    /// They are of no use any more: the data have gone.
    pub(super) fn drop_kept(&self, name: &Name) {
        let _ = fs::remove_file(self.place(name));
    }
}
