//! A failure as people read it: what, why, what to do, and the names to look it up by.

use std::fmt::Write;

use model::Problem;
use sdk::Family;

use crate::exit::Exit;
use crate::output::{Color, Tone, clean};
use crate::terminal::Terminal;

/// Why a command could not be carried out. One pointer wide.
#[derive(Debug)]
pub(crate) struct Fault(Box<Inner>);

#[derive(Debug)]
struct Inner {
    exit: Exit,
    what: String,
    why: Option<String>,
    fix: Option<String>,
    places: Vec<String>,
    code: Option<String>,
    request_id: Option<String>,
    /// Whoever read our output has gone away: there is nobody to tell.
    unheard: bool,
}

impl Fault {
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Fault {
        Fault(Box::new(Inner {
            exit,
            what: what.into(),
            why: None,
            fix: None,
            places: Vec::new(),
            code: None,
            request_id: None,
            unheard: false,
        }))
    }

    pub(crate) fn usage(what: impl Into<String>) -> Fault {
        Fault::new(Exit::Usage, what)
    }

    /// A document with these faults.
    pub(crate) fn invalid(what: impl Into<String>, problems: &[Problem]) -> Fault {
        let mut fault = Fault::new(Exit::Invalid, what);
        fault.0.places = problems.iter().map(Problem::to_string).collect();
        fault
    }

    pub(crate) fn why(mut self, why: impl Into<String>) -> Fault {
        self.0.why = Some(why.into());
        self
    }

    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Fault {
        self.0.fix = Some(fix.into());
        self
    }

    /// In other words, what could not be done.
    pub(crate) fn instead(mut self, what: &str) -> Fault {
        what.clone_into(&mut self.0.what);
        self
    }

    /// In place of the places that the gateway named, the same with lines of a file.
    pub(crate) fn places(mut self, places: Vec<String>) -> Fault {
        self.0.places = places;
        self
    }

    /// Where it happened, in what was being carried out.
    pub(crate) fn at(mut self, place: &str) -> Fault {
        self.0.places.insert(0, place.to_owned());
        self
    }

    /// Whether whoever read our output has gone away.
    pub(crate) fn is_unheard(&self) -> bool {
        self.0.unheard
    }

    #[cfg(test)]
    pub(crate) fn exit(&self) -> Exit {
        self.0.exit
    }

    /// Writes it to standard error.
    pub(crate) fn show(&self, terminal: &mut Terminal<'_>, color: Color) -> Exit {
        if self.0.unheard {
            return Exit::Done;
        }
        let text = self.render(terminal.color_of_talk(color));
        terminal.talk(&text);
        self.0.exit
    }

    fn render(&self, color: bool) -> String {
        let mut text = format!("{} {}\n", Tone::Bad.paint("error:", color), clean(&self.0.what));
        for place in &self.0.places {
            let _ = writeln!(text, "  - {}", clean(place));
        }
        let rows = [
            ("why", &self.0.why),
            ("fix", &self.0.fix),
            ("code", &self.0.code),
            ("request", &self.0.request_id),
        ];
        for (name, value) in rows {
            if let Some(value) = value {
                let _ = writeln!(text, "  {:<8} {}", format!("{name}:"), clean(value));
            }
        }
        text
    }
}

impl From<sdk::Error> for Fault {
    fn from(error: sdk::Error) -> Fault {
        let exit = Exit::of(&error);
        let (what, fix) = match (exit, error.status()) {
            (Exit::Unreachable, _) if error.family() == Family::Protocol => (
                Some("what answers there is not a gateway of a version that this program knows"),
                "say where the gateway is with --url or THROOME_URL",
            ),
            (Exit::Unreachable, None) => (
                Some("the gateway cannot be reached"),
                "start one with `throome serve`, or say where it is with --url or THROOME_URL",
            ),
            (Exit::TimedOut, None) => {
                (Some("the gateway did not answer in time"), "`throome status` shows how it is")
            }
            (Exit::Usage, None) => (None, ""),
            // The service refused its own user, and no token of ours changes that.
            (Exit::NotAllowed, _) if error.native().is_some() => {
                (error.title(), "its `username` in the cluster is who may not; no token changes that")
            }
            (Exit::NotAllowed, _) => (error.title(), "give a token with --token or THROOME_TOKEN"),
            _ => (error.title(), ""),
        };
        // A title says what, the detail why; without a title the detail is all there is.
        let mut fault = match what {
            Some(what) => Fault::new(exit, what).why(error.detail()),
            None => Fault::new(exit, error.detail()),
        };
        let fix = Some(fix).filter(|fix| !fix.is_empty());
        fault.0.fix = as_typed(&error).or(error.hint()).or(fix).map(str::to_owned);
        fault.0.places = error.fields().iter().map(place).collect();
        fault.0.code = error.code().map(|code| match error.native() {
            Some((name, native)) => format!("{code} ({name} {native})"),
            None => code.to_owned(),
        });
        fault.0.request_id = error.request_id().map(str::to_owned);
        fault
    }
}

/// What the gateway advises in the words of its API, as it is typed here.
fn as_typed(error: &sdk::Error) -> Option<&'static str> {
    match error.code()? {
        "ambiguous_service" => Some("say which: --service NAME"),
        "unsupported_ability" => Some("`throome kinds` says which kinds have it"),
        _ => None,
    }
}

/// A fault that the gateway found in a body, in the words of [`Problem`].
fn place(field: &sdk::FieldError) -> String {
    Problem {
        path: field.path.clone(),
        message: field.message.clone(),
        file: None,
        line: field.line,
        column: field.column,
        suggestion: field.suggestion.clone(),
        not_built: false,
    }
    .to_string()
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Fault {
        let mut fault = Fault::new(Exit::Failed, format!("cannot write the output: {error}"));
        fault.0.unheard = error.kind() == std::io::ErrorKind::BrokenPipe;
        fault
    }
}
