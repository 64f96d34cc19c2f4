//! `$NAME` and `${NAME…}` in the values of a Compose file, and the `.env` beside it.

use std::collections::BTreeSet;

use model::Problems;
use model::tree::{Node, Value};

/// Where names have their values.
pub(super) type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Replaces every reference in the values of a tree. Names that nobody has set are empty, and noted.
pub(super) fn replace(
    node: &mut Node,
    lookup: &Lookup<'_>,
    missing: &mut BTreeSet<String>,
    problems: &mut Problems,
) {
    walk(node, "", &mut Replacing { lookup, missing, problems });
}

struct Replacing<'a, 'l> {
    lookup: &'a Lookup<'l>,
    missing: &'a mut BTreeSet<String>,
    problems: &'a mut Problems,
}

fn walk(node: &mut Node, path: &str, replacing: &mut Replacing<'_, '_>) {
    match &mut node.value {
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, &format!("{path}[{index}]"), replacing);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                let dot = if path.is_empty() { "" } else { "." };
                walk(&mut entry.node, &format!("{path}{dot}{}", entry.key), replacing);
            }
        }
        Value::Text(text) if text.contains('$') => match expand(text, replacing.lookup, replacing.missing) {
            Ok(expanded) => node.value = Value::Text(expanded),
            Err(wrong) => {
                let problem = replacing.problems.at(node, path, wrong.message);
                problem.suggestion = Some(wrong.fix);
            }
        },
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
    }
}

/// Why a text cannot be expanded. What stands in it is not repeated: it may be a password.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    message: String,
    fix: String,
}

fn wrong(message: impl Into<String>, fix: impl Into<String>) -> Wrong {
    Wrong { message: message.into(), fix: fix.into() }
}

/// One text with its references replaced, those in defaults too.
fn expand(text: &str, lookup: &Lookup<'_>, missing: &mut BTreeSet<String>) -> Result<String, Wrong> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        rest = if let Some(behind) = after.strip_prefix('$') {
            out.push('$');
            behind
        } else if let Some(inner) = after.strip_prefix('{') {
            let end =
                closing(inner).ok_or_else(|| wrong("a `${` is not closed", "write `$$` for a dollar"))?;
            out.push_str(&reference(&inner[..end], lookup, missing)?);
            &inner[end + 1..]
        } else {
            let end = name_length(after);
            if end == 0 {
                return Err(wrong("a `$` stands before what is no name", "write `$$` for a dollar"));
            }
            out.push_str(&value(&after[..end], lookup, missing));
            &after[end..]
        };
    }
    out.push_str(rest);
    Ok(out)
}

/// What stands between the braces: a name, and what there is for the cases that it is set or not.
fn reference(inner: &str, lookup: &Lookup<'_>, missing: &mut BTreeSet<String>) -> Result<String, Wrong> {
    let (name, behind) = inner.split_at(name_length(inner));
    if name.is_empty() {
        return Err(wrong("a `${…}` has no name", "write `$$` for a dollar"));
    }
    let (unless_empty, behind) = match behind.strip_prefix(':') {
        Some(behind) => (true, behind),
        None => (false, behind),
    };
    let set = lookup(name).filter(|value| !(unless_empty && value.is_empty()));
    let mut word = |text: &str| expand(text, lookup, missing);
    match (behind.split_at_checked(1), set) {
        (Some(("-", default)), None) => word(default),
        (Some(("?", why)), None) => {
            let why = word(why)?;
            let why = if why.is_empty() { "it has to be set".to_owned() } else { why };
            Err(wrong(
                format!("needs the variable `{name}`: {why}"),
                format!("set it, or write {name}=… into .env"),
            ))
        }
        (Some(("+", instead)), Some(_)) => word(instead),
        (Some(("+", _)), None) => Ok(String::new()),
        (Some(("-" | "?", _)), Some(value)) => Ok(value),
        (None, _) if behind.is_empty() && !unless_empty => Ok(value(name, lookup, missing)),
        (None | Some(_), _) => {
            Err(wrong(format!("`${{{name}` goes on in a way that is not known"), "write `${NAME:-default}`"))
        }
    }
}

fn value(name: &str, lookup: &Lookup<'_>, missing: &mut BTreeSet<String>) -> String {
    lookup(name).unwrap_or_else(|| {
        missing.insert(name.to_owned());
        String::new()
    })
}

fn name_length(text: &str) -> usize {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    if begins { end } else { 0 }
}

/// The brace that closes the one before the text, over others between.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' if text[..at].ends_with('$') => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The names of a `.env` file with their values, in order; the later one counts. A line that cannot be read is a problem.
pub(super) fn dotenv(text: &str, file: &str, problems: &mut Vec<String>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let length = line.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(line.len());
        let (name, behind) = line.split_at(length);
        match behind.trim_start().strip_prefix('=') {
            Some(value) if !name.is_empty() => found.push((name.to_owned(), unquoted(value.trim()))),
            // A name alone has its value from elsewhere.
            None if behind.is_empty() => {}
            _ => problems.push(format!("line {} of {file} is not NAME=value, and is not read", number + 1)),
        }
    }
    found
}

/// A value without its quotes, or without the comment behind it.
fn unquoted(value: &str) -> String {
    if let Some(inner) = value.strip_prefix('\'').and_then(|rest| rest.split_once('\'')) {
        return inner.0.to_owned();
    }
    if let Some(inner) = value.strip_prefix('"') {
        let mut out = String::new();
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => out.extend(chars.next().map(|c| match c {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    c => c,
                })),
                c => out.push(c),
            }
        }
        return out;
    }
    value.find(" #").map_or(value, |comment| value[..comment].trim_end()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "PORT" => Some("8080".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn references_as_compose_has_them() {
        for (text, expected, unset) in [
            ("$PORT:80", "8080:80", ""),
            ("${PORT}", "8080", ""),
            ("a$${PORT}", "a${PORT}", ""),
            ("${NONE:-x}${NONE-y}", "xy", ""),
            ("${EMPTY:-x}|${EMPTY-y}", "x|", ""),
            ("${NONE:-${PORT:-1}}", "8080", ""),
            ("${NONE:-${ALSO_NONE:-deep}}", "deep", ""),
            ("${PORT:+yes}${NONE:+no}", "yes", ""),
            ("${PORT:?must}", "8080", ""),
            ("$NONE-${NONE}", "-", "NONE"),
            ("no reference", "no reference", ""),
        ] {
            let mut missing = BTreeSet::new();
            assert_eq!(expand(text, &lookup, &mut missing), Ok(expected.to_owned()), "{text}");
            assert_eq!(missing.into_iter().collect::<String>(), unset, "{text}");
        }
        for (text, told) in [
            ("${NONE:?say the port}", "needs the variable `NONE`: say the port"),
            ("${NONE?}", "needs the variable `NONE`: it has to be set"),
            ("secret$", "a `$` stands before what is no name"),
            ("secret$!", "a `$` stands before what is no name"),
            ("${PORT", "a `${` is not closed"),
            ("${}", "a `${…}` has no name"),
            ("${PORT/8/9}", "`${PORT` goes on in a way that is not known"),
        ] {
            let wrong = expand(text, &lookup, &mut BTreeSet::new()).unwrap_err();
            assert_eq!(wrong.message, told, "{text}");
        }
    }

    #[test]
    fn a_dotenv_file() {
        let text =
            "# c\nA=1\nexport B = two words # c\nC='$x # y'\nD=\"a\\nb\" # c\nE=\nNAME\n=x\ntwo words\n";
        let mut problems = Vec::new();
        let found = dotenv(text, ".env", &mut problems);
        let expected = [("A", "1"), ("B", "two words"), ("C", "$x # y"), ("D", "a\nb"), ("E", "")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(
            problems,
            [
                "line 8 of .env is not NAME=value, and is not read",
                "line 9 of .env is not NAME=value, and is not read"
            ]
        );
    }
}
