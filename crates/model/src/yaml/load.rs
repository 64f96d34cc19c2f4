//! Events of the YAML parser to a tree: keys checked, everything but plain data refused.

use std::ops::Range;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::{MAX_DEPTH, fault, scalar};
use crate::check::{Problems, step};
use crate::tree::{Entry, Node, Place, Source, Style, Value};

/// Reads one document. `None` from its methods means that reading cannot go on; the problem is noted.
pub(super) struct Loader<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    /// The byte at which each character begins; empty when every character is one byte.
    bytes: Vec<u32>,
    problems: &'t mut Problems,
}

type Token<'t> = (Event<'t>, Span);

impl<'t> Loader<'t> {
    pub(super) fn new(text: &'t str, problems: &'t mut Problems) -> Self {
        let bytes = if text.is_ascii() {
            Vec::new()
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "a document has at most 4 MiB")]
            text.char_indices().map(|(at, _)| at as u32).collect()
        };
        Loader { text, parser: Parser::new_from_str(text), bytes, problems }
    }

    /// The one document of the text.
    pub(super) fn document(mut self) -> Option<Node> {
        let mut root = None;
        loop {
            let (event, span) = self.next("")?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) if root.is_some() => {
                    self.problems.add("", place(span.start), "a second document begins here; a file holds one");
                    return None;
                }
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
                Event::Alias(_)
                | Event::Scalar(..)
                | Event::SequenceStart(..)
                | Event::SequenceEnd
                | Event::MappingStart(..)
                | Event::MappingEnd => root = Some(self.node((event, span), "", 0)?),
            }
        }
        let empty = || Node { at: Place { line: 1, column: 1 }, ..Node::new(Value::Null) };
        Some(root.unwrap_or_else(empty))
    }

    fn next(&mut self, path: &str) -> Option<Token<'t>> {
        match self.parser.next_event() {
            Some(Ok(token)) => Some(token),
            Some(Err(error)) => {
                self.syntax(&error, path);
                None
            }
            None => Some((Event::StreamEnd, Span::default())),
        }
    }

    fn syntax(&mut self, error: &ScanError, path: &str) {
        let fault = fault::explain(self.text, error);
        let problem = self.problems.add(path, fault.at, fault.message);
        problem.suggestion = fault.suggestion;
    }

    fn node(&mut self, (event, span): Token<'t>, path: &str, depth: usize) -> Option<Node> {
        if depth > MAX_DEPTH {
            self.problems.add(path, place(span.start), format!("is nested deeper than {MAX_DEPTH} levels"));
            return None;
        }
        self.refuse_properties(&event, span, path);
        match event {
            Event::Scalar(text, style, ..) => Some(self.scalar(&text, style, span)),
            Event::SequenceStart(..) => self.list(span, path, depth),
            Event::MappingStart(..) => self.map(span, path, depth),
            Event::Alias(_) => {
                let message = "aliases (`*name`) are not read; write the value out";
                self.problems.add(path, place(span.start), message);
                Some(Node { at: place(span.start), ..Node::new(Value::Null) })
            }
            // The parser pairs starts and ends, so nothing else can begin a value.
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => Some(Node { at: place(span.start), ..Node::new(Value::Null) }),
        }
    }

    fn refuse_properties(&mut self, event: &Event<'_>, span: Span, path: &str) {
        let (Event::Scalar(_, _, anchor, tag) | Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag)) =
            event
        else {
            return;
        };
        if *anchor != 0 {
            let message = "anchors (`&name`) are not read; write the value out where it is needed";
            self.problems.add(path, place(span.start), message);
        }
        if let Some(tag) = tag {
            let message = format!("the tag `{tag}` is not read; quote a text to keep it a text");
            self.problems.add(path, place(span.start), message);
        }
    }

    fn scalar(&self, text: &str, style: ScalarStyle, span: Span) -> Node {
        let (value, style) = match style {
            ScalarStyle::Plain => (scalar::resolve(text), Style::Plain),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => (Value::Text(text.to_owned()), Style::Quoted),
            ScalarStyle::Literal | ScalarStyle::Folded => (Value::Text(text.to_owned()), Style::Literal),
        };
        let written = (!matches!(value, Value::Text(_))).then(|| text.into());
        let (mut at, mut range) = (place(span.start), self.range(span));
        match style {
            // The parser places a value that is not there at the next sign.
            Style::Plain if text.is_empty() => range.end = range.start,
            // It places a `|` text at its content; it begins with the `|`.
            Style::Literal => {
                if let Some(header) = self.header(range.start) {
                    let lines = self.text[header..range.start].matches('\n').count();
                    let begin = self.text[..header].rfind('\n').map_or(0, |newline| newline + 1);
                    let bounded = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
                    at.line = at.line.saturating_sub(bounded(lines));
                    at.column = bounded(self.text[begin..header].chars().count() + 1);
                    range.start = header;
                }
            }
            Style::Plain | Style::Quoted | Style::Unwritten | Style::Block | Style::Flow => {}
        }
        Node { at, value, source: Source { span: range, style, text: written, expanded: false } }
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

    fn list(&mut self, start: Span, path: &str, depth: usize) -> Option<Node> {
        let mut items = Vec::new();
        let end = loop {
            let path = format!("{path}[{}]", items.len());
            match self.next(&path)? {
                (Event::SequenceEnd, span) => break span,
                token => items.push(self.node(token, &path, depth + 1)?),
            }
        };
        Some(self.collection(start, end, Value::List(items)))
    }

    fn map(&mut self, start: Span, path: &str, depth: usize) -> Option<Node> {
        let mut entries: Vec<Entry> = Vec::new();
        let end = loop {
            let (event, span) = self.next(path)?;
            if event == Event::MappingEnd {
                break span;
            }
            let key = self.key((event, span), path, depth)?;
            let inner = step(path, key.as_deref().unwrap_or_default());
            let token = self.next(&inner)?;
            let node = self.node(token, &inner, depth + 1)?;
            let Some(key) = key else { continue };
            if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                let message = format!("stands twice; the first is on line {}", first.key_at.line);
                self.problems.add(&inner, place(span.start), message);
                continue;
            }
            entries.push(Entry { key, key_at: place(span.start), node, key_span: self.range(span) });
        };
        Some(self.collection(start, end, Value::Map(entries)))
    }

    /// The text of a key; `Some(None)` for one that was refused.
    fn key(&mut self, (event, span): Token<'t>, path: &str, depth: usize) -> Option<Option<String>> {
        self.refuse_properties(&event, span, path);
        let Event::Scalar(text, style, ..) = event else {
            if !matches!(event, Event::Alias(_)) {
                self.node((event, span), path, depth + 1)?;
            }
            self.problems.add(path, place(span.start), "a key must be a text");
            return Some(None);
        };
        if style == ScalarStyle::Plain {
            if text == "<<" {
                self.problems.add(path, place(span.start), "merge keys (`<<`) are not read; write the keys out");
                return Some(None);
            }
            if !matches!(scalar::resolve(&text), Value::Text(_)) {
                let problem = self.problems.add(path, place(span.start), format!("the key `{text}` is not a text"));
                problem.suggestion = Some(format!("write \"{text}\" in quotes"));
                return Some(None);
            }
        }
        Some(Some(text.into_owned()))
    }

    fn collection(&self, start: Span, end: Span, value: Value) -> Node {
        let begin = self.byte(start.start);
        // The end of a bracket is counted here, since the parser's reaches over the comment behind it.
        let flow = self.text[begin..].starts_with(['[', '{']) && !start.is_empty();
        let (style, stop) = if flow { (Style::Flow, (self.byte(end.start) + 1).min(self.text.len())) } else { (Style::Block, self.byte(end.start)) };
        let source = Source { span: begin..stop.max(begin), style, text: None, expanded: false };
        Node { at: place(start.start), value, source }
    }

    fn range(&self, span: Span) -> Range<usize> {
        let start = self.byte(span.start);
        let text = &self.text[start..];
        // The parser lets a quoted scalar reach to the end of its line; it ends with its quote.
        let length = match text.as_bytes().first() {
            Some(b'"') => closing(text, '"'),
            Some(b'\'') => closing(text, '\''),
            _ => None,
        };
        start..length.map_or(self.byte(span.end), |length| start + length).max(start)
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
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote == '"' {
            chars.next();
        } else if c == quote {
            if quote == '"' || chars.next_if(|(_, next)| *next == quote).is_none() {
                return Some(at + 1);
            }
        }
    }
    None
}

pub(super) fn place(marker: Marker) -> Place {
    let bounded = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place { line: bounded(marker.line()), column: bounded(marker.col() + 1) }
}

