//! What a killed gateway has left of dumps that it was writing or was being brought.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Backups;
use super::writing::{PAGE, PART};

impl Backups {
    /// Takes away parts that nobody writes any more. Whoever writes one holds its lock, which ends with him.
    pub(crate) fn sweep(&self) {
        for service in below(&self.dir).iter().flat_map(|cluster| below(cluster)) {
            for part in below(&service) {
                let ending = part.extension().unwrap_or_default();
                if (ending == PART || ending == PAGE) && is_left(&part) {
                    forget(&part);
                    tracing::info!(part = %part.display(), "a backup that was never whole was taken away");
                }
            }
        }
    }
}

fn below(dir: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn is_left(part: &Path) -> bool {
    // The page that was being written beside a part has no lock of its own.
    let part = part.with_extension(PART);
    File::open(part).map_or(true, |file| file.try_lock().is_ok())
}

/// With the name that it has got, where the page that would have made it whole is missing.
fn forget(part: &Path) {
    // `<id>.<format>.<random>.part`
    let whole = part.with_extension("").with_extension("");
    if !whole.with_extension("json").exists() && is_same(part, &whole) {
        let _ = fs::remove_file(&whole);
    }
    let _ = fs::remove_file(part);
}

/// Whether both are names of one file. What somebody else has put there is his.
fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path| fs::metadata(path).map(|data| (data.dev(), data.ino()));
    matches!((place(one), place(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use model::view::BackupOrigin;
    use provision::Name;
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn what_a_crash_has_left_goes_and_all_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        let backups = Backups::new(dir.path());
        let name = Name { cluster: "shop".into(), service: "db".into() };
        let begin = |id| backups.write(&name, id, "postgres", "dump", BackupOrigin::Upload).unwrap();
        let kept = begin("kept").keep().await.unwrap();
        let mut under_way = begin("under-way");
        let place = dir.path().join("backups/shop/db");
        // One that was cut off, one that had its name already and no page, one that somebody else has put there.
        fs::write(place.join("cut.dump.00000001.part"), "x").unwrap();
        fs::write(place.join("named.dump.00000002.part"), "x").unwrap();
        fs::write(place.join("named.dump.00000002.page"), "{").unwrap();
        fs::hard_link(place.join("named.dump.00000002.part"), place.join("named.dump")).unwrap();
        fs::write(place.join("foreign.dump"), "x").unwrap();
        backups.sweep();
        under_way.write_all(b"all").await.unwrap();
        let brought = under_way.keep().await.unwrap();
        assert_eq!(backups.list(&name).unwrap(), [brought, kept]);
        let mut left: Vec<_> =
            below(&place).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        left.sort();
        assert_eq!(left, ["foreign.dump", "kept.dump", "kept.json", "under-way.dump", "under-way.json"]);
        begin("named").keep().await.unwrap();
    }
}
