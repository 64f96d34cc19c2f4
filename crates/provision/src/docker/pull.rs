//! Images: one that the engine has is used as it is, one that it has not is pulled, and its bytes are told.

use std::collections::HashMap;

use bollard::errors::Error;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt;
use model::{Code, Failure};

use crate::docker::engine::Engine;
use crate::docker::wrong::{Asked, or_none, said};
use crate::{Progress, Tell};

/// Sees to it that the engine has the image.
pub(super) async fn ensure(engine: &Engine, image: &str, tell: &Tell<'_>) -> Result<(), Failure> {
    if is_here(engine, image).await? {
        return Ok(());
    }
    let (name, tag) = parts(image);
    tell(Progress::Says(format!("pulls {image}")));
    let options = CreateImageOptions {
        from_image: Some(name.to_owned()),
        tag: Some(tag.to_owned()),
        ..CreateImageOptions::default()
    };
    let mut layers = Layers::default();
    let mut news = std::pin::pin!(engine.ask().create_image(Some(options), None, None));
    while let Some(said) = news.next().await {
        let said = said.map_err(|error| failure(engine, "pull", image, error))?;
        for progress in layers.hear(said) {
            tell(progress);
        }
    }
    // An engine that is ended in the middle also ends the stream in good order.
    if is_here(engine, image).await? {
        return Ok(());
    }
    Err(Failure::gateway(
        Code::ProvisionFailed,
        format!("The pull of the image `{image}` ended before it was whole."),
    )
    .with_hint("Try again: what is here already is not pulled twice.")
    .with_retryable(true))
}

async fn is_here(engine: &Engine, image: &str) -> Result<bool, Failure> {
    let seen = or_none(engine.ask().inspect_image(image).await);
    Ok(seen.map_err(|error| failure(engine, "look for", image, error))?.is_some())
}

/// The name of an image, and its tag or digest. Without either, an engine would pull all there are.
fn parts(image: &str) -> (&str, &str) {
    if let Some(parts) = image.split_once('@') {
        return parts;
    }
    match image.rsplit_once(':') {
        // What comes before a slash is the port of a registry.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

/// What has come of each layer.
#[derive(Debug, Default)]
struct Layers {
    of: HashMap<String, Layer>,
    told: Option<(u64, u64)>,
    unpacks: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Layer {
    done: u64,
    total: u64,
}

impl Layers {
    /// Takes in what the engine says, and gives what is worth telling.
    fn hear(&mut self, news: CreateImageInfo) -> Vec<Progress> {
        let (Some(id), Some(status)) = (news.id, news.status) else { return Vec::new() };
        let mut worth = Vec::new();
        match status.as_str() {
            "Downloading" => {
                let detail = news.progress_detail.unwrap_or_default();
                let number = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
                let layer = self.of.entry(id).or_default();
                // A layer whose download begins anew, as after a break, does not take back what was told.
                layer.total = number(detail.total).unwrap_or(0).max(layer.total);
                layer.done = number(detail.current).unwrap_or(0).max(layer.done);
            }
            "Verifying Checksum" | "Download complete" | "Extracting" | "Pull complete" => {
                if let Some(layer) = self.of.get_mut(&id) {
                    layer.total = layer.total.max(layer.done);
                    layer.done = layer.total;
                }
                if status == "Extracting" && !self.unpacks {
                    self.unpacks = true;
                    worth.push(Progress::Says("unpacks what has come".to_owned()));
                }
            }
            _ => {}
        }
        let sum = |of: fn(&Layer) -> u64| self.of.values().map(of).sum::<u64>();
        let (done, total) = (sum(|layer| layer.done), sum(|layer| layer.total));
        if total > 0 && self.told != Some((done, total)) {
            self.told = Some((done, total));
            worth.push(Progress::Bytes { done, total: total.max(done) });
        }
        worth
    }
}

/// Why an image cannot be had, and what helps. Registries say it in words of their own, which engines hand on.
fn failure(engine: &Engine, doing: &str, image: &str, error: Error) -> Failure {
    let asked = Asked::new(engine, format!("{doing} the image `{image}`"));
    let Some(said) = said(&error) else { return asked.failed(error) };
    let failure = asked.failed(error);
    // Such as a full disk, whatever was pulled.
    if failure.hint().is_some() {
        return failure;
    }
    let Some((retryable, hint)) = remedy(image, &said) else { return failure };
    failure.with_retryable(retryable).with_hint(hint)
}

fn remedy(image: &str, said: &str) -> Option<(bool, String)> {
    let said = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["toomanyrequests", "rate limit"]) {
        let hint = format!(
            "The registry asks for patience. Try again later, or `docker login` and `docker pull {image}`."
        );
        return Some((true, hint));
    }
    if has(&["manifest unknown", "not found: manifest", "no matching manifest"]) {
        return Some((false, "There is no such tag for this machine: correct `run.image`.".to_owned()));
    }
    if has(&["unauthorized", "access denied", "denied", "no basic auth", "authentication required"]) {
        let hint = format!(
            "There is no such image, or it is for some alone: correct `run.image`, or `docker login` and `docker pull {image}` \
             by hand, after which the image that is here is used."
        );
        return Some((false, hint));
    }
    if has(&["invalid reference", "repository name must be"]) {
        return Some((
            false,
            "Correct `run.image`: it is the name of an image, such as `name:tag`.".to_owned(),
        ));
    }
    let unreachable = [
        "no such host",
        "connection refused",
        "timeout",
        "deadline exceeded",
        "eof",
        "connection reset",
        "unreachable",
        "tls",
        "server misbehaving",
    ];
    has(&unreachable).then(|| {
        (true, format!("See whether the engine reaches the registry: `docker pull {image}`. Without one, `docker load` brings an image from a file."))
    })
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    #[test]
    fn names_are_taken_apart_as_docker_does() {
        for (image, name, tag) in [
            ("redis", "redis", "latest"),
            ("redis:7-alpine", "redis", "7-alpine"),
            ("127.0.0.1:5000/redis", "127.0.0.1:5000/redis", "latest"),
            ("127.0.0.1:5000/a/redis:7", "127.0.0.1:5000/a/redis", "7"),
            ("redis@sha256:00", "redis", "sha256:00"),
        ] {
            assert_eq!(parts(image), (name, tag), "{image}");
        }
    }

    #[test]
    fn bytes_are_those_of_all_layers_and_never_go_back() {
        let mut layers = Layers::default();
        let mut told = Vec::new();
        for (id, status, current, total) in [
            ("7-alpine", "Pulling from library/redis", None, None),
            ("a", "Pulling fs layer", None, None),
            ("a", "Downloading", Some(10), Some(100)),
            ("b", "Already exists", None, None),
            ("c", "Downloading", Some(5), Some(50)),
            ("c", "Downloading", Some(1), Some(50)),
            ("a", "Verifying Checksum", None, None),
            ("a", "Extracting", Some(1), Some(100)),
            ("a", "Extracting", Some(100), Some(100)),
            ("c", "Download complete", None, None),
            ("c", "Pull complete", None, None),
        ] {
            let progress_detail = Some(ProgressDetail { current, total });
            told.extend(layers.hear(CreateImageInfo {
                id: Some(id.to_owned()),
                status: Some(status.to_owned()),
                progress_detail,
                ..CreateImageInfo::default()
            }));
        }
        let bytes = |done: u64, total: u64| Progress::Bytes { done, total };
        let unpacks = Progress::Says("unpacks what has come".to_owned());
        assert_eq!(told, [bytes(10, 100), bytes(15, 150), bytes(105, 150), unpacks, bytes(150, 150)]);
    }

    #[test]
    fn each_refusal_of_a_registry_has_its_remedy() {
        for (said, retryable, word) in [
            (
                "pull access denied for x, repository does not exist or may require 'docker login': denied",
                false,
                "docker login",
            ),
            (
                "Head \"http://127.0.0.1:1/v2/x/manifests/1\": unauthorized: authentication required",
                false,
                "docker login",
            ),
            ("manifest for x:9 not found: manifest unknown: manifest unknown", false, "run.image"),
            ("toomanyrequests: You have reached your pull rate limit", true, "patience"),
            (
                "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host",
                true,
                "docker load",
            ),
            ("unexpected EOF", true, "docker load"),
            ("invalid reference format", false, "run.image"),
        ] {
            let (again, hint) = remedy("x:9", said).expect(said);
            assert_eq!(again, retryable, "{said}");
            assert!(hint.contains(word), "{said}: {hint}");
        }
        assert_eq!(remedy("x", "something else"), None);
    }
}
