//! Makes new bytes of old ones: small changes, and whole pieces of what is known to confuse.

use crate::support::Random;

/// Pieces that readers of HTTP have disagreed on.
const PIECES: &[&[u8]] = &[
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b"\0", b" ", b"\t", b"\x0b", b"\x7f", b"\xff", b":", b";", b",", b"0\r\n\r\n",
    b"5\r\nhello\r\n", b"Host: app.test\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"content-length:00005 \r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: \tchunked \r\n", b"transfer-encoding: identity\r\n", b"Connection: close\r\n",
    b"Connection: keep-alive\r\n", b"Connection: upgrade\r\nUpgrade: x\r\n", b"Expect: 100-continue\r\n", b"X-A: 1\r\n", b" HTTP/1.1",
    b" HTTP/1.0", b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n", b"POST /q HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\nabc",
    b"PUT http://c.d:80/e?f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=\"y\"\r\nabc\r\n0\r\nT: u\r\n\r\n", b"HEAD ",
    b"OPTIONS * ", b"CONNECT ", b"http://a/", b"%2e", b"..", b"#", b"?", b"ffffffffffffffff", b"18446744073709551621", b"+", b"-", b"_",
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 204 x\r\nContent-Length: 1\r\n\r\n",
];

/// Requests that are taken, so that what follows them is looked at too.
const GOOD: &[&[u8]] = &[
    b"GET /a?b HTTP/1.1\r\nHost: app.test\r\nX-A: 1\r\n\r\n",
    b"POST /p HTTP/1.1\r\nHost: app.test\r\nContent-Length: 11\r\n\r\nhello\r\nyou!",
    b"POST /p HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x\r\n!\r\n0\r\n\r\n",
    b"PUT /c HTTP/1.1\r\nHost: [::1]:8080\r\ntransfer-encoding:chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\nA: b\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"PUT http://other.test/x HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n",
    b"DELETE /d HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1\r\n\r\nx",
];

pub(super) fn mutated(random: &mut Random, seeds: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.below(3) {
        bytes.extend_from_slice(GOOD[random.below(GOOD.len())]);
    }
    let last =
        if random.below(3) == 0 { GOOD[random.below(GOOD.len())] } else { seeds[random.below(seeds.len())] };
    bytes.extend_from_slice(last);
    for _ in 0..random.below(5) {
        change(random, seeds, &mut bytes);
    }
    if random.below(3) == 0 {
        bytes.extend_from_slice(GOOD[random.below(GOOD.len())]);
    }
    bytes.truncate(16 * 1024);
    bytes
}

fn change(random: &mut Random, seeds: &[&[u8]], bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len() + 1);
    let end = (at + random.below(24)).min(bytes.len());
    match random.below(9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = random.next().to_le_bytes()[0],
        2 => drop(bytes.drain(at..end)),
        3 => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        4 => {
            let other = seeds[random.below(seeds.len())];
            let from = random.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        5 => line(random, bytes),
        6 => bytes.truncate(at),
        7 => {
            // Another digit, where sizes and lengths stand.
            if let Some(digit) = bytes[at..].iter_mut().find(|b| b.is_ascii_digit()) {
                *digit = b"0123456789abcdef"[random.below(16)];
            }
        }
        _ => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied())),
    }
}

/// A line twice, gone, or moved behind the next.
fn line(random: &mut Random, bytes: &mut Vec<u8>) {
    let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
    if lines.len() < 2 {
        return;
    }
    let at = random.below(lines.len() - 1);
    match random.below(4) {
        0 => lines.insert(at, lines[at].clone()),
        1 => drop(lines.remove(at)),
        2 => lines.swap(at, at + 1),
        _ => lines.insert(at, PIECES[random.below(PIECES.len())].to_vec()),
    }
    *bytes = lines.concat();
}
