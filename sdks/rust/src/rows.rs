//! Reads the answer of a query while it comes: each row as soon as its last byte is there.

use serde_json::{Map, Value};

use crate::error::Error;

/// What a piece of an answer is found to be. The text of the answer is
/// `{"columns":[…],"rows":[{…},…],"row_count":n}`; the rows alone may be long.
#[derive(Debug, Default)]
pub(crate) struct RowReader {
    /// All but the rows.
    frame: Vec<u8>,
    /// The row that is being read.
    row: Vec<u8>,
    depth: usize,
    in_text: bool,
    escaped: bool,
    /// Where the last text outside the rows began in `frame`: perhaps the name of a field.
    name: usize,
    in_rows: bool,
    done: bool,
}

/// A row as it came: names in the order of the columns.
pub(crate) type Row = Map<String, Value>;

impl RowReader {
    /// Takes bytes and hands out the rows that they end. Rows come out in order, `frame` tells the rest.
    pub(crate) fn push(&mut self, bytes: &[u8], rows: &mut impl Extend<Row>) -> Result<(), Error> {
        for &byte in bytes {
            let was_in_rows = self.in_rows;
            self.step(byte);
            if self.in_rows && was_in_rows {
                if self.depth > 2 || !self.row.is_empty() {
                    self.row.push(byte);
                }
                if self.depth == 2 && byte == b'}' && !self.in_text {
                    rows.extend([serde_json::from_slice(&self.row).map_err(unreadable)?]);
                    self.row.clear();
                }
            } else {
                self.frame.push(byte);
            }
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) {
        if self.in_text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_text = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => {
                self.in_text = true;
                self.name = self.frame.len();
            }
            b'{' | b'[' => {
                if byte == b'[' && self.depth == 1 && self.follows_rows() {
                    self.in_rows = true;
                }
                self.depth += 1;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth < 2 {
                    self.in_rows = false;
                }
                self.done |= self.depth == 0;
            }
            _ => {}
        }
    }

    /// Whether the text that ended last is `"rows"` and names what begins here.
    fn follows_rows(&self) -> bool {
        let since = self.frame.get(self.name..).unwrap_or_default();
        since.strip_prefix(b"\"rows\"").is_some_and(|rest| rest.trim_ascii() == b":")
    }

    /// Whether the rows have begun, so that the columns can be read.
    pub(crate) fn begun(&self) -> bool {
        self.in_rows || self.done
    }

    /// Whether the whole answer was there. An answer that was cut is not one that ended.
    pub(crate) fn done(&self) -> bool {
        self.done
    }

    /// What the answer says beside its rows, as far as it has come.
    pub(crate) fn frame<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        let mut frame = self.frame.clone();
        if !self.done {
            frame.extend_from_slice(b"]}");
        }
        serde_json::from_slice(&frame).map_err(unreadable)
    }
}

fn unreadable(source: serde_json::Error) -> Error {
    Error::unreadable("the answer is not what this call expects", source)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ANSWER: &str = r#"{"columns":[{"name":"rows","type":"text"},{"name":"j","type":"json"}],
        "rows":[{"rows":"a]}\"[","j":{"rows":[1,{"x":[]}]}}, {"rows":null,"j":[]},{}],"row_count":3,"truncated":true}"#;

    #[test]
    fn rows_are_the_same_however_the_bytes_arrive() {
        let whole: Value = serde_json::from_str(ANSWER).unwrap();
        for size in [1, 2, 3, 7, 50, 1000] {
            let (mut reader, mut rows) = (RowReader::default(), Vec::new());
            for piece in ANSWER.as_bytes().chunks(size) {
                reader.push(piece, &mut rows).unwrap();
                if reader.begun() {
                    let frame: Value = reader.frame().unwrap();
                    assert_eq!(frame["columns"], whole["columns"], "{size}");
                }
            }
            assert!(reader.done());
            let rows: Vec<Value> = rows.into_iter().map(Value::Object).collect();
            assert_eq!(json!(rows), whole["rows"], "{size}");
            let frame: Value = reader.frame().unwrap();
            assert_eq!((&frame["row_count"], &frame["truncated"]), (&json!(3), &json!(true)));
        }
    }

    #[test]
    fn what_is_cut_is_not_done() {
        for end in 1..ANSWER.len() {
            let (mut reader, mut rows) = (RowReader::default(), Vec::new());
            reader.push(&ANSWER.as_bytes()[..end], &mut rows).unwrap();
            assert!(!reader.done(), "{end}");
            assert!(rows.len() <= 3);
        }
    }

    #[test]
    fn an_answer_without_rows_has_none() {
        for text in [r#"{"columns":[],"rows":[],"row_count":0}"#, r#"{"rows_affected":2}"#] {
            let (mut reader, mut rows) = (RowReader::default(), Vec::new());
            reader.push(text.as_bytes(), &mut rows).unwrap();
            assert!(reader.done() && rows.is_empty(), "{text}");
        }
    }
}
