//! Walks over all keys: page by page, or those that match in one list.

use adapters::key_value::{KeyValue, Reply};
use bytes::Bytes;
use model::{Code, Failure};

use super::command::refusal;
use super::strings::{syntax, whole};

/// Keys in a page when nothing is said, as with Redis.
const PAGE: usize = 10;

/// The longest page.
const LARGEST_PAGE: i64 = 1000;

/// Keys that `KEYS` lists; for more there is `SCAN`.
const MOST_LISTED: usize = 10_000;

/// The pattern of a `SCAN`.
pub(super) fn pattern(args: &[Bytes]) -> Option<&[u8]> {
    let options = args.get(1..)?;
    let found = options.chunks_exact(2).find(|pair| pair[0].eq_ignore_ascii_case(b"MATCH"));
    found.map(|pair| &*pair[1])
}

/// `SCAN cursor [MATCH pattern] [COUNT n] [TYPE kind]`
pub(super) async fn scan(cache: &dyn KeyValue, args: &[Bytes]) -> Result<Reply, Failure> {
    let (cursor, options) = (&args[0], &args[1..]);
    let cursor = match &**cursor {
        b"0" => None,
        other => Some(from_number(other).ok_or_else(|| refusal("ERR invalid cursor"))?),
    };
    let (mut limit, mut strings) = (PAGE, true);
    if !options.len().is_multiple_of(2) {
        return Err(syntax());
    }
    for pair in options.chunks_exact(2) {
        match pair[0].to_ascii_uppercase().as_slice() {
            b"MATCH" => {}
            b"COUNT" => match whole(&pair[1])? {
                count if count < 1 => return Err(syntax()),
                count => limit = usize::try_from(count.min(LARGEST_PAGE)).unwrap_or(PAGE),
            },
            b"TYPE" => strings = pair[1].eq_ignore_ascii_case(b"string"),
            _ => return Err(syntax()),
        }
    }
    if !strings {
        // There are no others here.
        return Ok(page(None, Vec::new()));
    }
    let found = cache.scan(pattern(args), cursor.as_deref(), limit).await.map_err(|failure| {
        if failure.code() == Code::InvalidRequest && cursor.is_some() {
            refusal("ERR invalid cursor")
        } else {
            failure
        }
    })?;
    Ok(page(found.next, found.keys))
}

fn page(next: Option<Bytes>, keys: Vec<Bytes>) -> Reply {
    let next = next.map_or_else(|| Bytes::from_static(b"0"), |next| Bytes::from(to_number(&next)));
    Reply::List(vec![Reply::Bytes(next), Reply::List(keys.into_iter().map(Reply::Bytes).collect())])
}

/// Every key that matches.
pub(super) async fn keys(cache: &dyn KeyValue, pattern: &[u8]) -> Result<Reply, Failure> {
    let mut keys = Vec::new();
    let mut cursor: Option<Bytes> = None;
    loop {
        let page = cache.scan(Some(pattern), cursor.as_deref(), 1000).await?;
        keys.extend(page.keys.into_iter().map(Reply::Bytes));
        if keys.len() > MOST_LISTED {
            return Err(refusal(format!("ERR more than {MOST_LISTED} keys match; use SCAN")));
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(Reply::List(keys));
        }
        // A walk over many keys that do not match must not keep others waiting.
        tokio::task::yield_now().await;
    }
}

/// A cursor as a number, which is what clients take it for: three digits for each byte behind a one.
fn to_number(cursor: &[u8]) -> String {
    let mut number = String::with_capacity(1 + cursor.len() * 3);
    number.push('1');
    for byte in cursor {
        number.push_str(&format!("{byte:03}"));
    }
    number
}

fn from_number(number: &[u8]) -> Option<Vec<u8>> {
    let digits = number.strip_prefix(b"1").filter(|digits| digits.len().is_multiple_of(3))?;
    let byte = |three: &[u8]| {
        let plain = three.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(three).ok().filter(|_| plain)?.parse().ok()
    };
    digits.chunks_exact(3).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::{from_number, to_number};

    #[test]
    fn cursors_come_back_and_nonsense_does_not() {
        for cursor in [&b""[..], b"\0", b"\x07\0user:\xff", &[255; 300]] {
            let number = to_number(cursor);
            assert!(number.bytes().all(|byte| byte.is_ascii_digit()) && number != "0");
            assert_eq!(from_number(number.as_bytes()).unwrap(), cursor);
        }
        for bad in ["", "0", "2000", "10", "1256", "1-01", "1+01", "1 00", "1abc"] {
            assert_eq!(from_number(bad.as_bytes()), None, "{bad}");
        }
    }
}
