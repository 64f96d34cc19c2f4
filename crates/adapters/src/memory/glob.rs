//! Globs over bytes, matched in one pass whatever the pattern: `*`, `?`, `[a-z]`, `[^a-z]`, `\` quotes.
//!
//! A pattern is a literal beginning, by which a scan finds its place, and a small automaton whose states
//! are the bits of one number, so that no pattern makes a key slow to match.

/// The most that may follow the literal beginning, `*` not counted: one bit of a state for each.
pub(super) const MOST: usize = 127;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Glob {
    prefix: Vec<u8>,
    /// For each byte, the states that it moves one step on.
    moves: Box<[u128]>,
    /// The states that any byte leaves where they are: those before a `*`.
    stays: u128,
    /// The state behind the last element.
    end: u128,
}

/// The pattern has more than [`MOST`] elements behind its literal beginning.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

enum Token {
    Byte(u8),
    /// Which bytes match.
    Class(Box<[bool; 256]>),
    Star,
}

impl Glob {
    /// Compiles a pattern. Every pattern means something: an unclosed class reaches to the end.
    pub(super) fn new(pattern: &[u8]) -> Result<Self, TooLong> {
        let mut tokens = Tokens(pattern).peekable();
        let mut prefix = Vec::new();
        while let Some(Token::Byte(byte)) = tokens.next_if(|token| matches!(token, Token::Byte(_))) {
            prefix.push(byte);
        }
        let mut glob = Glob { prefix, moves: vec![0; 256].into(), stays: 0, end: 1 };
        for token in tokens {
            if matches!(token, Token::Star) {
                glob.stays |= glob.end;
                continue;
            }
            if glob.end == 1 << MOST {
                return Err(TooLong);
            }
            for (byte, states) in (0..=u8::MAX).zip(&mut glob.moves) {
                if token.takes(byte) {
                    *states |= glob.end;
                }
            }
            glob.end <<= 1;
        }
        Ok(glob)
    }

    /// What every key that matches begins with.
    pub(super) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Whether the whole key matches.
    pub(super) fn matches(&self, key: &[u8]) -> bool {
        let Some(rest) = key.strip_prefix(self.prefix.as_slice()) else { return false };
        let mut active = 1;
        for byte in rest {
            if active & self.stays & self.end != 0 {
                return true;
            }
            active = (active & self.moves[usize::from(*byte)]) << 1 | active & self.stays;
            if active == 0 {
                return false;
            }
        }
        active & self.end != 0
    }
}

impl Token {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Token::Byte(own) => *own == byte,
            Token::Class(members) => members[usize::from(byte)],
            Token::Star => false,
        }
    }
}

/// A pattern, token by token.
struct Tokens<'a>(&'a [u8]);

impl Tokens<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// What stands behind a `[`, up to and with its `]`.
    fn class(&mut self) -> Box<[bool; 256]> {
        let negated = self.0.first() == Some(&b'^');
        if negated {
            self.byte();
        }
        let mut members = Box::new([negated; 256]);
        while let Some(byte) = self.byte() {
            let low = match byte {
                b']' => break,
                b'\\' => self.byte().unwrap_or(b'\\'),
                byte => byte,
            };
            let high = match self.0 {
                [b'-', b']', ..] | [b'-'] => low,
                [b'-', ..] => {
                    self.byte();
                    match self.byte() {
                        Some(b'\\') => self.byte().unwrap_or(b'\\'),
                        Some(byte) => byte,
                        None => low,
                    }
                }
                _ => low,
            };
            for byte in low.min(high)..=low.max(high) {
                members[usize::from(byte)] = !negated;
            }
        }
        members
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        Some(match self.byte()? {
            b'*' => Token::Star,
            b'?' => Token::Class(Box::new([true; 256])),
            b'[' => Token::Class(self.class()),
            b'\\' => Token::Byte(self.byte().unwrap_or(b'\\')),
            byte => Token::Byte(byte),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &[u8], key: &[u8]) -> bool {
        Glob::new(pattern).unwrap().matches(key)
    }

    #[test]
    fn a_table_of_patterns() {
        for (pattern, yes, no) in [
            ("", vec![""], vec!["a"]),
            ("*", vec!["", "a", "a:b"], vec![]),
            ("a", vec!["a"], vec!["", "ab", "b"]),
            ("user:*", vec!["user:", "user:1"], vec!["user", "users:1", "xuser:1"]),
            ("*:1", vec![":1", "a:1", ":1:1"], vec!["1", "a:1x"]),
            ("a*b*c", vec!["abc", "aXbYc", "abbcc"], vec!["ab", "acb"]),
            ("h?llo", vec!["hello", "h\u{1}llo"], vec!["hllo", "heello"]),
            ("h[ae]llo", vec!["hello", "hallo"], vec!["hillo"]),
            ("h[^e]llo", vec!["hallo"], vec!["hello", "hllo"]),
            ("[a-c][c-a]", vec!["ab", "cc"], vec!["ad", "d"]),
            ("[a-]", vec!["a", "-"], vec!["b"]),
            ("[\\]x]", vec!["]", "x"], vec!["\\", "[\\]x]"]),
            ("[a-\\]]", vec!["a", "]", "^"], vec!["b"]),
            ("a\\*", vec!["a*"], vec!["ab", "a\\*"]),
            ("a\\", vec!["a\\"], vec!["a"]),
            ("[abc", vec!["a", "c"], vec!["[abc", "d"]),
            ("**a**", vec!["a", "bab"], vec!["", "b"]),
            ("[]a", vec![], vec!["a", "]a", ""]),
            ("[^]", vec!["a", "]"], vec![""]),
        ] {
            for key in yes {
                assert!(matches(pattern.as_bytes(), key.as_bytes()), "{pattern} should match {key}");
            }
            for key in no {
                assert!(!matches(pattern.as_bytes(), key.as_bytes()), "{pattern} should not match {key}");
            }
        }
        assert!(matches(b"\xff?\x00", b"\xff\xfe\x00"));
    }

    #[test]
    fn a_long_tail_is_refused_and_a_long_beginning_is_not() {
        let long = "x".repeat(MOST + 1);
        assert_eq!(Glob::new(format!("*{long}").as_bytes()).unwrap_err(), TooLong);
        assert!(matches(format!("*{}", &long[1..]).as_bytes(), format!("--{}", &long[1..]).as_bytes()));
        assert!(matches(format!("{long}*").as_bytes(), format!("{long}!").as_bytes()));
        assert!(matches(format!("{}*", "?".repeat(MOST)).as_bytes(), long.as_bytes()));
    }

    #[test]
    fn the_worst_pattern_is_not_slow() {
        let glob = Glob::new("*a".repeat(60).as_bytes()).unwrap();
        let key = vec![b'a'; 64 << 10];
        let begun = Instant::now();
        for _ in 0..10 {
            assert!(glob.matches(&key));
            assert!(!glob.matches(&[key.as_slice(), b"b"].concat()));
        }
        // Backtracking would need ages; the bound leaves room for a slow machine without optimisation.
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }

    /// The textbook definition, slow and plain.
    fn naive(pattern: &[u8], key: &[u8]) -> bool {
        match (pattern.split_first(), key.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => naive(rest, key),
            (Some((b'*', rest)), Some((_, tail))) => naive(rest, key) || naive(pattern, tail),
            (Some((b'?', rest)), Some((_, tail))) => naive(rest, tail),
            (Some((byte, rest)), Some((own, tail))) => byte == own && naive(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{0,9}", key in "[ab]{0,9}") {
            prop_assert_eq!(matches(pattern.as_bytes(), key.as_bytes()), naive(pattern.as_bytes(), key.as_bytes()));
        }

        #[test]
        fn every_pattern_compiles(pattern in prop::collection::vec(any::<u8>(), 0..MOST), key in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = matches(&pattern, &key);
        }

        #[test]
        fn a_quoted_key_matches_itself_alone(key in prop::collection::vec(any::<u8>(), 0..40), other in prop::collection::vec(any::<u8>(), 0..40)) {
            let quoted: Vec<u8> = key.iter().flat_map(|byte| [b'\\', *byte]).collect();
            prop_assert!(matches(&quoted, &key));
            prop_assert_eq!(matches(&quoted, &other), key == other);
        }
    }
}
