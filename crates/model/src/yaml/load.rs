//! Events of the YAML parser to a tree: keys checked, everything but plain data refused.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::shared::{self, Shared};
use super::spans::{Spans, place};
use super::{MAX_DEPTH, fault, scalar};
use crate::check::{Problems, step};
use crate::tree::{Entry, Node, Place, Source, Style, Value};

/// Reads one document. `None` from its methods means that reading cannot go on; the problem is noted.
pub(super) struct Loader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    spans: Spans<'t>,
    problems: &'t mut Problems,
    /// What anchors name, in a document that may have them.
    shared: Option<Shared>,
}

type Token<'t> = (Event<'t>, Span);

impl<'t> Loader<'t> {
    pub(super) fn new(text: &'t str, problems: &'t mut Problems) -> Self {
        Loader { parser: Parser::new_from_str(text), spans: Spans::new(text), problems, shared: None }
    }

    /// Follows anchors, aliases and merge keys, and takes any scalar for a key.
    pub(super) fn foreign(mut self) -> Self {
        self.shared = Some(Shared::default());
        self
    }

    /// The one document of the text.
    pub(super) fn document(mut self) -> Option<Node> {
        let mut root = None;
        loop {
            let (event, span) = self.next("")?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) if root.is_some() => {
                    self.problems.add(
                        "",
                        place(span.start),
                        "a second document begins here; a file holds one",
                    );
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
        let mut fault = fault::explain(self.spans.text, error);
        if self.shared.is_some() && fault::is_unknown_anchor(error) {
            fault.message = "no value above has an anchor (`&name`) of this name".to_owned();
        }
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
            Event::Scalar(text, style, anchor, _) => {
                let node = self.scalar(&text, style, span);
                Some(self.named(anchor, node))
            }
            Event::SequenceStart(anchor, _) => {
                let node = self.list(span, path, depth)?;
                Some(self.named(anchor, node))
            }
            Event::MappingStart(anchor, _) => {
                let node = self.map(span, path, depth)?;
                Some(self.named(anchor, node))
            }
            Event::Alias(anchor) => self.alias(anchor, span, path, depth),
            // The parser pairs starts and ends, so nothing else can begin a value.
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => {
                self.problems.add(path, place(span.start), "ends where a value should be");
                None
            }
        }
    }

    fn alias(&mut self, anchor: usize, span: Span, path: &str, depth: usize) -> Option<Node> {
        let at = place(span.start);
        match self.shared.as_mut().map(|shared| shared.copy(anchor, depth)) {
            Some(Ok(node)) => Some(Node { at, ..node }),
            Some(Err(message)) => {
                self.problems.add(path, at, message);
                None
            }
            None => {
                let message = "aliases (`*name`) are not read; write the value out";
                self.problems.add(path, at, message);
                Some(Node { at, ..Node::new(Value::Null) })
            }
        }
    }

    /// Keeps a value by its anchor, which is 0 where it has none.
    fn named(&mut self, anchor: usize, node: Node) -> Node {
        if let Some(shared) = &mut self.shared
            && anchor != 0
        {
            shared.keep(anchor, &node);
        }
        node
    }

    fn refuse_properties(&mut self, event: &Event<'_>, span: Span, path: &str) {
        let (Event::Scalar(_, _, anchor, tag)
        | Event::SequenceStart(anchor, tag)
        | Event::MappingStart(anchor, tag)) = event
        else {
            return;
        };
        if *anchor != 0 && self.shared.is_none() {
            let message = "anchors (`&name`) are not read; write the value out where it is needed";
            self.problems.add(path, place(span.start), message);
        }
        if let Some(tag) = tag {
            let message = format!("the tag `{tag}` is not read; quote a text to keep it a text");
            self.problems.add(path, place(span.start), message);
        }
    }

    fn scalar(&self, text: &str, style: ScalarStyle, span: Span) -> Node {
        let style = written(style);
        let value = match style {
            Style::Plain => scalar::resolve(text),
            Style::Quoted | Style::Literal | Style::Unwritten | Style::Block | Style::Flow => {
                Value::Text(text.to_owned())
            }
        };
        let characters = (!matches!(value, Value::Text(_))).then(|| text.into());
        let (at, mut span) = self.spans.scalar(span, style);
        // The parser lets a value that is not there reach over what follows.
        if text.is_empty() && style == Style::Plain {
            span.end = span.start;
        }
        Node { at, value, source: Source { span, style, text: characters, expanded: false } }
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
        let mut lines: HashMap<String, u32> = HashMap::new();
        let mut merged = Vec::new();
        let end = loop {
            let (event, span) = self.next(path)?;
            if event == Event::MappingEnd {
                break span;
            }
            let style = match event {
                Event::Scalar(_, style, ..) => written(style),
                _ => Style::Plain,
            };
            let key = self.key((event, span), path, depth)?;
            let inner = step(path, key.as_deref().unwrap_or_default());
            let token = self.next(&inner)?;
            let node = self.node(token, &inner, depth + 1)?;
            let Some(key) = key else { continue };
            if key == "<<" && style == Style::Plain {
                merged.push(node);
                continue;
            }
            if let Some(first) = lines.insert(key.clone(), place(span.start).line) {
                let message = format!("stands twice; the other is on line {first}");
                self.problems.add(&inner, place(span.start), message);
                continue;
            }
            let (key_at, key_span) = self.spans.scalar(span, style);
            entries.push(Entry { key, key_at, node, key_span });
        };
        for node in &merged {
            if !shared::merge(node, &mut entries) {
                self.problems.add(path, node.at, "`<<` takes a mapping, or a list of mappings");
            }
        }
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
        if style == ScalarStyle::Plain && self.shared.is_none() {
            if text == "<<" {
                self.problems.add(
                    path,
                    place(span.start),
                    "merge keys (`<<`) are not read; write the keys out",
                );
                return Some(None);
            }
            if !matches!(scalar::resolve(&text), Value::Text(_)) {
                let problem =
                    self.problems.add(path, place(span.start), format!("the key `{text}` is not a text"));
                problem.suggestion = Some(format!("write \"{text}\" in quotes"));
                return Some(None);
            }
        }
        Some(Some(text.into_owned()))
    }

    fn collection(&self, start: Span, end: Span, value: Value) -> Node {
        let (style, span) = self.spans.collection(start, end);
        Node { at: place(start.start), value, source: Source { span, style, text: None, expanded: false } }
    }
}

fn written(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
        ScalarStyle::Literal | ScalarStyle::Folded => Style::Literal,
    }
}
