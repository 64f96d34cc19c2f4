//! How a body ends, read strictly and written plainly (RFC 9112 6 and 7).

use std::io::Write;

use super::fields::{Known, know};
use crate::buffer::Buffer;
use crate::error::Error;

/// A chunk's size line with its extension, and all trailers together, are no longer than this.
const MOST_SIZE_LINE: usize = 1024;
const MOST_TRAILERS: usize = 8 * 1024;
const MOST_TRAILER_FIELDS: usize = 64;
/// All extensions of a body together, which count as no part of its size.
const MOST_EXTENSIONS: usize = 16 * 1024;
/// Chunks up to this size that arrived together go on together.
const MERGED: usize = 4 * 1024;

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// There is none.
    #[default]
    None,
    /// After so many bytes.
    Length(u64),
    /// With a chunk of size 0.
    Chunked,
    /// With the connection: responses only.
    UntilClose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes are still to come.
    Length(u64),
    /// At a chunk's size line.
    Size,
    /// So many bytes of the chunk are still to come.
    Chunk(u64),
    /// At the line end after a chunk.
    ChunkEnd,
    /// At the trailers.
    Trailers,
    UntilClose,
    Done,
}

/// Finds a body's bytes in what a connection has read.
#[derive(Debug)]
pub struct BodyReader {
    state: State,
    ready: usize,
    room: u64,
    extensions: usize,
    trailers: Vec<u8>,
}

/// What stands at the front of the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// So many bytes of the body.
    Data(usize),
    /// Nothing yet: more must be read.
    More,
    /// The body is over.
    End,
}

impl BodyReader {
    /// A reader of a body that ends so, and has at most `limit` bytes.
    ///
    /// # Errors
    /// [`Error::BodyTooLarge`] when its length says so already.
    pub fn new(framing: Framing, limit: u64) -> Result<Self, Error> {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(n) if n > limit => return Err(Error::BodyTooLarge),
            Framing::Length(n) => State::Length(n),
            Framing::Chunked => State::Size,
            Framing::UntilClose => State::UntilClose,
        };
        Ok(BodyReader { state, ready: 0, room: limit, extensions: 0, trailers: Vec::new() })
    }

    /// Whether the body is over.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done && self.ready == 0
    }

    /// Bytes still to come, when a length said so.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length(n) => Some(n),
            _ => None,
        }
    }

    /// The peer has closed: an end for a body that ends with the connection, else a break.
    pub fn ends_with_the_connection(&mut self) -> bool {
        let ends = self.state == State::UntilClose;
        if ends {
            self.state = State::Done;
        }
        ends
    }

    /// The trailer fields that came, each with its line end.
    #[must_use]
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Looks at the front of the inbox; framing that stands there is consumed.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::BodyTooLarge`].
    pub fn next(&mut self, inbox: &mut Buffer) -> Result<Piece, Error> {
        if self.ready > 0 {
            return Ok(Piece::Data(self.ready));
        }
        loop {
            let found = match self.state {
                State::Done => return Ok(Piece::End),
                State::Length(n) => self.give(n, inbox),
                State::UntilClose => self.give(u64::MAX, inbox),
                State::Chunk(n) => self.give(n, inbox),
                State::ChunkEnd => self.chunk_end(inbox)?,
                State::Size => self.size_line(inbox)?,
                State::Trailers => self.trailer_lines(inbox)?,
            };
            match found {
                Step::Again => {}
                Step::More => return Ok(Piece::More),
                Step::Data => {
                    let merged = matches!(self.state, State::Chunk(_));
                    if merged {
                        self.merge(inbox);
                    }
                    self.room = self.room.checked_sub(self.ready as u64).ok_or(Error::BodyTooLarge)?;
                    return Ok(Piece::Data(self.ready));
                }
            }
        }
    }

    /// Says that `n` bytes of the data are used.
    pub fn consumed(&mut self, n: usize) {
        self.ready -= n;
        let n = n as u64;
        match self.state {
            State::Length(left) if left == n => self.state = State::Done,
            State::Length(left) => self.state = State::Length(left - n),
            _ => {}
        }
    }

    fn give(&mut self, most: u64, inbox: &Buffer) -> Step {
        let here = usize::try_from(most).unwrap_or(usize::MAX).min(inbox.len());
        if here == 0 {
            return Step::More;
        }
        self.ready = here;
        Step::Data
    }

    /// Takes small chunks that follow the data together with it: their bytes are moved up against it.
    fn merge(&mut self, inbox: &mut Buffer) {
        let State::Chunk(mut left) = self.state else { return };
        left -= self.ready as u64;
        self.state = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
        let bytes = inbox.filled_mut();
        let (mut data, mut at) = (self.ready, self.ready);
        while self.state == State::ChunkEnd && data <= MERGED {
            let Some(b"\r\n") = bytes.get(at..at + 2) else { break };
            // What is wrong with the next chunk is said when it is its turn.
            let Ok(Some((size, line, extension))) = size_line(&bytes[at + 2..]) else { break };
            let begin = at + 2 + line;
            let end = usize::try_from(size).unwrap_or(usize::MAX).saturating_add(begin);
            let too_much = size > MERGED as u64 || data as u64 + size > self.room;
            if size == 0 || too_much || end > bytes.len() || extension > 0 {
                break;
            }
            bytes.copy_within(begin..end, data);
            data += end - begin;
            at = end;
        }
        if at > data {
            bytes.copy_within(0..data, at - data);
            inbox.consume(at - data);
        }
        self.ready = data;
    }

    fn size_line(&mut self, inbox: &mut Buffer) -> Result<Step, Error> {
        let Some((size, line, extension)) = size_line(inbox.filled())? else { return Ok(Step::More) };
        self.extensions += extension;
        if self.extensions > MOST_EXTENSIONS {
            return Err(Error::Malformed("chunk extensions that are too long"));
        }
        if size > self.room {
            return Err(Error::BodyTooLarge);
        }
        inbox.consume(line);
        self.state = if size == 0 { State::Trailers } else { State::Chunk(size) };
        Ok(Step::Again)
    }

    fn chunk_end(&mut self, inbox: &mut Buffer) -> Result<Step, Error> {
        match inbox.filled() {
            [b'\r', b'\n', ..] => {
                inbox.consume(2);
                self.state = State::Size;
                Ok(Step::Again)
            }
            [] | [b'\r'] => Ok(Step::More),
            _ => Err(Error::Malformed("a chunk longer than its size")),
        }
    }

    fn trailer_lines(&mut self, inbox: &mut Buffer) -> Result<Step, Error> {
        let Some(line_feed) = memchr::memchr(b'\n', inbox.filled()) else {
            if inbox.len() > MOST_TRAILERS {
                return Err(Error::HeadTooLarge);
            }
            // A line that cannot become one is not waited for.
            let begun = inbox.filled();
            check_text(begun.strip_suffix(b"\r").unwrap_or(begun), "a trailer with a forbidden character")?;
            return Ok(Step::More);
        };
        let line = &inbox.filled()[..=line_feed];
        if !line.ends_with(b"\r\n") {
            return Err(Error::Malformed("a line end without CR"));
        }
        if line.len() == 2 {
            inbox.consume(2);
            self.state = State::Done;
            return Ok(Step::Again);
        }
        check_trailer(line)?;
        let fields = memchr::memchr_iter(b'\n', &self.trailers).count() + 1;
        if fields > MOST_TRAILER_FIELDS || self.trailers.len() + line.len() > MOST_TRAILERS {
            return Err(Error::HeadTooLarge);
        }
        self.trailers.extend_from_slice(line);
        inbox.consume(line_feed + 1);
        Ok(Step::Again)
    }
}

enum Step {
    Again,
    More,
    Data,
}

/// A chunk's size, how long its line is, and how much of that is extension; `None` when the line is not whole
/// yet.
fn size_line(bytes: &[u8]) -> Result<Option<(u64, usize, usize)>, Error> {
    let digits = bytes.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    if digits > 15 || (digits == 0 && !bytes.is_empty()) {
        return Err(Error::Malformed("a chunk size that is not one"));
    }
    if let Some(after) = bytes.get(digits)
        && !matches!(after, b'\r' | b';')
    {
        return Err(Error::Malformed("a chunk size that is not one"));
    }
    let Some(line_feed) = memchr::memchr(b'\n', &bytes[..bytes.len().min(MOST_SIZE_LINE)]) else {
        if bytes.len() >= MOST_SIZE_LINE {
            return Err(Error::Malformed("a chunk's size line that is too long"));
        }
        let extension = bytes.get(digits..).unwrap_or_default();
        check_text(extension.strip_suffix(b"\r").unwrap_or(extension), IN_EXTENSION)?;
        return Ok(None);
    };
    let Some(extension) = bytes[digits..line_feed].strip_suffix(b"\r") else {
        return Err(Error::Malformed("a line end without CR"));
    };
    check_text(extension, IN_EXTENSION)?;
    let size = bytes[..digits].iter().fold(0, |n, &digit| {
        let digit = (digit as char).to_digit(16).unwrap_or(0);
        n << 4 | u64::from(digit)
    });
    Ok(Some((size, line_feed + 1, extension.len())))
}

/// An extension is read past and not passed on; what could be taken for a line end is refused.
const IN_EXTENSION: &str = "a chunk extension with a forbidden character";

fn check_text(text: &[u8], reason: &'static str) -> Result<(), Error> {
    if text.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
        return Err(Error::Malformed(reason));
    }
    Ok(())
}

/// Fields that would change how a request is read, guarded or answered, were they taken from its trailers
/// (RFC 9110 6.5.1). Those that [`Known`] names are refused too.
const NO_TRAILERS: &[&str] = &[
    "cache-control",
    "content-encoding",
    "content-range",
    "cookie",
    "max-forwards",
    "pragma",
    "proxy-authorization",
    "range",
    "set-cookie",
    "trailer",
];

/// A trailer is a field that changes nothing of what was already decided.
pub(crate) fn check_trailer(line: &[u8]) -> Result<(), Error> {
    let mut parsed = [httparse::EMPTY_HEADER; 1];
    let alone = [line, b"\r\n"].concat();
    match httparse::parse_headers(&alone, &mut parsed) {
        Ok(httparse::Status::Complete((_, [field]))) => match know(field.name.as_bytes()) {
            Known::Other if !NO_TRAILERS.iter().any(|name| field.name.eq_ignore_ascii_case(name)) => Ok(()),
            _ => Err(Error::Malformed("a trailer that only a head may have")),
        },
        _ => Err(Error::Malformed("a trailer that is not a field")),
    }
}

/// Writes a body's framing around its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyWriter {
    /// The bytes alone: by length or until close.
    Plain,
    /// Each piece as a chunk.
    Chunked,
}

impl BodyWriter {
    /// What goes before a piece of `n` bytes.
    pub fn before(self, n: usize, out: &mut Vec<u8>) {
        if self == BodyWriter::Chunked {
            // Writing into a vector cannot fail.
            let _ = write!(out, "{n:x}\r\n");
        }
    }

    /// What goes after a piece.
    #[must_use]
    pub fn after(self) -> &'static [u8] {
        match self {
            BodyWriter::Plain => b"",
            BodyWriter::Chunked => b"\r\n",
        }
    }

    /// What goes after the last piece.
    pub fn end(self, trailers: &[u8], out: &mut Vec<u8>) {
        if self == BodyWriter::Chunked {
            out.extend_from_slice(b"0\r\n");
            out.extend_from_slice(trailers);
            out.extend_from_slice(b"\r\n");
        }
    }
}
