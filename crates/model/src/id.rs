//! The id of a cluster: also the name of its directory, so it can never be anything but a plain name.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// 1 to 63 of `a-z 0-9 -`, beginning and ending with a letter or digit. Cannot name a path outside its directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterId(Arc<str>);

impl ClusterId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The shared text.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The slug of a name with a short suffix, for a cluster that was created without an id.
    #[must_use]
    pub fn from_name(name: &str, suffix: &str) -> Self {
        let mut slug = String::new();
        for c in name.chars() {
            match c.to_ascii_lowercase() {
                c @ ('a'..='z' | '0'..='9') => slug.push(c),
                _ if slug.ends_with('-') || slug.is_empty() => {}
                _ => slug.push('-'),
            }
            if slug.len() == 32 {
                break;
            }
        }
        let slug = slug.trim_matches('-');
        let slug = if slug.is_empty() { "cluster" } else { slug };
        ClusterId(format!("{slug}-{suffix}").into())
    }
}

impl FromStr for ClusterId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        let ends_plain =
            bytes.first().copied().is_some_and(plain) && bytes.last().copied().is_some_and(plain);
        if !ends_plain || bytes.len() > 63 || !bytes.iter().all(|&b| plain(b) || b == b'-') {
            return Err(format!(
                "`{text}` is not a cluster id: 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit"
            ));
        }
        Ok(ClusterId(text.into()))
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ClusterId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ClusterId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_plain_name() {
        for good in ["shop", "a", "a-b", "0", "abc12345"] {
            assert!(good.parse::<ClusterId>().is_ok(), "{good}");
        }
        for bad in
            ["", ".", "..", "../etc", "a/b", "A", "-a", "a-", "a_b", "a.b", "a\0", &"x".repeat(64), "é"]
        {
            assert!(bad.parse::<ClusterId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_slug_is_an_id() {
        for name in ["My Shop!", "..", "", "ünïcode", &"long ".repeat(50), "-- x --"] {
            let id = ClusterId::from_name(name, "3f9a");
            assert!(id.as_str().parse::<ClusterId>().is_ok(), "{id}");
        }
        assert_eq!(ClusterId::from_name("My Shop!", "3f9a").as_str(), "my-shop-3f9a");
    }
}
