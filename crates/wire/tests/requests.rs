//! Heads of requests: RFC 9112 and RFC 9110 as a table of bytes and what is made of them.

use throome_wire::Error;
use throome_wire::http1::{Framing, HeadLimits, RequestHead};

/// What a head says, in one line: method, path, query, host, minor version, framing, and what it asks of
/// the connection. A refusal begins with `!`.
pub(crate) fn facts(head: &RequestHead) -> String {
    let framing = match head.framing {
        Framing::None => "none".to_owned(),
        Framing::Length(n) => format!("length={n}"),
        Framing::Chunked => "chunked".to_owned(),
        Framing::UntilClose => "until-close".to_owned(),
    };
    let mut line = format!("{} {}", head.method(), head.path());
    if let Some(query) = head.query() {
        line += &format!(" ?{query}");
    }
    line += &format!(" host={} 1.{} {framing}", head.host().unwrap_or("-"), head.minor);
    let marks = [
        (head.keep_alive, " keep"),
        (head.expects_continue, " expects"),
        (head.upgrade, " upgrade"),
        (head.is_absolute(), " absolute"),
    ];
    for (holds, mark) in marks {
        if holds {
            line += mark;
        }
    }
    line
}

pub(crate) fn refusal(error: &Error) -> String {
    match error {
        Error::Malformed(why) => format!("! {why}"),
        other => format!("! {other:?}"),
    }
}

fn judge(bytes: &[u8]) -> String {
    let mut head = RequestHead::default();
    match head.parse(bytes, HeadLimits::default()) {
        Ok(Some(length)) => {
            assert_eq!(length, bytes.len(), "a head is taken whole: {}", bytes.escape_ascii());
            facts(&head)
        }
        Ok(None) => "…".to_owned(),
        Err(error) => refusal(&error),
    }
}

/// Requests whose only fields beside `Host` are these.
fn with_fields(fields: &str) -> Vec<u8> {
    format!("POST /p HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
}

fn check_fields(rows: &[(&str, &str)]) {
    for (fields, want) in rows {
        let bytes = with_fields(fields);
        assert_eq!(judge(&bytes), *want, "{fields:?}");
        in_two_parts(&bytes);
    }
}

fn check(rows: &[(&str, &str)]) {
    for (bytes, want) in rows {
        assert_eq!(judge(bytes.as_bytes()), *want, "{bytes:?}");
        in_two_parts(bytes.as_bytes());
    }
}

/// However a head is cut in two, the parser needs the second part, and then says the same; or it refuses
/// what it would have refused.
fn in_two_parts(bytes: &[u8]) {
    let whole = RequestHead::default().parse(bytes, HeadLimits::default());
    for cut in 0..bytes.len() {
        let part = RequestHead::default().parse(&bytes[..cut], HeadLimits::default());
        match (&whole, &part) {
            (Ok(_), Ok(None)) | (Err(_), Ok(None) | Err(_)) => {}
            other => panic!("{}: {other:?} at {cut}", bytes.escape_ascii()),
        }
    }
}

/// Rows that the table of sockets uses too.
pub(crate) const LINES: &[(&str, &str)] = &[
    // RFC 9112 3: the request line is method, one space, target, one space, version.
    ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / host=a 1.1 none keep"),
    ("GET /x?y HTTP/1.0\r\n\r\n", "GET /x ?y host=- 1.0 none"),
    ("get /x HTTP/1.1\r\nHost: a\r\n\r\n", "get /x host=a 1.1 none keep"),
    ("M-!#$%&'*+.^_`|~ / HTTP/1.1\r\nHost: a\r\n\r\n", "M-!#$%&'*+.^_`|~ / host=a 1.1 none keep"),
    ("GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", "! a request line with a forbidden character"),
    (" / HTTP/1.1\r\nHost: a\r\n\r\n", "! a request line with a forbidden character"),
    ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "! a request line with a forbidden character"),
    ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "! a version other than HTTP/1.0 and HTTP/1.1"),
    ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "! a request line with a forbidden character"),
    ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "! a line end that is not CR LF"),
    ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "! a version other than HTTP/1.0 and HTTP/1.1"),
    ("GET /\r\n\r\n", "! a request line with a forbidden character"),
    ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", "! a version other than HTTP/1.0 and HTTP/1.1"),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "! a version other than HTTP/1.0 and HTTP/1.1"),
    ("GET / http/1.1\r\nHost: a\r\n\r\n", "! a version other than HTTP/1.0 and HTTP/1.1"),
    ("GET / HTTP/01.1\r\nHost: a\r\n\r\n", "! a version other than HTTP/1.0 and HTTP/1.1"),
    ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", "! a line end that is not CR LF"),
    ("PRI * HTTP/2.0\r\n\r\n", "! a version other than HTTP/1.0 and HTTP/1.1"),
    // RFC 9112 2.2: an empty line before the request is skipped; line ends are CR LF and nothing else.
    ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / host=a 1.1 none keep"),
    ("\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / host=a 1.1 none keep"),
    ("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "! too many empty lines before a request"),
    ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "! a line end without CR"),
    ("GET / HTTP/1.1\nHost: a\r\n\r\n", "! a line end without CR"),
    ("GET / HTTP/1.1\r\nHost: a\n\r\n", "! a line end without CR"),
    ("GET / HTTP/1.1\r\nHost: a\r\n\n", "! a line end without CR"),
    ("GET / HTTP/1.1\rHost: a\r\n\r\n", "! a line end that is not CR LF"),
    ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "! a line end that is not CR LF"),
    ("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", "! a field value with a forbidden character"),
    ("GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", "! a line end that is not CR LF"),
    (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "! a request line with a forbidden character"),
    // RFC 9112 5: no space before the colon, none before the first field, no folding.
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "! a field name that is not a token"),
    ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "! a field name that is not a token"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", "! a field name that is not a token"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\t2\r\n\r\n", "! a field name that is not a token"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: \r\n 2\r\n\r\n", "! a field name that is not a token"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", "! a field name that is not a token"),
    ("GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", "! a field name that is not a token"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", "! a field value with a forbidden character"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: a\x07b\r\n\r\n", "! a field value with a forbidden character"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n", "! a field value with a forbidden character"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", "! a field value with a forbidden character"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX:\t a\tb \t\r\n\r\n", "GET / host=a 1.1 none keep"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: ü\r\n\r\n", "GET / host=a 1.1 none keep"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: \r\n\r\n", "GET / host=a 1.1 none keep"),
];

#[test]
fn request_lines_and_line_ends() {
    check(LINES);
}

#[test]
fn hosts() {
    check(&[
        ("GET / HTTP/1.1\r\n\r\n", "! HTTP/1.1 without Host"),
        ("GET / HTTP/1.0\r\nHost: b\r\n\r\n", "GET / host=b 1.0 none"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "! more than one Host"),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "! more than one Host"),
        ("GET / HTTP/1.1\r\nhOsT:a.b:80\r\n\r\n", "GET / host=a.b:80 1.1 none keep"),
        ("GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "GET / host=a: 1.1 none keep"),
        ("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "GET / host=[::1]:8080 1.1 none keep"),
    ]);
    let bad = [
        "", "a b", "a,b", "u@a", "u:p@a", "a/b", "a?b", "a#b", "a\\b", "a:b", "a:80:80", "a:-1", "a:65536",
        "a:999999", ":80", "[::1", "::1", "[]", "[::::]", "[::1]x", "[a]", "a[b]", "a]b", "%61", "a%00",
        "a\"b", "<a>", "ä", "http://a", "a;b", "a=b", "{a}", "a|b", "a^b", "a`b", "a'b", "a(b)", "a*b",
        "a!b", "a$b", "a&b", "a+b",
    ];
    for host in bad {
        let bytes = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(judge(bytes.as_bytes()), "! a host that is not one", "{host:?}");
    }
}

#[test]
fn framing() {
    check_fields(&[
        // RFC 9112 6.3.
        ("", "POST /p host=a 1.1 none keep"),
        ("Content-Length: 0\r\n", "POST /p host=a 1.1 none keep"),
        ("Content-Length: 12\r\n", "POST /p host=a 1.1 length=12 keep"),
        ("Content-Length:\t12 \r\n", "POST /p host=a 1.1 length=12 keep"),
        ("Content-Length: 0012\r\n", "POST /p host=a 1.1 length=12 keep"),
        ("Content-Length: 9999999999999999999\r\n", "POST /p host=a 1.1 length=9999999999999999999 keep"),
        ("Transfer-Encoding: chunked\r\n", "POST /p host=a 1.1 chunked keep"),
        ("transfer-encoding:CHUNKED\t\r\n", "POST /p host=a 1.1 chunked keep"),
        ("Content-Length: 1\r\nContent-Length: 1\r\n", "! more than one Content-Length"),
        ("Content-Length: 1\r\nContent-Length: 2\r\n", "! more than one Content-Length"),
        ("Content-Length: 0\r\nContent-Length: 0\r\n", "! more than one Content-Length"),
        ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "! Transfer-Encoding beside Content-Length"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "! Transfer-Encoding beside Content-Length"),
    ]);
}

#[test]
fn lengths_and_codings_that_are_none() {
    for length in [
        "",
        "-1",
        "+1",
        "1 ",
        "1,1",
        "1, 1",
        "1;1",
        "0x1",
        "1e1",
        "1.0",
        "1 1",
        "\u{661}",
        "a",
        "10000000000000000000",
        "18446744073709551616",
        "99999999999999999999999",
        "00000000000000000001",
        "\"1\"",
        "1_0",
    ] {
        let bytes = with_fields(&format!("Content-Length: {length}\r\n"));
        let want = if length == "1 " {
            "POST /p host=a 1.1 length=1 keep"
        } else {
            "! a Content-Length that is not a number"
        };
        assert_eq!(judge(&bytes), want, "{length:?}");
    }
    for coding in [
        "",
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, identity",
        "identity, chunked",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "xchunked",
        "chunkedx",
        "\"chunked\"",
        "'chunked'",
        "chunked;q=1",
        "chunked; a",
        "chun ked",
        "x chunked",
        "chunked x",
        "\x0bchunked",
        "chunked\x0c",
        "ｃhunked",
    ] {
        let bytes = with_fields(&format!("Transfer-Encoding: {coding}\r\n"));
        let said = judge(&bytes);
        let forbidden = coding.bytes().any(|b| b == 0x0b || b == 0x0c);
        let want = if forbidden {
            "! a field value with a forbidden character"
        } else {
            "! a Transfer-Encoding other than chunked"
        };
        assert_eq!(said, want, "{coding:?}");
    }
    let twice = with_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n");
    assert_eq!(judge(&twice), "! a Transfer-Encoding other than chunked");
    let early = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(judge(early), "! Transfer-Encoding in HTTP/1.0");
}

#[test]
fn what_is_asked_of_the_connection() {
    check_fields(&[
        // RFC 9112 9.3.
        ("Connection: close\r\n", "POST /p host=a 1.1 none"),
        ("Connection: CLOSE\r\n", "POST /p host=a 1.1 none"),
        ("Connection: keep-alive, close\r\n", "POST /p host=a 1.1 none"),
        ("Connection: close\r\nConnection: keep-alive\r\n", "POST /p host=a 1.1 none"),
        ("Connection: closed\r\n", "POST /p host=a 1.1 none keep"),
        ("Connection: ,, ,\r\n", "POST /p host=a 1.1 none keep"),
        ("Connection: keep-alive; x\r\n", "! Connection names what cannot be a field"),
        ("Connection: cl\u{f6}se\r\n", "! Connection names what cannot be a field"),
        ("Connection:\r\n", "POST /p host=a 1.1 none keep"),
        // RFC 9110 7.8: an upgrade is asked for in both fields, by HTTP/1.1.
        ("Upgrade: websocket\r\n", "POST /p host=a 1.1 none keep"),
        ("Connection: upgrade\r\n", "POST /p host=a 1.1 none keep"),
        ("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n", "POST /p host=a 1.1 none keep upgrade"),
        ("Connection: upgrade\r\nUpgrade: WebSocket\r\n", "POST /p host=a 1.1 none keep upgrade"),
        // What is not read here is not carried: no HTTP/2 in the clear, no TLS, no choice.
        ("Connection: upgrade\r\nUpgrade: h2c\r\n", "POST /p host=a 1.1 none keep"),
        ("Connection: upgrade\r\nUpgrade: websocket, h2c\r\n", "POST /p host=a 1.1 none keep"),
        ("Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", "POST /p host=a 1.1 none keep"),
        ("Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n", "POST /p host=a 1.1 none keep"),
        // RFC 9110 7.6.1: what framing and routing rest on cannot be named away.
        ("Connection: host\r\n", "! Connection names a field that it may not name"),
        (
            "Content-Length: 3\r\nConnection: content-length\r\n",
            "! Connection names a field that it may not name",
        ),
        (
            "Connection: Content-Length\r\nContent-Length: 3\r\n",
            "! Connection names a field that it may not name",
        ),
        (
            "Transfer-Encoding: chunked\r\nConnection: close, transfer-encoding\r\n",
            "! Connection names a field that it may not name",
        ),
        // RFC 9110 10.1.1.
        ("Expect: 100-continue\r\n", "POST /p host=a 1.1 none keep"),
        ("Expect: 100-Continue\r\nContent-Length: 3\r\n", "POST /p host=a 1.1 length=3 keep expects"),
        ("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "POST /p host=a 1.1 chunked keep expects"),
        ("Expect: 200-ok\r\nContent-Length: 3\r\n", "! an Expect other than 100-continue"),
        ("Expect:\r\n", "! an Expect other than 100-continue"),
        ("Expect: 100-continue, x\r\n", "! an Expect other than 100-continue"),
        ("Expect: x\r\nExpect: 100-continue\r\n", "! an Expect other than 100-continue"),
        ("Expect: 100-continue\r\nExpect: x\r\n", "! an Expect other than 100-continue"),
    ]);
    check(&[
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET / host=- 1.0 none keep"),
        ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "GET / host=- 1.0 none"),
        ("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "GET / host=- 1.0 none"),
        ("PUT / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", "PUT / host=- 1.0 length=1"),
    ]);
    let many = "x,".repeat(33);
    let bytes = with_fields(&format!("Connection: {many}\r\n"));
    assert_eq!(judge(&bytes), "! Connection names too many fields");
}

#[test]
fn names_are_tokens_and_values_are_text() {
    for byte in 0..=255_u8 {
        let mut bytes = b"GET / HTTP/1.1\r\nHost: a\r\nx".to_vec();
        bytes.push(byte);
        bytes.extend_from_slice(b"y: 1\r\n\r\n");
        let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        // A colon only ends the name sooner.
        let good = token || byte == b':';
        assert_eq!(judge(&bytes) == "GET / host=a 1.1 none keep", good, "name with {byte:#x}");

        let mut bytes = b"GET / HTTP/1.1\r\nHost: a\r\nx: 1".to_vec();
        bytes.push(byte);
        bytes.extend_from_slice(b"2\r\n\r\n");
        let text = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        assert_eq!(judge(&bytes) == "GET / host=a 1.1 none keep", text, "value with {byte:#x}");

        let mut bytes = b"G".to_vec();
        bytes.push(byte);
        bytes.extend_from_slice(b"T / HTTP/1.1\r\nHost: a\r\n\r\n");
        let said = judge(&bytes);
        assert_eq!(said.ends_with("T / host=a 1.1 none keep"), token, "method with {byte:#x}: {said}");
    }
}

#[test]
fn the_largest_heads() {
    let limits = HeadLimits { bytes: 1000, fields: 10 };
    let of_length = |n: usize| {
        let empty = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(n - empty)).into_bytes()
    };
    let of_fields =
        |n: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(n - 1)).into_bytes();
    let parse = |bytes: &[u8]| RequestHead::default().parse(bytes, limits);
    assert!(matches!(parse(&of_length(1000)), Ok(Some(1000))));
    assert!(matches!(parse(&of_length(1001)), Err(Error::HeadTooLarge)));
    assert!(matches!(parse(&of_length(1001)[..999]), Ok(None)));
    assert!(matches!(parse(&of_length(1001)[..1000]), Err(Error::HeadTooLarge)));
    assert!(matches!(parse(&of_fields(10)), Ok(Some(_))));
    assert!(matches!(parse(&of_fields(11)), Err(Error::HeadTooLarge)));
    let more = HeadLimits { bytes: 64 * 1024, fields: 10_000 };
    assert!(matches!(RequestHead::default().parse(&of_fields(257), more), Err(Error::HeadTooLarge)));
}

#[test]
fn a_refused_head_says_nothing_of_the_one_before() {
    let mut head = RequestHead::default();
    let good = b"HEAD /a?b HTTP/1.1\r\nHost: a\r\nX-Request-Id: 1\r\n\r\n";
    head.parse(good, HeadLimits::default()).unwrap();
    assert_eq!(head.method(), "HEAD");
    head.parse(b"GET  / HTTP/1.1\r\n", HeadLimits::default()).unwrap_err();
    assert_eq!((head.method(), head.path(), head.query(), head.host()), ("", "", None, None));
    assert!(head.fields.is_empty());
}
