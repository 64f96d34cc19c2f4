//! A size as people write it in a document: `64mb`, `1gb`, or a number of bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes, which read `512mb` or a bare number and print the shortest of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Size(pub u64);

/// Bytes: a number with `b`, `kb`, `mb`, `gb` (each 1024 of the one before) or nothing behind it.
///
/// # Errors
/// When it is no such text, or more than a petabyte, which is a slip of the keyboard.
pub fn read(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size such as `64mb`, `1gb` or a number of bytes");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1 << 10,
        "mb" => 1 << 20,
        "gb" => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    // Sums of sizes must not overflow.
    number
        .checked_mul(scale)
        .filter(|bytes| *bytes <= 1 << 50)
        .ok_or_else(|| format!("`{text}` is more than any machine has"))
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text).map(Size)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (scale, unit) in [(1 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")] {
            if self.0 >= scale && self.0.is_multiple_of(scale) {
                return write!(f, "{}{unit}", self.0 / scale);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in
            [("0", 0), ("4096", 4096), ("1kb", 1024), ("64mb", 64 << 20), ("1 GB", 1 << 30), ("7b", 7)]
        {
            assert_eq!(read(text), Ok(bytes), "{text}");
        }
        for bad in
            ["", "mb", "-1", "1.5gb", "64m", "64 mib", "99999999999999999999", "18446744073709551615gb"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_written_as_they_would_be_read() {
        for (bytes, text) in [(0, "0"), (1000, "1000"), (1024, "1kb"), (512 << 20, "512mb"), (1 << 30, "1gb")]
        {
            assert_eq!(Size(bytes).to_string(), text);
            assert_eq!(text.parse(), Ok(Size(bytes)));
        }
    }
}
