//! The volume of a service's data.

use std::collections::HashMap;

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{ListVolumesOptions, RemoveVolumeOptions};
use model::{Code, Failure};

use crate::docker::Maker;
use crate::docker::engine::Engine;
use crate::docker::names::{self, Owner, SERVICE};
use crate::docker::wrong::{self, asked, or_none, status};
use crate::{Name, Work};

/// Sees to it that there is a volume. The data of a service of the same name are kept for it, whichever gateway made them.
pub(super) async fn ensure(engine: &Engine, work: &Work, maker: &Maker<'_>) -> Result<(), Failure> {
    let called = names::volume(&work.name);
    if let Some(labels) = labels(engine, &called).await? {
        return match Owner::of(&labels) {
            Some(owner) if owner.name == work.name => Ok(()),
            Some(Owner { name, .. }) => {
                Err(wrong::of_another_service("volume", &called, &name.cluster, &name.service))
            }
            None => Err(wrong::of_a_stranger("volume", &called)),
        };
    }
    let request = VolumeCreateRequest {
        name: Some(called.clone()),
        labels: Some(names::labels(work, maker.gateway)),
        ..VolumeCreateRequest::default()
    };
    let client = engine.ask().clone();
    let made = maker.making.whole(async move { client.create_volume(request).await }).await;
    made.map(drop).map_err(asked(engine, format!("create the volume `{called}`")))
}

/// Whose the volume of this service is; `None` where there is none of its own.
pub(super) async fn owner(engine: &Engine, name: &Name) -> Result<Option<Owner>, Failure> {
    let labels = labels(engine, &names::volume(name)).await?;
    Ok(labels.and_then(|labels| Owner::of(&labels)).filter(|owner| owner.name == *name))
}

/// Whose each volume is that a gateway has made.
pub(super) async fn owners(engine: &Engine) -> Result<Vec<Owner>, Failure> {
    let ours = HashMap::from([("label".to_owned(), vec![SERVICE.to_owned()])]);
    let listed = engine.ask().list_volumes(Some(ListVolumesOptions { filters: Some(ours) })).await;
    let listed = listed.map_err(asked(engine, "list volumes"))?.volumes.unwrap_or_default();
    let named = listed.into_iter().filter_map(|volume| {
        Owner::of(&volume.labels).filter(|owner| names::volume(&owner.name) == volume.name)
    });
    Ok(named.collect())
}

/// Removes it with all that it holds.
pub(super) async fn remove(engine: &Engine, name: &Name) -> Result<(), Failure> {
    let called = names::volume(name);
    match engine.ask().remove_volume(&called, None::<RemoveVolumeOptions>).await {
        Ok(()) => Ok(()),
        Err(error) if status(&error) == Some(404) => Ok(()),
        Err(error) if status(&error) == Some(409) => {
            let detail = format!("The volume `{called}` cannot be removed: another container uses it.");
            let hint = format!("`docker ps --all --filter volume={called}` shows which: remove it first.");
            Err(Failure::gateway(Code::Conflict, detail).with_hint(hint).with_cause(error))
        }
        Err(error) => Err(asked(engine, format!("remove the volume `{called}`"))(error)),
    }
}

async fn labels(engine: &Engine, called: &str) -> Result<Option<names::Labels>, Failure> {
    let seen = or_none(engine.ask().inspect_volume(called).await)
        .map_err(asked(engine, format!("look at the volume `{called}`")))?;
    Ok(seen.map(|volume| volume.labels))
}
