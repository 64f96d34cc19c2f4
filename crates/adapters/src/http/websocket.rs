//! `websocket` of an `http` service: who may open one, and how long and how large it may be.

use std::time::Duration;

use model::check::Problems;
use model::field::{Field, Shape, field};
use model::tree::Node;
use model::{Code, Failure, ServiceSpec, Span};

/// The keys of `websocket`.
pub(super) const FIELDS: &[Field] = &[
    field(
        "origins",
        Shape::List(&Shape::Text),
        "Pages that may open one, as `https://app.example.com` or `https://*.example.com`; left out, all. Clients that \
         name no origin are no pages.",
    ),
    field(
        "idle",
        Shape::SpanFrom(100),
        "Without a message either way for so long, it is closed with 1001; pings are none. Left out, the door's \
         `stream_timeout`.",
    ),
    field(
        "ping",
        Shape::SpanFrom(100),
        "A client that is silent for so long is asked whether it is there; one that stays silent as long again is gone.",
    ),
    field(
        "max_message",
        Shape::Integer(1, 1 << 40),
        "Bytes of a message as sent, compressed or not, all its fragments together; a larger one is closed with 1009.",
    ),
];

/// What a service asks of WebSockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebSockets {
    origins: Option<Box<[Box<str>]>>,
    /// Without a message either way.
    pub idle: Option<Duration>,
    /// When a silent client is asked whether it is there.
    pub ping: Option<Duration>,
    /// Bytes of a message.
    pub max_message: Option<u64>,
}

/// What the table cannot say.
pub(super) fn check(service: &Node, problems: &mut Problems) {
    let origins = service.get("websocket").and_then(|own| own.get("origins"));
    for (index, origin) in origins.map(Node::items).unwrap_or_default().iter().enumerate() {
        if let Some(text) = origin.as_text()
            && !is_origin(&text)
        {
            let why = format!("`{text}` is not an origin such as `https://app.example.com`");
            problems.add(&format!("websocket.origins[{index}]"), origin.at, why);
        }
    }
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let host = rest.strip_prefix("*.").unwrap_or(rest);
    matches!(scheme, "http" | "https") && !host.is_empty() && !host.contains(['/', '*', ' ', '?', '#', '@'])
}

impl WebSockets {
    pub(super) fn of(service: &ServiceSpec) -> Self {
        let Some(own) = service.options.get("websocket") else { return WebSockets::default() };
        let span = |key: &str| {
            own.get(key)
                .and_then(|value| serde_json::from_value::<Span>(value.clone()).ok())
                .map(|span| span.0)
        };
        let origins = own.get("origins").and_then(|value| value.as_array());
        WebSockets {
            origins: origins.map(|all| {
                all.iter().filter_map(|origin| Some(origin.as_str()?.to_ascii_lowercase().into())).collect()
            }),
            idle: span("idle"),
            ping: span("ping"),
            max_message: own.get("max_message").and_then(serde_json::Value::as_u64),
        }
    }

    /// Whether a page of this origin may open one.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, origin: Option<&[u8]>) -> Result<(), Failure> {
        let (Some(allowed), Some(origin)) = (&self.origins, origin) else { return Ok(()) };
        let origin = String::from_utf8_lossy(origin).to_ascii_lowercase();
        if allowed.iter().any(|pattern| matches(pattern, &origin)) {
            return Ok(());
        }
        let detail = format!("The page `{origin}` may not open a WebSocket here.");
        Err(Failure::client(Code::PermissionDenied, detail)
            .with_hint("`websocket.origins` of the service lists the pages that may."))
    }

    /// Whether the frames must be followed for what is asked.
    #[must_use]
    pub fn asks_for_frames(&self) -> bool {
        self.max_message.is_some() || self.ping.is_some() || self.idle.is_some()
    }
}

fn matches(pattern: &str, origin: &str) -> bool {
    let Some((scheme, suffix)) = pattern.split_once("://*.") else { return pattern == origin };
    origin
        .strip_prefix(scheme)
        .and_then(|rest| rest.strip_prefix("://"))
        .and_then(|host| host.strip_suffix(suffix))
        .is_some_and(|before| before.len() > 1 && before.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_whole_or_of_a_domain() {
        let of = |patterns: &[&str]| WebSockets {
            origins: Some(patterns.iter().map(|pattern| (*pattern).into()).collect()),
            ..WebSockets::default()
        };
        let allowed = of(&["https://app.example.com", "https://*.example.org"]);
        for (origin, may) in [
            ("https://app.example.com", true),
            ("https://APP.example.com", true),
            ("http://app.example.com", false),
            ("https://app.example.com.evil.net", false),
            ("https://a.b.example.org", true),
            ("https://example.org", false),
            ("https://evilexample.org", false),
            ("null", false),
        ] {
            assert_eq!(allowed.admit(Some(origin.as_bytes())).is_ok(), may, "{origin}");
        }
        assert!(allowed.admit(None).is_ok() && WebSockets::default().admit(Some(b"x")).is_ok());
    }

    #[test]
    fn what_is_no_origin_is_told() {
        for (text, is) in [
            ("https://a", true),
            ("https://*.a", true),
            ("a.com", false),
            ("https://a/b", false),
            ("*", false),
        ] {
            assert_eq!(is_origin(text), is, "{text}");
        }
    }
}
