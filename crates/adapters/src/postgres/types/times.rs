//! Points in time: the server's text as RFC 3339, where that has a form for them.
//!
//! Infinity, years before 1 and after 9999 have none, and stay as the server writes them.

use jiff::civil::DateTime;
use jiff::{SignedDuration, civil};

/// Where the time ends and a fraction or an offset may begin: `2026-01-31 12:00:00`.
const LENGTH: usize = 19;

/// `2026-01-31 12:00:00.5` as `2026-01-31T12:00:00.5`.
pub(super) fn timestamp(text: &str) -> Option<String> {
    let (time, fraction, rest) = split(text)?;
    rest.is_empty().then(|| format!("{}T{}{fraction}", &time[..10], &time[11..]))
}

/// `2026-01-31 12:00:00.5+00` as `2026-01-31T12:00:00.5Z`, `+05:30` as itself.
pub(super) fn timestamptz(text: &str) -> Option<String> {
    let (time, fraction, offset) = split(text)?;
    let (date, clock) = (&time[..10], &time[11..]);
    match offset.len() {
        3 if is_offset(offset) && &offset[1..] == "00" => Some(format!("{date}T{clock}{fraction}Z")),
        3 if is_offset(offset) => Some(format!("{date}T{clock}{fraction}{offset}:00")),
        6 if is_offset(offset) => Some(format!("{date}T{clock}{fraction}{offset}")),
        // Before there were zones a place had its own time, to the second. RFC 3339 has no seconds there.
        9 if is_offset(offset) => in_utc(time, offset).map(|time| format!("{time}{fraction}Z")),
        _ => None,
    }
}

/// The time, its fraction with the dot, and what follows.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() >= LENGTH
        && bytes[..LENGTH].iter().zip(b"0000-00-00 00:00:00").all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            mark => byte == mark,
        });
    if !shaped {
        return None;
    }
    let (time, rest) = text.split_at(LENGTH);
    let digits = rest.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let (fraction, rest) = rest.split_at(if digits == 0 { 0 } else { digits + 1 });
    Some((time, fraction, rest))
}

/// `+05`, `-05:30`, `+00:53:28`.
fn is_offset(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        0 => matches!(byte, b'+' | b'-'),
        3 | 6 => byte == b':',
        _ => byte.is_ascii_digit(),
    })
}

fn in_utc(time: &str, offset: &str) -> Option<String> {
    let number = |range: std::ops::Range<usize>| offset[range].parse::<i64>().ok();
    let seconds = number(1..3)? * 3600 + number(4..6)? * 60 + number(7..9)?;
    let ahead = SignedDuration::from_secs(if offset.starts_with('-') { -seconds } else { seconds });
    let utc = time.parse::<DateTime>().ok()?.checked_sub(ahead).ok()?;
    (utc.date() >= civil::date(1, 1, 1)).then(|| utc.strftime("%Y-%m-%dT%H:%M:%S").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        for (text, time) in [
            ("2026-01-31 12:00:00", Some("2026-01-31T12:00:00")),
            ("0001-01-01 00:00:00.000001", Some("0001-01-01T00:00:00.000001")),
            ("infinity", None),
            ("-infinity", None),
            ("0044-03-15 12:00:00 BC", None),
            ("10000-01-01 00:00:00", None),
            ("294276-12-31 23:59:59.999999", None),
            ("31.01.2026 12:00:00", None),
            ("Sat Jan 31 12:00:00 2026", None),
            ("2026-01-31 12:00:00.", None),
            ("2026-01-31 12:00:00+00", None),
            ("ä026-01-31 12:00:0", None),
            ("", None),
        ] {
            assert_eq!(timestamp(text).as_deref(), time, "{text}");
        }
    }

    #[test]
    fn offsets_are_told_in_full() {
        for (text, time) in [
            ("2026-01-31 12:00:00+00", Some("2026-01-31T12:00:00Z")),
            ("2026-01-31 12:00:00.25+00", Some("2026-01-31T12:00:00.25Z")),
            ("2026-01-31 12:00:00+02", Some("2026-01-31T12:00:00+02:00")),
            ("2026-01-31 12:00:00-03:30", Some("2026-01-31T12:00:00-03:30")),
            ("1800-01-01 00:53:28.5+00:53:28", Some("1800-01-01T00:00:00.5Z")),
            ("1799-12-31 19:00:00-05:17:32", Some("1800-01-01T00:17:32Z")),
            // The first second of the first year somewhere is no year of RFC 3339 in UTC.
            ("0001-01-01 00:00:00+00:53:28", None),
            ("9999-12-31 23:59:59-00:53:28", None),
            ("0044-03-15 12:00:00+00 BC", None),
            ("infinity", None),
            ("2026-01-31 12:00:00", None),
            ("2026-01-31 12:00:00 CET", None),
            ("2026-01-31 12:00:00+ä", None),
        ] {
            assert_eq!(timestamptz(text).as_deref(), time, "{text}");
        }
    }
}
