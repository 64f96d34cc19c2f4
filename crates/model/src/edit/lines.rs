//! Where things begin and end in the text: lines, values, and the comments that go with them.

use crate::tree::{Node, Style, Value};

/// The text of a document, seen as lines.
pub(super) struct Lines<'t> {
    pub(super) text: &'t str,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Lines { text }
    }

    pub(super) fn is_crlf(&self) -> bool {
        self.text.contains("\r\n")
    }

    /// The first byte of the line in which this one is.
    pub(super) fn begin(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// The end of the line in which this byte is, before its line feed.
    pub(super) fn newline(&self, at: usize) -> usize {
        let end = self.text[at..].find('\n').map_or(self.text.len(), |newline| at + newline);
        if end > at && self.text.as_bytes()[end - 1] == b'\r' { end - 1 } else { end }
    }

    /// The first byte of the line after the one in which this byte is.
    pub(super) fn next(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |newline| at + newline + 1)
    }

    /// The column from 0, in characters, since that is how YAML counts an indentation.
    pub(super) fn column(&self, at: usize) -> usize {
        self.text[self.begin(at)..at].chars().count()
    }

    /// Whether only blanks stand before it on its line.
    pub(super) fn is_first(&self, at: usize) -> bool {
        self.text[self.begin(at)..at].trim().is_empty()
    }

    /// Where a value begins; not known for one that is nothing.
    pub(super) fn start(&self, node: &Node) -> Option<usize> {
        match (&node.value, node.source.style) {
            (Value::Map(entries), Style::Block) => entries.first().map(|entry| entry.key_span.start),
            (Value::List(items), Style::Block) => self.dash(items.first()?),
            _ if node.source.span.is_empty() => None,
            _ => Some(node.source.span.start),
        }
    }

    /// The dash before an item, when it stands on the same line.
    pub(super) fn dash(&self, item: &Node) -> Option<usize> {
        let start = self.start(item)?;
        let before = self.text[self.begin(start)..start].trim_end();
        let dash = (self.begin(start) + before.len()).checked_sub(1)?;
        before.ends_with('-').then_some(dash)
    }

    /// The byte behind a value whose key or dash stands in this column.
    pub(super) fn end(&self, node: &Node, column: usize) -> Option<usize> {
        match (&node.value, node.source.style) {
            (Value::Map(entries), Style::Block) => {
                let entry = entries.last()?;
                let key = entry.key_span.clone();
                if entry.node.is_null() && entry.node.source.span.is_empty() {
                    return self.colon(key.end);
                }
                self.end(&entry.node, self.column(key.start))
            }
            (Value::List(items), Style::Block) => {
                let item = items.last()?;
                self.end(item, self.column(self.dash(item)?))
            }
            (_, Style::Literal) => Some(self.literal_end(node.source.span.start, column)),
            (_, Style::Plain | Style::Quoted | Style::Flow) if !node.source.span.is_empty() => {
                Some(node.source.span.end)
            }
            _ => None,
        }
    }

    /// The byte behind the colon of a key that ends here.
    pub(super) fn colon(&self, key_end: usize) -> Option<usize> {
        let rest = &self.text[key_end..];
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        rest[blanks..].starts_with(':').then_some(key_end + blanks + 1)
    }

    /// The first line after a value that ends here, and after the comments that are set in deeper than its key:
    /// those go with it.
    pub(super) fn after(&self, end: usize, column: usize) -> usize {
        let mut at = self.next(end);
        let mut line = at;
        while line < self.text.len() {
            let next = self.next(line);
            let text = self.text[line..next].trim_end();
            let indent = text.len() - text.trim_start().len();
            if text.trim_start().starts_with('#') && indent > column {
                at = next;
            } else if !text.is_empty() {
                break;
            }
            line = next;
        }
        at
    }

    /// The end of the last line of a `|` or `>` text that is set in deeper than its key.
    fn literal_end(&self, header: usize, column: usize) -> usize {
        let mut end = self.newline(header);
        let mut line = self.next(header);
        while line < self.text.len() {
            let next = self.next(line);
            let text = self.text[line..next].trim_end();
            if !text.is_empty() {
                if text.len() - text.trim_start().len() <= column {
                    break;
                }
                end = self.newline(line);
            }
            line = next;
        }
        end
    }
}
