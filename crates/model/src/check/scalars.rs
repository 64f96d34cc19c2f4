//! Single values against their shapes: words with rules of their own, truth values, choices.

use super::path;
use super::walk::Walk;
use super::words::{describe, found, kind_of};
use crate::field::{Shape, Word};
use crate::id::ClusterId;
use crate::span::Span;
use crate::suggest::nearest;
use crate::tree::{Node, Value};

impl Walk<'_> {
    pub(super) fn word(&mut self, node: &Node, shape: Shape, path: &str) {
        let Some(text) = node.as_text() else {
            // A value in a secret's place may be the secret, so it is not shown.
            let found = if matches!(shape, Shape::Secret) { kind_of(node).to_owned() } else { found(node) };
            let problem = self.problems.at(node, path, format!("must be {}, not {found}", describe(shape)));
            problem.suggestion = matches!(node.value, Value::Bool(_)).then(|| "put it in quotes".to_owned());
            return;
        };
        let fault = match shape {
            Shape::Span | Shape::SpanFrom(_) => match text.parse::<Span>() {
                Err(message) => Some((format!("is wrong: {message}"), None)),
                Ok(span) if span < shortest(shape) => {
                    Some((format!("must be at least {}", shortest(shape)), None))
                }
                Ok(_) => None,
            },
            Shape::Host => path::host(&text).err(),
            Shape::RouteHost => path::route_host(&text).err(),
            Shape::ClusterId => text.parse::<ClusterId>().err().map(|message| (message, None)),
            Shape::Name => path::name(&text).err(),
            Shape::RoutePath => path::route_path(&text).err(),
            Shape::Timestamp if text.parse::<jiff::Timestamp>().is_err() => {
                Some((format!("must be {}, not {}", describe(shape), found(node)), None))
            }
            _ => None,
        };
        if let Some((message, suggestion)) = fault {
            self.problems.at(node, path, message).suggestion = suggestion;
        }
    }

    pub(super) fn bool(&mut self, node: &Node, path: &str) {
        if matches!(node.value, Value::Bool(_)) {
            return;
        }
        self.wrong(node, "`true` or `false`", path);
        let meant = match node.as_str().map(str::to_ascii_lowercase).as_deref() {
            Some("yes" | "on" | "y" | "true") => "write `true`",
            Some("no" | "off" | "n" | "false") => "write `false`",
            _ => return,
        };
        if let Some(problem) = self.problems.found.last_mut() {
            problem.suggestion = Some(meant.to_owned());
        }
    }

    pub(super) fn choice(&mut self, node: &Node, words: &'static [Word], path: &str) {
        let Some(text) = node.as_text() else {
            return self.wrong(node, &describe(Shape::Choice(words)), path);
        };
        match words.iter().find(|word| word.text == text) {
            Some(Word { later: Some(waits_for), .. }) => {
                let message = format!("`{text}` is not built yet: waits for {waits_for}");
                self.problems.at(node, path, message).not_built = true;
            }
            Some(_) => {}
            None => {
                let message = format!("must be {}, not {}", describe(Shape::Choice(words)), found(node));
                let meant = nearest(&text, words.iter().map(|word| word.text));
                self.problems.at(node, path, message).suggestion =
                    meant.map(|word| format!("did you mean `{word}`?"));
            }
        }
    }
}

fn shortest(shape: Shape) -> Span {
    match shape {
        Shape::SpanFrom(least) => Span::millis(least),
        _ => Span::default(),
    }
}
