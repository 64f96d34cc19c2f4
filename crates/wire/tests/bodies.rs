//! Bodies: length, chunks, trailers and their ends (RFC 9112 6 and 7), however the bytes are cut.

use proptest::prelude::*;
use throome_wire::Error;
use throome_wire::http1::{BodyWriter, Framing};

use crate::requests::refusal;
use crate::support::{Found, read_body};

fn summary(read: Result<Option<Found>, Error>) -> String {
    match read {
        Ok(Some(found)) if found.trailers.is_empty() => {
            format!("{} | {}", found.body.escape_ascii(), found.used)
        }
        Ok(Some(found)) => {
            format!("{} | {} | {}", found.body.escape_ascii(), found.trailers.escape_ascii(), found.used)
        }
        Ok(None) => "…".to_owned(),
        Err(error) => refusal(&error),
    }
}

/// However it is cut, a body is the same: in two at each byte, and byte by byte.
fn check(framing: Framing, limit: u64, rows: &[(&str, &str)]) {
    for (bytes, want) in rows {
        let bytes = bytes.as_bytes();
        assert_eq!(summary(read_body(framing, limit, &[bytes])), *want, "{}", bytes.escape_ascii());
        for cut in 1..bytes.len() {
            let said = summary(read_body(framing, limit, &[&bytes[..cut], &bytes[cut..]]));
            same_but_for_what_follows(&said, want, bytes, cut);
        }
        let each: Vec<&[u8]> = bytes.chunks(1).collect();
        same_but_for_what_follows(&summary(read_body(framing, limit, &each)), want, bytes, 0);
    }
}

/// Which of two things wrong is seen first may depend on the cut; whether anything is wrong may not.
fn same_but_for_what_follows(said: &str, want: &str, bytes: &[u8], cut: usize) {
    let same = said == want || (said.starts_with('!') && want.starts_with('!'));
    assert!(same, "{} cut at {cut}: {said}, not {want}", bytes.escape_ascii());
}

#[test]
fn bodies_of_known_length() {
    check(
        Framing::Length(5),
        5,
        &[
            ("hello", "hello | 5"),
            ("hello, you", "hello | 5"),
            ("hell", "…"),
            ("", "…"),
            ("\r\n\0\r\n", "\\r\\n\\x00\\r\\n | 5"),
        ],
    );
    check(Framing::Length(0), 0, &[("x", " | 0")]);
    check(Framing::None, 0, &[("x", " | 0")]);
    assert_eq!(summary(read_body(Framing::Length(6), 5, &[b"x"])), "! BodyTooLarge");
}

const NOT_A_SIZE: &str = "! a chunk size that is not one";
const NO_CR: &str = "! a line end without CR";
const LONGER: &str = "! a chunk longer than its size";
const EXTENSION: &str = "! a chunk extension with a forbidden character";

#[test]
fn chunks() {
    check(
        Framing::Chunked,
        1 << 40,
        &[
            ("0\r\n\r\n", " | 5"),
            ("5\r\nhello\r\n0\r\n\r\n", "hello | 15"),
            ("5\r\nhello\r\n0\r\n\r\nGET /", "hello | 15"),
            ("005\r\nhello\r\n000\r\n\r\n", "hello | 19"),
            ("1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n", "abcdef | 26"),
            ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789 | 20"),
            ("a\r\n0\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n", "! a chunk longer than its size"),
            ("5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\\r\\n\\r\\n | 15"),
            // RFC 9112 7.1.1: extensions are read past.
            ("5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello | 21"),
            ("5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n", "hello | 23"),
            ("5;\r\nhello\r\n0\r\n\r\n", "hello | 16"),
            ("1;x\r\na\r\n1;y\r\nb\r\n0\r\n\r\n", "ab | 21"),
            // Sizes are hexadecimal digits and nothing else.
            ("\r\n", NOT_A_SIZE),
            ("5 \r\nhello\r\n0\r\n\r\n", NOT_A_SIZE),
            (" 5\r\nhello\r\n0\r\n\r\n", NOT_A_SIZE),
            ("5 ;a\r\nhello\r\n0\r\n\r\n", NOT_A_SIZE),
            ("\t5\r\n", NOT_A_SIZE),
            ("0x5\r\nhello\r\n", NOT_A_SIZE),
            ("+5\r\nhello\r\n", NOT_A_SIZE),
            ("-1\r\n", NOT_A_SIZE),
            ("5,5\r\n", NOT_A_SIZE),
            ("5_0\r\n", NOT_A_SIZE),
            ("g\r\n", NOT_A_SIZE),
            (";a\r\n", NOT_A_SIZE),
            ("ffffffffffffffff\r\n", NOT_A_SIZE),
            ("10000000000000000\r\n", NOT_A_SIZE),
            ("0000000000000005\r\nhello\r\n", NOT_A_SIZE),
            ("fffffffffffffff\r\n", "! BodyTooLarge"),
            // Line ends.
            ("5\nhello\r\n0\r\n\r\n", NOT_A_SIZE),
            ("5\rhello\r\n", EXTENSION),
            ("5\r\r\nhello\r\n", EXTENSION),
            ("5;a\nhello\r\n", NO_CR),
            ("5;a\rb\r\nhello\r\n", EXTENSION),
            ("5;a\0\r\nhello\r\n", EXTENSION),
            ("5;\x7f\r\nhello\r\n", EXTENSION),
            ("5\r\nhello\n0\r\n\r\n", LONGER),
            ("5\r\nhello0\r\n\r\n", LONGER),
            ("5\r\nhello\r0\r\n\r\n", LONGER),
            ("5\r\nhello!\r\n0\r\n\r\n", LONGER),
            ("6\r\nhello\r\n0\r\n\r\n", LONGER),
            ("0\r\n\n", NO_CR),
            ("0\n\n", NOT_A_SIZE),
            ("0\n\r\n", NOT_A_SIZE),
            // Not yet over.
            ("", "…"),
            ("5", "…"),
            ("5\r", "…"),
            ("5;a", "…"),
            ("5\r\nhell", "…"),
            ("5\r\nhello\r\n", "…"),
            ("0\r\n", "…"),
            ("0\r\n\r", "…"),
        ],
    );
}

#[test]
fn trailers() {
    const NOT_A_FIELD: &str = "! a trailer that is not a field";
    const HEAD_ONLY: &str = "! a trailer that only a head may have";
    check(
        Framing::Chunked,
        1000,
        &[
            ("1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n", "x | A: b\\r\\nC:\\r\\n | 21"),
            ("0\r\nA: b\n\r\n", NO_CR),
            ("0\r\nA: b\r\n\n", NO_CR),
            ("0\r\nA: b\rC: d\r\n\r\n", NOT_A_FIELD),
            ("0\r\nA: b\0\r\n\r\n", NOT_A_FIELD),
            ("0\r\nA : b\r\n\r\n", NOT_A_FIELD),
            ("0\r\n A: b\r\n\r\n", NOT_A_FIELD),
            ("0\r\nA: b\r\n c\r\n\r\n", NOT_A_FIELD),
            ("0\r\nA\r\n\r\n", NOT_A_FIELD),
            ("0\r\n: b\r\n\r\n", NOT_A_FIELD),
            ("0\r\nGET / HTTP/1.1\r\n\r\n", NOT_A_FIELD),
            ("0\r\n\rA: b\r\n\r\n", NOT_A_FIELD),
        ],
    );
    for name in [
        "Content-Length",
        "Transfer-Encoding",
        "Host",
        "Connection",
        "Expect",
        "TE",
        "Upgrade",
        "Keep-Alive",
        "Authorization",
        "Content-Type",
        "X-Forwarded-For",
        "X_Forwarded_Host",
        "Forwarded",
        "X-Request-Id",
        "X-Client-Cert-Subject",
        "Cookie",
        "Set-Cookie",
        "Trailer",
        "Range",
        "Content-Encoding",
        "Content-Range",
        "Cache-Control",
        "Max-Forwards",
        "Pragma",
        "Proxy-Authorization",
        "proxy-connection",
    ] {
        let bytes = format!("0\r\n{name}: 1\r\n\r\n");
        check(Framing::Chunked, 1000, &[(&bytes, HEAD_ONLY)]);
    }
}

#[test]
fn what_is_too_much() {
    // The limit counts the body, not its framing, and is found however the chunks came.
    let small = "1\r\nx\r\n".repeat(9) + "0\r\n\r\n";
    check(Framing::Chunked, 9, &[(&small, "xxxxxxxxx | 59")]);
    check(Framing::Chunked, 8, &[(&small, "! BodyTooLarge")]);
    check(Framing::Chunked, 4, &[("5\r\nhello\r\n0\r\n\r\n", "! BodyTooLarge")]);
    let until_close = read_body(Framing::UntilClose, 4, &[b"hello"]);
    assert_eq!(summary(until_close), "! BodyTooLarge");

    let line = |n: usize| format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(n));
    let read = |text: &str| summary(read_body(Framing::Chunked, 100, &[text.as_bytes()]));
    assert_eq!(read(&line(1020)), "x | 1032");
    assert_eq!(read(&line(1021)), "! a chunk's size line that is too long");
    let many = |n: usize| format!("1;{}\r\nx\r\n", "e".repeat(1000)).repeat(n) + "0\r\n\r\n";
    assert!(read(&many(16)).starts_with("xxxxxxxxxxxxxxxx |"));
    assert_eq!(read(&many(17)), "! chunk extensions that are too long");

    let one = format!("0\r\nA: {}\r\n\r\n", "t".repeat(9000));
    assert_eq!(read(&one), "! HeadTooLarge");
    let several =
        |n: usize, size: usize| format!("0\r\n{}\r\n", format!("A: {}\r\n", "t".repeat(size)).repeat(n));
    assert!(read(&several(64, 100)).starts_with(" | A: t"));
    assert_eq!(read(&several(65, 1)), "! HeadTooLarge");
    assert_eq!(read(&several(64, 200)), "! HeadTooLarge");
    let endless = "0\r\nA: ".to_owned() + &"t".repeat(9000);
    assert_eq!(read(&endless), "! HeadTooLarge");
}

/// The bytes of `body` in pieces of these sizes, as the writer frames them.
fn written(writer: BodyWriter, body: &[u8], sizes: &[usize], trailers: &[u8]) -> Vec<u8> {
    let (mut out, mut rest, mut sizes) = (Vec::new(), body, sizes.iter().cycle());
    while !rest.is_empty() {
        let n = (*sizes.next().unwrap()).clamp(1, rest.len());
        writer.before(n, &mut out);
        out.extend_from_slice(&rest[..n]);
        out.extend_from_slice(writer.after());
        rest = &rest[n..];
    }
    writer.end(trailers, &mut out);
    out
}

fn parts<'a>(bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let (mut out, mut rest, mut sizes) = (Vec::new(), bytes, sizes.iter().cycle());
    while !rest.is_empty() {
        let (part, after) = rest.split_at((*sizes.next().unwrap()).clamp(1, rest.len()));
        out.push(part);
        rest = after;
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(
        body in prop::collection::vec(any::<u8>(), 0..20_000),
        pieces in prop::collection::vec(prop_oneof![1..8_usize, 1..6_000_usize], 1..20),
        cuts in prop::collection::vec(prop_oneof![1..4_usize, 1..3_000_usize, Just(20_000)], 1..20),
        trailers in prop_oneof![Just(""), Just("A: b\r\n"), Just("A: b\r\nC: d\r\n")],
    ) {
        let after = b"GET / HTTP/1.1\r\n";
        let mut bytes = written(BodyWriter::Chunked, &body, &pieces, trailers.as_bytes());
        let length = bytes.len();
        bytes.extend_from_slice(after);
        let found = read_body(Framing::Chunked, body.len() as u64, &parts(&bytes, &cuts)).unwrap().unwrap();
        prop_assert!(found.body == body);
        prop_assert_eq!(found.trailers, trailers.as_bytes());
        prop_assert_eq!(found.used, length);

        let mut bytes = written(BodyWriter::Plain, &body, &pieces, b"");
        bytes.extend_from_slice(after);
        let framing = Framing::Length(body.len() as u64);
        let found = read_body(framing, body.len() as u64, &parts(&bytes, &cuts)).unwrap().unwrap();
        prop_assert!(found.body == body);
        prop_assert_eq!(found.used, body.len());
    }

    /// One byte fewer than the body has, and it is refused, whatever came together.
    #[test]
    fn a_limit_holds_however_the_bytes_come(
        body in prop::collection::vec(any::<u8>(), 1..9_000),
        pieces in prop::collection::vec(1..3_000_usize, 1..9),
        cuts in prop::collection::vec(1..3_000_usize, 1..9),
    ) {
        let bytes = written(BodyWriter::Chunked, &body, &pieces, b"");
        let read = read_body(Framing::Chunked, body.len() as u64 - 1, &parts(&bytes, &cuts));
        prop_assert!(matches!(read, Err(Error::BodyTooLarge)));
    }

    /// Nonsense is refused or awaited, without a panic, and no byte is counted that was not given.
    #[test]
    fn nonsense_is_survived(
        bytes in "([0-9a-f]{1,3}|;|=|\r\n|\r|\n|[a-z]{1,9}|: |\\PC){0,40}",
        cuts in prop::collection::vec(1..20_usize, 1..9),
    ) {
        let whole = read_body(Framing::Chunked, 5_000, &[bytes.as_bytes()]);
        let cut = read_body(Framing::Chunked, 5_000, &parts(bytes.as_bytes(), &cuts));
        match (whole, cut) {
            (Ok(whole), Ok(cut)) => {
                if let Some(found) = &whole {
                    prop_assert!(found.used <= bytes.len());
                }
                prop_assert_eq!(whole, cut);
            }
            (Err(_), Err(_)) => {}
            (whole, cut) => prop_assert!(false, "{:?} but {:?}", whole, cut),
        }
    }
}
