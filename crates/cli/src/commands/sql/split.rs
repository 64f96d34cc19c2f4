//! Cuts a text into statements. It knows what hides a semicolon: strings, quoted names, comments, dollar
//! quotes, and the bodies of triggers and routines. Everything else is left to the database.

/// A statement, without its semicolon and the comments around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Statement<'a> {
    pub(super) text: &'a str,
    /// Where it begins, from 1.
    pub(super) line: usize,
}

/// What a text consists of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cut<'a> {
    /// Those that a semicolon ends.
    pub(super) ended: Vec<Statement<'a>>,
    /// What follows the last semicolon, if it is more than blank.
    pub(super) rest: Option<Statement<'a>>,
    /// Whether the text ends inside a comment: what follows belongs to it.
    pub(super) in_comment: bool,
    /// Behind the last semicolon.
    pub(super) done: usize,
}

/// Cuts a text.
pub(super) fn cut(text: &str) -> Cut<'_> {
    let mut cut = Cut::default();
    let mut current: Option<(usize, usize)> = None;
    let mut body = Body::default();
    let mut line = Lines::default();
    for piece in Pieces::new(text) {
        match piece.kind {
            Kind::Comment => cut.in_comment = piece.open,
            Kind::Semicolon if body.depth == 0 => {
                if let Some((begin, end)) = current.take() {
                    cut.ended.push(Statement { text: &text[begin..end], line: line.of(text, begin) });
                }
                cut.done = piece.end;
                body = Body::default();
            }
            kind => {
                if kind == Kind::Word {
                    body.take(&text[piece.begin..piece.end]);
                }
                current = Some((current.map_or(piece.begin, |(begin, _)| begin), piece.end));
            }
        }
    }
    cut.rest = current.map(|(begin, end)| Statement { text: &text[begin..end], line: line.of(text, begin) });
    cut
}

/// The words of a statement that stand outside brackets, comments and quotes, in upper case.
pub(super) fn words(statement: &str) -> impl Iterator<Item = String> {
    let mut depth = 0_usize;
    Pieces::new(statement).filter_map(move |piece| {
        match &statement[piece.begin..piece.end] {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            word if piece.kind == Kind::Word && depth == 0 => return Some(word.to_ascii_uppercase()),
            _ => {}
        }
        None
    })
}

/// Counts lines as places in the text are asked for in order.
#[derive(Default)]
struct Lines {
    counted: usize,
    lines: usize,
}

impl Lines {
    fn of(&mut self, text: &str, place: usize) -> usize {
        self.lines += text[self.counted..place].matches('\n').count();
        self.counted = place;
        self.lines + 1
    }
}

/// Whether a semicolon stands inside the body of a trigger or routine, between BEGIN and its END.
#[derive(Default)]
struct Body {
    words: usize,
    creates: bool,
    has_body: bool,
    depth: usize,
}

impl Body {
    fn take(&mut self, word: &str) {
        self.words += 1;
        let is = |name: &str| word.eq_ignore_ascii_case(name);
        if self.words == 1 {
            self.creates = is("CREATE");
        } else if self.words < 8 && self.creates && !self.has_body {
            // CREATE OR REPLACE TEMPORARY CONSTRAINT TRIGGER … is the longest way to say it.
            self.has_body = is("TRIGGER") || is("FUNCTION") || is("PROCEDURE");
        }
        if !self.has_body {
            return;
        }
        if is("BEGIN") || is("CASE") && self.depth > 0 {
            self.depth += 1;
        } else if is("END") {
            self.depth = self.depth.saturating_sub(1);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Quoted,
    Comment,
    Semicolon,
    Other,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    kind: Kind,
    begin: usize,
    end: usize,
    /// Whether it ends only because the text does.
    open: bool,
}

/// The pieces of a text but its white space.
struct Pieces<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Pieces<'a> {
    fn new(text: &'a str) -> Self {
        Pieces { text, at: 0 }
    }

    /// Up to and with this, from there on; or to the end of the text.
    fn through(&self, from: usize, mark: &str) -> (usize, bool) {
        match self.text[from..].find(mark) {
            Some(found) => (from + found + mark.len(), false),
            None => (self.text.len(), true),
        }
    }

    /// The end of what this quote opens. A doubled quote stands for itself, and where it may, a backslash
    /// takes the meaning from what follows.
    fn quoted(&self, from: usize, quote: u8, backslash: bool) -> (usize, bool) {
        let bytes = self.text.as_bytes();
        let mut at = from;
        while at < bytes.len() {
            match bytes[at] {
                b'\\' if backslash => at += 1,
                byte if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 1,
                byte if byte == quote => return (at + 1, false),
                _ => {}
            }
            at += 1;
        }
        (bytes.len(), true)
    }

    /// `$$` or `$tag$`, if that is what stands here; `$1` is a placeholder.
    fn dollar(&self, from: usize) -> Option<&'a str> {
        let rest = &self.text[from + 1..];
        let tag = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        let digit = rest.starts_with(|c: char| c.is_ascii_digit());
        (rest[tag..].starts_with('$') && !digit).then(|| &self.text[from..from + tag + 2])
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let rest = &self.text[self.at..];
        let begin = self.at + (rest.len() - rest.trim_start().len());
        let rest = &self.text[begin..];
        let first = rest.chars().next()?;
        let (kind, (end, open)) = match first {
            ';' => (Kind::Semicolon, (begin + 1, false)),
            '\'' | '"' | '`' => (Kind::Quoted, self.quoted(begin + 1, first as u8, false)),
            'E' | 'e' if rest[1..].starts_with('\'') => (Kind::Quoted, self.quoted(begin + 2, b'\'', true)),
            '-' if rest.starts_with("--") => (Kind::Comment, (self.through(begin, "\n").0, false)),
            '/' if rest.starts_with("/*") => (Kind::Comment, self.through(begin + 2, "*/")),
            '$' => match self.dollar(begin) {
                Some(tag) => (Kind::Quoted, self.through(begin + tag.len(), tag)),
                None => (Kind::Other, (begin + 1, false)),
            },
            c if c.is_alphabetic() || c == '_' => {
                let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$');
                (Kind::Word, (begin + word.unwrap_or(rest.len()), false))
            }
            c if c.is_ascii_digit() => {
                let number = rest.find(|c: char| !c.is_alphanumeric() && c != '.');
                (Kind::Other, (begin + number.unwrap_or(rest.len()), false))
            }
            c => (Kind::Other, (begin + c.len_utf8(), false)),
        };
        self.at = end;
        Some(Piece { kind, begin, end, open })
    }
}

#[cfg(test)]
mod tests;
