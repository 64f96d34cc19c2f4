//! Sizes within bounds, as the options of kinds take them.

pub(crate) use model::size::read;

/// Bytes within bounds, both included.
pub(crate) fn between(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let bytes = read(text)?;
    if bytes < least || bytes > most {
        return Err(format!("must be between {least} and {most} bytes, and `{text}` is {bytes}"));
    }
    Ok(bytes)
}
