//! Where a command reads and writes, and what is known of the people at the other end.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

use crate::fault::Fault;
use crate::output::Color;

/// Standard streams and environment, or a test's.
pub(crate) struct Terminal<'a> {
    pub(crate) input: &'a mut dyn BufRead,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    pub(crate) people: People,
    /// Whether lines can be edited where they are typed.
    pub(crate) edits_lines: bool,
    pub(crate) env: fn(&str) -> Option<String>,
    /// Columns and lines of where talk goes, where that is known.
    pub(crate) measure: fn() -> Option<(usize, usize)>,
}

/// Which streams end at a person.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct People {
    pub(crate) type_input: bool,
    pub(crate) read_out: bool,
    pub(crate) read_err: bool,
}

impl<'a> Terminal<'a> {
    /// The process's own.
    pub(crate) fn of_process(
        input: &'a mut dyn BufRead,
        out: &'a mut dyn Write,
        err: &'a mut dyn Write,
    ) -> Terminal<'a> {
        let people = People {
            type_input: std::io::stdin().is_terminal(),
            read_out: std::io::stdout().is_terminal(),
            read_err: std::io::stderr().is_terminal(),
        };
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let able = env("TERM").is_some_and(|term| !matches!(term.as_str(), "dumb" | "cons25" | "emacs"));
        let edits_lines = people.type_input && (able || cfg!(windows));
        let measure = || {
            let (width, height) = terminal_size::terminal_size_of(std::io::stderr())?;
            Some((width.0.into(), height.0.into())).filter(|size| *size != (0, 0))
        };
        Terminal { edits_lines, measure, ..Terminal::new(input, out, err, people, env) }
    }

    pub(crate) fn new(
        input: &'a mut dyn BufRead,
        out: &'a mut dyn Write,
        err: &'a mut dyn Write,
        people: People,
        env: fn(&str) -> Option<String>,
    ) -> Terminal<'a> {
        Terminal { input, out, err, people, edits_lines: false, env, measure: || None }
    }

    /// Data.
    pub(crate) fn data(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        Ok(self.out.write_all(bytes)?)
    }

    /// Talk. That nobody hears it is no reason to fail.
    pub(crate) fn talk(&mut self, text: &str) {
        let _ = self.err.write_all(text.as_bytes());
        let _ = self.err.flush();
    }

    pub(crate) fn flush(&mut self) -> Result<(), Fault> {
        Ok(self.out.flush()?)
    }

    /// Whether what was said can be drawn over.
    pub(crate) fn draws(&self) -> bool {
        self.people.read_err && (self.env)("TERM").is_none_or(|term| term != "dumb")
    }

    /// Columns and lines of where talk goes; a usual size where nobody knows.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.measure)().unwrap_or((80, 24))
    }

    pub(crate) fn color_of_data(&self, wish: Color) -> bool {
        self.color(wish, self.people.read_out)
    }

    pub(crate) fn color_of_talk(&self, wish: Color) -> bool {
        self.color(wish, self.people.read_err)
    }

    fn color(&self, wish: Color, person: bool) -> bool {
        match wish {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let dumb = (self.env)("TERM").is_some_and(|term| term == "dumb");
                person && (self.env)("NO_COLOR").is_none() && !dumb
            }
        }
    }

    /// Help and version are data; a fault of usage is talk.
    pub(crate) fn show_clap(&mut self, error: &clap::Error) -> ExitCode {
        let text = error.render();
        let written = if error.use_stderr() {
            let color = self.color_of_talk(Color::Auto);
            self.talk(&if color { text.ansi().to_string() } else { text.to_string() });
            Ok(())
        } else {
            let color = self.color_of_data(Color::Auto);
            let text = if color { text.ansi().to_string() } else { text.to_string() };
            self.data(text.as_bytes()).and_then(|()| self.flush())
        };
        match written {
            Ok(()) => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1)),
            Err(fault) => fault.show(self, Color::Auto).code(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_failure() {
        let (mut input, mut out, mut err) = (&b""[..], Gone, Vec::new());
        let mut terminal = Terminal::new(&mut input, &mut out, &mut err, People::default(), |_| None);
        let fault = terminal.data(b"line").unwrap_err();
        assert_eq!(fault.show(&mut terminal, Color::Auto), Exit::Done);
        assert!(err.is_empty());
    }
}
