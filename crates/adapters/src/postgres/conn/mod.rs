//! One connection, and the order of its messages: statements are prepared once, asked in one go, and answered in
//! their order. What is under way is always known, so that whoever leaves in the middle leaves a connection that
//! can be cleaned.

mod auth;
mod binding;
mod clean;
mod describe;
mod frames;
mod open;
mod statements;
mod stream;
mod words;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::{BufMut, Bytes};
use model::Failure;
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;
use tokio::time::Instant;

use frames::{Frame, Frames, OVERSIZED};
use statements::Statements;

pub(super) use open::Target;
pub(super) use statements::{Column, Prepared};
pub(super) use words::ServerError;

/// Why a statement has no result.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server understood and refused.
    Refused(Box<ServerError>),
    /// The connection broke, or the server does not speak as it should.
    Broken(io::Error),
    /// It was decided here.
    Ours(Failure),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Broken(error)
    }
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// In no transaction.
    Free,
    /// In a transaction.
    Within,
    /// In a transaction that has failed and can only be rolled back.
    Failed,
}

/// What comes back of a statement, piece by piece.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    /// A row; it can be looked at until the next answer is asked for.
    Row(Row),
    /// A row that is larger than what is taken.
    Oversized,
    /// As many rows as were asked for, and there are more.
    More,
    /// Its end.
    Done(Tag),
}

/// A row where it lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row(Frame);

/// What a statement was, and how many rows it was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tag {
    word: [u8; 24],
    length: usize,
    /// Where it says.
    pub(super) count: Option<u64>,
}

/// A connection.
pub(super) struct Conn {
    frames: Frames,
    statements: Statements,
    peer: SocketAddr,
    encrypted: bool,
    key: Option<[u8; 8]>,
    standing: Standing,
    /// Points of rest that were asked for and not yet reached.
    syncs: u32,
    /// Messages were written behind the last of them.
    unsynced: bool,
    /// Commands that stand before the next answer, such as the beginning of a transaction.
    commands: u32,
    /// Something was asked to be done since the last rest, beyond preparing it.
    asked: bool,
    /// What was read or written makes no sense any more.
    broken: bool,
    /// The session is not as it was when it began.
    changed: bool,
    /// Whether the server said that it is a standby, where it says so by itself.
    standby: Option<bool>,
    /// Counts, for all connections to the server, those who hear that it is none any more.
    promotions: Arc<AtomicU32>,
    /// The server's version, as far as it counts.
    version: u32,
    /// The server looks whether we are still there while a statement runs.
    looked_after: bool,
    born: Instant,
    /// The core that opened it.
    pub(super) home: usize,
}

impl Conn {
    fn new(frames: Frames, statements: usize, peer: SocketAddr, encrypted: bool) -> Self {
        Conn {
            frames,
            statements: Statements::new(statements),
            peer,
            encrypted,
            key: None,
            standing: Standing::Free,
            syncs: 0,
            unsynced: false,
            commands: 0,
            asked: false,
            broken: false,
            changed: false,
            standby: None,
            promotions: Arc::default(),
            version: 0,
            looked_after: false,
            born: Instant::now(),
            home: wire::cores::index(),
        }
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether something was asked to be done that may have been done since.
    pub(super) fn has_asked(&self) -> bool {
        self.asked
    }

    /// Whether the server is a standby, as far as it said so itself.
    pub(super) fn standby(&self) -> Option<bool> {
        self.standby
    }

    pub(super) fn born(&self) -> Instant {
        self.born
    }

    /// The session is left otherwise than it began: it is set back before anybody else has it.
    pub(super) fn mark_changed(&mut self) {
        self.changed = true;
    }

    /// Whether it can be used as it is.
    pub(super) fn is_clean(&self) -> bool {
        !self.broken && !self.changed && self.is_at_rest() && self.standing == Standing::Free
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether it is at rest in a transaction, also in one that has failed.
    pub(super) fn stands_within(&self) -> bool {
        !self.broken && self.is_at_rest() && self.standing != Standing::Free
    }

    /// What was asked last is more than preparing.
    pub(super) fn mark_asked(&mut self) {
        self.asked = true;
    }

    /// Whether everything that was asked is answered.
    pub(super) fn is_at_rest(&self) -> bool {
        self.syncs == 0 && !self.unsynced && self.frames.is_still()
    }

    /// A command without arguments and rows that stands before others, such as the beginning of a transaction.
    pub(super) fn command(&mut self, sql: &str) -> io::Result<()> {
        self.commands += 1;
        self.closing(sql)
    }

    /// The same behind others, such as the end of a transaction.
    pub(super) fn closing(&mut self, sql: &str) -> io::Result<()> {
        self.unsynced = true;
        let out = self.frames.out();
        frontend::parse("", sql, [], out)?;
        bind("", &[], out)?;
        frontend::execute("", 0, out)
    }

    /// Asks a prepared statement with these arguments, for so many rows; 0 is all.
    pub(super) fn ask(&mut self, prepared: &Prepared, args: &[Option<Vec<u8>>], rows: i32) -> io::Result<()> {
        self.unsynced = true;
        self.asked = true;
        let out = self.frames.out();
        bind(&prepared.name, args, out)?;
        frontend::execute("", rows, out)
    }

    /// Asks for more rows of the statement that was asked last, in a transaction.
    pub(super) fn go_on(&mut self, rows: i32) -> io::Result<()> {
        self.unsynced = true;
        frontend::execute("", rows, self.frames.out())
    }

    /// Ends what was asked: whatever is neither within a transaction nor has failed is done then.
    pub(super) fn sync(&mut self) {
        frontend::sync(self.frames.out());
        self.syncs += 1;
        self.unsynced = false;
    }

    /// Asks for the answers to all that was asked, and does not end it.
    pub(super) fn flush(&mut self) {
        frontend::flush(self.frames.out());
    }

    /// What comes next of the statement that was asked first and is not yet answered.
    pub(super) async fn answer(&mut self) -> Result<Answer, Trouble> {
        loop {
            let frame = match self.frames.ready() {
                Ok(Some(frame)) if frame.tag == b'D' => return Ok(Answer::Row(Row(frame))),
                Ok(Some(frame)) => self.heard(frame)?,
                Ok(None) => Some(self.next().await?),
                Err(error) => return Err(self.broke(error)),
            };
            let Some(frame) = frame else { continue };
            match frame.tag {
                b'D' => return Ok(Answer::Row(Row(frame))),
                OVERSIZED => return Ok(Answer::Oversized),
                b'C' | b'I' if self.commands > 0 => self.commands -= 1,
                b'C' => return Ok(Answer::Done(Tag::read(self.frames.body(frame)))),
                b'I' => return Ok(Answer::Done(Tag::read(b""))),
                b's' => return Ok(Answer::More),
                b'E' => return Err(self.refusal(frame)),
                b'1' | b'2' | b'3' | b'n' | b't' | b'T' => {}
                b'G' | b'H' | b'W' => return Err(Trouble::Ours(super::failure::copy())),
                _ => return Err(self.broke(frames::broken("it answered what nobody asked"))),
            }
        }
    }

    /// Reads on until everything that was asked is answered.
    ///
    /// # Errors
    /// The first refusal on the way, when the rest has been reached all the same; or that the connection broke.
    pub(super) async fn rest(&mut self) -> Result<(), Trouble> {
        if self.unsynced {
            self.sync();
        }
        let mut refused = None;
        while self.syncs > 0 {
            let frame = self.next().await?;
            if frame.tag == b'E' && refused.is_none() {
                refused = Some(self.refusal(frame));
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Reads on to rest, and gives the tag of the last command on the way: what became of a transaction.
    ///
    /// # Errors
    /// As [`Conn::rest`].
    pub(super) async fn last_word(&mut self) -> Result<Tag, Trouble> {
        if self.unsynced {
            self.sync();
        }
        let mut tag = Tag::read(b"");
        while self.syncs > 0 {
            let refused = match self.next().await {
                Ok(frame) if frame.tag == b'C' => {
                    tag = Tag::read(self.frames.body(frame));
                    continue;
                }
                Ok(frame) if frame.tag == b'E' => self.refusal(frame),
                Ok(_) => continue,
                Err(trouble) => trouble,
            };
            if tag.word() == "COMMIT" {
                // It is kept, whatever became of the connection behind that word.
                break;
            }
            // Whoever dies at this point leaves it in doubt, whatever he says of it.
            self.rest().await?;
            return Err(refused);
        }
        Ok(tag)
    }

    /// The next message that is of anybody's concern; a point of rest is noted and given, too.
    async fn next(&mut self) -> Result<Frame, Trouble> {
        loop {
            let frame = match self.frames.next().await {
                Ok(frame) => frame,
                Err(error) => return Err(self.broke(error)),
            };
            if let Some(frame) = self.heard(frame)? {
                return Ok(frame);
            }
        }
    }

    /// Takes in what the server says without being asked.
    fn heard(&mut self, frame: Frame) -> Result<Option<Frame>, Trouble> {
        match frame.tag {
            // Notices and notifications are nobody's concern here.
            b'N' | b'A' => Ok(None),
            b'S' => {
                let mut words = self.frames.body(frame).split(|byte| *byte == 0);
                match (words.next(), words.next()) {
                    (Some(b"in_hot_standby"), Some(value)) => {
                        let was = self.standby.replace(value == b"on");
                        if was == Some(true) && value != b"on" {
                            self.promotions.fetch_add(1, Ordering::AcqRel);
                        }
                    }
                    (Some(b"server_version"), Some(value)) => self.version = major(value),
                    _ => {}
                }
                Ok(None)
            }
            b'Z' => {
                self.standing = match self.frames.body(frame) {
                    b"I" => Standing::Free,
                    b"T" => Standing::Within,
                    b"E" => Standing::Failed,
                    _ => return Err(self.broke(frames::broken("it stands where nothing stands"))),
                };
                self.syncs = self.syncs.saturating_sub(1);
                if self.syncs == 0 {
                    self.commands = 0;
                    self.asked = self.standing != Standing::Free;
                }
                Ok(Some(frame))
            }
            _ => Ok(Some(frame)),
        }
    }

    fn refusal(&mut self, frame: Frame) -> Trouble {
        let error = ServerError::read(self.frames.body(frame));
        self.broken |= error.is_fatal();
        Trouble::Refused(Box::new(error))
    }

    fn broke(&mut self, error: io::Error) -> Trouble {
        self.broken = true;
        Trouble::Broken(error)
    }

    /// The cells of a row, in order.
    pub(super) fn cells(&self, row: Row) -> Cells<'_> {
        cells_of(self.frames.body(row.0))
    }

    /// A row, to be kept: its cells share one piece of memory.
    pub(super) fn take(&mut self, row: Row) -> Bytes {
        self.frames.take(row.0)
    }

    /// How large a row is, in the server's text.
    pub(super) fn size(&self, row: Row) -> usize {
        self.frames.body(row.0).len()
    }
}

/// The cells of a row that was kept.
pub(super) fn cells_of(row: &[u8]) -> Cells<'_> {
    // Their count stands before them, and in what was said of the statement.
    Cells { rest: row.get(2..).unwrap_or_default() }
}

/// `15` of `15.8 (Debian 15.8-1)` and of `15beta1`; 0 of what is no version.
fn major(version: &[u8]) -> u32 {
    let end = version.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(version.len());
    str::from_utf8(&version[..end]).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn bind(statement: &str, args: &[Option<Vec<u8>>], out: &mut bytes::BytesMut) -> io::Result<()> {
    // Arguments and results as text: no formats are named, and text is what holds then.
    let write = |arg: &Option<Vec<u8>>, out: &mut bytes::BytesMut| {
        Ok(match arg {
            None => IsNull::Yes,
            Some(text) => {
                out.put_slice(text);
                IsNull::No
            }
        })
    };
    frontend::bind("", statement, [], args, write, [], out).map_err(|error| match error {
        frontend::BindError::Serialization(error) => error,
        frontend::BindError::Conversion(error) => io::Error::other(error),
    })
}

/// The cells of a row.
pub(super) struct Cells<'r> {
    rest: &'r [u8],
}

impl<'r> Iterator for Cells<'r> {
    /// A cell that ends beyond its row is an error of the server.
    type Item = io::Result<Option<&'r [u8]>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((length, rest)) = self.rest.split_first_chunk::<4>() else { return Some(self.short()) };
        let length = i32::from_be_bytes(*length);
        let Ok(length) = usize::try_from(length) else {
            self.rest = rest;
            return Some(Ok(None));
        };
        let Some((cell, rest)) = rest.split_at_checked(length) else { return Some(self.short()) };
        self.rest = rest;
        Some(Ok(Some(cell)))
    }
}

impl<'r> Cells<'r> {
    fn short(&mut self) -> io::Result<Option<&'r [u8]>> {
        self.rest = &[];
        Err(frames::broken("a row of it ends too soon"))
    }
}

impl Tag {
    fn read(body: &[u8]) -> Self {
        let text = body.split(|byte| *byte == 0).next().unwrap_or_default();
        let digits = text.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
        let count = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        // `INSERT 0 5` has a zero where object numbers once stood.
        let letters = text.iter().position(u8::is_ascii_digit).unwrap_or(text.len());
        let words = text[..letters].trim_ascii_end();
        let mut word = [0; 24];
        let length = words.len().min(word.len());
        word[..length].copy_from_slice(&words[..length]);
        Tag { word, length, count }
    }

    /// What it was, such as `SELECT`.
    pub(super) fn word(&self) -> &str {
        str::from_utf8(&self.word[..self.length]).unwrap_or_default()
    }

    /// Rows that it changed.
    pub(super) fn affected(&self, has_rows: bool) -> u64 {
        match self.word() {
            "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "COPY" => self.count.unwrap_or(0),
            // A table that was made of a query; a query itself changes nothing.
            "SELECT" | "CREATE TABLE AS" if !has_rows => self.count.unwrap_or(0),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read() {
        for (text, word, count, changed) in [
            ("INSERT 0 5\0", "INSERT", Some(5), 5),
            ("UPDATE 2\0", "UPDATE", Some(2), 2),
            ("SELECT 3\0", "SELECT", Some(3), 0),
            ("CREATE TABLE\0", "CREATE TABLE", None, 0),
            ("ROLLBACK", "ROLLBACK", None, 0),
            ("", "", None, 0),
        ] {
            let tag = Tag::read(text.as_bytes());
            assert_eq!((tag.word(), tag.count, tag.affected(true)), (word, count, changed), "{text}");
        }
        assert_eq!(Tag::read(b"SELECT 3\0").affected(false), 3, "a table made of a query");
    }

    #[test]
    fn versions_are_read() {
        for (text, version) in
            [("12.22", 12), ("15.8 (Debian 15.8-1)", 15), ("18beta1", 18), ("devel", 0), ("", 0)]
        {
            assert_eq!(major(text.as_bytes()), version, "{text}");
        }
    }

    #[test]
    fn cells_are_found_and_cut_rows_too() {
        let row = [0, 0, 0, 2, b'a', b'b', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        let cells: Vec<_> = Cells { rest: &row }.map(Result::unwrap).collect();
        assert_eq!(cells, [Some(&b"ab"[..]), None, Some(&b""[..])]);
        for end in [1, 4, 5, 7, 11] {
            assert!(Cells { rest: &row[..end] }.any(|cell| cell.is_err()), "{end}");
        }
    }
}
