//! Cluster files that change on disk: picked up, checked whole, and carried out or refused with the reason.

use std::path::Path;
use std::time::Duration;

use model::{ClusterId, Problem};
use notify::{EventKind, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::change::{By, Desk, Save};
use crate::{Clusters, Happening};

/// Editors write a file in several steps; this long after the first word, the rest has been said.
const SETTLE: Duration = Duration::from_millis(80);
/// Should the watch itself fail, this is how often it is looked.
const LOOK: Duration = Duration::from_secs(2);

/// Watches until it is dropped.
pub(crate) async fn watch(clusters: Clusters) {
    let (tell, mut told) = mpsc::channel::<()>(1);
    let dir = clusters.0.files.dir().to_owned();
    let watcher = begin(&dir, tell);
    if let Err(error) = &watcher {
        tracing::warn!(%error, dir = %dir.display(), "cannot watch the clusters directory; looking at it now and then");
    }
    loop {
        let look = tokio::time::timeout(LOOK, told.recv());
        match look.await {
            Ok(Some(())) => tokio::time::sleep(SETTLE).await,
            // No watch: nobody will ever tell.
            Ok(None) => tokio::time::sleep(LOOK).await,
            Err(_) if watcher.is_ok() => continue,
            Err(_) => {}
        }
        while told.try_recv().is_ok() {}
        clusters.reconcile().await;
    }
}

fn begin(dir: &Path, tell: mpsc::Sender<()>) -> notify::Result<impl Watcher + use<>> {
    let root = dir.to_owned();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let concerns = match event {
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => false,
            Ok(event) => event.paths.iter().any(|path| is_ours(&root, path)),
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

/// Whether a path is a cluster's, and not our own data or a file that we are writing.
fn is_ours(root: &Path, path: &Path) -> bool {
    let Ok(inside) = path.strip_prefix(root) else { return false };
    !inside.components().any(|part| part.as_os_str().to_string_lossy().starts_with('.'))
}

impl Clusters {
    /// Compares every file with what is running and carries out the differences, each cluster by itself.
    pub(crate) async fn reconcile(&self) {
        let mut desk = self.0.desk.lock().await;
        let ids = match self.0.files.ids() {
            Ok((ids, _)) => ids,
            Err(error) => {
                tracing::warn!(%error, "cannot read the clusters directory");
                return;
            }
        };
        let known: Vec<ClusterId> = desk.texts.keys().cloned().collect();
        for id in known.into_iter().filter(|id| !ids.contains(id)) {
            self.file_gone(&mut desk, &id).await;
        }
        for id in ids {
            self.file_changed(&mut desk, &id).await;
        }
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

    async fn file_changed(&self, desk: &mut Desk, id: &ClusterId) {
        let text = match self.0.files.text(id) {
            Ok(Some(text)) => text,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, cluster = %id, "cannot read the cluster's file");
                return;
            }
        };
        if desk.texts.get(id) == Some(&text) {
            return;
        }
        // Remembered whatever becomes of it: the same text is not refused twice.
        desk.texts.insert(id.clone(), text.clone());
        let mut read = match self.0.files.read(id, text) {
            Ok(read) => read,
            Err(problems) => return self.refuse_file(id, in_words(&problems)),
        };
        if let Some(running) = self.snapshot().clusters.get(id.as_str()) {
            read.spec.created_at = read.spec.created_at.min(running.spec.created_at);
        }
        let spec = read.spec.clone();
        if let Err(failure) = self.carry_out(desk, Some(spec), id, read.into(), &By::file()).await {
            self.refuse_file(id, failure.detail().to_owned());
        }
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
