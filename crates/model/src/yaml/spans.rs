//! Where events stand in the text, in bytes: the parser counts characters, and its spans are not always what
//! was written.

use std::ops::Range;

use saphyr_parser::{Marker, Span};

use crate::tree::{Place, Style};

/// A text and where its characters are.
pub(super) struct Spans<'t> {
    pub(super) text: &'t str,
    /// The byte at which each character begins; empty when every character is one byte.
    bytes: Vec<u32>,
}

impl<'t> Spans<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let bytes = if text.is_ascii() {
            Vec::new()
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "a document has at most 4 MiB")]
            text.char_indices().map(|(at, _)| at as u32).collect()
        };
        Spans { text, bytes }
    }

    /// A scalar, from its first sign or quote to its last.
    pub(super) fn scalar(&self, span: Span, style: Style) -> (Place, Range<usize>) {
        let (at, start) = (place(span.start), self.byte(span.start));
        let end = self.byte(span.end).max(start);
        match style {
            // It lets a quoted scalar reach to the end of its line; it ends with its quote.
            Style::Quoted => (at, start..closing(&self.text[start..]).map_or(end, |length| start + length)),
            // It places a `|` text at its content; it begins with the `|`.
            Style::Literal => match self.header(start) {
                Some(header) => (self.place(header, at.line, start), header..end),
                None => (at, start..end),
            },
            Style::Plain | Style::Unwritten | Style::Block | Style::Flow => (at, start..end),
        }
    }

    /// A collection between its first and its last event.
    pub(super) fn collection(&self, start: Span, end: Span) -> (Style, Range<usize>) {
        let begin = self.byte(start.start);
        // The end of a bracket is counted here, since the parser's reaches over the comment behind it.
        if self.text[begin..].starts_with(['[', '{']) && !start.is_empty() {
            (Style::Flow, begin..(self.byte(end.start) + 1).min(self.text.len()))
        } else {
            (Style::Block, begin..self.byte(end.start).max(begin))
        }
    }

    /// The `|` or `>` of the text whose content begins here: the last one on the first line above that says
    /// something, before its comment.
    fn header(&self, content: usize) -> Option<usize> {
        let mut end = self.text[..content].rfind('\n')?;
        loop {
            let begin = self.text[..end].rfind('\n').map_or(0, |newline| newline + 1);
            let line = &self.text[begin..end];
            if !line.trim().is_empty() {
                let said = line.find(" #").map_or(line, |comment| &line[..comment]);
                return said.rfind(['|', '>']).map(|at| begin + at);
            }
            end = begin.checked_sub(1)?;
        }
    }

    /// The place of a byte before another one whose line is known.
    fn place(&self, at: usize, line: u32, known: usize) -> Place {
        let lines = self.text[at..known].matches('\n').count();
        let begin = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let column = self.text[begin..at].chars().count() + 1;
        Place { line: line.saturating_sub(bounded(lines)), column: bounded(column) }
    }

    fn byte(&self, marker: Marker) -> usize {
        let index = marker.index();
        if self.bytes.is_empty() {
            return index.min(self.text.len());
        }
        self.bytes.get(index).map_or(self.text.len(), |at| *at as usize)
    }
}

/// Bytes up to and with the quote that closes the one at the beginning.
fn closing(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().peekable();
    let (_, quote) = chars.next()?;
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote == '"' {
            chars.next();
        } else if c == quote && (quote == '"' || chars.next_if(|(_, next)| *next == quote).is_none()) {
            return Some(at + 1);
        }
    }
    None
}

/// Line and column of the parser's marker.
pub(super) fn place(marker: Marker) -> Place {
    Place { line: bounded(marker.line()), column: bounded(marker.col() + 1) }
}

fn bounded(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
