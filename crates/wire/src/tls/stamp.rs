//! Whether files are still those that were read, by what the file system says of them.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What stood in certain files, near enough: another file in the place of one, a link that leads elsewhere or a
/// write into it are seen, however they came about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamp(Vec<Option<[i64; 7]>>);

impl Stamp {
    /// Looks at these files, where their links lead to now.
    pub fn of<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Self {
        #[expect(clippy::cast_possible_wrap, reason = "only compared with themselves")]
        let look = |path: &Path| {
            let of = std::fs::metadata(path).ok()?;
            let id = [of.dev() as i64, of.ino() as i64, of.size() as i64];
            let [device, node, size] = id;
            Some([device, node, size, of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec()])
        };
        Stamp(paths.into_iter().map(look).collect())
    }
}
