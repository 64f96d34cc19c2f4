//! Rows as JSON text, by the rules of value fidelity that hold for every engine.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Chunk, Column};

/// Whole numbers up to this size are numbers in JSON; larger ones are text, since many readers would round them.
const EXACT: u64 = 1 << 53;

/// How a row is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowShape {
    /// `{"name": value}`
    Objects,
    /// `[value]`
    Arrays,
}

/// Writes rows cell by cell, in the order of the columns.
#[derive(Debug)]
pub struct RowWriter {
    columns: Arc<[Column]>,
    /// What stands before each cell: its name and a colon, or nothing.
    keys: Box<[Box<[u8]>]>,
    shape: RowShape,
    chunk: Chunk,
    cell: usize,
}

impl RowWriter {
    /// For a result of these columns: names and types. Repeated names are told apart.
    #[must_use]
    pub fn new(columns: impl IntoIterator<Item = (String, String)>, shape: RowShape) -> Self {
        let columns = told_apart(columns);
        let key = |column: &Column| match shape {
            RowShape::Objects => {
                let mut key = Vec::with_capacity(column.name.len() + 3);
                text(&column.name, &mut key);
                key.push(b':');
                key.into()
            }
            RowShape::Arrays => Box::default(),
        };
        let keys = columns.iter().map(key).collect();
        RowWriter { columns, keys, shape, chunk: Chunk::default(), cell: 0 }
    }

    /// The columns as rows name them.
    #[must_use]
    pub fn columns(&self) -> &Arc<[Column]> {
        &self.columns
    }

    /// Rows written since they were last taken.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.chunk.rows
    }

    /// Bytes written since they were last taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunk.json.len()
    }

    /// Whether nothing was written since it was last taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunk.json.is_empty()
    }

    /// What was written, and begins another chunk.
    pub fn take(&mut self) -> Chunk {
        std::mem::take(&mut self.chunk)
    }

    /// Begins a row.
    pub fn begin(&mut self) {
        if self.chunk.rows > 0 {
            self.chunk.json.push(b',');
        }
        self.chunk.json.push(if self.shape == RowShape::Objects { b'{' } else { b'[' });
        self.cell = 0;
    }

    /// Ends a row.
    pub fn end(&mut self) {
        debug_assert_eq!(self.cell, self.columns.len(), "each column has its cell");
        self.chunk.json.push(if self.shape == RowShape::Objects { b'}' } else { b']' });
        self.chunk.rows += 1;
    }

    /// Takes back what was written behind so many bytes: a row that was begun and could not be ended.
    pub(crate) fn cut_back(&mut self, length: usize) {
        self.chunk.json.truncate(length);
    }

    /// Begins a cell: whoever asks writes one JSON value behind it, as the functions below do.
    pub(crate) fn next(&mut self) -> &mut Vec<u8> {
        let out = &mut self.chunk.json;
        if self.cell > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&self.keys[self.cell]);
        self.cell += 1;
        out
    }

    /// No value.
    pub fn null(&mut self) {
        self.next().extend_from_slice(b"null");
    }

    /// True or false.
    pub fn bool(&mut self, value: bool) {
        self.next().extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// A whole number: a number where every reader has it exactly, else text.
    pub fn integer(&mut self, value: i64) {
        let exact = is_exact(value);
        let out = self.next();
        let quote = |out: &mut Vec<u8>| {
            if !exact {
                out.push(b'"')
            }
        };
        quote(out);
        out.extend_from_slice(Digits::of(value).as_bytes());
        quote(out);
    }

    /// A floating point number; those that JSON has no word for are text.
    pub fn float(&mut self, value: f64) {
        let out = self.next();
        if value.is_finite() {
            // The shortest text that reads back as the same number. Writing to a vector cannot fail.
            let _ = serde_json::to_writer(out, &value);
        } else if value.is_nan() {
            out.extend_from_slice(b"\"NaN\"");
        } else {
            out.extend_from_slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
        }
    }

    /// Text, and all that is told as text: decimals, times, ids.
    pub fn text(&mut self, value: &str) {
        text(value, self.next());
    }

    /// Bytes, as base64.
    pub fn bytes(&mut self, value: &[u8]) {
        bytes(value, self.next());
    }

    /// JSON as the engine has it, which must be valid.
    pub fn json(&mut self, value: &str) {
        self.next().extend_from_slice(value.as_bytes());
    }
}

/// Names that repeat have `_2`, `_3` behind them, unless somebody has that name already.
fn told_apart(columns: impl IntoIterator<Item = (String, String)>) -> Arc<[Column]> {
    let asked: Vec<(String, String)> = columns.into_iter().collect();
    let mut taken: HashSet<String> = HashSet::with_capacity(asked.len());
    let own: HashSet<String> = asked.iter().map(|(name, _)| name.clone()).collect();
    let name_of = |name: String, taken: &mut HashSet<String>| {
        let mut candidate = name.clone();
        let mut number = 1;
        while taken.contains(&candidate) || (number > 1 && own.contains(&candidate)) {
            number += 1;
            candidate.clear();
            // Writing to a string cannot fail.
            let _ = write!(candidate, "{name}_{number}");
        }
        taken.insert(candidate.clone());
        candidate
    };
    asked.into_iter().map(|(name, kind)| Column { name: name_of(name, &mut taken), kind }).collect()
}

/// Text as a JSON value.
pub(crate) fn text(value: &str, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = serde_json::to_writer(out, value);
}

/// Bytes as a JSON value.
pub(crate) fn bytes(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let at = out.len();
    out.resize(at + value.len().div_ceil(3) * 4, 0);
    // The room is exactly what padded base64 takes.
    let written = STANDARD.encode_slice(value, &mut out[at..]).unwrap_or(0);
    out.truncate(at + written);
    out.push(b'"');
}

/// Whether a whole number is one that every reader of JSON has exactly.
pub(crate) fn is_exact(value: i64) -> bool {
    value.unsigned_abs() <= EXACT
}

/// A whole number in decimal, without an allocation.
struct Digits {
    buffer: [u8; 20],
    begin: usize,
}

impl Digits {
    fn of(value: i64) -> Self {
        let mut digits = Digits { buffer: [0; 20], begin: 20 };
        let mut left = value.unsigned_abs();
        loop {
            digits.begin -= 1;
            digits.buffer[digits.begin] = b'0' + u8::try_from(left % 10).unwrap_or(0);
            left /= 10;
            if left == 0 {
                break;
            }
        }
        if value < 0 {
            digits.begin -= 1;
            digits.buffer[digits.begin] = b'-';
        }
        digits
    }

    fn as_bytes(&self) -> &[u8] {
        &self.buffer[self.begin..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut RowWriter)) -> String {
        let mut rows = RowWriter::new([("a".to_owned(), String::new())], RowShape::Arrays);
        rows.begin();
        write(&mut rows);
        rows.end();
        String::from_utf8(rows.take().json).unwrap()
    }

    #[test]
    fn half_a_row_is_taken_back() {
        let mut rows = RowWriter::new([("a".to_owned(), String::new())], RowShape::Objects);
        rows.begin();
        rows.bool(true);
        rows.end();
        let whole = rows.len();
        rows.begin();
        rows.next().push(b'1');
        rows.cut_back(whole);
        assert_eq!(rows.take(), Chunk { json: br#"{"a":true}"#.to_vec(), rows: 1 });
    }

    #[test]
    fn values_keep_their_worth() {
        let edge = 1_i64 << 53;
        for (value, json) in [
            (0, "[0]".to_owned()),
            (-7, "[-7]".to_owned()),
            (edge, format!("[{edge}]")),
            (-edge, format!("[-{edge}]")),
            (edge + 1, format!("[\"{}\"]", edge + 1)),
            (i64::MIN, format!("[\"{}\"]", i64::MIN)),
            (i64::MAX, format!("[\"{}\"]", i64::MAX)),
        ] {
            assert_eq!(written(|rows| rows.integer(value)), json);
        }
        for (value, json) in [
            (0.1, "[0.1]"),
            (1.0, "[1.0]"),
            (f64::NAN, "[\"NaN\"]"),
            (f64::INFINITY, "[\"Infinity\"]"),
            (f64::NEG_INFINITY, "[\"-Infinity\"]"),
        ] {
            assert_eq!(written(|rows| rows.float(value)), json);
        }
        assert_eq!(written(|rows| rows.text("a\"\n\u{1}ä")), "[\"a\\\"\\n\\u0001ä\"]");
        for (bytes, json) in
            [(&b""[..], "[\"\"]"), (b"\0", "[\"AA==\"]"), (b"\0\x01\xff\x10", "[\"AAH/EA==\"]")]
        {
            assert_eq!(written(|rows| rows.bytes(bytes)), json);
        }
    }

    #[test]
    fn repeated_names_are_told_apart() {
        let columns = |names: &[&str]| {
            let rows =
                RowWriter::new(names.iter().map(|n| ((*n).to_owned(), String::new())), RowShape::Objects);
            rows.columns().iter().map(|column| column.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(columns(&["a", "a", "b", "a"]), ["a", "a_2", "b", "a_3"]);
        assert_eq!(columns(&["a", "a", "a_2"]), ["a", "a_3", "a_2"]);
        assert_eq!(columns(&["a_2", "a", "a"]), ["a_2", "a", "a_3"]);
    }

    #[test]
    fn rows_follow_each_other() {
        let names = ["id", "na\"me"].map(|name| (name.to_owned(), "text".to_owned()));
        let mut rows = RowWriter::new(names, RowShape::Objects);
        for id in 0..2 {
            rows.begin();
            rows.integer(id);
            rows.null();
            rows.end();
        }
        let chunk = rows.take();
        assert_eq!(chunk.rows, 2);
        assert_eq!(
            String::from_utf8(chunk.json).unwrap(),
            r#"{"id":0,"na\"me":null},{"id":1,"na\"me":null}"#
        );
        assert!(rows.is_empty() && rows.rows() == 0);
    }
}
