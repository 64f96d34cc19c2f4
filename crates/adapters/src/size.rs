//! Sizes as people write them in a document: `64mb`, `1gb`, or a number of bytes.

/// Bytes: a number with `b`, `kb`, `mb`, `gb` (each 1024 of the one before) or nothing behind it.
pub(crate) fn read(text: &str) -> Result<u64, String> {
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
    // A petabyte is a slip of the keyboard, and sums of sizes must not overflow.
    number
        .checked_mul(scale)
        .filter(|bytes| *bytes <= 1 << 50)
        .ok_or_else(|| format!("`{text}` is more than any machine has"))
}

/// The same within bounds, both included.
pub(crate) fn between(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let bytes = read(text)?;
    if bytes < least || bytes > most {
        return Err(format!("must be between {least} and {most} bytes, and `{text}` is {bytes}"));
    }
    Ok(bytes)
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
}
