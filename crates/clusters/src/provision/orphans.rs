//! What provisioners have and no file asks for: offered to whoever works the gateway, since it may be worth something to
//! somebody.
//!
//! What this gateway has made and runs for nobody ends by itself (`upkeep`); its data stay, and are found here. Of what other
//! gateways have made it is not known whether they use it.

use model::view::{Orphan, OrphanList, Unseen};
use model::{Code, Failure};
use provision::{Data, Found, Name};

use super::Lifecycle;
use crate::change::By;
use crate::{Clusters, Happening};

/// How one is of which nothing but data is left.
const DATA_KEPT: &str = "data kept";

/// Which one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Who runs it, or has its data.
    pub provisioner: String,
    /// The cluster that it was made for.
    pub cluster: String,
    /// Its name there.
    pub service: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.provisioner, self.cluster, self.service)
    }
}

impl Clusters {
    /// All that is run or kept and no file asks for, and who could not be asked.
    ///
    /// # Errors
    /// Another program takes this one's place.
    pub async fn orphans(&self) -> Result<OrphanList, Failure> {
        drop(self.desk().await?);
        let mut list = OrphanList::default();
        for provisioner in self.0.hands.provisioners() {
            let word = provisioner.word();
            match provisioner.list().await {
                Ok(found) => {
                    let left = found.into_iter().filter(|found| self.is_orphan(word, &found.name));
                    list.orphans.extend(left.map(|found| self.shown(word, found)));
                }
                Err(failure) => {
                    let detail = failure.detail().to_owned();
                    list.unseen.push(Unseen { provisioner: word.to_owned(), detail });
                }
            }
        }
        list.orphans.sort_by_cached_key(Orphan::name);
        list.count = list.orphans.len();
        Ok(list)
    }

    /// Takes one away. What another gateway has made goes only by `force`.
    ///
    /// # Errors
    /// `not_found`; `conflict` for one that is asked for, was made by another gateway, or has nothing but the data that are to
    /// be kept; or what hinders taking it away.
    pub async fn remove_orphan(&self, place: &Place, data: Data, force: bool, by: By) -> Result<(), Failure> {
        drop(self.desk().await?);
        let Place { provisioner: word, cluster, service } = place;
        let provisioner = self.0.hands.provisioner(word).map_err(|failure| {
            Failure::client(Code::NotFound, failure.detail().to_owned())
                .with_hint("`throome orphan list` shows what there is.")
        })?;
        let name = Name { cluster: cluster.as_str().into(), service: service.as_str().into() };
        let _alone = self.0.hands.alone_with(cluster).await;
        // Looked for among what there is: a name that nobody has made may lead anywhere.
        let Some(found) = provisioner.list().await?.into_iter().find(|found| found.name == name) else {
            return Err(Failure::client(Code::NotFound, format!("There is nothing of `{place}`."))
                .with_hint("`throome orphan list` shows what there is."));
        };
        if !self.is_orphan(word, &name) {
            return Err(Failure::client(
                Code::Conflict,
                format!("`{place}` is no orphan: its cluster asks for it, or is just being changed."),
            )
            .with_hint("A service goes with its cluster, or when its cluster's document leaves it out."));
        }
        let is_own = found.gateway == self.0.hands.gateway;
        if !is_own && !force {
            let detail =
                format!("`{place}` was made by another gateway, `{}`, which may use it.", found.gateway);
            return Err(Failure::client(Code::Conflict, detail)
                .with_hint("`force=true` removes it all the same; in the terminal `--force`."));
        }
        if found.id.is_empty() && data == Data::Keep {
            let detail = format!("Nothing but data is left of `{place}`, and `keep_data` keeps them.");
            return Err(Failure::client(Code::Conflict, detail));
        }
        if is_own {
            provisioner.remove(&name, data).await?;
        } else {
            provisioner.remove_of_any(&name, data).await?;
        }
        self.forget_orphan(word, &name, data).await;
        // A file may have asked for something else than the data were made with.
        self.look_at_refused().await;
        let became = if data == Data::Keep { "its data are kept" } else { "its data are gone" };
        let made =
            if is_own { String::new() } else { format!("; it was made by the gateway `{}`", found.gateway) };
        self.events().tell(Happening {
            kind: "orphan.removed".to_owned(),
            cluster: Some(cluster.clone()),
            service: Some(service.clone()),
            actor: by.actor.into_owned(),
            message: format!("taken away from {word}, {became}{made}"),
            request_id: by.request_id,
            ..Happening::default()
        });
        Ok(())
    }

    /// Says in the log that there are some of this gateway's own.
    pub(super) async fn tell_of_orphans(&self) {
        let Ok(OrphanList { orphans, .. }) = self.orphans().await else { return };
        let count = orphans.iter().filter(|one| one.own).count();
        if count > 0 {
            tracing::info!(
                count,
                "there are services, or data of services, that no cluster asks for: `throome orphan list` shows them, \
                 `throome orphan delete` takes them away"
            );
        }
    }

    /// What was noted of it means nothing any more, unless a service of its name is there.
    async fn forget_orphan(&self, word: &str, name: &Name, data: Data) {
        let hands = &self.0.hands;
        if self.runs_under(name).is_none() {
            hands.has_gone(word, name, data);
        }
        if data == Data::Keep {
            return;
        }
        hands.drop_kept(word, name);
        for other in hands.provisioners().iter().filter(|other| other.word() != word) {
            // One who cannot be asked may have some: they are of use only with what they were made with.
            if self.runs_under(name).as_deref() != Some(other.word())
                && matches!(other.find(name).await, Ok(None))
            {
                hands.drop_kept(other.word(), name);
            }
        }
    }

    /// Whether no file asks this provisioner for it, and no operation is about to.
    fn is_orphan(&self, word: &str, name: &Name) -> bool {
        // In this order: an operation that has just ended has changed the world before.
        self.operations().is_busy(&name.cluster).is_none() && self.runs_under(name).as_deref() != Some(word)
    }

    /// Who runs the service of this name that a file asks for.
    fn runs_under(&self, name: &Name) -> Option<String> {
        let world = self.snapshot();
        let service = world.clusters.get(&name.cluster)?.service(&name.service)?;
        service.spec.provisioner().map(str::to_owned)
    }

    fn shown(&self, word: &str, found: Found) -> Orphan {
        let hands = &self.0.hands;
        let is_own = found.gateway == hands.gateway;
        let state = if found.id.is_empty() { DATA_KEPT } else { Lifecycle::of(&found.state).word };
        Orphan {
            provisioner: word.to_owned(),
            kind: hands.kept_kind(word, &found.name),
            cluster: found.name.cluster.to_string(),
            service: found.name.service.to_string(),
            state: state.to_owned(),
            has_data: found.has_data,
            gateway: found.gateway,
            own: is_own,
            port: found.port,
        }
    }
}
