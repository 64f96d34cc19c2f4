//! What a plain scalar means by the core schema of YAML 1.2 (chapter 10.3.2).

use crate::tree::Value;

/// The value that these characters stand for when they are written without quotes.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    number(text).unwrap_or_else(|| Value::Text(text.to_owned()))
}

/// Whether a reader of YAML 1.1 would take these characters for something other than text.
pub(super) fn is_ambiguous(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    if matches!(lower.as_str(), "y" | "n" | "yes" | "no" | "on" | "off" | "<<" | "=") {
        return true;
    }
    // `1_000`, `0b11`, `12:30:45`, `2024-01-31`: numbers and times of the older schema.
    lower.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
        && lower.contains(|c: char| c.is_ascii_digit())
        && lower.chars().all(|c| c.is_ascii_hexdigit() || "_:.-+xob".contains(c))
        && !lower.contains("..")
        && lower.bytes().filter(|b| *b == b'.').count() < 2
}

fn number(text: &str) -> Option<Value> {
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Some(Value::Float(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }));
    }
    if !is_decimal(unsigned) {
        return None;
    }
    if unsigned.bytes().all(|b| b.is_ascii_digit())
        && let Ok(n) = text.parse()
    {
        return Some(Value::Int(n));
    }
    text.parse().ok().map(Value::Float)
}

fn radix(digits: &str, radix: u32) -> Option<Value> {
    if digits.starts_with(['-', '+']) {
        return None;
    }
    i64::from_str_radix(digits, radix).ok().map(Value::Int)
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_schema() {
        for (text, value) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("FALSE", Value::Bool(false)),
            ("0", Value::Int(0)),
            ("-12", Value::Int(-12)),
            ("+7", Value::Int(7)),
            ("010", Value::Int(10)),
            ("0o17", Value::Int(15)),
            ("0xFF", Value::Int(255)),
            ("1.10", Value::Float(1.1)),
            (".5", Value::Float(0.5)),
            ("5.", Value::Float(5.0)),
            ("1e3", Value::Float(1000.0)),
            ("-.inf", Value::Float(f64::NEG_INFINITY)),
            ("9223372036854775808", Value::Float(9_223_372_036_854_775_808.0)),
        ] {
            assert_eq!(resolve(text), value, "{text}");
        }
        for text in [
            "yes", "No", "on", ".", "-", "+", "e5", "1e", "0x", "0x-1", "1_000", "1.2.3", "inf", "nan", "10s",
        ] {
            assert_eq!(resolve(text), Value::Text(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_an_older_reader_would_misread() {
        for text in ["yes", "OFF", "y", "1_000", "0b11", "12:30", "2024-01-31", "=", "<<"] {
            assert!(is_ambiguous(text), "{text}");
        }
        for text in ["cache", "10s", "127.0.0.1", "redis:7", "a-b", "..", "deadbeef"] {
            assert!(!is_ambiguous(text), "{text}");
        }
    }
}
