//! Whether what is there is what is wanted.
//!
//! A label holds the fingerprint of all that a container is made of but its files, since these have secrets in them and
//! labels are for everybody to see. Files are compared with those in the container themselves.

use bollard::query_parameters::DownloadFromContainerOptions;
use futures_util::StreamExt;
use model::Failure;
use serde_json::json;

use crate::Work;
use crate::docker::container::{self, CONFIG, Seen};
use crate::docker::engine::Engine;
use crate::docker::wrong::{self, Asked, status};
use crate::docker::{archive, names};

/// How much of a directory of files is read; more than a recipe ever writes.
const MOST: usize = 4 << 20;

/// What is to be done about a container that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: it runs, and just so.
    Leave,
    /// It is right, and does not run.
    Start,
    /// It is something else.
    Replace,
}

/// What is to be done about it. One of another gateway that is something else is an error: it is not ours to end.
pub(super) async fn verdict(
    engine: &Engine,
    seen: &Seen,
    work: &Work,
    gateway: &str,
) -> Result<Verdict, Failure> {
    let runs = seen.state.running == Some(true) || seen.state.restarting == Some(true);
    let foreign = seen.owner.gateway != gateway;
    let mut same = seen.recipe == fingerprint(work) && !is_beyond_repair(seen);
    // Whatever stands in the files of one that is ours and does not run is overwritten before it starts.
    if same && (runs || foreign) {
        same = has_files(engine, seen, work).await?;
    }
    match (same, runs) {
        (false, _) if foreign => {
            Err(wrong::of_another_gateway("container", &names::container(&work.name), &seen.owner.gateway))
        }
        (false, _) => Ok(Verdict::Replace),
        (true, true) if seen.state.paused == Some(true) => {
            container::thaw(engine, seen).await?;
            Ok(Verdict::Leave)
        }
        (true, true) => Ok(Verdict::Leave),
        (true, false) => Ok(Verdict::Start),
    }
}

/// One that the engine could not remove whole.
fn is_beyond_repair(seen: &Seen) -> bool {
    use bollard::models::ContainerStateStatusEnum::{DEAD, REMOVING};
    seen.state.dead == Some(true) || matches!(seen.state.status, Some(DEAD | REMOVING))
}

async fn has_files(engine: &Engine, seen: &Seen, work: &Work) -> Result<bool, Failure> {
    if work.recipe.files.is_empty() {
        return Ok(true);
    }
    let options = DownloadFromContainerOptions { path: CONFIG.to_owned() };
    let what = format!("read the files of the container `{}`", names::container(&work.name));
    let asked = Asked::new(engine, what);
    let mut stream = std::pin::pin!(engine.ask().download_from_container(&seen.id, Some(options)));
    let mut tar = Vec::new();
    while let Some(part) = stream.next().await {
        match part {
            Ok(part) if tar.len() + part.len() <= MOST => tar.extend_from_slice(&part),
            Ok(_) => return Ok(false),
            Err(error) if status(&error) == Some(404) => return Ok(false),
            Err(error) => return Err(asked.failed(error)),
        }
    }
    let there = archive::unpack(&tar);
    Ok(work.recipe.files.iter().all(|file| {
        there.iter().any(|(name, text)| *name == file.name && text == file.text.reveal().as_bytes())
    }))
}

/// A short word for all that the container is made of. It is the same in every version of the gateway, or what runs would be
/// replaced by an update that changes nothing; the names of labels and whatever else is not asked for have no part in it.
pub(super) fn fingerprint(work: &Work) -> String {
    let recipe = &work.recipe;
    let parts = json!([
        1,
        work.image(),
        recipe.run.program,
        recipe.run.args,
        container::environment(work),
        recipe.files.iter().map(|file| &file.name).collect::<Vec<_>>(),
        recipe.data,
        recipe.port,
        recipe.network_port,
        format!("{:?}", recipe.stop.signal),
        recipe.stop.grace.as_secs(),
        work.memory,
        work.cpus,
        work.bind,
        work.port,
    ]);
    let hash = parts
        .to_string()
        .bytes()
        .fold(FNV_BASIS, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(FNV_PRIME));
    format!("{hash:032x}")
}

/// FNV-1a with 128 bits: nobody gains by two works of one fingerprint, so that no stronger hash is needed.
const FNV_BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const FNV_PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::recipe::{Dump, File, Recipe, Run, Signal, Stop};
    use model::secret::Secret;

    use super::*;
    use crate::Name;

    fn work() -> Work {
        Work {
            name: Name { cluster: "shop".into(), service: "cache".into() },
            recipe: Recipe {
                image: "a:1".to_owned(),
                prepare: Vec::new(),
                run: Run {
                    program: "run".to_owned(),
                    args: vec!["x".to_owned()],
                    env: vec![("A".to_owned(), "1".to_owned()), ("B".to_owned(), "2".to_owned())],
                },
                files: vec![File { name: "f".to_owned(), text: Secret::new("canary") }],
                data: "/data".to_owned(),
                port: 1,
                network_port: 1,
                stop: Stop { signal: Signal::Term, grace: Duration::from_secs(5) },
                dump: Dump::AtRest { format: "tar" },
            },
            image: None,
            env: Vec::new(),
            memory: None,
            cpus: None,
            bind: "127.0.0.1".parse().expect("an address"),
            port: 1,
            secret: None,
            operation: "op".to_owned(),
        }
    }

    #[test]
    fn a_fingerprint_is_the_same_in_every_version_and_tells_every_difference() {
        // What stands here stands on containers that run: it may change with a reason alone.
        assert_eq!(fingerprint(&work()), "e9ada24bd780e55e665ac56d88a3e5b1");
        let changes: &[fn(&mut Work)] = &[
            |work| work.image = Some("a:2".to_owned()),
            |work| work.recipe.image = "b:1".to_owned(),
            |work| work.recipe.run.args.push("y".to_owned()),
            |work| work.env.push(("A".to_owned(), "3".to_owned())),
            |work| work.recipe.data = "/other".to_owned(),
            |work| work.recipe.stop.signal = Signal::Int,
            |work| work.recipe.network_port = 2,
            |work| work.memory = Some(1 << 30),
            |work| work.cpus = Some(0.5),
            |work| work.bind = "0.0.0.0".parse().expect("an address"),
            |work| work.port = 2,
        ];
        let mut seen = vec![fingerprint(&work())];
        for change in changes {
            let mut work = work();
            change(&mut work);
            seen.push(fingerprint(&work));
        }
        let different: std::collections::HashSet<_> = seen.iter().collect();
        assert_eq!(different.len(), seen.len());
    }

    #[test]
    fn a_fingerprint_says_nothing_of_secrets_nor_of_the_operation() {
        let mut other = work();
        other.recipe.files[0].text = Secret::new("another");
        other.operation = "later".to_owned();
        assert_eq!(fingerprint(&other), fingerprint(&work()));
    }

    #[test]
    fn what_the_service_says_of_the_environment_goes_over_the_recipe() {
        let mut work = work();
        work.env = vec![("A".to_owned(), "3".to_owned())];
        assert_eq!(container::environment(&work), ["B=2", "A=3"]);
    }
}
