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

/// Where lines go.
#[derive(Debug, Clone, Copy)]
pub enum To<'p> {
    /// Standard error, since standard output is for data.
    Stderr,
    /// Standard output.
    Stdout,
    /// A file, which is appended to.
    File(&'p Path),
}

/// Begins logging.
///
/// # Errors
/// When the file cannot be opened, or logging has begun before.
pub fn begin(level: &str, format: Format, to: To<'_>) -> io::Result<()> {
    let writer = match to {
        To::Stderr => BoxMakeWriter::new(io::stderr),
        To::Stdout => BoxMakeWriter::new(io::stdout),
        To::File(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            let named = |error| io::Error::other(format!("{}: {error}", path.display()));
            BoxMakeWriter::new(Mutex::new(file.map_err(named)?))
        }
    };
    let filter = EnvFilter::try_new(level).map_err(io::Error::other)?;
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    match format {
        Format::Text => base.with_ansi(matches!(to, To::Stderr) && is_terminal()).try_init(),
        Format::Json => base.json().flatten_event(true).try_init(),
    }
    .map_err(io::Error::other)
}

fn is_terminal() -> bool {
    use std::io::IsTerminal;
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
