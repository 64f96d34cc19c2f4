//! What may be written down of a statement: its words, with each value as `?`.
//!
//! Engines differ in where a string ends. Where two readings are possible the rest of the statement is left
//! out, so that no value is ever taken for a word.

#[cfg(test)]
mod tests;

/// The longest shape, in characters.
const LONGEST: usize = 200;

/// So much of a statement is looked at, in bytes: a shape costs the same for the largest of them.
const LOOKED_AT: usize = 4 << 10;

/// The shape of a statement.
pub(super) fn shape(sql: &str) -> String {
    let looked_at = &sql[..sql.floor_char_boundary(LOOKED_AT)];
    let out = String::with_capacity(looked_at.len().min(256));
    let mut shaper =
        Shaper { sql: looked_at, at: 0, kept: 0, out, gap: false, leads: Leads::Anywhere, selects: 0 };
    let whole = shaper.run().is_some() && looked_at.len() == sql.len();
    shaper.finish(whole)
}

struct Shaper<'s> {
    sql: &'s str,
    at: usize,
    /// From here up to `at` the statement is written as it stands, all at once.
    kept: usize,
    out: String,
    /// White space or a comment has been passed since the last word.
    gap: bool,
    /// What the last piece leads to.
    leads: Leads,
    /// For each pair of brackets that is open here, the last bit for the innermost: whether a word has begun a
    /// statement in it that takes its rows FROM somewhere.
    selects: u64,
}

/// What a piece of a statement leads to. A text in double quotes is a name for the standard, and some engines take it
/// for a value where a value can stand and no such name is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leads {
    /// A name alone can follow.
    ToName,
    /// `DISTINCT`: of a comparison, where a FROM that follows leads to a value.
    ToComparison,
    /// A value can follow.
    Anywhere,
}

impl<'s> Shaper<'s> {
    /// `None` when the rest is left out.
    fn run(&mut self) -> Option<()> {
        while let Some(byte) = self.peek(0) {
            // Four bytes are a character at most: enough has been written whatever the script.
            if self.out.len() + self.at - self.kept > 4 * LONGEST {
                return None;
            }
            match byte {
                b' ' if self.stands_alone() => {
                    self.at += 1;
                    continue;
                }
                0..=b' ' | 0x7f => {
                    self.blank(self.at + 1);
                    continue;
                }
                b'-' if self.peek(1) == Some(b'-') => {
                    self.line_comment();
                    continue;
                }
                b'/' if self.peek(1) == Some(b'*') => {
                    self.comment()?;
                    continue;
                }
                _ => {}
            }
            let leads = std::mem::replace(&mut self.leads, Leads::Anywhere);
            match byte {
                b'\'' => self.string(Escape::Doubt)?,
                b'"' => self.quoted(byte, leads == Leads::ToName)?,
                b'`' => self.quoted(byte, true)?,
                b'[' => self.bracket()?,
                b'$' => self.dollar()?,
                b'0'..=b'9' => self.number(),
                b'?' => self.placeholder(),
                _ if is_word(byte) => self.word(leads)?,
                _ => {
                    self.bracket_or_dot(byte);
                    self.keep(self.at + 1);
                }
            }
        }
        Some(())
    }

    fn finish(mut self, whole: bool) -> String {
        self.flush();
        self.out.truncate(self.out.trim_end().len());
        if !whole {
            self.out.push('…');
        }
        if self.out.len() > LONGEST
            && let Some((cut, _)) = self.out.char_indices().nth(LONGEST - 1)
            && self.out[cut..].chars().nth(1).is_some()
        {
            self.out.truncate(cut);
            self.out.push('…');
        }
        self.out
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.sql.as_bytes().get(self.at + ahead).copied()
    }

    fn rest(&self) -> &'s str {
        &self.sql[self.at..]
    }

    /// Whether the space here stands between two words, as a shape has it.
    fn stands_alone(&self) -> bool {
        self.at > self.kept
            && self.peek(1).is_some_and(|next| next > b' ' && !matches!(next, b'-' | b'/' | 0x7f))
    }

    fn flush(&mut self) {
        self.out.push_str(&self.sql[self.kept..self.at]);
        self.kept = self.at;
    }

    /// Goes on behind what is not written as it stands.
    fn skip(&mut self, end: usize) {
        self.at = end;
        self.kept = end;
    }

    /// What stands up to there is nothing but a gap.
    fn blank(&mut self, end: usize) {
        self.flush();
        self.skip(end);
        self.gap = true;
    }

    /// What stands up to there is written as it stands.
    fn keep(&mut self, end: usize) {
        self.close_gap();
        self.at = end;
    }

    /// Here stands a value.
    fn value(&mut self) {
        self.flush();
        self.close_gap();
        self.out.push('?');
    }

    fn close_gap(&mut self) {
        if std::mem::take(&mut self.gap) && !self.out.is_empty() {
            self.out.push(' ');
        }
    }

    /// Where the run of such bytes ends that begins so far ahead.
    fn end_of(&self, ahead: usize, belongs: impl Fn(u8) -> bool) -> usize {
        let bytes = self.sql.as_bytes();
        let begin = self.at + ahead;
        bytes[begin..].iter().position(|byte| !belongs(*byte)).map_or(bytes.len(), |length| begin + length)
    }

    fn line_comment(&mut self) {
        self.blank(self.end_of(2, |byte| byte != b'\n'));
    }

    /// Comments nest for some engines and not for others.
    fn comment(&mut self) -> Option<()> {
        let inner = &self.rest()[2..];
        let end = inner.find("*/")?;
        if inner[..end].contains("/*") {
            return None;
        }
        self.blank(self.at + end + 4);
        Some(())
    }

    fn string(&mut self, escape: Escape) -> Option<()> {
        self.value();
        let bytes = self.sql.as_bytes();
        let mut at = self.at + 1;
        loop {
            match bytes.get(at)? {
                b'\\' if escape == Escape::Backslash => at += 2,
                // Some engines take it for the end of the string and some do not.
                b'\\' if bytes.get(at + 1) == Some(&b'\'') => return None,
                b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
                b'\'' => break,
                _ => at += 1,
            }
        }
        self.skip(at + 1);
        Some(())
    }

    fn bracket_or_dot(&mut self, byte: u8) {
        match byte {
            b'.' => self.leads = Leads::ToName,
            b'(' => self.selects <<= 1,
            b')' => self.selects >>= 1,
            _ => {}
        }
    }

    /// What such a word leads to.
    fn heed(&mut self, word: &str, before: Leads) {
        let is = |known: &[&str]| known.iter().any(|known| word.eq_ignore_ascii_case(known));
        if is(&["SELECT", "DELETE", "UPDATE"]) {
            self.selects |= 1;
        }
        let rows_from = is(&["FROM"]) && self.selects & 1 == 1 && before != Leads::ToComparison;
        self.leads = if rows_from || is(&["JOIN", "INTO", "UPDATE", "TABLE", "AS"]) {
            Leads::ToName
        } else if is(&["DISTINCT"]) {
            Leads::ToComparison
        } else {
            Leads::Anywhere
        };
    }

    /// A text in quotes: a name where a name stands, unless it could hold anything; else a value.
    fn quoted(&mut self, quote: u8, names: bool) -> Option<()> {
        let end = self.end_of(1, |byte| byte != quote);
        let name = &self.sql[self.at + 1..end];
        if end == self.sql.len() || name.contains('\\') {
            self.value();
            return None;
        }
        let in_names = |byte| is_part(byte) || matches!(byte, b'.' | b'-' | b' ');
        let plain = names && name.len() <= 64 && name.bytes().all(in_names);
        if plain && self.sql.as_bytes().get(end + 1) != Some(&quote) {
            self.keep(end + 1);
        } else {
            self.value();
            self.skip(end + 1);
            // A doubled quote stands for itself, and the name goes on.
            while self.peek(0) == Some(quote) {
                let end = self.end_of(1, |byte| byte != quote);
                if end == self.sql.len() {
                    return None;
                }
                self.skip(end + 1);
            }
        }
        Some(())
    }

    /// A name for some engines, a list for others: with quotes in it, nobody knows where they pair.
    fn bracket(&mut self) -> Option<()> {
        let inner = &self.rest()[1..];
        let inner = &inner[..inner.find(']').unwrap_or(inner.len())];
        if inner.contains(['\'', '"', '`', '$']) && !self.follows_array() {
            self.keep(self.at + 1);
            self.value();
            return None;
        }
        self.keep(self.at + 1);
        Some(())
    }

    /// Whether what stands before can only be followed by a list or an index.
    fn follows_array(&self) -> bool {
        let word = self.sql[..self.at].trim_end();
        let begins = word.len().checked_sub(5).and_then(|at| word.get(at..));
        begins.is_some_and(|last| last.eq_ignore_ascii_case("array"))
    }

    /// `$1`, `$name`, or a text between `$tag$` and `$tag$`.
    fn dollar(&mut self) -> Option<()> {
        let end = self.end_of(1, |byte| byte != b'$' && is_part(byte));
        let tag = &self.sql[self.at..end];
        if self.sql.as_bytes().get(end) != Some(&b'$')
            || tag.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
        {
            self.keep(end);
            return Some(());
        }
        let tag = &self.sql[self.at..=end];
        self.value();
        let length = self.sql[end + 1..].find(tag)?;
        self.skip(end + 1 + length + tag.len());
        Some(())
    }

    fn number(&mut self) {
        let mut end = self.end_of(0, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'));
        let bytes = self.sql.as_bytes();
        let hexadecimal = matches!(bytes.get(self.at + 1), Some(b'x' | b'X'));
        if !hexadecimal
            && matches!(bytes[end - 1], b'e' | b'E')
            && matches!(bytes.get(end), Some(b'+' | b'-'))
        {
            end = self.end_of(end + 1 - self.at, |byte| byte.is_ascii_digit() || byte == b'_');
        }
        self.value();
        self.skip(end);
    }

    /// `?` and `?7`.
    fn placeholder(&mut self) {
        let end = self.end_of(1, |byte| byte.is_ascii_digit());
        self.keep(end);
    }

    fn word(&mut self, before: Leads) -> Option<()> {
        let end = self.end_of(0, is_part);
        let word = &self.sql[self.at..end];
        if self.sql.as_bytes().get(end) != Some(&b'\'') {
            self.heed(word, before);
            self.keep(end);
            return Some(());
        }
        // A letter before a string says how it is written: it belongs to the value.
        let escape = if word.eq_ignore_ascii_case("e") { Escape::Backslash } else { Escape::Doubt };
        if word.len() > 1 {
            self.keep(end);
        } else {
            self.flush();
            self.skip(end);
        }
        self.string(escape)
    }
}

/// What a backslash is in a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    /// It quotes what follows.
    Backslash,
    /// It depends on the engine.
    Doubt,
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

fn is_part(byte: u8) -> bool {
    is_word(byte) || byte.is_ascii_digit()
}
