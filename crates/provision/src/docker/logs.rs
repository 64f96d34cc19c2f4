//! What a container has said, as lines: the engine's frames taken apart, long lines put together again.

use std::collections::VecDeque;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptions;
use futures_util::StreamExt;
use jiff::Timestamp;

use crate::docker::engine::{Engine, Told};
use crate::docker::wrong::Asked;
use crate::{Ask, Line, Lines, Source};

/// How long a line may become before it is told in pieces.
const LONGEST: usize = 1 << 20;

/// Reads the log of a container.
pub(super) fn read(engine: &Engine, id: &str, ask: &Ask, asked: Asked) -> Lines {
    let options = LogsOptions {
        stdout: true,
        stderr: true,
        timestamps: true,
        follow: ask.follow,
        tail: ask.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string()),
        // In whole seconds, and no more than the interface can say. What is too old is left out below.
        since: ask.since.map_or(0, |since| since.as_second().clamp(0, i64::from(i32::MAX)) as i32),
        until: 0,
    };
    let reader = Reader {
        frames: Some(Box::pin(engine.ask().logs(id, Some(options)))),
        lines: Assembly { since: ask.since, ..Assembly::default() },
        asked,
    };
    Box::pin(futures_util::stream::unfold(reader, async |mut reader| {
        let line = reader.next().await?;
        Some((line, reader))
    }))
}

struct Reader {
    /// Until it has ended.
    frames: Option<Told<LogOutput>>,
    lines: Assembly,
    asked: Asked,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<Line, model::Failure>> {
        loop {
            if let Some(line) = self.lines.ready.pop_front() {
                return Some(Ok(line));
            }
            match self.frames.as_mut()?.next().await {
                Some(Ok(frame)) => self.lines.take(frame),
                Some(Err(error)) => {
                    self.frames = None;
                    return Some(Err(self.asked.failed(error)));
                }
                None => {
                    self.frames = None;
                    self.lines.flush();
                    return self.lines.ready.pop_front().map(Ok);
                }
            }
        }
    }
}

/// Lines that are being put together. A frame is one line, or a piece of a long one, after the time at which it was said.
#[derive(Debug, Default)]
struct Assembly {
    since: Option<Timestamp>,
    out: Option<(Timestamp, Vec<u8>)>,
    err: Option<(Timestamp, Vec<u8>)>,
    ready: VecDeque<Line>,
}

impl Assembly {
    fn take(&mut self, frame: LogOutput) {
        let source = if matches!(frame, LogOutput::StdErr { .. }) { Source::Err } else { Source::Out };
        let bytes = frame.into_bytes();
        let Some((time, text)) = dated(&bytes) else { return };
        let begun = match source {
            Source::Out => &mut self.out,
            Source::Err => &mut self.err,
        };
        let (_, line) = begun.get_or_insert_with(|| (time, Vec::new()));
        line.extend_from_slice(text);
        if text.ends_with(b"\n") || line.len() >= LONGEST {
            self.end(source);
        }
    }

    /// What was said last may have no end.
    fn flush(&mut self) {
        self.end(Source::Out);
        self.end(Source::Err);
    }

    fn end(&mut self, source: Source) {
        let begun = match source {
            Source::Out => self.out.take(),
            Source::Err => self.err.take(),
        };
        let Some((time, bytes)) = begun else { return };
        if self.since.is_some_and(|since| time < since) {
            return;
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches(['\r', '\n']).to_owned();
        self.ready.push_back(Line { time, source, text });
    }
}

fn dated(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let time = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    Some((time, &bytes[space + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(text: &str) -> LogOutput {
        LogOutput::StdOut { message: text.to_owned().into() }
    }

    #[test]
    fn pieces_of_a_long_line_become_one_and_streams_stay_apart() {
        let mut lines = Assembly { since: "2026-01-01T00:00:01.5Z".parse().ok(), ..Assembly::default() };
        lines.take(out("2026-01-01T00:00:01Z too old\n"));
        lines.take(out("2026-01-01T00:00:02.000000001Z one "));
        lines.take(LogOutput::StdErr { message: "2026-01-01T00:00:03Z oh\r\n".into() });
        lines.take(out("2026-01-01T00:00:04Z line\n"));
        lines.take(out("2026-01-01T00:00:05Z \n"));
        lines.take(out("2026-01-01T00:00:06Z no end"));
        lines.flush();
        let told: Vec<_> = lines.ready.iter().map(|line| (line.source, line.text.as_str())).collect();
        assert_eq!(
            told,
            [(Source::Err, "oh"), (Source::Out, "one line"), (Source::Out, ""), (Source::Out, "no end")]
        );
        assert_eq!(lines.ready[1].time.to_string(), "2026-01-01T00:00:02.000000001Z");
    }

    #[test]
    fn a_line_without_an_end_is_told_in_pieces() {
        let mut lines = Assembly::default();
        for _ in 0..65 {
            lines.take(out(&format!("2026-01-01T00:00:01Z {}", "x".repeat(16 << 10))));
        }
        assert_eq!(lines.ready.len(), 1);
        assert_eq!(lines.ready[0].text.len(), LONGEST);
    }
}
