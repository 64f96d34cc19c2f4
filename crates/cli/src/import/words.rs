//! Names as the gateway has them, and sentences that fit on one line.

/// A service's name: 1 to 63 of a-z, 0-9, `-` and `_`, beginning with a letter or digit; another one where it is taken.
pub(super) fn service_name(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let plain =
        |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c.to_ascii_lowercase() } else { '-' };
    let name: String = name.chars().map(plain).collect();
    let name = name.trim_start_matches(['-', '_']);
    let name = if name.is_empty() { "service" } else { &name[..name.len().min(60)] };
    let further = (2..).map(|number| format!("{name}-{number}"));
    let free = std::iter::once(name.to_owned()).chain(further).find(|name| !taken(name));
    free.unwrap_or_else(|| name.to_owned())
}

/// A cluster's id: 1 to 63 of a-z, 0-9 and `-`, beginning and ending with a letter or digit.
pub(super) fn cluster_id(name: &str) -> String {
    let mut id = String::new();
    for c in name.chars().map(|c| c.to_ascii_lowercase()) {
        if c.is_ascii_alphanumeric() {
            id.push(c);
        } else if !id.is_empty() && !id.ends_with('-') {
            id.push('-');
        }
        if id.len() == 63 {
            break;
        }
    }
    let id = id.trim_end_matches('-');
    if id.is_empty() { "imported".to_owned() } else { id.to_owned() }
}

/// Without line ends and other signs that a comment would end at.
pub(super) fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_control() || "\u{2028}\u{2029}\u{85}".contains(c))
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The words of a command as a shell takes them apart; quotes are taken off.
pub(super) fn shell(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"') | None, '\\') => word.get_or_insert_default().extend(chars.next()),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_to_fit() {
        for (name, made) in
            [("db", "db"), ("My.App", "my-app"), ("_x", "x"), ("é", "service"), ("taken", "taken-2")]
        {
            assert_eq!(service_name(name, |name| name == "taken"), made, "{name}");
        }
        for (name, made) in [("shop", "shop"), ("My_App 2", "my-app-2"), ("..", "imported"), ("-a-", "a")] {
            assert_eq!(cluster_id(name), made, "{name}");
            assert!(cluster_id(&name.repeat(40)).parse::<model::ClusterId>().is_ok(), "{name}");
        }
    }

    #[test]
    fn commands_are_taken_apart_as_a_shell_does() {
        for (command, words) in [
            ("a  b", &["a", "b"][..]),
            ("a 'b c' \"d\\\"e\" f\\ g", &["a", "b c", "d\"e", "f g"]),
            ("a ''", &["a", ""]),
            ("'a", &["a"]),
            ("", &[]),
        ] {
            assert_eq!(shell(command), words, "{command}");
        }
        assert_eq!(one_line("a\nb\r\n c"), "a b  c");
    }
}
