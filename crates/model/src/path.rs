//! The plain form of a path: the one spelling that stands for all that mean the same.

use std::borrow::Cow;

/// A path as routes are told it (RFC 3986 6.2.2, and what most services do besides): a code of a character that needs none
/// is that character, any other is in upper case, what is not ASCII is encoded, and slashes in a row are one.
///
/// Codes that encode nothing stay as they are; whoever serves paths has refused them, with dot segments and encoded slashes.
#[must_use]
pub fn plain(path: &str) -> Cow<'_, str> {
    let bytes = path.as_bytes();
    let mut last = 0;
    let odd = bytes.iter().position(|&byte| {
        let doubled = byte == b'/' && last == b'/';
        last = byte;
        doubled || byte == b'%' || !byte.is_ascii()
    });
    match odd {
        Some(odd) => Cow::Owned(made_plain(path, odd)),
        None => Cow::Borrowed(path),
    }
}

/// `path` is plain up to `odd`.
fn made_plain(path: &str, odd: usize) -> String {
    let bytes = path.as_bytes();
    let mut plain = String::with_capacity(path.len());
    plain.push_str(&path[..odd]);
    let mut at = odd;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'/' if plain.ends_with('/') => {}
            b'%' => match code(&bytes[at..]) {
                Some(meant) => {
                    at += 2;
                    push(&mut plain, meant, !is_unreserved(meant));
                }
                None => plain.push('%'),
            },
            _ => push(&mut plain, byte, !byte.is_ascii()),
        }
    }
    plain
}

fn push(plain: &mut String, byte: u8, encoded: bool) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    if encoded {
        plain.extend(['%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    } else {
        plain.push(char::from(byte));
    }
}

/// What the two digits at the beginning encode.
fn code(rest: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*rest.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_a_path_are_one() {
        for path in ["/", "/a/b.c/~d", "/a%20b", "/%C3%BC", "/a/", "/a:b@c!$&'()*+,="] {
            assert!(matches!(plain(path), Cow::Borrowed(_)) || path.contains('%'), "{path}");
            assert_eq!(plain(path), path);
        }
        for (path, expected) in [
            ("//", "/"),
            ("//a///b//", "/a/b/"),
            ("/%61dmin", "/admin"),
            ("/%41%2d%2E%5f%7e%30", "/A-._~0"),
            ("/%c3%bc", "/%C3%BC"),
            ("/ü", "/%C3%BC"),
            ("/a%2fb%3b", "/a%2Fb%3B"),
            ("/%2561", "/%2561"),
            ("/a%", "/a%"),
            ("/a%4", "/a%4"),
            ("/a%zz", "/a%zz"),
        ] {
            assert_eq!(plain(path), expected, "{path}");
            assert_eq!(plain(expected), expected, "{expected} is plain");
        }
    }
}
