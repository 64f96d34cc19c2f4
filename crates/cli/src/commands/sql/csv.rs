//! Comma-separated values (RFC 4180). No value and an empty text are told apart: the text has quotes.

use serde_json::Value;

/// A line of the names of columns.
pub(super) fn head<'a>(names: impl Iterator<Item = &'a str>) -> String {
    line(names.map(|name| field(name, false)))
}

/// A line of values.
pub(super) fn row<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    line(values.map(|value| match value {
        Value::Null => String::new(),
        Value::String(text) => field(text, true),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            field(&value.to_string(), false)
        }
    }))
}

fn line(fields: impl Iterator<Item = String>) -> String {
    let mut line = fields.collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
}

fn field(text: &str, empty_is_quoted: bool) -> String {
    if text.contains([',', '"', '\r', '\n']) || (text.is_empty() && empty_is_quoted) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        for (value, expected) in [
            (json!(null), ""),
            (json!(""), "\"\""),
            (json!("plain text"), "plain text"),
            (json!("a,b"), "\"a,b\""),
            (json!("say \"hi\""), "\"say \"\"hi\"\"\""),
            (json!("two\nlines"), "\"two\nlines\""),
            (json!("\r"), "\"\r\""),
            (json!(1.5), "1.5"),
            (json!(true), "true"),
            (json!({"a": [1, 2]}), "\"{\"\"a\"\":[1,2]}\""),
            (json!("\u{1b}[2J"), "\u{1b}[2J"),
        ] {
            assert_eq!(row([&value].into_iter()), format!("{expected}\r\n"), "{value}");
        }
        assert_eq!(head(["a", "b,c"].into_iter()), "a,\"b,c\"\r\n");
        assert_eq!(row([&json!(null), &json!(1)].into_iter()), ",1\r\n");
    }
}
