//! The token in a connection string: Neon's client sends the whole string with each statement, and has no other place for
//! a token unless it is told of one.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};

use crate::percent::{Plus, decode_text};

/// The header that Neon's client sends its connection string in.
pub(crate) const CONNECTION_STRING: HeaderName = HeaderName::from_static("neon-connection-string");

/// The password of a connection string, `None` where it has none. User, host and database are not looked at: the path
/// says which service is meant.
pub(crate) fn password(connection: &HeaderValue) -> Option<Cow<'_, str>> {
    let text = connection.to_str().ok()?;
    let rest = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://"))?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let (credentials, _host) = authority.rsplit_once('@')?;
    let (_user, password) = credentials.split_once(':')?;
    decode_text(password, Plus::Plus).filter(|password| !password.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_found() {
        for (text, expected) in [
            ("postgresql://user:thr_abc@host/db", Some("thr_abc")),
            ("postgres://user:thr_abc@host:5432/db?sslmode=require", Some("thr_abc")),
            ("postgresql://user:p%40ss%2Fw%3Ard+@host/db", Some("p@ss/w:rd+")),
            ("postgresql://user:a:b@host/db", Some("a:b")),
            ("postgresql://:x@host", Some("x")),
            ("postgresql://user:x@host?application_name=a:b@c", Some("x")),
            ("postgresql://user@host/db?password=x:y@z", None),
            ("postgresql://user:@host/db", None),
            ("postgresql://host/db", None),
            ("postgresql://user:%ff@host/db", None),
            ("postgresql://user:%4@host/db", None),
            ("mysql://user:x@host/db", None),
            ("", None),
        ] {
            assert_eq!(password(&HeaderValue::from_str(text).unwrap()).as_deref(), expected, "{text}");
        }
    }
}
