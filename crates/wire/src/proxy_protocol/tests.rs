//! Every form of a header, in one piece and in many, and what is left behind it for whoever reads on.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;

fn ends_of(source: &str, destination: &str) -> Ends {
    Ends { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

fn said(version: Version, ends: Option<Ends>) -> Vec<u8> {
    let mut out = Vec::new();
    version.write(ends, &mut out);
    out
}

/// A header of version 2 as it is on the wire.
fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [SIGNATURE.as_slice(), &[command, family], &length, body].concat()
}

/// What is made of these bytes, said in parts of at most so many, and what stands behind them. The peer then leaves.
async fn taken(bytes: &[u8], part: usize, taken: Taken) -> (Result<Option<Ends>, Error>, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    peer.set_nodelay(true).unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let bytes = bytes.to_owned();
    let saying = tokio::spawn(async move {
        for part in bytes.chunks(part) {
            if peer.write_all(part).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    });
    let found = take(&mut stream, taken).await;
    let mut rest = Vec::new();
    if found.is_ok() {
        stream.read_to_end(&mut rest).await.unwrap();
    }
    saying.await.unwrap();
    (found, rest)
}

#[tokio::test]
async fn each_form_is_taken_and_not_a_byte_more() {
    let four = ends_of("192.0.2.7:56324", "203.0.113.1:443");
    let six = ends_of("[2001:db8::7]:65535", "[2001:db8::1]:0");
    let with_extensions = {
        let mut bytes = said(Version::V2, Some(four));
        let extensions = [b"\x02\x00\x0bexample.org".as_slice(), &[0x04; 300]].concat();
        let length = u16::try_from(12 + extensions.len()).unwrap().to_be_bytes();
        bytes[14..16].copy_from_slice(&length);
        bytes.extend_from_slice(&extensions);
        bytes
    };
    let unknown = format!("PROXY UNKNOWN {}\r\n", "x".repeat(MOST_V1 - 16));
    for (name, header, expected) in [
        ("v1", said(Version::V1, Some(four)), Some(four)),
        ("v1 six", said(Version::V1, Some(six)), Some(six)),
        ("v1 unknown", b"PROXY UNKNOWN\r\n".to_vec(), None),
        ("v1 unknown with more", unknown.into_bytes(), None),
        ("v2", said(Version::V2, Some(four)), Some(four)),
        ("v2 six", said(Version::V2, Some(six)), Some(six)),
        ("v2 with extensions", with_extensions, Some(four)),
        ("v2 of its own", said(Version::V2, None), None),
        ("v2 of its own, with addresses", v2(0x20, 0x11, &[9; 12]), None),
        ("v2 of no family", v2(0x21, 0x00, b""), None),
        ("v2 of a socket of the machine", v2(0x21, 0x31, &[7; 216]), None),
    ] {
        for part in [1, 5, 10_000] {
            let (found, rest) =
                taken(&[&header, b"\r\nPROXY \n".as_slice()].concat(), part, Taken::Any).await;
            assert_eq!(found.unwrap(), expected, "{name} in parts of {part}");
            assert_eq!(rest, b"\r\nPROXY \n", "{name} in parts of {part}");
        }
    }
}

#[tokio::test]
async fn what_is_no_header_is_refused() {
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(MOST_V1 - 15));
    let mut too_long = v2(0x21, 0x11, &[]);
    too_long[14..16].copy_from_slice(&4097_u16.to_be_bytes());
    for (name, bytes) in [
        ("a request", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("another word", b"PROXIES TCP4 1.1.1.1 2.2.2.2 1 2\r\n".to_vec()),
        ("no carriage return", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n".to_vec()),
        ("the wrong family", b"PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n".to_vec()),
        ("a name", b"PROXY TCP4 localhost 2.2.2.2 1 2\r\n".to_vec()),
        ("two spaces", b"PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n".to_vec()),
        ("a space at the end", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n".to_vec()),
        ("too few words", b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n".to_vec()),
        ("a port too large", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n".to_vec()),
        ("a port with a sign", b"PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n".to_vec()),
        ("a port with a zero", b"PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n".to_vec()),
        ("an empty line", b"PROXY \r\nxxxxxxxxxxxx".to_vec()),
        ("not text", b"PROXY TCP4 \xff\xfe\xfd\xfc 2.2.2.2 1 2\r\n".to_vec()),
        ("too long", long.into_bytes()),
        ("v2 too long", too_long),
        ("v2 of another version", v2(0x11, 0x11, &[1; 12])),
        ("v2 of another command", v2(0x22, 0x11, &[1; 12])),
        ("v2 of another family", v2(0x21, 0x41, &[1; 12])),
        ("v2 with too little for four", v2(0x21, 0x11, &[1; 11])),
        ("v2 with too little for six", v2(0x21, 0x21, &[1; 35])),
    ] {
        let (found, _) = taken(&bytes, 10_000, Taken::Any).await;
        assert!(matches!(found, Err(Error::Malformed(_))), "{name}: {found:?}");
    }
}

#[tokio::test]
async fn one_that_is_cut_off_is_none() {
    let four = ends_of("192.0.2.7:56324", "203.0.113.1:443");
    for version in [Version::V1, Version::V2] {
        let whole = said(version, Some(four));
        for len in [0, 3, 11, 12, 13, 15, 16, whole.len() - 1] {
            let (found, _) = taken(&whole[..len], 10_000, Taken::Any).await;
            assert!(matches!(found, Err(Error::Io(_))), "{version:?} of {len} bytes: {found:?}");
        }
    }
}

#[tokio::test]
async fn only_the_version_that_is_asked_for_is_taken() {
    let four = ends_of("192.0.2.7:56324", "203.0.113.1:443");
    for (version, other) in [(Version::V1, Version::V2), (Version::V2, Version::V1)] {
        let bytes = said(version, Some(four));
        assert_eq!(taken(&bytes, 10_000, Taken::Only(version)).await.0.unwrap(), Some(four));
        assert!(matches!(taken(&bytes, 10_000, Taken::Only(other)).await.0, Err(Error::Malformed(_))));
    }
}

#[test]
fn what_is_said_is_as_the_specification_has_it() {
    let four = ends_of("192.0.2.7:56324", "203.0.113.1:443");
    assert_eq!(said(Version::V1, Some(four)), b"PROXY TCP4 192.0.2.7 203.0.113.1 56324 443\r\n");
    let mapped = ends_of("[::ffff:192.0.2.7]:56324", "[::ffff:203.0.113.1]:443");
    assert_eq!(said(Version::V1, Some(mapped)), said(Version::V1, Some(four)));
    let mixed = ends_of("192.0.2.7:1", "[2001:db8::1]:2");
    assert_eq!(said(Version::V1, Some(mixed)), b"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 2\r\n");
    assert_eq!(said(Version::V1, None), b"PROXY UNKNOWN\r\n");
    let expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xcb\0\x71\x01\xdc\x04\x01\xbb";
    assert_eq!(said(Version::V2, Some(four)), expected);
    assert_eq!(said(Version::V2, None), b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    assert_eq!(said(Version::V2, Some(mixed))[12..16], [0x21, 0x21, 0, 36]);
}
