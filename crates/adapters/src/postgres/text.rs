//! As much of the language as must be known before the server sees a statement: what it begins with, and whether it
//! may leave the session otherwise than it found it. Whatever counts is the server's own reading.

use model::{Code, Failure};

use crate::sql::Statement;

/// Parts of names of functions that change a session beyond its transaction, or take what only a session lets go of,
/// and what names begin with whose letters are written by their numbers. Locks of a transaction go with it.
const CHANGING: [&str; 5] = ["set_config", "advisory_lock", "dblink", "setseed", "u&\""];

/// What makes a transaction that only reads one that writes, and what such a word might hide behind.
const REOPENING: [&str; 3] = ["write", "transaction_read_only", "u&\""];

/// What a look at a statement's text tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Look {
    /// It begins as one that only looks, and nothing in it is a word of one that writes.
    pub(super) seems_to_look: bool,
    /// It may change the session beyond its transaction.
    pub(super) changes_session: bool,
    /// It may commit in the middle.
    pub(super) in_parts: bool,
}

/// Where a statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Alone,
    /// In a transaction of several calls, which may have savepoints.
    Within,
    /// The same, and nothing may write.
    WithinReadOnly,
}

/// Refuses what no server needs to see, and tells what else the text shows.
pub(super) fn check(
    statement: &Statement,
    most: u64,
    allow_admin: bool,
    place: Place,
) -> Result<Look, Failure> {
    let size = statement.query.len() as u64;
    if size > most {
        let detail = format!("The statement has {size} bytes; at most {most} are taken.");
        return Err(
            Failure::client(Code::TooLarge, detail).with_hint("Raise `max_statement` of the service.")
        );
    }
    if statement.query.contains('\0') {
        return Err(Failure::client(Code::QueryFailed, "The statement holds a NUL character."));
    }
    let words = Words::of(&statement.query);
    let Some(first) = words.first.first() else {
        return if words.is_empty {
            Err(Failure::client(Code::QueryFailed, "There is no statement: the text is empty or a comment."))
        } else {
            // A bracket or a word of another alphabet: the server's to judge.
            let changes_session = names_any(&CHANGING, &statement.query);
            Ok(Look { seems_to_look: false, changes_session, in_parts: false })
        };
    };
    controls(&words, first, &statement.query, place)?;
    if !allow_admin {
        administers(&words, first, &statement.query)?;
    }
    if first == "COPY" && words.has("STDIN") | words.has("STDOUT") {
        return Err(super::failure::copy());
    }
    let looks = ["SELECT", "TABLE", "VALUES", "SHOW", "EXPLAIN", "WITH"].contains(&first.as_str());
    let writes = ["INSERT", "UPDATE", "DELETE", "MERGE", "INTO"].iter().any(|word| words.has(word));
    let changes_session = changes(&words, first) || names_any(&CHANGING, &statement.query);
    let in_parts = first == "CALL" || (first == "DO" && names_any(&["commit", "call"], &statement.query));
    Ok(Look { seems_to_look: looks && !writes, changes_session, in_parts })
}

/// Refuses what begins and ends transactions by text: who else uses the connection would find it elsewhere than it is.
fn controls(words: &Words, first: &str, sql: &str, place: Place) -> Result<(), Failure> {
    let second = words.first.get(1).map(String::as_str);
    let controls = match first {
        "BEGIN" | "START" | "ABORT" | "END" => true,
        "COMMIT" => second != Some("PREPARED"),
        "PREPARE" => second == Some("TRANSACTION"),
        "ROLLBACK" => match second {
            Some("PREPARED") => false,
            _ => !(words.has("TO") && place != Place::Alone),
        },
        _ => false,
    };
    if controls {
        return Err(Failure::client(
            Code::QueryFailed,
            format!("`{first}` is no statement of its own here: transactions are begun and ended by their own calls."),
        )
        .with_hint("Use `db/batch` or `db/transactions`."));
    }
    // A function that tries comes too late: its own statement has begun to look already. A setting's name may stand in
    // quotes.
    let reopens = matches!(first, "SET" | "RESET") && names_any(&REOPENING, sql);
    if place == Place::WithinReadOnly && reopens {
        return Err(Failure::client(
            Code::QueryFailed,
            "The transaction is read-only, and stays so: the statement would change that.",
        ));
    }
    Ok(())
}

/// Refuses what is the administrator's of the server, though its role may be allowed to.
fn administers(words: &Words, first: &str, sql: &str) -> Result<(), Failure> {
    // A session may be told to read a backslash in any text as it reads one in `E'…'`: what is a word is not sure then.
    let hidden = || sql.contains('\\') && names_any(&["program"], sql);
    let what = match first {
        "ALTER" if words.first.get(1).is_some_and(|second| second == "SYSTEM") => "`ALTER SYSTEM`",
        "COPY" if words.has("PROGRAM") || hidden() => "`COPY … PROGRAM`",
        _ => return Ok(()),
    };
    Err(Failure::client(Code::PermissionDenied, format!("{what} is not let through."))
        .with_hint("Set `allow_admin: true` of the service, if its users may rule the server."))
}

/// Whether a statement that begins so may leave the session changed.
fn changes(words: &Words, first: &str) -> bool {
    let second = words.first.get(1).map(String::as_str);
    match first {
        // What holds for the transaction goes with it.
        "SET" => !matches!(second, Some("LOCAL" | "TRANSACTION" | "CONSTRAINTS")),
        "RESET" | "LISTEN" | "UNLISTEN" | "PREPARE" | "DEALLOCATE" | "DISCARD" | "LOAD" => true,
        // Whatever they do inside is not to be seen.
        "DO" | "CALL" => true,
        "DECLARE" => words.has("HOLD"),
        // What is explained may be carried out, too.
        "CREATE" | "EXPLAIN" => words.has("TEMP") || words.has("TEMPORARY") || words.has("PG_TEMP"),
        _ => words.has("INTO") && (words.has("TEMP") || words.has("TEMPORARY")) || words.has("PG_TEMP"),
    }
}

/// The words of a statement outside of quotes and comments, in capital letters.
struct Words {
    /// The first of them, in order.
    first: Vec<String>,
    /// Those that anybody here asks about.
    found: Vec<&'static str>,
    is_empty: bool,
}

/// Words that are looked for anywhere.
const SOUGHT: [&str; 13] = [
    "INSERT",
    "UPDATE",
    "DELETE",
    "MERGE",
    "INTO",
    "STDIN",
    "STDOUT",
    "PROGRAM",
    "TO",
    "HOLD",
    "TEMP",
    "TEMPORARY",
    "PG_TEMP",
];

impl Words {
    fn of(sql: &str) -> Words {
        let mut words = Words { first: Vec::with_capacity(2), found: Vec::new(), is_empty: true };
        let bytes = sql.as_bytes();
        let mut at = 0;
        let mut leading = true;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | b';' => at += 1,
                b'-' if bytes.get(at + 1) == Some(&b'-') => at = behind_line(bytes, at + 2),
                b'/' if bytes.get(at + 1) == Some(&b'*') => at = behind_comment(bytes, at + 2),
                _ => {
                    words.is_empty = false;
                    at = match byte {
                        b'\'' => behind(bytes, at + 1, b"'"),
                        b'"' => behind(bytes, at + 1, b"\""),
                        b'$' => behind_dollars(bytes, at),
                        b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => {
                            let end = word_end(bytes, at);
                            if bytes.get(end) == Some(&b'\'') && sql[at..end].eq_ignore_ascii_case("e") {
                                behind_escaped(bytes, end + 1)
                            } else {
                                words.take(&sql[at..end], leading);
                                end
                            }
                        }
                        // Numbers and signs. A bracket may stand before the first word.
                        _ => {
                            leading &= *byte == b'(';
                            at + 1
                        }
                    };
                    leading &= words.first.len() < 2
                        && bytes.get(at.wrapping_sub(1)).is_some_and(|b| *b != b'\'' && *b != b'"');
                }
            }
        }
        words
    }

    fn take(&mut self, word: &str, leading: bool) {
        if leading && self.first.len() < 2 {
            self.first.push(word.to_ascii_uppercase());
        }
        if let Some(sought) = SOUGHT.iter().find(|sought| sought.eq_ignore_ascii_case(word))
            && !self.found.contains(sought)
        {
            self.found.push(sought);
        }
    }

    fn has(&self, word: &str) -> bool {
        self.found.contains(&word)
    }
}

/// Whether any of these stands in the text: also in quotes, since names may stand there.
fn names_any(names: &[&str], sql: &str) -> bool {
    let stands = |name: &&str| {
        sql.as_bytes().windows(name.len()).any(|part| part.eq_ignore_ascii_case(name.as_bytes()))
    };
    names.iter().any(stands)
}

fn word_end(bytes: &[u8], begin: usize) -> usize {
    let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..);
    bytes[begin..].iter().position(|byte| !goes_on(byte)).map_or(bytes.len(), |length| begin + length)
}

/// Behind the next occurrence of this, or the end. A doubled quote is read as two texts side by side.
fn behind(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    let found = bytes.get(from..).and_then(|rest| rest.windows(what.len()).position(|part| part == what));
    found.map_or(bytes.len(), |at| from + at + what.len())
}

/// Behind the end of a line, or the last of all.
fn behind_line(bytes: &[u8], from: usize) -> usize {
    let end = bytes[from..].iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    end.map_or(bytes.len(), |at| from + at + 1)
}

/// Behind a text in which a backslash quotes what follows, with all the pieces that go on with it.
fn behind_escaped(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes.get(at) {
            None => return bytes.len(),
            Some(b'\\') => at += 2,
            Some(b'\'') if bytes.get(at + 1) == Some(&b'\'') => at += 2,
            Some(b'\'') => match next_piece(bytes, at + 1) {
                Some(piece) => at = piece,
                None => return at + 1,
            },
            Some(_) => at += 1,
        }
    }
}

/// Where a text goes on that has ended here: a quote on a later line takes it up.
fn next_piece(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut later = false;
    loop {
        match bytes.get(at)? {
            b'\n' | b'\r' => (at, later) = (at + 1, true),
            b' ' | b'\t' | 0x0b | 0x0c => at += 1,
            b'-' if bytes.get(at + 1) == Some(&b'-') => (at, later) = (behind_line(bytes, at + 2), true),
            b'\'' if later => return Some(at + 1),
            _ => return None,
        }
    }
}

/// Behind a comment, which may hold others.
fn behind_comment(bytes: &[u8], from: usize) -> usize {
    let (mut at, mut depth) = (from, 1);
    while depth > 0 {
        match bytes.get(at..at + 2) {
            None => return bytes.len(),
            Some(b"*/") => (at, depth) = (at + 2, depth - 1),
            Some(b"/*") => (at, depth) = (at + 2, depth + 1),
            Some(_) => at += 1,
        }
    }
    at
}

/// Behind `$tag$ … $tag$`, or behind the sign alone where it begins a placeholder.
fn behind_dollars(bytes: &[u8], begin: usize) -> usize {
    let tag_end = bytes[begin + 1..]
        .iter()
        .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | 0x80..)));
    match tag_end.map(|length| begin + 1 + length) {
        Some(end) if bytes[end] == b'$' && !bytes[begin + 1].is_ascii_digit() => {
            behind(bytes, end + 1, &bytes[begin..=end])
        }
        _ => begin + 1,
    }
}

#[cfg(test)]
mod tests;
