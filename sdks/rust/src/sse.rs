//! Server-sent events, made of the lines of a body.

use serde::de::DeserializeOwned;

use crate::error::Error;

/// A server-sent event, as its lines come.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
    pub(crate) id: Option<String>,
}

impl Event {
    /// Takes a line; the event that an empty one ends.
    pub(crate) fn take(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(self);
            return (!event.data.is_empty()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "id" => self.id = Some(value.to_owned()),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // Comments are heartbeats; whatever else there is, is of a later version.
            _ => {}
        }
        None
    }

    /// What it says, of JSON.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.data)
            .map_err(|source| Error::unreadable("an event of the stream is not what we expect", source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_made_of_lines() {
        let mut event = Event::default();
        let mut events = Vec::new();
        for line in
            [": heartbeat", "", "event: delta", "id: e-7", "data: {\"a\":", "data:1}", "retry: 5", "", ""]
        {
            events.extend(event.take(line));
        }
        let expected =
            Event { name: "delta".to_owned(), data: "{\"a\":\n1}".to_owned(), id: Some("e-7".to_owned()) };
        assert_eq!(events, [expected]);
    }
}
