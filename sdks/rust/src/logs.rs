//! What a service has said, line by line, as it comes.

use std::time::Duration;

use bytes::Bytes;

use crate::address::with_query;
use crate::call::{Outgoing, Patience, open};
use crate::client::Client;
use crate::error::{Error, Family};
use crate::stream::Lines;

/// Which lines are wanted.
///
/// ```
/// let mut recent = throome_sdk::LogOptions::default();
/// recent.since = Some("10m".to_owned());
/// recent.follow = true;
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LogOptions {
    /// The last so many of those that there are; left out, as many as the gateway likes.
    pub tail: Option<Tail>,
    /// Only what was said since: a time as RFC 3339, or how long ago, such as `10m`.
    pub since: Option<String>,
    /// Whether it goes on with what will be said, until the service ends.
    pub follow: bool,
}

/// How many of the lines that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Every one.
    All,
    /// The last so many.
    Last(u32),
}

impl LogOptions {
    pub(crate) fn onto(&self, path: &str) -> String {
        let tail = self.tail.map(|tail| match tail {
            Tail::All => "all".to_owned(),
            Tail::Last(lines) => lines.to_string(),
        });
        let follow = self.follow.then_some("true");
        with_query(path, &[("tail", tail.as_deref()), ("since", self.since.as_deref()), ("follow", follow)])
    }
}

/// One line of what a service has said, on its standard output or its standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// When it was said; RFC 3339, UTC.
    pub time: String,
    /// What was said.
    pub text: String,
}

/// Lines as they come; the connection closes when this is dropped. It is not taken up again where it broke: whoever wants
/// the rest asks with [`LogOptions::since`] for what was said after the last line.
pub struct LogLines {
    lines: Lines,
    request_id: Option<String>,
}

impl LogLines {
    pub(crate) async fn open(client: &Client, path: String) -> Result<LogLines, Error> {
        let mut request = Outgoing::get(path, Patience::Management);
        request.accept = "text/plain, application/problem+json";
        let (head, body) = Box::pin(open(client, &request)).await?;
        let request_id = head.request_id().map(str::to_owned);
        // A service may say nothing for days, and no heartbeat comes between: silence is no failure.
        Ok(LogLines { lines: Lines::within(body, Duration::MAX), request_id })
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// They were cut off: not all that the service has said has come.
    pub async fn next(&mut self) -> Result<Option<LogLine>, Error> {
        let told = match self.lines.next().await {
            Ok(Some(line)) => Ok(Some(read(&line))),
            Ok(None) if self.lines.is_cut() => {
                Err(Error::new(Family::Connection, "the log ended in the middle of a line"))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        told.map_err(|error| error.with_request_id(self.request_id.as_deref()))
    }
}

impl std::fmt::Debug for LogLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogLines").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}

/// Each line begins with its time.
fn read(line: &Bytes) -> LogLine {
    let line = String::from_utf8_lossy(line);
    let (time, text) = line.split_once(' ').unwrap_or((&line, ""));
    LogLine { time: time.to_owned(), text: text.to_owned() }
}
