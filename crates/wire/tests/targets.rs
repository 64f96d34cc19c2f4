//! Request targets: their forms (RFC 9112 3.2), and that the path judged is the path passed on.

use proptest::prelude::*;
use throome_wire::http1::target::check_path;
use throome_wire::http1::{HeadLimits, RequestHead};

use crate::requests::{facts, refusal};

fn judge(method: &str, target: &str, host: &str) -> String {
    let bytes = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut head = RequestHead::default();
    match head.parse(bytes.as_bytes(), HeadLimits::default()) {
        Ok(Some(_)) => facts(&head),
        Ok(None) => "…".to_owned(),
        Err(error) => refusal(&error),
    }
}

#[test]
fn forms() {
    let not_a_target = "! a target that is neither a path nor an http address";
    let forbidden = "! a request line with a forbidden character";
    for (method, target, want) in [
        ("GET", "/", "GET / host=h 1.1 none keep"),
        ("GET", "/a?b?c", "GET /a ?b?c host=h 1.1 none keep"),
        ("GET", "/a?", "GET /a ? host=h 1.1 none keep"),
        ("GET", "//x/y", "GET //x/y host=h 1.1 none keep"),
        ("GET", "/http://x/", "GET /http://x/ host=h 1.1 none keep"),
        ("OPTIONS", "*", "OPTIONS * host=h 1.1 none keep"),
        ("GET", "*", not_a_target),
        ("OPTIONS", "*x", not_a_target),
        ("OPTIONS", "**", not_a_target),
        // The authority of an absolute target is the host; `Host` loses (RFC 9112 3.2.2).
        ("GET", "http://a.b/c", "GET /c host=a.b 1.1 none keep absolute"),
        ("GET", "HTTP://a.b:81/c?d", "GET /c ?d host=a.b:81 1.1 none keep absolute"),
        ("GET", "https://a.b/", "GET / host=a.b 1.1 none keep absolute"),
        ("GET", "http://[::1]:8/", "GET / host=[::1]:8 1.1 none keep absolute"),
        ("GET", "http://a.b", "! an absolute target without a path"),
        ("GET", "http://a.b?c", "! an absolute target without a path"),
        ("GET", "http:///c", "! a host that is not one"),
        ("GET", "http://", not_a_target),
        ("GET", "http:/a", not_a_target),
        ("GET", "ftp://a/", not_a_target),
        ("GET", "file:///etc/passwd", not_a_target),
        ("GET", "http://u@a/", "! a host that is not one"),
        ("GET", "http://u:p@a/", "! a host that is not one"),
        ("GET", "http://a\\@b/", "! a target with a backslash"),
        ("GET", "http://a%2fb/", "! a host that is not one"),
        ("GET", "a", not_a_target),
        ("GET", "a/b", not_a_target),
        ("GET", "?a", not_a_target),
        ("GET", "a.b:80", not_a_target),
        ("GET", "/a#b", "! a target with a fragment"),
        ("GET", "/a?b#c", "! a target with a fragment"),
        ("GET", "/a\\b", "! a target with a backslash"),
        ("GET", "\\a", "! a target with a backslash"),
        ("GET", "/ä", "! a target with a forbidden character"),
        ("GET", "/a\u{7f}", forbidden),
        ("GET", "/a\0", forbidden),
        ("GET", "/a\tb", forbidden),
        ("GET", "/a?\u{1}", forbidden),
        ("CONNECT", "a.b:80", "! CONNECT is not served here"),
        ("CONNECT", "/", "! CONNECT is not served here"),
        ("CONNECT", "http://a/", "! CONNECT is not served here"),
        ("connect", "a.b:80", not_a_target),
    ] {
        assert_eq!(judge(method, target, "h"), want, "{method} {target}");
    }
}

#[test]
fn an_absolute_target_does_not_excuse_a_bad_host() {
    assert_eq!(judge("GET", "http://a/", "b c"), "! a host that is not one");
    assert_eq!(judge("GET", "http://a/", ""), "! a host that is not one");
}

#[test]
fn path_and_query_are_as_received() {
    for (target, want) in [
        ("/", "/"),
        ("/a%20b?c=%2f", "/a%20b?c=%2f"),
        ("/a?", "/a?"),
        ("http://x/a?b", "/a?b"),
        ("http://x/?", "/?"),
    ] {
        let mut head = RequestHead::default();
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        head.parse(bytes.as_bytes(), HeadLimits::default()).unwrap();
        assert_eq!(head.path_and_query(), want, "{target}");
    }
}

/// Decodes percent signs once, as a service would.
fn decoded(path: &str) -> Vec<u8> {
    let bytes = path.as_bytes();
    let mut out = Vec::new();
    let mut i = 0;
    while i < bytes.len() {
        let hex = bytes
            .get(i + 1..i + 3)
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match hex {
            Some(byte) if bytes[i] == b'%' => {
                out.push(byte);
                i += 3;
            }
            _ => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    out
}

proptest! {
    /// A path that is let through has the same segments before decoding and after, none of which moves.
    #[test]
    fn a_good_path_reads_the_same_to_everybody(path in "(/([a.;%]|%2[eEfF]|%5[cC]|%00|%41|\\.){0,4}){1,5}") {
        if check_path(&path).is_ok() {
            let plain = decoded(&path);
            let segments: Vec<&[u8]> = plain.split(|&b| b == b'/').collect();
            prop_assert_eq!(segments.len(), path.split('/').count());
            prop_assert!(!segments.iter().any(|s| *s == b"." || *s == b".."));
            prop_assert!(!plain.iter().any(|b| matches!(b, b'\\' | 0 | b';')));
        } else {
            // What is refused has a reason that a reader can find.
            let odd = path.contains(';') || path.contains('%') || path.split('/').any(|s| s == "." || s == "..");
            prop_assert!(odd);
        }
    }
}
