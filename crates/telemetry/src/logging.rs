//! How the process talks of itself: one line a fact, with fields.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Begins logging, to standard error or to a file that is appended to. Lines go to standard error by
/// default because standard output is for data.
///
/// # Errors
/// When the file cannot be opened, or logging has begun before.
pub fn begin(level: &str, format: Format, path: Option<&Path>) -> io::Result<()> {
    let writer = match path {
        None => BoxMakeWriter::new(io::stderr),
        Some(path) => BoxMakeWriter::new(Mutex::new(OpenOptions::new().create(true).append(true).open(path)?)),
    };
    let filter = EnvFilter::try_new(level).map_err(io::Error::other)?;
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    match format {
        Format::Text => base.with_ansi(path.is_none() && is_terminal()).try_init(),
        Format::Json => base.json().flatten_event(true).try_init(),
    }
    .map_err(io::Error::other)
}

fn is_terminal() -> bool {
    use std::io::IsTerminal;
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
