//! How things are shown: formats, colours, and the text of single values.

use serde_json::Value;

/// `-o`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    // For people.
    #[default]
    Table,
    // For people with wide terminals.
    Wide,
    // The API's body.
    Json,
    // The API's body.
    Yaml,
    // One name on a line, for scripts.
    Name,
    // Of `sql` alone: comma-separated values.
    #[value(hide = true)]
    Csv,
    // Of `consume` alone: values as they are, each with the end of a line.
    #[value(hide = true)]
    Raw,
}

/// `--color`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Color {
    // On a terminal, unless NO_COLOR is set. (No doc comment: help would list each value at length.)
    #[default]
    Auto,
    Always,
    Never,
}

/// What a colour means. What is as it should be has none, so that the rest stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Bad,
    Warn,
    /// On its way from one state to another.
    Moving,
    /// Of less weight than what stands around it.
    Faint,
}

impl Tone {
    /// The tone of a word that the gateway uses for a state; any other word is plain.
    pub(crate) fn of(word: &str) -> Tone {
        match word.to_ascii_lowercase().as_str() {
            "unhealthy" | "not_serving" | "open" | "ejected" | "error" | "failed" | "delete" => Tone::Bad,
            "degraded" | "serving_degraded" | "half-open" | "unknown" | "update" | "canceled" | "undone" => {
                Tone::Warn
            }
            "draining" | "maintenance" | "starting" | "stopping" | "pulling" | "creating" => Tone::Moving,
            _ => Tone::Plain,
        }
    }

    pub(crate) fn paint(self, text: &str, color: bool) -> String {
        let code = match self {
            Tone::Bad => 31,
            Tone::Warn => 33,
            Tone::Moving => 36,
            Tone::Faint => 2,
            Tone::Plain => return text.to_owned(),
        };
        if color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Text from elsewhere without the characters that command a terminal.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// The same for what people may want to know exactly: such characters are written out, line ends as well.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if c.is_control() => shown.push_str(&format!("\\x{:02x}", u32::from(c))),
            // Those that turn the direction of a line, or begin another.
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                shown.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
            }
            c => shown.push(c),
        }
    }
    shown
}

/// The value at this place of a body, for people: `-` where there is none, lists with commas.
pub(crate) fn text(body: &Value, pointer: &str) -> String {
    body.pointer(pointer).map(plain).filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned())
}

/// A value in words.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| format!("{name} {}", plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// `1 message`, `2 messages`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// How long ago an RFC 3339 time was, in its largest unit; the text itself where it is none.
pub(crate) fn age(time: &str) -> String {
    let Ok(then) = time.parse::<jiff::Timestamp>() else { return time.to_owned() };
    let seconds = (jiff::Timestamp::now().as_second() - then.as_second()).max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_in_words() {
        let body = json!({ "a": { "list": ["x", 1, null], "none": null, "map": { "on": true } } });
        for (pointer, expected) in
            [("/a/list", "x, 1, "), ("/a/none", "-"), ("/a/missing", "-"), ("/a/map", "on true")]
        {
            assert_eq!(text(&body, pointer), expected, "{pointer}");
        }
    }

    #[test]
    fn ages_in_their_largest_unit() {
        for (seconds, expected) in [(5, "5s"), (125, "2m"), (7300, "2h"), (200_000, "2d"), (-10, "0s")] {
            let then = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
            assert_eq!(age(&then.to_string()), expected);
        }
        assert_eq!(age("yesterday"), "yesterday");
    }

    #[test]
    fn nothing_from_elsewhere_commands_the_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\u{7}\nc"), "a\u{fffd}[31mb\u{fffd}\nc");
    }
}
