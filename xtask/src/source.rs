//! Rust source as far as the rules of the house look into it: words, texts, comments and marks with their
//! lines. Far from a parser, and enough to tell code from text.

/// A piece of source and the line it begins on, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its first line.
    pub line: usize,
    /// What it is.
    pub piece: Piece,
}

/// What a piece of source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A keyword, name or number.
    Word(String),
    /// What stands in a text literal.
    Text(String),
    /// What stands in a byte string.
    Bytes(String),
    /// A comment, its slashes included.
    Comment(String),
    /// Any other character that is no white space.
    Mark(char),
}

/// Takes source apart.
#[must_use]
pub fn tokens(source: &str) -> Vec<Token> {
    let mut reader = Reader { rest: source, line: 1, found: Vec::new() };
    while let Some(next) = reader.rest.chars().next() {
        reader.step(next);
    }
    reader.found
}

/// The tokens of a file without its comments and without what is only there for tests.
#[must_use]
pub fn code(tokens: &[Token]) -> Vec<Token> {
    let plain: Vec<Token> =
        tokens.iter().filter(|token| !matches!(token.piece, Piece::Comment(_))).cloned().collect();
    let mut kept = Vec::new();
    let mut at = 0;
    while at < plain.len() {
        if is_test_attribute(&plain[at..]) {
            at += end_of_item(&plain[at..]);
        } else {
            kept.push(plain[at].clone());
            at += 1;
        }
    }
    kept
}

/// `#[cfg(test)]`
fn is_test_attribute(tokens: &[Token]) -> bool {
    let pieces = ["#", "[", "cfg", "(", "test", ")", "]"];
    tokens.len() >= pieces.len()
        && tokens.iter().zip(pieces).all(|(token, piece)| match &token.piece {
            Piece::Word(word) => word == piece,
            Piece::Mark(mark) => piece.chars().eq([*mark]),
            _ => false,
        })
}

/// How many tokens an item has: to its `;` outside any bracket, or to its closing brace.
#[must_use]
pub fn end_of_item(tokens: &[Token]) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match token.piece {
            Piece::Mark('(' | '[' | '{') => depth += 1,
            Piece::Mark(')' | ']') => depth = depth.saturating_sub(1),
            Piece::Mark('}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return index + 1;
                }
            }
            Piece::Mark(';') if depth == 0 => return index + 1,
            _ => {}
        }
    }
    tokens.len()
}

struct Reader<'s> {
    rest: &'s str,
    line: usize,
    found: Vec<Token>,
}

impl Reader<'_> {
    fn step(&mut self, next: char) {
        let rest = self.rest;
        if next.is_whitespace() {
            self.take(next.len_utf8(), |_| None);
        } else if rest.starts_with("//") {
            let length = rest.find('\n').unwrap_or(rest.len());
            self.take(length, |text| Some(Piece::Comment(text.to_owned())));
        } else if rest.starts_with("/*") {
            let length = rest.find("*/").map_or(rest.len(), |end| end + 2);
            self.take(length, |text| Some(Piece::Comment(text.to_owned())));
        } else if let Some((before, hashes)) = raw_text(rest) {
            let close = format!("\"{}", "#".repeat(hashes));
            let opening = before + hashes + 1;
            let inner = rest[opening..].find(&close).unwrap_or(rest.len() - opening);
            let length = (opening + inner + close.len()).min(rest.len());
            self.take(length, |text| {
                let inner = text[opening..opening + inner].to_owned();
                Some(if text.starts_with('b') { Piece::Bytes(inner) } else { Piece::Text(inner) })
            });
        } else if next == '"' || rest.starts_with("b\"") {
            let opening = rest.find('"').unwrap_or(0) + 1;
            let inner = quoted(&rest[opening..], '"');
            self.take((opening + inner + 1).min(rest.len()), |text| {
                let inner = unescaped(&text[opening..opening + inner]);
                Some(if opening == 1 { Piece::Text(inner) } else { Piece::Bytes(inner) })
            });
        } else if next == '\'' {
            self.character();
        } else if next.is_alphanumeric() || next == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            self.take(length, |text| Some(Piece::Word(text.to_owned())));
        } else {
            self.take(next.len_utf8(), |_| Some(Piece::Mark(next)));
        }
    }

    /// A character, which is of no interest, or the mark of a lifetime.
    fn character(&mut self) {
        let mut inside = self.rest[1..].chars();
        let (first, second) = (inside.next(), inside.next());
        if first == Some('\\') || second == Some('\'') {
            let length = quoted(&self.rest[1..], '\'') + 2;
            self.take(length.min(self.rest.len()), |_| None);
        } else {
            self.take(1, |_| Some(Piece::Mark('\'')));
        }
    }

    fn take(&mut self, length: usize, piece: impl FnOnce(&str) -> Option<Piece>) {
        let (text, rest) = self.rest.split_at(length);
        if let Some(piece) = piece(text) {
            self.found.push(Token { line: self.line, piece });
        }
        self.line += text.matches('\n').count();
        self.rest = rest;
    }
}

/// For `r"`, `r#"`, `br"` and so on: what stands before the hashes, and how many these are.
fn raw_text(rest: &str) -> Option<(usize, usize)> {
    let before = if rest.starts_with("br") {
        2
    } else if rest.starts_with('r') {
        1
    } else {
        return None;
    };
    let hashes = rest[before..].bytes().take_while(|byte| *byte == b'#').count();
    rest[before + hashes..].starts_with('"').then_some((before, hashes))
}

/// Bytes before the quote that ends a literal.
fn quoted(inner: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return index,
            _ => {}
        }
    }
    inner.len()
}

/// What a literal means, as far as anybody here asks: line ends, and characters behind a backslash.
fn unescaped(inner: &str) -> String {
    inner.replace("\\n", "\n").replace("\\t", "\t").replace('\\', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(source: &str) -> Vec<Piece> {
        tokens(source).into_iter().map(|token| token.piece).collect()
    }

    #[test]
    fn texts_are_told_from_code() {
        let text = |text: &str| Piece::Text(text.to_owned());
        let found = pieces(r####"let a = "x\"y"; // "no" ⏎"####);
        assert!(found.contains(&text("x\"y")) && !found.contains(&text("no")));
        assert_eq!(pieces("r#\"a\"b\"#"), [text("a\"b")]);
        assert_eq!(pieces("b\"a\" br\"b\""), [Piece::Bytes("a".into()), Piece::Bytes("b".into())]);
        assert_eq!(pieces("'\"' \"a\" '\\'' \"b\""), [text("a"), text("b")]);
        assert!(pieces("fn a<'a>(b: &'a str) { \"c\" }").contains(&text("c")));
    }

    #[test]
    fn lines_are_counted_through_texts() {
        let tokens = tokens("a\n\"b\nc\"\nd");
        let lines: Vec<usize> = tokens.iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 2, 4]);
    }

    #[test]
    fn what_is_for_tests_is_left_out() {
        let source =
            "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { \"}\" } }\n#[cfg(test)]\nmod more;\nfn c() {}";
        let words: Vec<Piece> = code(&tokens(source)).into_iter().map(|token| token.piece).collect();
        let has = |word: &str| words.contains(&Piece::Word(word.to_owned()));
        assert!(has("a") && has("c") && !has("b") && !has("more"));
    }
}
