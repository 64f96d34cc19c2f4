//! What a document says of a service, read again after it was checked.

use std::str::FromStr;
use std::time::Duration;

use model::{Code, Failure, ServiceSpec, Span};
use serde_json::{Map, Value};

/// Keys of a service that only its kind knows, or of a mapping in it, with the path that errors name.
#[derive(Clone, Copy)]
pub(crate) struct Said<'s> {
    keys: Option<&'s Map<String, Value>>,
    path: &'s str,
}

impl<'s> Said<'s> {
    pub(crate) fn of(service: &'s ServiceSpec) -> Self {
        Said { keys: Some(&service.options), path: "" }
    }

    /// The mapping under a key of the service; nothing is said in one that is not there.
    pub(crate) fn within(service: &'s ServiceSpec, key: &'s str) -> Self {
        Said { keys: service.options.get(key).and_then(Value::as_object), path: key }
    }

    /// Whether the key is there.
    pub(crate) fn has(self, key: &str) -> bool {
        self.keys.is_some_and(|keys| keys.get(key).is_some_and(|value| !value.is_null()))
    }

    /// Its text; a number or truth value is taken as it is written.
    pub(crate) fn text(self, key: &str) -> Option<String> {
        match self.keys?.get(key)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// The first of these names that is said, since older files spell some keys otherwise.
    pub(crate) fn first_text(self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.text(name))
    }

    /// A number or truth value.
    pub(crate) fn parsed<T: FromStr>(self, key: &str, default: T) -> Result<T, Failure> {
        self.read(key, default, |text| {
            text.parse().map_err(|_| format!("`{text}` is not what is expected here"))
        })
    }

    /// A length of time.
    pub(crate) fn span(self, key: &str, default: Duration) -> Result<Duration, Failure> {
        self.parsed(key, Span(default)).map(|span| span.0)
    }

    /// Whatever `read` makes of its text.
    pub(crate) fn read<T>(
        self,
        key: &str,
        default: T,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        let Some(text) = self.text(key) else { return Ok(default) };
        read(&text).map_err(|message| {
            let dot = if self.path.is_empty() { "" } else { "." };
            Failure::client(Code::InvalidConfig, format!("{}{dot}{key}: {message}", self.path))
        })
    }
}
