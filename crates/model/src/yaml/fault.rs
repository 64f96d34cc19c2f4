//! A fault of syntax in the words of someone who has made it: where, what, and the likely cause.

use saphyr_parser::ScanError;

use super::spans::place;
use crate::tree::Place;

/// What is told of a fault.
pub(super) struct Fault {
    pub(super) at: Place,
    pub(super) message: String,
    pub(super) suggestion: Option<String>,
}

/// The parser's finding, with the cause where the lines around it betray one.
pub(super) fn explain(text: &str, error: &ScanError) -> Fault {
    let at = place(*error.marker());
    let line = |number: u32| text.lines().nth((number as usize).checked_sub(1)?);
    // What the parser trips over is often the line before: it only shows when the next one does not fit.
    let before = (1..at.line).rev().find(|number| line(*number).is_some_and(|text| !is_bare(text)));
    for number in [Some(at.line), before].into_iter().flatten() {
        let Some(found) = line(number).and_then(|text| cause(text, error.info())) else { continue };
        return Fault { at: Place { line: number, column: found.column }, ..found.fault };
    }
    Fault { at, message: plainly(error.info()), suggestion: None }
}

/// Whether it is an alias that names nothing.
pub(super) fn is_unknown_anchor(error: &ScanError) -> bool {
    error.info().contains("unknown anchor")
}

struct Found {
    column: u32,
    fault: Fault,
}

fn found(column: usize, message: impl Into<String>, suggestion: impl Into<String>) -> Option<Found> {
    let column = u32::try_from(column + 1).unwrap_or(u32::MAX);
    let fault = Fault { at: Place::default(), message: message.into(), suggestion: Some(suggestion.into()) };
    Some(Found { column, fault })
}

fn cause(line: &str, info: &str) -> Option<Found> {
    let indent = line.len() - line.trim_start().len();
    if let Some(tab) = line[..indent].find('\t') {
        return found(tab, "the line is indented with a tab", "indent with spaces");
    }
    let content = line.trim_start().trim_start_matches("- ");
    let begins = line.len() - content.len();
    let column = |byte: usize| line[..byte].chars().count();
    let key_ends = content.find(|c: char| !(c.is_alphanumeric() || "_-.".contains(c)))?;
    if key_ends == 0 {
        return None;
    }
    let (key, rest) = content.split_at(key_ends);
    let value = rest.strip_prefix(':')?;
    if !value.starts_with(char::is_whitespace) && !value.is_empty() && !value.starts_with("//") {
        return found(
            column(begins + key_ends),
            format!("a space is missing after `{key}:`"),
            format!("write `{key}: {}`", value.trim_end()),
        );
    }
    let at = column(line.len() - value.trim_start().len());
    let value = value.trim();
    if info.contains("mapping values are not allowed")
        && value.len() < 80
        && value.contains(": ")
        && !value.starts_with(['{', '[', '"', '\''])
    {
        return found(
            at,
            format!("the value of `{key}` holds a colon"),
            format!("quote it: `{key}: \"{value}\"`"),
        );
    }
    if value.starts_with(['@', '`', '%']) {
        return found(at, format!("the value of `{key}` begins with a reserved sign"), "put it in quotes");
    }
    if value.starts_with(['{', '[']) && value.contains("${") {
        return found(
            at,
            "a `${…}` between brackets has braces of its own",
            "put it in quotes: `\"${NAME}\"`",
        );
    }
    None
}

fn is_bare(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

/// The parser's own words where they mean something to a writer of YAML; ours where they don't.
fn plainly(info: &str) -> String {
    let plain = match info {
        _ if info.contains("quoted scalar")
            && (info.contains("end of stream") || info.contains("indentation")) =>
        {
            "the quoted text that begins here is not closed"
        }
        _ if info.contains("unknown escape") => {
            "a `\\` in double quotes begins an escape; single quotes keep it"
        }
        _ if info.contains("recursion limit") => "the nesting is too deep",
        _ if info.contains("misplaced bracket") => "a bracket closes what was never opened",
        _ if info.contains("unknown anchor") => "aliases (`*name`) are not read; write the value out",
        _ if info.contains("mapping values are not allowed") => "a `key: value` cannot stand here",
        _ if info.contains("simple key expect") => "a `:` is missing after the key",
        _ if info.contains("did not find expected key") || info.contains("indentation") => {
            "the indentation fits no line above"
        }
        _ if info.contains("flow")
            || info.contains("illegal placement of ':'")
            || info.contains("']'")
            || info.contains("'}'") =>
        {
            "a bracket is not closed, or a comma is missing"
        }
        _ => return format!("is not YAML: {info}"),
    };
    plain.to_owned()
}
