//! Names that the running gateway knows, within the time that a person waits for a key; the last answer is
//! kept in a small file for when the gateway is slow or away.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sdk::Client;
use serde_json::Value;

/// Together with starting and answering, 150 ms.
const PATIENCE: Duration = Duration::from_millis(110);
/// Names beyond that are no help to a person.
const MOST: usize = 500;
/// What was said longer ago than this is not believed.
const KEPT: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Clusters,
    ServicesOfAll,
    Services,
    Routes,
    Orphans,
    Topics,
    Groups,
}

/// Whom to ask about what: as the command line would have it that is being typed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    url: Option<String>,
    ca: Option<PathBuf>,
    /// Certificate and private key.
    pair: Option<(PathBuf, PathBuf)>,
    token: Option<String>,
    cluster: Option<String>,
    service: Option<String>,
    folder: Option<PathBuf>,
}

impl Names {
    /// By the words after `--`, which are those on the command line, and the environment.
    pub(super) fn of_process() -> Names {
        let words = std::env::args_os().skip_while(|word| word != "--").skip(1);
        let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        Names::of(&words, |name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn of(words: &[String], env: impl Fn(&str) -> Option<String>) -> Names {
        let said = |flag: &str| {
            words.iter().enumerate().find_map(|(at, word)| {
                let rest = word.strip_prefix(flag)?;
                match rest.strip_prefix('=') {
                    Some(value) => Some(value.to_owned()),
                    // A shell may hand out `--flag=value` in three words.
                    None if rest.is_empty() => words[at + 1..].iter().find(|word| *word != "=").cloned(),
                    None => None,
                }
            })
        };
        let file = |flag, name| said(flag).or_else(|| env(name)).map(PathBuf::from);
        let absolute = |path: String| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
        let cache = env("XDG_CACHE_HOME").and_then(absolute);
        let home = || env("HOME").and_then(absolute).map(|home| home.join(".cache"));
        Names {
            url: said("--url").or_else(|| env("THROOME_URL")),
            ca: file("--ca", "THROOME_CA"),
            pair: file("--client-cert", "THROOME_CLIENT_CERT")
                .zip(file("--client-key", "THROOME_CLIENT_KEY")),
            token: said("--token").or_else(|| env("THROOME_TOKEN")),
            cluster: said("--cluster").or_else(|| env("THROOME_CLUSTER")),
            service: said("--service"),
            folder: cache.or_else(home).map(|cache| cache.join("throome")),
        }
    }

    /// The names of this kind; none where nobody says any.
    pub(super) fn find(&self, kind: Kind) -> Vec<String> {
        let file = self.file(kind);
        match self.ask_in_time(kind) {
            Some(names) => {
                if let Some(file) = file {
                    // Without the file, the next answer comes from the gateway alone.
                    let _ = keep(&file, &names);
                }
                names
            }
            None => file.and_then(|file| kept(&file)).unwrap_or_default(),
        }
    }

    fn ask_in_time(&self, kind: Kind) -> Option<Vec<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        runtime.block_on(async { tokio::time::timeout(PATIENCE, self.ask(kind)).await.ok()? })
    }

    async fn ask(&self, kind: Kind) -> Option<Vec<String>> {
        let client = self.url.as_deref().map_or_else(|| Ok(Client::local()), Client::new);
        let mut client = client.ok()?.with_retries(0);
        if let Some(ca) = &self.ca {
            client = client.with_ca(ca);
        }
        if let Some((cert, key)) = &self.pair {
            client = client.with_client_cert(cert, key);
        }
        if let Some(token) = &self.token {
            client = client.with_token(token);
        }
        if matches!(kind, Kind::Clusters | Kind::ServicesOfAll) {
            let clusters = client.clusters().list().collect(MOST).await.ok()?;
            return Some(match kind {
                Kind::Clusters => clusters.into_iter().map(|cluster| cluster.id).collect(),
                _ => clusters.iter().flat_map(services_of).collect(),
            });
        }
        if kind == Kind::Routes {
            let routes = client.routes().list().collect(MOST).await.ok()?;
            return Some(routes.into_iter().map(|route| route.id).collect());
        }
        if kind == Kind::Orphans {
            let orphans = client.orphans().list().await.ok()?.orphans.into_iter().take(MOST);
            let name = |one: sdk::Orphan| format!("{}/{}/{}", one.provisioner, one.cluster, one.service);
            return Some(orphans.map(name).collect());
        }
        let cluster = self.cluster.as_deref()?;
        let queue = || {
            let queue = client.cluster(cluster).queue();
            match &self.service {
                Some(service) => queue.service(service),
                None => queue,
            }
        };
        Some(match kind {
            Kind::Services => {
                let health = client.cluster(cluster).health().await.ok()?;
                health.services.into_keys().collect()
            }
            Kind::Topics => {
                let topics = queue().topics().collect(MOST).await.ok()?;
                topics.into_iter().map(|topic| topic.topic).collect()
            }
            Kind::Groups => {
                let groups = queue().groups(None).collect(MOST).await.ok()?;
                let mut names: Vec<String> = groups.into_iter().map(|group| group.group).collect();
                names.sort();
                names.dedup();
                names
            }
            Kind::Clusters | Kind::ServicesOfAll | Kind::Routes | Kind::Orphans => return None,
        })
    }

    /// One for each question that may have another answer.
    fn file(&self, kind: Kind) -> Option<PathBuf> {
        let mut hasher = DefaultHasher::new();
        (kind, &self.url, &self.token, &self.cluster, &self.service).hash(&mut hasher);
        Some(self.folder.as_ref()?.join(format!("names-{:016x}.json", hasher.finish())))
    }
}

fn services_of(cluster: &sdk::ClusterSummary) -> Vec<String> {
    cluster.services.iter().map(|service| format!("{}/{}", cluster.id, service.name)).collect()
}

fn keep(file: &Path, names: &[String]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Written beside it and put in its place: two shells may ask at once.
    let draft = file.with_extension(format!("{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    std::io::Write::write_all(&mut options.open(&draft)?, Value::from(names).to_string().as_bytes())?;
    std::fs::rename(draft, file)
}

fn kept(file: &Path) -> Option<Vec<String>> {
    let age = std::fs::metadata(file).ok()?.modified().ok()?.elapsed().unwrap_or_default();
    (age < KEPT).then(|| std::fs::read(file).ok())?.and_then(|bytes| serde_json::from_slice(&bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_being_typed_says_whom_to_ask() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let env = |name: &str| match name {
            "THROOME_CLUSTER" => Some("of-env".to_owned()),
            "HOME" => Some("/people/a".to_owned()),
            _ => None,
        };
        let names = Names::of(&words("throome --url http://x:1 consume --cluster shop --service=q "), env);
        assert_eq!(names.url.as_deref(), Some("http://x:1"));
        assert_eq!((names.cluster.as_deref(), names.service.as_deref()), (Some("shop"), Some("q")));
        assert_eq!(names.folder, Some(PathBuf::from("/people/a/.cache/throome")));
        let names = Names::of(&words("throome topic show --token = t"), env);
        assert_eq!((names.cluster.as_deref(), names.token.as_deref()), (Some("of-env"), Some("t")));
    }

    #[test]
    fn without_a_gateway_the_last_answer_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names {
            url: Some("http://127.0.0.1:9".to_owned()),
            folder: Some(folder.path().join("deep/er")),
            ..Names::default()
        };
        assert!(names.find(Kind::Clusters).is_empty());
        keep(&names.file(Kind::Clusters).unwrap(), &["shop".to_owned()]).unwrap();
        assert_eq!(names.find(Kind::Clusters), ["shop"]);
        assert!(names.find(Kind::Routes).is_empty());
        let other = Names { token: Some("t".to_owned()), ..names };
        assert!(other.find(Kind::Clusters).is_empty(), "another token may see other names");
    }
}
