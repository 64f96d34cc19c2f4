//! Cluster files that change on disk: picked up, checked whole, and carried out or refused with the reason.

use std::path::Path;
use std::time::{Duration, Instant};

use model::{ClusterId, Problem};
use notify::{EventKind, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::change::{By, Desk, Save};
use crate::{Clusters, Happening};

/// Editors write a file in several steps; when nothing more was said for this long, it is whole.
const SETTLE: Duration = Duration::from_millis(80);
/// Somebody who never stops writing is not waited for.
const SETTLE_MOST: Duration = Duration::from_secs(1);
/// A file that is gone may be on its way back (a deployment, an editor): it is believed at the second look.
const GONE: Duration = Duration::from_secs(2);
/// What the watch does not notice (a link's target, another file system's changes) is noticed in this time.
const LOOK: Duration = Duration::from_secs(5);

/// Watches until it is dropped.
pub(crate) async fn watch(clusters: Clusters) {
    let (tell, mut told) = mpsc::channel::<()>(1);
    let dir = clusters.0.files.dir().to_owned();
    let watcher = begin(&dir, tell.clone());
    if let Err(error) = &watcher {
        tracing::warn!(%error, dir = %dir.display(), "cannot watch the clusters directory; looking at it now and then");
    }
    // What was written between the start's reading and now was told to nobody.
    let mut next_look = Duration::ZERO;
    loop {
        if let Ok(Some(())) = tokio::time::timeout(next_look, told.recv()).await {
            let settled =
                async { while let Ok(Some(())) = tokio::time::timeout(SETTLE, told.recv()).await {} };
            let _ = tokio::time::timeout(SETTLE_MOST, settled).await;
        }
        let in_doubt = clusters.reconcile().await;
        next_look = if in_doubt { GONE } else { LOOK };
    }
}

fn begin(dir: &Path, tell: mpsc::Sender<()>) -> notify::Result<impl Watcher + use<>> {
    let root = dir.to_owned();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let concerns = match event {
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => false,
            // An event without paths says that some were lost.
            Ok(event) => event.paths.is_empty() || event.paths.iter().any(|path| is_ours(&root, path)),
            Err(_) => true,
        };
        if concerns {
            // One word in the queue is enough: whoever hears it looks at everything.
            let _ = tell.try_send(());
        }
    })?;
    watcher.watch(dir, RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// Whether a path is a cluster's, and not the gateway's own data, which changes with every write.
fn is_ours(root: &Path, path: &Path) -> bool {
    path.strip_prefix(root).is_ok_and(|inside| !inside.starts_with(DATA))
}

/// The data directory, unless a setting puts it elsewhere.
const DATA: &str = ".throome";

impl Clusters {
    /// Compares every file with what is running and carries out the differences, each cluster by itself. Says
    /// whether a file is gone that is not yet believed to be.
    pub(crate) async fn reconcile(&self) -> bool {
        let mut desk = self.0.desk.lock().await;
        let ids = match self.0.files.ids() {
            Ok((ids, _)) => ids,
            Err(error) => {
                tracing::warn!(%error, "cannot read the clusters directory");
                return false;
            }
        };
        desk.gone.retain(|id, _| !ids.contains(id));
        let missing: Vec<ClusterId> = desk.texts.keys().filter(|id| !ids.contains(id)).cloned().collect();
        let mut in_doubt = false;
        for id in missing {
            let since = *desk.gone.entry(id.clone()).or_insert_with(Instant::now);
            if since.elapsed() < GONE {
                in_doubt = true;
                continue;
            }
            desk.gone.remove(&id);
            self.file_gone(&mut desk, &id).await;
        }
        // Two files may change together and stand in each other's way until both have (a route that moves): what is
        // refused is looked at once more when something else was carried out.
        let mut refused = Vec::new();
        for turn in 0..2 {
            let again: Vec<(ClusterId, String)> = std::mem::take(&mut refused);
            let looked_at: Vec<ClusterId> =
                if turn == 0 { ids.clone() } else { again.into_iter().map(|(id, _)| id).collect() };
            let mut carried_out = false;
            for id in looked_at {
                if turn > 0 {
                    desk.texts.remove(&id);
                }
                match self.file_changed(&mut desk, &id).await {
                    Ok(changed) => carried_out |= changed,
                    Err(why) => refused.push((id, why)),
                }
            }
            if !carried_out || refused.is_empty() {
                break;
            }
        }
        for (id, why) in refused {
            self.refuse_file(&id, why);
        }
        in_doubt
    }

    async fn file_gone(&self, desk: &mut Desk, id: &ClusterId) {
        if !self.snapshot().clusters.contains_key(id.as_str()) {
            desk.texts.remove(id);
            return;
        }
        if let Err(failure) = self.carry_out(desk, None, id, Save::Gone, &By::file()).await {
            self.refuse_file(id, failure.detail().to_owned());
        }
    }

    /// Carries out what a file asks for now. Says whether that was anything new, or why it is refused.
    async fn file_changed(&self, desk: &mut Desk, id: &ClusterId) -> Result<bool, String> {
        let text = match self.0.files.text(id) {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(false),
            Err(error) => return Err(format!("cannot read it: {error}")),
        };
        if desk.texts.get(id) == Some(&text) {
            return Ok(false);
        }
        // Remembered whatever becomes of it: the same text is not refused twice.
        desk.texts.insert(id.clone(), text.clone());
        let mut read = self.0.files.read(id, text).map_err(|problems| in_words(&problems))?;
        if let Some(running) = self.snapshot().clusters.get(id.as_str()) {
            read.spec.created_at = read.spec.created_at.min(running.spec.created_at);
        }
        let spec = read.spec.clone();
        let done = self.carry_out(desk, Some(spec), id, read.into(), &By::file()).await;
        done.map(|()| true).map_err(|failure| failure.detail().to_owned())
    }

    fn refuse_file(&self, id: &ClusterId, message: String) {
        tracing::warn!(cluster = %id, "the changed file is refused; what runs goes on unchanged");
        self.events().tell(Happening {
            kind: "cluster.refused".to_owned(),
            cluster: Some(id.to_string()),
            actor: "file".to_owned(),
            message,
            ..Happening::default()
        });
    }
}

fn in_words(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
