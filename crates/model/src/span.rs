//! A length of time as documents spell it: `10s`, `500ms`, `5m`; a bare number is seconds.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration that reads `500ms`, `10s`, `5m`, `1h`, `2d` or a bare number of seconds, and prints the shortest of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub Duration);

/// The longest time any setting takes: a year. More is a slip of the keyboard.
pub const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

impl Span {
    /// So many milliseconds.
    #[must_use]
    pub const fn millis(n: u64) -> Self {
        Span(Duration::from_millis(n))
    }

    /// So many seconds.
    #[must_use]
    pub const fn secs(n: u64) -> Self {
        Span(Duration::from_secs(n))
    }

    /// A number of seconds, with a fraction.
    ///
    /// # Errors
    /// When it is negative, not a number or longer than [`LONGEST`].
    pub fn from_seconds(seconds: f64) -> Result<Self, String> {
        if !seconds.is_finite() || seconds < 0.0 || seconds > LONGEST.as_secs_f64() {
            return Err(format!("`{seconds}` seconds is not between 0 and 366 days"));
        }
        Ok(Span(Duration::from_secs_f64(seconds)))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number_ends = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(number_ends);
        let scale = match unit {
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" | "" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return Err(format!("`{text}` is not a duration such as `10s`, `500ms` or `5m`")),
        };
        let number: f64 = number
            .parse()
            .map_err(|_| format!("`{text}` is not a duration such as `10s`, `500ms` or `5m`"))?;
        Span::from_seconds(number * scale)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        for (scale, unit) in
            [(86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "m"), (1_000_000, "s")]
        {
            if micros >= scale && micros.is_multiple_of(scale) {
                return write!(f, "{}{unit}", micros / scale);
            }
        }
        match micros {
            0 => f.write_str("0s"),
            n if n.is_multiple_of(1000) => write!(f, "{}ms", n / 1000),
            n => write!(f, "{n}us"),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as `10s`, `500ms` or a number of seconds")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Span, E> {
                #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 seconds it is refused anyway")]
                Span::from_seconds(n as f64).map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Span, E> {
                #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 seconds it is refused anyway")]
                Span::from_seconds(n as f64).map_err(E::custom)
            }
            fn visit_f64<E: de::Error>(self, n: f64) -> Result<Span, E> {
                Span::from_seconds(n).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for (text, millis, printed) in [
            ("10s", 10_000, "10s"),
            ("500ms", 500, "500ms"),
            ("5m", 300_000, "5m"),
            ("1.5s", 1500, "1500ms"),
            ("60", 60_000, "1m"),
            ("0", 0, "0s"),
            ("2h", 7_200_000, "2h"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.0.as_millis(), span.to_string().as_str()), (millis, printed), "{text}");
        }
        for bad in ["", "s", "ten", "-1s", "1w", "1e9d", "1.2.3s"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}
