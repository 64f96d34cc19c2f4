//! Data that outlive their service are of use only with what they were made with: its name, password and database are kept
//! beside the gateway's own files (0600), for a service of the same name that is run by the same provisioner.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use adapters::Registry;
use model::provision::kept_conflicts;
use model::{Code, Failure, Secret, ServiceSpec};
use provision::{Name, Provisioner};
use serde::{Deserialize, Serialize};

use super::{For, Hands, Job};
use crate::Clusters;
use crate::change::refused;

/// Who could have the data of a record that names nobody: older versions wrote one for all data of a name.
const ANYBODY: [&str; 2] = ["docker", "process"];

/// What data were made with.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Kept {
    /// Who has them. Older versions did not say.
    #[serde(default)]
    provisioner: Option<String>,
    kind: String,
    username: Option<String>,
    password: Option<String>,
    database: Option<String>,
}

impl Kept {
    fn of(by: &str, spec: &ServiceSpec) -> Kept {
        Kept {
            provisioner: Some(by.to_owned()),
            kind: spec.kind.clone(),
            username: spec.username.clone(),
            password: spec.password.as_ref().map(|password| password.reveal().to_owned()),
            database: spec.database.clone(),
        }
    }

    /// What of it a service that is to be on these data cannot be.
    fn refuses(&self, by: &str, name: &Name, asked: &ServiceSpec) -> Option<Failure> {
        let made = ServiceSpec {
            kind: self.kind.clone(),
            username: self.username.clone(),
            password: self.password.clone().map(Secret::new),
            database: self.database.clone(),
            ..asked.clone()
        };
        let delete = format!("`throome orphan delete {by}/{}/{}`", name.cluster, name.service);
        let instead = format!(
            "give the service another name; or ask for what the data are of; or take them away: {delete}"
        );
        let problems = kept_conflicts(&made, asked, &name.service, &instead, &Registry);
        let hint =
            format!("{delete} takes the data away that were kept; under another name nothing is in the way.");
        (!problems.is_empty()).then(|| refused(problems).with_hint(hint))
    }

    fn give(self, spec: &mut ServiceSpec) {
        spec.username = spec.username.take().or(self.username);
        spec.password = spec.password.take().or(self.password.map(Secret::new));
        spec.database = spec.database.take().or(self.database);
    }

    fn read(place: &Path) -> Option<Kept> {
        serde_json::from_slice(&fs::read(place).ok()?).ok()
    }

    fn write(&self, place: &Path) -> io::Result<()> {
        let new = place.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(new, place)
    }
}

impl Hands {
    fn place(&self, by: &str, name: &Name) -> PathBuf {
        self.kept.join(format!("{}@{}@{by}.json", name.cluster, name.service))
    }

    /// Where older versions wrote it, whoever had the data.
    fn older_place(&self, name: &Name) -> PathBuf {
        self.kept.join(format!("{}@{}.json", name.cluster, name.service))
    }

    fn record(&self, by: &str, name: &Name) -> Option<Kept> {
        Kept::read(&self.place(by, name)).or_else(|| Kept::read(&self.older_place(name)))
    }

    /// Keeps what the data of this service were made with, which are to outlive it.
    pub(super) fn keep(&self, name: &Name, spec: &ServiceSpec) -> Result<(), Failure> {
        let Some(by) = spec.provisioner() else { return Ok(()) };
        let place = self.place(by, name);
        let written = fs::create_dir_all(&self.kept).and_then(|()| Kept::of(by, spec).write(&place));
        written.map_err(|error| {
            Failure::gateway(Code::Internal, format!("Cannot write `{}`: {error}.", place.display()))
        })
    }

    /// Of which kind the data are that this provisioner has of this name, where that was kept.
    pub(super) fn kept_kind(&self, by: &str, name: &Name) -> Option<String> {
        self.record(by, name).map(|kept| kept.kind)
    }

    /// What this provisioner's data were made with is of no use any more: they have gone. Others may have data of the name.
    pub(super) fn drop_kept(&self, by: &str, name: &Name) {
        if let Err(error) = self.part(name) {
            tracing::warn!(%error, cluster = %name.cluster, service = %name.service, "what kept data were made with cannot be written");
            return;
        }
        let _ = fs::remove_file(self.place(by, name));
    }

    /// An older record becomes one for each who may have the data.
    fn part(&self, name: &Name) -> io::Result<()> {
        let older = self.older_place(name);
        let Some(kept) = Kept::read(&older) else { return Ok(()) };
        for by in ANYBODY {
            let place = self.place(by, name);
            if !place.exists() {
                Kept { provisioner: Some(by.to_owned()), ..kept.clone() }.write(&place)?;
            }
        }
        fs::remove_file(older)
    }
}

impl Clusters {
    /// Gives a new service what data of its name were made with, where its document does not say. One that could not be on
    /// them is refused.
    pub(super) async fn take_up(
        &self,
        by: &Arc<dyn Provisioner>,
        name: &Name,
        asked: &mut ServiceSpec,
        whose: For,
    ) -> Result<(), Failure> {
        let Some(kept) = self.0.hands.record(by.word(), name) else { return Ok(()) };
        let found = match by.find(name).await {
            Ok(Some(found)) if found.has_data => Some(found),
            // They have gone, whoever took them away.
            Ok(_) => return Ok(()),
            Err(failure) if whose == For::Caller => return Err(failure),
            // They may be there.
            Err(_) => None,
        };
        match kept.refuses(by.word(), name, asked) {
            // Whatever runs there has made them its own; where nothing does, it is looked at before anything is started.
            Some(_) if whose == For::Start && found.is_none_or(|found| !found.id.is_empty()) => Ok(()),
            Some(failure) => Err(failure),
            None => {
                kept.give(asked);
                Ok(())
            }
        }
    }

    /// Nothing is started on data that were kept of something else: whoever had a file settled may not have seen them.
    pub(super) async fn is_on_its_own_data(&self, job: &Job) -> Result<(), Failure> {
        let (hands, by, name) = (&self.0.hands, job.provisioner.word(), job.name());
        let Some(kept) = hands.record(by, name) else { return Ok(()) };
        match job.provisioner.find(name).await? {
            Some(found) if found.has_data => {
                let other = kept.refuses(by, name, &job.spec).filter(|_| found.id.is_empty());
                other.map_or(Ok(()), Err)
            }
            // What is made from now on is made with something else.
            _ => {
                hands.drop_kept(by, name);
                Ok(())
            }
        }
    }
}
