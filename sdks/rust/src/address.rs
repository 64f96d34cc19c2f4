//! Where the gateway is: a URL taken apart once, and the escaping of what is put into paths.

use std::fmt::{self, Write};

use http::{HeaderValue, Uri};

use crate::error::Error;

/// A gateway's URL, checked.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// Whether it is spoken to by TLS.
    pub(crate) secure: bool,
    /// A name or an IP address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What goes into `Host`.
    pub(crate) authority: HeaderValue,
    /// What stands before every path: empty, or `/behind/this` when the gateway lives under a prefix.
    pub(crate) prefix: String,
}

impl Address {
    /// The text itself is never repeated in an error: it may hold a password.
    pub(crate) fn parse(url: &str) -> Result<Address, Error> {
        if url.starts_with("unix:") {
            return Err(Error::usage(
                "this client does not speak over Unix sockets yet",
                "Use the http:// or https:// address of the gateway.",
            ));
        }
        let secure = url.starts_with("https://");
        if !secure && !url.starts_with("http://") {
            return Err(malformed());
        }
        let uri: Uri = url.parse().map_err(|_| malformed())?;
        let authority = uri.authority().ok_or_else(malformed)?;
        if authority.as_str().contains('@') {
            return Err(Error::usage(
                "the gateway's URL holds a user name or password",
                "Leave it out and give a token instead.",
            ));
        }
        if uri.query().is_some() {
            return Err(Error::usage("the gateway's URL has a query", "Leave everything after `?` out."));
        }
        Ok(Address {
            secure,
            host: authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| malformed())?,
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.secure { "s" } else { "" };
        write!(f, "http{s}://{}{}", self.authority.to_str().unwrap_or(&self.host), self.prefix)
    }
}

fn malformed() -> Error {
    Error::usage("the gateway's URL is not one", "Write it as http://host:port, or https://host:port.")
}

/// One segment of a path, or one value of a query: everything but RFC 3986's unreserved characters is escaped.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(byte as char),
            _ => write!(escaped, "%{byte:02X}").expect("writing to a String cannot fail"),
        }
    }
    escaped
}

/// `path?name=value&…` of the pairs that have a value.
pub(crate) fn with_query(path: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let mut whole = path.to_owned();
    let mut separator = if path.contains('?') { '&' } else { '?' };
    for (name, value) in pairs {
        if let Some(value) = value {
            whole.push(separator);
            whole.push_str(name);
            whole.push('=');
            whole.push_str(&escape(value));
            separator = '&';
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_can_be_used() {
        for (url, host, port, shown) in [
            ("http://localhost", "localhost", 80, "http://localhost"),
            ("http://127.0.0.1:9000/", "127.0.0.1", 9000, "http://127.0.0.1:9000"),
            ("http://[::1]:9000", "::1", 9000, "http://[::1]:9000"),
            ("http://ops.example/throome/", "ops.example", 80, "http://ops.example/throome"),
            ("https://ops.example/throome/", "ops.example", 443, "https://ops.example/throome"),
            ("https://[::1]:9000", "::1", 9000, "https://[::1]:9000"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port), "{url}");
            assert_eq!(address.to_string(), shown);
        }
    }

    #[test]
    fn urls_that_cannot_say_why_and_never_repeat_themselves() {
        for (url, part) in [
            ("unix:///run/throome.sock", "Unix sockets"),
            ("localhost:9000", "is not one"),
            ("", "is not one"),
            ("http://user:canary@gateway", "user name or password"),
            ("https://user:canary@gateway", "user name or password"),
            ("http://gateway/?token=canary", "query"),
        ] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(error.contains(part), "{url}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn what_goes_into_a_path_is_escaped() {
        assert_eq!(escape("user:1/ä ?"), "user%3A1%2F%C3%A4%20%3F");
        assert_eq!(
            with_query("/keys", &[("match", Some("a*")), ("cursor", None), ("n", Some("1"))]),
            "/keys?match=a%2A&n=1"
        );
    }
}
