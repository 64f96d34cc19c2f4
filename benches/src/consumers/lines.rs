//! A chunked answer taken apart into lines as its bytes come, however they are cut. Pure.

use anyhow::{Context, bail, ensure};

/// Where in the answer the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    Size,
    /// Inside a chunk, so many bytes before its end.
    Chunk(usize),
    /// The line break behind a chunk, so many bytes before its end.
    Break(usize),
    End,
}

/// Takes an answer apart.
#[derive(Debug)]
pub(super) struct Lines {
    place: Place,
    /// What came of a head, a size or a line that is not complete yet.
    begun: Vec<u8>,
    line: Vec<u8>,
}

impl Default for Lines {
    fn default() -> Self {
        Self { place: Place::Head, begun: Vec::new(), line: Vec::new() }
    }
}

impl Lines {
    /// Takes in what was read, and passes on each line that it completes, without its end.
    ///
    /// # Errors
    /// The answer is no success, or not chunked; or `each` failed.
    pub(super) fn take_in(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        while !bytes.is_empty() {
            match self.place {
                Place::Head | Place::Size => bytes = self.framing(bytes)?,
                Place::Chunk(left) => {
                    let (chunk, rest) = bytes.split_at(left.min(bytes.len()));
                    self.content(chunk, &mut each)?;
                    bytes = rest;
                    let left = left - chunk.len();
                    self.place = if left == 0 { Place::Break(2) } else { Place::Chunk(left) };
                }
                Place::Break(left) => {
                    bytes = &bytes[1..];
                    self.place = if left == 1 { Place::Size } else { Place::Break(left - 1) };
                }
                Place::End => return Ok(()),
            }
        }
        Ok(())
    }

    /// Whether the last chunk has come.
    #[must_use]
    pub(super) fn ended(&self) -> bool {
        self.place == Place::End
    }

    /// A byte more of the head or of a chunk's size.
    fn framing<'b>(&mut self, bytes: &'b [u8]) -> anyhow::Result<&'b [u8]> {
        self.begun.push(bytes[0]);
        let end: &[u8] = if self.place == Place::Head { b"\r\n\r\n" } else { b"\r\n" };
        if self.begun.ends_with(end) {
            let text = String::from_utf8_lossy(&self.begun).to_lowercase();
            if self.place == Place::Head {
                ensure!(text.starts_with("http/1.1 200"), "the answer is {}", text.trim());
                ensure!(text.contains("\r\ntransfer-encoding: chunked\r\n"), "the answer is not chunked");
                self.place = Place::Size;
            } else {
                let size = usize::from_str_radix(text.trim(), 16).context("a chunk has no size")?;
                self.place = if size == 0 { Place::End } else { Place::Chunk(size) };
            }
            self.begun.clear();
        }
        if self.begun.len() > 16 * 1024 {
            bail!("the head is too long");
        }
        Ok(&bytes[1..])
    }

    fn content(
        &mut self,
        mut chunk: &[u8],
        each: &mut impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        while let Some(end) = memchr::memchr(b'\n', chunk) {
            // Most lines lie in one piece and need not be put together.
            if self.line.is_empty() {
                each(&chunk[..end])?;
            } else {
                self.line.extend_from_slice(&chunk[..end]);
                each(&self.line)?;
                self.line.clear();
            }
            chunk = &chunk[end + 1..];
        }
        self.line.extend_from_slice(chunk);
        Ok(())
    }
}

/// What stands behind this name in a line of JSON without escapes: the text between its quotes.
#[must_use]
pub(super) fn text_of<'l>(line: &'l [u8], name: &str) -> Option<&'l [u8]> {
    let sought = format!("\"{name}\":\"");
    let begin = memchr::memmem::find(line, sought.as_bytes())? + sought.len();
    let rest = &line[begin..];
    Some(&rest[..memchr::memchr(b'"', rest)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx: y\r\n\r\n\
        6\r\none\ntw\r\n1\r\no\r\nD\r\n\n\nthree\nfour\n\r\n0\r\n\r\n";

    #[test]
    fn lines_are_the_same_however_the_bytes_are_cut() {
        for piece in 1..ANSWER.len() {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for part in ANSWER.chunks(piece) {
                let keep = |line: &[u8]| {
                    seen.push(String::from_utf8_lossy(line).into_owned());
                    Ok(())
                };
                lines.take_in(part, keep).unwrap();
            }
            assert_eq!(seen, ["one", "two", "", "three", "four"], "{piece}");
            assert!(lines.ended());
        }
    }

    #[test]
    fn a_refusal_and_an_unframed_answer_are_errors() {
        for answer in ["HTTP/1.1 404 Not Found\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"] {
            assert!(Lines::default().take_in(answer.as_bytes(), |_| Ok(())).is_err(), "{answer}");
        }
    }

    #[test]
    fn a_text_is_found_by_its_name() {
        let line = br#"{"event":"message","value":"00000007 x","ack":"A-_1"}"#;
        assert_eq!(text_of(line, "value"), Some(&b"00000007 x"[..]));
        assert_eq!(text_of(line, "ack"), Some(&b"A-_1"[..]));
        assert_eq!(text_of(line, "key"), None);
    }
}
