//! Reading back what was said, and following what will be.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream;
use jiff::Timestamp;
use model::Failure;
use tokio::sync::watch;

use super::refuse;
use super::unit::Unit;
use crate::{Ask, Line, Lines, Source, State};

/// The lines that are asked for.
pub(super) async fn lines(unit: Arc<Unit>, ask: &Ask) -> Result<Lines, Failure> {
    unit.harvest().await;
    let mut reading = Reading {
        changed: unit.changed.subscribe(),
        unit,
        ask: ask.clone(),
        position: 0,
        ready: VecDeque::new(),
    };
    reading.more().await?;
    if let Some(tail) = ask.tail {
        let first = reading.ready.len().saturating_sub(tail);
        reading.ready.drain(..first);
    }
    Ok(Box::pin(stream::unfold(reading, |mut reading| async {
        let line = reading.next().await.transpose()?;
        Some((line, reading))
    })))
}

struct Reading {
    unit: Arc<Unit>,
    changed: watch::Receiver<()>,
    ask: Ask,
    position: u64,
    ready: VecDeque<Line>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Line>, Failure> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(Some(line));
            }
            if !self.ask.follow {
                return Ok(None);
            }
            self.changed.mark_unchanged();
            // In this order: what it says at its very end is read after it was seen to be over.
            let over = matches!(self.unit.state(), State::Absent | State::Stopped | State::Ended { .. });
            self.more().await?;
            if !self.ready.is_empty() {
                continue;
            }
            if over || self.changed.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    async fn more(&mut self) -> Result<(), Failure> {
        let (unit, position) = (self.unit.clone(), self.position);
        let read = tokio::task::spawn_blocking(move || unit.log.since(position)).await;
        let read = read.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let (lines, next) = read.map_err(|error| refuse::disk("read", &self.unit.place.log(), error))?;
        self.position = next;
        let since = self.ask.since;
        // Lines that are not asked for need not be read, as long as it is clear which these are.
        let first = match (self.ask.tail, since, position) {
            (Some(tail), None, 0) => lines.len().saturating_sub(tail),
            _ => 0,
        };
        let lines = lines[first..].iter().filter_map(|line| parsed(line));
        self.ready.extend(lines.filter(|line| since.is_none_or(|since| line.time >= since)));
        Ok(())
    }
}

/// A line as the log has it: time, source, text.
fn parsed(line: &str) -> Option<Line> {
    let (time, rest) = line.split_once(' ')?;
    let (source, text) = rest.split_once(' ')?;
    let source = match source {
        "out" => Source::Out,
        "err" => Source::Err,
        _ => return None,
    };
    Some(Line { time: time.parse::<Timestamp>().ok()?, source, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_was_written() {
        let line = parsed("2026-11-22T09:10:11.123Z err  two  blanks ").unwrap();
        assert_eq!((line.source, line.text.as_str()), (Source::Err, " two  blanks "));
        assert_eq!(line.time, "2026-11-22T09:10:11.123Z".parse().unwrap());
        assert_eq!(parsed("2026-11-22T09:10:11.123Z out ").unwrap().text, "");
        assert_eq!(parsed("nonsense"), None);
    }
}
