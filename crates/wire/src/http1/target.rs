//! Request targets: their four forms, and which paths are refused because two readers could differ on them.

use std::net::Ipv6Addr;

use std::borrow::Cow;

use super::fields::At;
use crate::error::Error;

/// Where the parts of a target stand in the head.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Target {
    pub(crate) path: At,
    pub(crate) query: Option<At>,
    pub(crate) authority: Option<At>,
}

/// Takes a target apart: origin form, absolute form, and `*` for OPTIONS. CONNECT is not ours to serve.
pub(crate) fn parse(method: &str, uri: &str, at: At) -> Result<Target, Error> {
    if method == "CONNECT" {
        return Err(Error::Malformed("CONNECT is not served here"));
    }
    if let Some(bad) = uri.bytes().find(|&b| b <= b' ' || b >= 0x7f || b == b'#' || b == b'\\') {
        return Err(Error::Malformed(match bad {
            b'#' => "a target with a fragment",
            b'\\' => "a target with a backslash",
            _ => "a target with a forbidden character",
        }));
    }
    if uri.starts_with('/') {
        return Ok(split(uri, at, None));
    }
    if uri == "*" && method == "OPTIONS" {
        return Ok(Target { path: at, query: None, authority: None });
    }
    let scheme = ["http://", "https://"]
        .into_iter()
        .find(|scheme| {
            uri.len() > scheme.len() && uri.as_bytes()[..scheme.len()].eq_ignore_ascii_case(scheme.as_bytes())
        })
        .ok_or(Error::Malformed("a target that is neither a path nor an http address"))?;
    let rest = &uri[scheme.len()..];
    let authority_length = rest.find(['/', '?']).unwrap_or(rest.len());
    check_authority(&rest.as_bytes()[..authority_length])?;
    if !rest[authority_length..].starts_with('/') {
        return Err(Error::Malformed("an absolute target without a path"));
    }
    let start = at.start + as_u32(scheme.len());
    let authority = At { start, end: start + as_u32(authority_length) };
    Ok(split(&rest[authority_length..], At { start: authority.end, end: at.end }, Some(authority)))
}

fn split(path_and_query: &str, at: At, authority: Option<At>) -> Target {
    match path_and_query.find('?') {
        None => Target { path: at, query: None, authority },
        Some(mark) => {
            let mark = at.start + as_u32(mark);
            let path = At { start: at.start, end: mark };
            Target { path, query: Some(At { start: mark + 1, end: at.end }), authority }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a head is capped far below 4 GiB")]
fn as_u32(n: usize) -> u32 {
    n as u32
}

/// `host[:port]` without user information: a name of unreserved characters, or an IPv6 address in brackets.
/// Percent signs are refused, since two readers could differ on what they encode.
pub(crate) fn check_authority(authority: &[u8]) -> Result<(), Error> {
    let host_end = match authority {
        [b'[', ..] => match memchr::memchr(b']', authority) {
            Some(end) if is_ipv6(&authority[1..end]) => end + 1,
            _ => return Err(Error::Malformed("a host that is not one")),
        },
        _ => memchr::memchr(b':', authority).unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(host_end);
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    let host_is_one = host.starts_with(b"[") || (!host.is_empty() && host.iter().all(plain));
    let port_is_one = match port {
        [] | [b':'] => true,
        [b':', digits @ ..] => is_port(digits),
        _ => false,
    };
    if !host_is_one || !port_is_one {
        return Err(Error::Malformed("a host that is not one"));
    }
    Ok(())
}

fn is_ipv6(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

fn is_port(digits: &[u8]) -> bool {
    let all = digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit);
    all && digits.iter().fold(0, |n, digit| n * 10 + u32::from(digit - b'0')) <= u32::from(u16::MAX)
}

/// A host without its port, in lower case, as routes are told it.
#[must_use]
pub fn plain_host(host: &str) -> Cow<'_, str> {
    let name = match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    };
    if name.bytes().any(|b| b.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.into() }
}

/// Refuses paths that two readers could read as two different ones: dot segments in any spelling, encoded
/// separators and NUL, path parameters, and percent signs that encode nothing.
///
/// # Errors
/// The reason, as a sentence without its end.
pub fn check_path(path: &str) -> Result<(), &'static str> {
    let bytes = path.as_bytes();
    let Some(first_odd) = bytes.iter().position(|b| matches!(b, b'%' | b';' | b'.')) else { return Ok(()) };
    let mut i = first_odd;
    while i < bytes.len() {
        match bytes[i] {
            b';' => return Err("the path has a `;`"),
            b'%' => {
                let hex = bytes.get(i + 1..i + 3).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
                match hex.map(|hex| [hex[0], hex[1].to_ascii_lowercase()]) {
                    None => return Err("the path has a `%` that encodes nothing"),
                    Some([b'2', b'f']) => return Err("the path has an encoded `/`"),
                    Some([b'5', b'c']) => return Err("the path has an encoded backslash"),
                    Some([b'0', b'0']) => return Err("the path has an encoded NUL"),
                    Some(_) => i += 2,
                }
            }
            _ => {}
        }
        i += 1;
    }
    if path.split('/').any(is_dot_segment) {
        return Err("the path has a dot segment");
    }
    Ok(())
}

fn is_dot_segment(segment: &str) -> bool {
    // At most `%2e%2e`; anything longer is a name.
    if segment.is_empty() || segment.len() > 6 {
        return false;
    }
    let mut rest = segment.as_bytes();
    let mut dots = 0;
    while !rest.is_empty() {
        rest = match rest {
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return false,
        };
        dots += 1;
    }
    dots <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lose_their_port_and_case() {
        for (host, plain) in [
            ("A.example:8080", "a.example"),
            ("a.example", "a.example"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(plain_host(host), plain, "{host}");
        }
    }

    #[test]
    fn paths_that_two_readers_could_differ_on_are_refused() {
        for good in ["/", "/a/b", "/a.b/c..d", "/...", "/a%20b", "/%41", "/.well-known/x", "//a"] {
            assert_eq!(check_path(good), Ok(()), "{good}");
        }
        for bad in [
            "/.",
            "/..",
            "/a/../b",
            "/a/./b",
            "/%2e",
            "/%2E%2e/x",
            "/.%2e",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a%00",
            "/a;b",
            "/..;/b",
            "/a%",
            "/a%2",
            "/a%zz",
        ] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }
}
