//! Cluster files that change on disk: picked up, checked whole, and carried out or refused with the reason.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::{ClusterId, Problem};
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::change::{By, Desk, Save};
use crate::{Clusters, Happening};

/// A file is written in several steps, and closed between them (`a > f; b >> f`); when nothing more was said of it for this
/// long, it is whole.
const SETTLE: Duration = Duration::from_millis(80);
/// The same of one that was renamed into its place: only others that come with it are waited for.
const SETTLE_WHOLE: Duration = Duration::from_millis(10);
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
    let written = Written::default();
    let watcher = begin(&dir, tell.clone(), written.clone());
    if let Err(error) = &watcher {
        tracing::warn!(%error, dir = %dir.display(), "cannot watch the clusters directory; looking at it now and then");
    }
    // What was written between the start's reading and now was told to nobody.
    let mut next_look = Duration::ZERO;
    loop {
        if let Ok(Some(())) = tokio::time::timeout(next_look, told.recv()).await {
            let pause = || written.pause(Instant::now());
            let settled =
                async { while let Ok(Some(())) = tokio::time::timeout(pause(), told.recv()).await {} };
            let _ = tokio::time::timeout(SETTLE_MOST, settled).await;
        }
        let in_doubt = clusters.reconcile().await;
        next_look = if in_doubt { GONE } else { LOOK };
    }
}

/// Files of which something was written, and when: each of them may not be whole yet.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<HashMap<PathBuf, Instant>>>);

impl Written {
    fn note(&self, kind: EventKind, paths: &[PathBuf], now: Instant) {
        match kind {
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
                self.lock().retain(|path, _| !paths.contains(path));
            }
            EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) | CLOSED => {
                self.lock().extend(paths.iter().map(|path| (path.clone(), now)));
            }
            _ => {}
        }
    }

    /// How long nothing more is to be said until all of them are whole.
    fn pause(&self, now: Instant) -> Duration {
        let left = |at: &Instant| SETTLE.checked_sub(now.duration_since(*at));
        let mut written = self.lock();
        written.retain(|_, at| left(at).is_some());
        written.values().filter_map(left).max().unwrap_or_default().max(SETTLE_WHOLE)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Instant>> {
        // Whole between any two statements, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begin(dir: &Path, tell: mpsc::Sender<()>, written: Written) -> notify::Result<impl Watcher + use<>> {
    let root = dir.to_owned();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let concerns = match event {
            Ok(event) if is_only_read(event.kind) => false,
            Ok(event) if !event.paths.is_empty() => {
                let concerns = event.paths.iter().any(|path| is_ours(&root, path));
                if concerns {
                    written.note(event.kind, &event.paths, Instant::now());
                }
                concerns
            }
            // An event without paths says that some were lost: any file may have been written.
            Ok(_) | Err(_) => {
                written.note(CLOSED, std::slice::from_ref(&root), Instant::now());
                true
            }
        };
        if concerns {
            // One word in the queue is enough: whoever hears it looks at everything.
            let _ = tell.try_send(());
        }
    })?;
    watcher.watch(dir, RecursiveMode::Recursive)?;
    Ok(watcher)
}

const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));

fn is_only_read(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(_)) && kind != CLOSED
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
        let Ok(mut desk) = self.desk().await else { return false };
        let ids = match self.0.files.ids() {
            Ok((ids, _)) => ids,
            Err(error) => {
                tracing::warn!(%error, "cannot read the clusters directory");
                return false;
            }
        };
        desk.gone.retain(|id, _| !ids.contains(id));
        let missing: Vec<ClusterId> = desk.texts.keys().filter(|id| !ids.contains(id)).cloned().collect();
        let (mut in_doubt, mut carried_out) = (false, false);
        for id in missing {
            let since = *desk.gone.entry(id.clone()).or_insert_with(Instant::now);
            if since.elapsed() < GONE {
                in_doubt = true;
                continue;
            }
            desk.gone.remove(&id);
            carried_out |= self.file_gone(&mut desk, &id).await;
        }
        let mut refused = Vec::new();
        for id in &ids {
            match self.file_changed(&mut desk, id).await {
                Ok(changed) => carried_out |= changed,
                Err(why) => refused.push((id.clone(), why)),
            }
        }
        if carried_out {
            refused = self.look_again(&mut desk, refused).await;
        }
        desk.refused.retain(|id, _| ids.contains(id));
        for (id, why) in refused {
            remember(&mut desk, &id, why.clone());
            self.refuse_file(&id, why);
        }
        in_doubt
    }

    /// Something that stood in the way of files may have gone: those that were refused are looked at once more.
    pub(crate) async fn look_at_refused(&self) {
        let Ok(mut desk) = self.desk().await else { return };
        for (id, why) in self.look_again(&mut desk, Vec::new()).await {
            remember(&mut desk, &id, why.clone());
            self.refuse_file(&id, why);
        }
    }

    /// Files may stand in each other's way until all of them have changed (a route that moves): what is refused, now or since
    /// earlier, is looked at once more when something else was carried out. Says what is refused for a new reason.
    async fn look_again(&self, desk: &mut Desk, now: Vec<(ClusterId, String)>) -> Vec<(ClusterId, String)> {
        // Why, and whether that was told.
        let stands = |(id, (text, why)): (&ClusterId, &(Option<String>, String))| {
            (text.is_some() && desk.texts.get(id) == text.as_ref()).then(|| (id.clone(), why.clone(), true))
        };
        let mut again: Vec<(ClusterId, String, bool)> = desk.refused.iter().filter_map(stands).collect();
        again.extend(now.into_iter().map(|(id, why)| (id, why, false)));
        let mut refused = Vec::new();
        for (id, before, told) in again {
            let text = desk.texts.remove(&id);
            let looked = self.file_changed(desk, &id).await;
            if let Some(text) = text {
                // Whoever has no text is missed by nobody when its file goes.
                desk.texts.entry(id.clone()).or_insert(text);
            }
            let why = match looked {
                Ok(true) => continue,
                // It has no text now, or has gone: what was refused stays so.
                Ok(false) => before.clone(),
                Err(why) => why,
            };
            if told && why == before {
                remember(desk, &id, why);
            } else {
                refused.push((id, why));
            }
        }
        refused
    }

    /// Whether a cluster went with its file.
    async fn file_gone(&self, desk: &mut Desk, id: &ClusterId) -> bool {
        if !self.snapshot().clusters.contains_key(id.as_str()) {
            desk.texts.remove(id);
            return false;
        }
        // What the gateway ran for it ends behind that, and its data stay.
        let services = self.snapshot().clusters.get(id.as_str()).map(|cluster| cluster.spec.services.clone());
        let kept = self.keep_with_data(id, services.iter().flatten());
        let gone = match kept {
            Ok(()) => self.carry_out(desk, None, id, Save::Gone, &By::file()).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = &gone {
            self.refuse_file(id, failure.detail().to_owned());
        }
        gone.is_ok()
    }

    /// Carries out what a file asks for now. Says whether that was anything new, or why it is refused.
    async fn file_changed(&self, desk: &mut Desk, id: &ClusterId) -> Result<bool, String> {
        let text = match self.0.files.text(id) {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(false),
            Err(error) => return unreadable(desk, id, format!("cannot read it: {error}")),
        };
        // What it said before it could not be read may have been refused.
        let is_readable_again = desk.refused.get(id).is_some_and(|(text, _)| text.is_none());
        if !is_readable_again && desk.texts.get(id) == Some(&text) {
            return Ok(false);
        }
        if self.operations().is_busy(id.as_str()).is_some() {
            // What is under way ends first; then it is looked at again.
            return Ok(false);
        }
        // Remembered whatever becomes of it: the same text is not refused twice.
        desk.texts.insert(id.clone(), text.clone());
        desk.refused.remove(id);
        let mut read = self.0.files.read(id, text).map_err(|problems| in_words(&problems))?;
        if let Some(running) = self.snapshot().clusters.get(id.as_str()) {
            read.spec.created_at = read.spec.created_at.min(running.spec.created_at);
        }
        let done = self.carry_out_file(desk, read, id, &By::file()).await;
        done.map(|()| true).map_err(|failure| match failure.problems() {
            [] => failure.detail().to_owned(),
            problems => in_words(problems),
        })
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

/// A refusal, with the text that it is of.
fn remember(desk: &mut Desk, id: &ClusterId, why: String) {
    if let Some(text) = desk.texts.get(id).cloned() {
        desk.refused.entry(id.clone()).or_insert((Some(text), why));
    }
}

/// A file that has no text is refused once, however often it is looked at.
fn unreadable(desk: &mut Desk, id: &ClusterId, why: String) -> Result<bool, String> {
    let now = (None, why);
    if desk.refused.get(id) == Some(&now) {
        return Ok(false);
    }
    desk.refused.insert(id.clone(), now.clone());
    Err(now.1)
}

fn in_words(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, RemoveKind, RenameMode};

    use super::*;

    #[test]
    fn what_is_written_is_waited_for_whatever_becomes_of_other_files() {
        let (written, began) = (Written::default(), Instant::now());
        let [slow, other, beside] =
            ["a/config.yaml", "b/config.yaml", "b/.config.yaml.new"].map(PathBuf::from);
        let after = |millis| began + Duration::from_millis(millis);
        let renamed = |mode| EventKind::Modify(ModifyKind::Name(mode));
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let note = |kind, paths: &[&PathBuf], at| {
            written.note(kind, &paths.iter().map(|&path| path.clone()).collect::<Vec<_>>(), after(at));
        };
        note(EventKind::Create(CreateKind::File), &[&slow], 0);
        note(data, &[&slow], 20);
        note(CLOSED, &[&beside], 20);
        note(renamed(RenameMode::From), &[&beside], 20);
        note(renamed(RenameMode::To), &[&other], 20);
        assert_eq!(written.pause(after(30)), Duration::from_millis(70), "one is being written");
        // Whoever writes it may open it once more.
        note(CLOSED, &[&slow], 40);
        assert_eq!(written.pause(after(40)), SETTLE);
        assert_eq!(written.pause(after(115)), SETTLE_WHOLE);
        assert_eq!(written.pause(after(200)), SETTLE_WHOLE);
        // What was renamed is whole at once, and what has gone is not waited for.
        note(data, &[&beside, &slow], 200);
        note(renamed(RenameMode::Both), &[&beside, &other], 201);
        note(EventKind::Remove(RemoveKind::File), &[&slow], 201);
        assert_eq!(written.pause(after(202)), SETTLE_WHOLE);
    }
}
