//! Answers of a server, read from its bytes as they come: both versions of the protocol, and no more of an answer than
//! there is space for.
//!
//! What is too large is read to its end and let go of on the way, so that the answers behind it are found.

use std::sync::LazyLock;

use redis::{ServerError, Value, VerbatimFormat};

use super::space::Space;

/// What an item of a list takes beside its bytes.
const ITEM: usize = 64;
/// A line has at most so many bytes; a longer one is too large.
const LINE: usize = 64 << 10;
/// Lists within lists, so deep that a text of them can still be read by others. What is deeper is too large.
const DEEP: usize = 96;
/// No server means this.
const DEEPEST: usize = 100_000;
/// A text is given so much at first, and more as it comes: what a server says of its length is only what it says.
const AT_FIRST: usize = 64 << 10;

/// The code of what stands in the place of an answer that is too large.
pub(super) const TOO_LARGE: &str = "THROOME-TOO-LARGE";

static TOO_LARGE_ANSWER: LazyLock<Option<ServerError>> = LazyLock::new(|| refusal(TOO_LARGE));

/// What stands in the place of an answer that is too large.
pub(super) fn too_large() -> Value {
    TOO_LARGE_ANSWER.clone().map_or(Value::Nil, Value::ServerError)
}

/// Reads one answer after the other.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// A line whose end has not come yet.
    line: Vec<u8>,
    /// The rest of the line is let go of.
    long_line: bool,
    text: Option<Text>,
    lists: Vec<List>,
    /// What the answer under way has taken of its space.
    taken: usize,
    /// The answer under way is not kept.
    lost: bool,
}

/// Something read whole at the top: an answer, or what nobody asked for.
#[derive(Debug, PartialEq)]
pub(super) enum Read {
    Answer(Value),
    /// Something that a server says by itself.
    Push,
}

/// The bytes are none of the protocol.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Garbled(pub(super) &'static str);

const GARBLED: Garbled = Garbled("what it says is not its protocol");

/// A text under way.
#[derive(Debug)]
struct Text {
    form: TextForm,
    /// How much is to come, with the end of its line.
    left: usize,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextForm {
    Bulk,
    Verbatim,
    Error,
}

/// A list under way.
#[derive(Debug)]
struct List {
    form: ListForm,
    left: usize,
    items: Vec<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListForm {
    Array,
    Set,
    Map,
    Push,
    /// Stands before what it belongs to, and is let go of.
    Attribute,
}

impl Decoder {
    /// Reads on; gives what has been read whole, and takes its bytes from the front of the input. `None` when more is
    /// needed. With no `space` the answer is wanted by nobody.
    pub(super) fn read(
        &mut self,
        input: &mut &[u8],
        mut space: Option<&mut Space>,
    ) -> Result<Option<Read>, Garbled> {
        if space.is_none() {
            self.lose(None);
        }
        while !input.is_empty() {
            let value = if self.text.is_some() {
                self.read_text(input, space.as_deref_mut())?
            } else {
                self.read_line(input, space.as_deref_mut())?
            };
            if let Some(value) = value
                && let Some(read) = self.close(value)
            {
                return Ok(Some(read));
            }
        }
        Ok(None)
    }

    /// Whether what is being read is let go of.
    pub(super) fn is_losing(&self) -> bool {
        self.lost
    }

    /// A value that stands in one line, or nothing yet.
    fn read_line(&mut self, input: &mut &[u8], space: Option<&mut Space>) -> Result<Option<Value>, Garbled> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let (part, rest) = input.split_at(end.map_or(input.len(), |end| end + 1));
        *input = rest;
        if self.line.is_empty() && end.is_some() && part.len() <= LINE {
            return self.line_read(part, space);
        }
        if self.long_line || self.line.len() + part.len() > LINE {
            // What it is says its first byte.
            self.line.extend_from_slice(&part[..1]);
            self.line.truncate(1);
            self.long_line = true;
        } else {
            self.line.extend_from_slice(part);
        }
        if end.is_none() {
            return Ok(None);
        }
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.long_line) {
            if !matches!(line.first(), Some(b'+' | b'-' | b'(')) {
                return Err(GARBLED);
            }
            self.lose(space);
            return Ok(Some(Value::Nil));
        }
        self.line_read(&line, space)
    }

    fn line_read(&mut self, line: &[u8], mut space: Option<&mut Space>) -> Result<Option<Value>, Garbled> {
        let line = line.strip_suffix(b"\r\n").ok_or(GARBLED)?;
        let (sort, line) = line.split_first().ok_or(GARBLED)?;
        Ok(Some(match sort {
            b'+' | b'-' | b'(' if self.lost || !self.take(line.len(), space.as_deref_mut()) => Value::Nil,
            b'+' => simple(line),
            b'-' => refused(line)?,
            b'(' => Value::BigNumber(line.to_vec()),
            b':' => Value::Int(number(line)?),
            b',' => Value::Double(ascii(line)?.parse().map_err(|_| GARBLED)?),
            b'#' => Value::Boolean(match line {
                b"t" => true,
                b"f" => false,
                _ => return Err(GARBLED),
            }),
            b'_' => Value::Nil,
            b'$' => return self.begin_text(TextForm::Bulk, line, space),
            b'=' => return self.begin_text(TextForm::Verbatim, line, space),
            b'!' => return self.begin_text(TextForm::Error, line, space),
            b'*' => return self.begin_list(ListForm::Array, line, space),
            b'~' => return self.begin_list(ListForm::Set, line, space),
            b'%' => return self.begin_list(ListForm::Map, line, space),
            b'>' => return self.begin_list(ListForm::Push, line, space),
            b'|' => return self.begin_list(ListForm::Attribute, line, space),
            _ => return Err(GARBLED),
        }))
    }

    fn begin_text(
        &mut self,
        form: TextForm,
        line: &[u8],
        space: Option<&mut Space>,
    ) -> Result<Option<Value>, Garbled> {
        let Some(length) = length(line)? else { return Ok(Some(Value::Nil)) };
        let kept = !self.lost && self.take(length, space);
        let bytes = Vec::with_capacity(if kept { length.min(AT_FIRST) } else { 0 });
        let left = length.checked_add(2).ok_or(GARBLED)?;
        self.text = Some(Text { form, left, bytes });
        Ok(None)
    }

    fn read_text(&mut self, input: &mut &[u8], space: Option<&mut Space>) -> Result<Option<Value>, Garbled> {
        let Some(text) = &mut self.text else { return Ok(None) };
        let (part, rest) = input.split_at(text.left.min(input.len()));
        *input = rest;
        // Of the end of its line nothing is kept.
        let of_text = part.len().min(text.left.saturating_sub(2));
        text.left -= part.len();
        if !self.lost {
            if text.bytes.len() + of_text > text.bytes.capacity() {
                text.bytes.reserve_exact(of_text + text.left);
            }
            text.bytes.extend_from_slice(&part[..of_text]);
        }
        if !b"\r\n".ends_with(&part[of_text..]) && !b"\r\n".starts_with(&part[of_text..]) {
            return Err(GARBLED);
        }
        if text.left > 0 {
            return Ok(None);
        }
        let Some(Text { form, bytes, .. }) = self.text.take() else { return Ok(None) };
        if self.lost {
            return Ok(Some(Value::Nil));
        }
        Ok(Some(match form {
            TextForm::Bulk => Value::BulkString(bytes),
            TextForm::Verbatim => verbatim(&bytes)?,
            TextForm::Error if bytes.len() > LINE => {
                self.lose(space);
                Value::Nil
            }
            TextForm::Error => refused(&bytes)?,
        }))
    }

    fn begin_list(
        &mut self,
        form: ListForm,
        line: &[u8],
        mut space: Option<&mut Space>,
    ) -> Result<Option<Value>, Garbled> {
        let Some(count) = length(line)? else { return Ok(Some(Value::Nil)) };
        let count = match form {
            ListForm::Map | ListForm::Attribute => count.checked_mul(2).ok_or(GARBLED)?,
            ListForm::Array | ListForm::Set | ListForm::Push => count,
        };
        if self.lists.len() >= DEEPEST {
            return Err(GARBLED);
        }
        if self.lists.len() >= DEEP {
            self.lose(space.as_deref_mut());
        }
        let kept = !self.lost && self.take(count.saturating_mul(ITEM), space);
        let items = Vec::with_capacity(if kept { count.min(AT_FIRST / ITEM) } else { 0 });
        if count == 0 {
            if form == ListForm::Push {
                return Err(GARBLED);
            }
            // It ends where it begins. What stands before something else is nothing by itself.
            return Ok((form != ListForm::Attribute).then(|| joined(form, items)));
        }
        self.lists.push(List { form, left: count, items });
        Ok(None)
    }

    /// Puts a value where it belongs, and gives what that makes whole at the top.
    fn close(&mut self, mut value: Value) -> Option<Read> {
        loop {
            let Some(list) = self.lists.last_mut() else { return Some(Read::Answer(self.answered(value))) };
            list.left -= 1;
            if !self.lost {
                list.items.push(value);
            }
            if list.left > 0 {
                return None;
            }
            let List { form, items, .. } = self.lists.pop()?;
            match form {
                ListForm::Attribute => return None,
                ListForm::Push if self.lists.is_empty() => {
                    self.begin_anew();
                    return Some(Read::Push);
                }
                form => value = joined(form, items),
            }
        }
    }

    fn answered(&mut self, value: Value) -> Value {
        let lost = self.lost;
        self.begin_anew();
        if lost { too_large() } else { value }
    }

    fn begin_anew(&mut self) {
        (self.taken, self.lost) = (0, false);
    }

    /// Whether there is space for so much more; without it, what was kept of the answer is let go of.
    fn take(&mut self, bytes: usize, mut space: Option<&mut Space>) -> bool {
        let taken = space.as_deref_mut().is_some_and(|space| space.take(bytes));
        if taken {
            self.taken += bytes;
        } else {
            self.lose(space);
        }
        taken
    }

    fn lose(&mut self, space: Option<&mut Space>) {
        self.lost = true;
        if let Some(space) = space {
            space.give_back(self.taken);
        }
        self.taken = 0;
        if let Some(text) = &mut self.text {
            text.bytes = Vec::new();
        }
        for list in &mut self.lists {
            list.items = Vec::new();
        }
    }
}

/// A list of all its items, or of none where they were let go of.
fn joined(form: ListForm, items: Vec<Value>) -> Value {
    match form {
        ListForm::Array | ListForm::Push | ListForm::Attribute => Value::Array(items),
        ListForm::Set => Value::Set(items),
        ListForm::Map => {
            let mut pairs = Vec::with_capacity(items.len() / 2);
            let mut items = items.into_iter();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                pairs.push((key, value));
            }
            Value::Map(pairs)
        }
    }
}

/// Whatever bytes stand there: a script may say any.
fn simple(line: &[u8]) -> Value {
    match std::str::from_utf8(line) {
        Ok("OK") => Value::Okay,
        Ok(text) => Value::SimpleString(text.to_owned()),
        Err(_) => Value::BulkString(line.to_vec()),
    }
}

fn refused(words: &[u8]) -> Result<Value, Garbled> {
    refusal(&String::from_utf8_lossy(words)).map(Value::ServerError).ok_or(GARBLED)
}

/// Only the library makes one, from a line.
fn refusal(words: &str) -> Option<ServerError> {
    let line = format!("-{}\r\n", words.replace(['\r', '\n'], " "));
    match redis::parse_redis_value(line.as_bytes()) {
        Ok(Value::ServerError(refusal)) => Some(refusal),
        _ => None,
    }
}

/// A text with the name of its form before it.
fn verbatim(bytes: &[u8]) -> Result<Value, Garbled> {
    let colon = bytes.iter().position(|byte| *byte == b':').ok_or(GARBLED)?;
    let format = match &bytes[..colon] {
        b"txt" => VerbatimFormat::Text,
        b"mkd" => VerbatimFormat::Markdown,
        other => VerbatimFormat::Unknown(String::from_utf8_lossy(other).into_owned()),
    };
    Ok(Value::VerbatimString { format, text: String::from_utf8_lossy(&bytes[colon + 1..]).into_owned() })
}

/// How long something is; `None` is nothing at all.
fn length(line: &[u8]) -> Result<Option<usize>, Garbled> {
    match number(line)? {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| GARBLED),
    }
}

fn number(line: &[u8]) -> Result<i64, Garbled> {
    ascii(line)?.parse().map_err(|_| GARBLED)
}

fn ascii(line: &[u8]) -> Result<&str, Garbled> {
    std::str::from_utf8(line).map_err(|_| GARBLED)
}

#[cfg(test)]
mod tests;
