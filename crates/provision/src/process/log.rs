//! What a program says, kept. The program writes into two plain files that are its own, so that nothing it says depends on
//! this gateway's life. From there it is brought, every moment, into `current.log`: line by line, with time and source.
//! What was said while no gateway looked has the time at which the program wrote last, and nothing bounds it until one looks.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::Source;

/// From this size on a new file is begun.
const FULL: u64 = 8 << 20;

/// So many full ones are kept.
const KEPT: usize = 3;

/// What is read at once, and the longest line: what is longer becomes several.
const CHUNK: usize = 64 << 10;

/// So much that was brought over may stay in a program's own file before its room is given back.
const SLACK: u64 = 1 << 20;

/// Room is given back in whole blocks.
#[cfg(target_os = "linux")]
const BLOCK: u64 = 4096;

/// The two ways of saying something, with the names of their files.
const WAYS: [(Source, &str); 2] = [(Source::Out, "out"), (Source::Err, "err")];

/// The log of one service.
#[derive(Debug)]
pub(super) struct Log {
    dir: PathBuf,
    full: u64,
    kept: Mutex<Kept>,
}

/// Where we are.
#[derive(Debug, Default, Clone, Copy)]
struct Kept {
    /// How much of each of the program's files was brought over.
    taken: [u64; 2],
    /// Of how much the room was given back.
    freed: [u64; 2],
    /// The bytes of all lines that there have been since we look: positions count from there.
    total: u64,
}

impl Log {
    /// That of this directory, which need not be there yet.
    pub(super) fn of(dir: PathBuf) -> Log {
        Log::with(dir, FULL)
    }

    fn with(dir: PathBuf, full: u64) -> Log {
        let text = fs::read_to_string(dir.join("taken")).unwrap_or_default();
        let mut numbers = text.split_ascii_whitespace().map(|number| number.parse().unwrap_or(0));
        let taken = [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)];
        let total = files(&dir).iter().map(|file| size(file)).sum();
        Log { dir, full, kept: Mutex::new(Kept { taken, freed: [0; 2], total }) }
    }

    /// The program's file of standard output: whoever writes there was started for this service.
    pub(super) fn out(&self) -> PathBuf {
        self.dir.join("out")
    }

    /// Both of the program's files, for it to write at their ends.
    pub(super) fn open(&self) -> io::Result<[File; 2]> {
        let open =
            |name: &str| OpenOptions::new().append(true).create(true).mode(0o600).open(self.dir.join(name));
        Ok([open("out")?, open("err")?])
    }

    /// Whether the program has said something since.
    pub(super) fn grown(&self) -> bool {
        let taken = self.kept().taken;
        WAYS.iter().zip(taken).any(|((_, name), taken)| size(&self.dir.join(name)) != taken)
    }

    /// Brings over what was said since. The beginning of a line waits for its end.
    pub(super) fn harvest(&self) -> io::Result<()> {
        self.bring(Rest::Waits)
    }

    /// The same when nobody writes any more: the last line is whole, and the program's files are emptied.
    pub(super) fn close(&self) -> io::Result<()> {
        self.bring(Rest::IsLine)?;
        let mut kept = self.kept();
        for (at, (_, name)) in WAYS.iter().enumerate() {
            match OpenOptions::new().write(true).open(self.dir.join(name)) {
                // What came in between is left for the next time.
                Ok(file) if file.metadata()?.len() == kept.taken[at] => file.set_len(0)?,
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            (kept.taken[at], kept.freed[at]) = (0, 0);
        }
        self.note(&kept)
    }

    /// Lines from this position on, with the position after them: raw ones, as they stand in the files.
    pub(super) fn since(&self, position: u64) -> io::Result<(Vec<String>, u64)> {
        let kept = self.kept();
        let files = files(&self.dir);
        let mut start = kept.total.saturating_sub(files.iter().map(|file| size(file)).sum());
        let mut lines = Vec::new();
        for path in files {
            let end = start + size(&path);
            if position < end {
                let mut file = File::open(&path)?;
                file.seek(SeekFrom::Start(position.saturating_sub(start)))?;
                let mut text = String::new();
                // What is in there is ours, and was made UTF-8.
                file.read_to_string(&mut text)?;
                lines.extend(text.lines().map(str::to_owned));
            }
            start = end;
        }
        Ok((lines, kept.total))
    }

    fn bring(&self, rest: Rest) -> io::Result<()> {
        let mut kept = self.kept();
        let mut current = None;
        for (at, (source, name)) in WAYS.into_iter().enumerate() {
            let Ok(mut file) = OpenOptions::new().read(true).write(true).open(self.dir.join(name)) else {
                continue;
            };
            let seen = file.metadata()?;
            if seen.len() < kept.taken[at] {
                // Somebody has emptied it.
                (kept.taken[at], kept.freed[at]) = (0, 0);
            }
            let time = seen
                .modified()
                .ok()
                .and_then(|time| Timestamp::try_from(time).ok())
                .unwrap_or_else(Timestamp::now);
            file.seek(SeekFrom::Start(kept.taken[at]))?;
            let mut bytes = vec![0; CHUNK];
            while kept.taken[at] < seen.len() {
                let read = fill(&mut file, &mut bytes)?;
                let said = &bytes[..read];
                let whole = match said.iter().rposition(|&byte| byte == b'\n') {
                    Some(end) => end + 1,
                    None if read == CHUNK || matches!(rest, Rest::IsLine) => read,
                    None => break,
                };
                if whole == 0 {
                    break;
                }
                let text = lines(time, source, &said[..whole]);
                let writer = match current.take() {
                    Some(writer) => writer,
                    None => self.current()?,
                };
                current = self.add(writer, &text, &mut kept)?;
                kept.taken[at] += whole as u64;
                file.seek(SeekFrom::Start(kept.taken[at]))?;
                self.note(&kept)?;
            }
            if kept.taken[at] - kept.freed[at] > SLACK {
                free(&file, at, &mut kept)?;
                self.note(&kept)?;
            }
        }
        Ok(())
    }

    /// Writes at the end of the current file, and begins a new one when it is full.
    fn add(&self, mut current: File, text: &str, kept: &mut Kept) -> io::Result<Option<File>> {
        current.write_all(text.as_bytes())?;
        kept.total += text.len() as u64;
        if current.metadata()?.len() < self.full {
            return Ok(Some(current));
        }
        let newest_first: Vec<_> = (0..=KEPT).map(|age| aged(&self.dir, age)).collect();
        for pair in newest_first.windows(2).rev() {
            if pair[0].exists() {
                fs::rename(&pair[0], &pair[1])?;
            }
        }
        Ok(None)
    }

    fn current(&self) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(aged(&self.dir, 0))
    }

    /// Remembers where we are, for the next gateway.
    fn note(&self, kept: &Kept) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.dir.join("taken"))?;
        // Always as long, so that one write replaces all of it.
        file.write_all(format!("{:020} {:020}\n", kept.taken[0], kept.taken[1]).as_bytes())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What becomes of a line without an end.
#[derive(Debug, Clone, Copy)]
enum Rest {
    Waits,
    IsLine,
}

/// Gives back the room of what was brought over. The program goes on writing at the end as if nothing were: its file is
/// not cut but has a hole, so that nothing is lost which it says in this very moment.
fn free(file: &File, at: usize, kept: &mut Kept) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        let end = kept.taken[at] / BLOCK * BLOCK;
        if fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, end).is_ok() {
            kept.freed[at] = end;
            return Ok(());
        }
    }
    // A file system without holes: the file is cut, in a moment at which all of it was brought over.
    if file.metadata()?.len() == kept.taken[at] {
        file.set_len(0)?;
        (kept.taken[at], kept.freed[at]) = (0, 0);
    }
    Ok(())
}

fn lines(time: Timestamp, source: Source, bytes: &[u8]) -> String {
    let word = match source {
        Source::Out => "out",
        Source::Err => "err",
    };
    let head = format!("{time:.3} {word} ");
    let mut text = String::with_capacity(bytes.len() * 2);
    for line in String::from_utf8_lossy(bytes).lines() {
        text.extend([&head, line, "\n"]);
    }
    text
}

/// Reads until there is no more, or no more room.
fn fill(file: &mut File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// The files that there are, the oldest first.
fn files(dir: &Path) -> Vec<PathBuf> {
    (0..=KEPT).rev().map(|age| aged(dir, age)).filter(|path| path.exists()).collect()
}

fn aged(dir: &Path, age: usize) -> PathBuf {
    match age {
        0 => dir.join("current.log"),
        _ => dir.join(format!("current.log.{age}")),
    }
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |seen| seen.len())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn texts(log: &Log, position: u64) -> (Vec<String>, u64) {
        let (lines, position) = log.since(position).unwrap();
        (lines.iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect(), position)
    }

    #[test]
    fn lines_have_their_source_and_a_beginning_waits_for_its_end() {
        let dir = tempfile::TempDir::new().unwrap();
        let log = Log::of(dir.path().to_owned());
        let [mut out, mut err] = log.open().unwrap();
        out.write_all(b"one\r\ntw").unwrap();
        err.write_all(b"bad \xff\n").unwrap();
        assert!(log.grown());
        log.harvest().unwrap();
        let (lines, position) = texts(&log, 0);
        assert_eq!(lines, ["out one", "err bad \u{fffd}"]);
        out.write_all(b"o\nthree").unwrap();
        log.harvest().unwrap();
        assert_eq!(texts(&log, position).0, ["out two"]);
        // The next gateway goes on where this one was, and the end of the program is the end of its line.
        let log = Log::of(dir.path().to_owned());
        assert!(log.grown());
        log.close().unwrap();
        assert_eq!(texts(&log, 0).0, ["out one", "err bad \u{fffd}", "out two", "out three"]);
        assert!(!log.grown());
        assert_eq!(size(&log.out()), 0);
    }

    #[test]
    fn full_files_are_put_aside_and_the_oldest_goes() {
        let dir = tempfile::TempDir::new().unwrap();
        let log = Log::with(dir.path().to_owned(), 1000);
        let [mut out, _] = log.open().unwrap();
        let mut position = 0;
        for number in 0..400 {
            writeln!(out, "line {number}").unwrap();
            log.harvest().unwrap();
            // Who follows misses none of them, whichever file it is in by now.
            let (lines, next) = texts(&log, position);
            assert_eq!(lines, [format!("out line {number}")]);
            position = next;
        }
        assert!(files(dir.path()).len() == KEPT + 1, "{:?}", files(dir.path()));
        for file in files(dir.path()) {
            assert!(size(&file) < 1100);
        }
        let (lines, _) = texts(&log, 0);
        assert_eq!(lines.last().unwrap(), "out line 399");
        assert!(lines.len() < 150 && lines.len() > 60, "{}", lines.len());
        assert_eq!(texts(&log, position).0, Vec::<String>::new());
    }

    #[test]
    fn what_was_brought_over_takes_no_room_and_nothing_is_lost() {
        let dir = tempfile::TempDir::new().unwrap();
        let log = Log::with(dir.path().to_owned(), 64 << 20);
        let [mut out, _] = log.open().unwrap();
        let line = "x".repeat(1000);
        for round in 0..4 {
            for number in 0..1000 {
                writeln!(out, "{round} {number} {line}").unwrap();
            }
            log.harvest().unwrap();
        }
        let (lines, _) = texts(&log, 0);
        assert_eq!(lines.len(), 4000);
        assert!(lines[3999].starts_with("out 3 999 "));
        assert!(fs::metadata(log.out()).unwrap().blocks() * 512 < 2 * SLACK, "the room is not given back");
    }

    #[test]
    fn a_line_without_an_end_becomes_several() {
        let dir = tempfile::TempDir::new().unwrap();
        let log = Log::of(dir.path().to_owned());
        let [mut out, _] = log.open().unwrap();
        out.write_all(&vec![b'y'; CHUNK + 10]).unwrap();
        log.harvest().unwrap();
        assert_eq!(texts(&log, 0).0.len(), 1);
        log.close().unwrap();
        let (lines, _) = texts(&log, 0);
        assert_eq!(lines.iter().map(|line| line.len() - 4).collect::<Vec<_>>(), [CHUNK, 10]);
    }
}
