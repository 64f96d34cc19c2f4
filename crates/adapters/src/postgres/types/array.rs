//! Arrays: the server's text as JSON lists. `{1,NULL,"a \"b\""}`, `{{1,2},{3,4}}`, `[2:3]={1,2}`.
//!
//! JSON lists begin at their first element, so bounds that a value was given are not told.

use super::Delimiter;

/// What stands in an array.
enum Element<'t> {
    Null,
    Value(&'t str),
}

/// Writes an array of elements that `write` writes. False when the text is none; then what was written is of no use.
pub(super) fn write(
    text: &str,
    delimiter: Delimiter,
    out: &mut Vec<u8>,
    mut write: impl FnMut(&str, &mut Vec<u8>),
) -> bool {
    let Some(mut rest) = behind_bounds(text) else { return false };
    let mut scratch = String::new();
    let mut depth = 0_usize;
    loop {
        // An element stands here, or a list of them, or nothing in an empty one.
        while let Some(inner) = rest.strip_prefix('{') {
            out.push(b'[');
            depth += 1;
            rest = inner;
        }
        if depth == 0 {
            return false;
        }
        if !rest.starts_with('}') {
            let Some((element, behind)) = element(rest, delimiter, &mut scratch) else { return false };
            match element {
                Element::Null => out.extend_from_slice(b"null"),
                Element::Value(value) => write(value, out),
            }
            rest = behind;
        } else if out.last() != Some(&b'[') {
            return false;
        }
        // Behind it stands another, or the end of one list or several.
        while let Some(outer) = rest.strip_prefix('}') {
            out.push(b']');
            depth -= 1;
            rest = outer;
            if depth == 0 {
                return rest.is_empty();
            }
        }
        match rest.as_bytes().first() {
            Some(byte) if *byte == delimiter.0 => {
                out.push(b',');
                rest = &rest[1..];
            }
            _ => return false,
        }
    }
}

/// The text without `[2:3][0:1]=`.
fn behind_bounds(text: &str) -> Option<&str> {
    if !text.starts_with('[') {
        return Some(text);
    }
    let (bounds, rest) = text.split_once('=')?;
    let plain = bounds.bytes().all(|byte| byte.is_ascii_digit() || b"[]:-+".contains(&byte));
    plain.then_some(rest)
}

/// The element that the text begins with, and what follows. One in quotes is put into `scratch` where it has escapes.
fn element<'s, 't: 's>(
    text: &'t str,
    delimiter: Delimiter,
    scratch: &'s mut String,
) -> Option<(Element<'s>, &'t str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.bytes().position(|byte| byte == delimiter.0 || byte == b'}')?;
        let (value, rest) = text.split_at(end);
        return match value {
            "" => None,
            _ if value.eq_ignore_ascii_case("null") => Some((Element::Null, rest)),
            _ => Some((Element::Value(value), rest)),
        };
    };
    let end = mark(quoted)?;
    if quoted.as_bytes()[end] == b'"' {
        return Some((Element::Value(&quoted[..end]), &quoted[end + 1..]));
    }
    scratch.clear();
    let mut rest = quoted;
    loop {
        let at = mark(rest)?;
        scratch.push_str(&rest[..at]);
        if rest.as_bytes()[at] == b'"' {
            return Some((Element::Value(scratch), &rest[at + 1..]));
        }
        // What follows a backslash stands for itself.
        let behind = &rest[at + 1..];
        let escaped = behind.chars().next()?;
        scratch.push(escaped);
        rest = &behind[escaped.len_utf8()..];
    }
}

/// Where the next quote or backslash stands.
fn mark(text: &str) -> Option<usize> {
    text.bytes().position(|byte| matches!(byte, b'"' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(text: &str, delimiter: u8) -> Option<String> {
        let mut out = Vec::new();
        let ok = write(text, Delimiter(delimiter), &mut out, |value, out| {
            out.extend_from_slice(format!("<{value}>").as_bytes());
        });
        ok.then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn arrays_are_lists() {
        for (text, json) in [
            ("{}", "[]"),
            ("{1}", "[<1>]"),
            ("{1,NULL,3}", "[<1>,null,<3>]"),
            ("{\"NULL\",\"\",\"a,b\",\"{}\"}", "[<NULL>,<>,<a,b>,<{}>]"),
            (r#"{"a \"b\" \\c","\\\\","ü\\"}"#, r#"[<a "b" \c>,<\\>,<ü\>]"#),
            ("{{1,2},{3,4}}", "[[<1>,<2>],[<3>,<4>]]"),
            ("{{{1}},{{NULL}}}", "[[[<1>]],[[null]]]"),
            ("[2:3]={1,2}", "[<1>,<2>]"),
            ("[0:0][-3:-2]={{1,2}}", "[[<1>,<2>]]"),
            ("{a b,ö}", "[<a b>,<ö>]"),
        ] {
            assert_eq!(lists(text, b',').as_deref(), Some(json), "{text}");
        }
        assert_eq!(
            lists("{(1,1),(0,0);(2,2),(1,1)}", b';').as_deref(),
            Some("[<(1,1),(0,0)>,<(2,2),(1,1)>]")
        );
    }

    #[test]
    fn other_texts_are_none() {
        for text in [
            "", "1", "{", "}", "{1", "{1,}", "{,1}", "{1}}", "{1}x", "{{1}", "{\"a", "{\"a\\", "{\"a\"b}",
            "[1:2]", "[x]={1}", "{1;2}x", "{{1},}", "{1}{2}", "{{}1}", "[=", "{1,,2}",
        ] {
            assert_eq!(lists(text, b','), None, "{text}");
        }
    }
}
