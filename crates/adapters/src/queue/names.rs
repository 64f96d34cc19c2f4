//! Names of topics and groups, as Kafka has them.

use model::{Code, Failure};

use super::{DEAD_LETTERS, MAX_NAME};

/// Checks the name of a topic. Dead letters have a suffix on top of the longest name.
pub(crate) fn topic(name: &str) -> Result<(), Failure> {
    well_formed(name, name.strip_suffix(DEAD_LETTERS).unwrap_or(name), "topic")
}

/// Checks the name of a group.
pub(crate) fn group(name: &str) -> Result<(), Failure> {
    well_formed(name, name, "group")
}

fn well_formed(name: &str, counted: &str, what: &str) -> Result<(), Failure> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    // Kafka refuses the two names that a file system takes for directories.
    let right = !matches!(name, "" | "." | "..") && counted.len() <= MAX_NAME && name.bytes().all(allowed);
    if right {
        return Ok(());
    }
    Err(invalid(format!(
        "`{}` is no name of a {what}: it has 1 to {MAX_NAME} of A-Z, a-z, 0-9, `.`, `_` and `-`.",
        name.chars().take(80).collect::<String>().escape_debug()
    )))
}

pub(crate) fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    Failure::client(Code::InvalidRequest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kafka() {
        let longest = "a".repeat(MAX_NAME);
        for name in ["a", "orders.v1_x-Y", "...", longest.as_str(), &format!("{longest}.dead")] {
            assert!(topic(name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", "a b", "a/b", "\u{e9}", "a\n", &"a".repeat(MAX_NAME + 1)] {
            assert_eq!(topic(name).unwrap_err().code(), Code::InvalidRequest, "{name}");
            assert_eq!(group(name).unwrap_err().code(), Code::InvalidRequest, "{name}");
        }
        assert!(group(&format!("{longest}.dead")).is_err());
    }
}
