//! X.509 certificates as far as a gateway shows them: names, times, who issued. Trust is decided by rustls alone;
//! here nothing is more than read, and what cannot be read is nothing.

/// A certificate, by parts of its own bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Certificate<'d> {
    pub(super) issuer: &'d [u8],
    pub(super) subject: &'d [u8],
    /// Seconds since 1970 between which it holds.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    /// The contents of its `subjectAltName`, if it has one.
    alternatives: Option<&'d [u8]>,
}

/// One of the names that a certificate holds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name<'d> {
    Dns(&'d [u8]),
    Email(&'d [u8]),
    Uri(&'d [u8]),
    Ip(&'d [u8]),
}

/// Elements one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'d>(pub(super) &'d [u8]);

pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
pub(super) const OBJECT_ID: u8 = 0x06;
const OCTETS: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]` around the version, `[3]` around the extensions.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

impl<'d> Reader<'d> {
    /// The next element: its tag, its contents, and both with the length between them.
    pub(super) fn element(&mut self) -> Option<(u8, &'d [u8], &'d [u8])> {
        let whole = self.0;
        let (&tag, rest) = whole.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = match first {
            0..=0x7f => usize::from(first),
            // Four bytes of length are more than any certificate has.
            0x81..=0x84 => {
                let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
                rest = after;
                bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte))
            }
            _ => return None,
        };
        let (contents, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some((tag, contents, &whole[..whole.len() - after.len()]))
    }

    /// The next element's contents, if it is one of these.
    pub(super) fn expect(&mut self, tag: u8) -> Option<&'d [u8]> {
        self.element().filter(|(found, ..)| *found == tag).map(|(_, contents, _)| contents)
    }
}

impl<'d> Certificate<'d> {
    /// Reads a certificate.
    pub(super) fn read(der: &'d [u8]) -> Option<Self> {
        let mut outer = Reader(Reader(der).expect(SEQUENCE)?);
        let mut fields = Reader(outer.expect(SEQUENCE)?);
        if fields.0.first() == Some(&VERSION) {
            fields.element()?;
        }
        let (_serial, _algorithm) = (fields.element()?, fields.expect(SEQUENCE)?);
        let issuer = fields.expect(SEQUENCE)?;
        let mut validity = Reader(fields.expect(SEQUENCE)?);
        let (not_before, not_after) = (time(&mut validity)?, time(&mut validity)?);
        let subject = fields.expect(SEQUENCE)?;
        let _key = fields.expect(SEQUENCE)?;
        let mut alternatives = None;
        while let Some((tag, contents, _)) = fields.element() {
            if tag == EXTENSIONS {
                alternatives = find_alternatives(contents);
            }
        }
        Some(Certificate { issuer, subject, not_before, not_after, alternatives })
    }

    /// Every name of the kinds that a gateway knows.
    pub(super) fn names(&self) -> impl Iterator<Item = Name<'d>> + use<'d> {
        let mut names = Reader(self.alternatives.unwrap_or_default());
        std::iter::from_fn(move || names.element()).filter_map(|(tag, contents, _)| match tag {
            0x81 => Some(Name::Email(contents)),
            0x82 => Some(Name::Dns(contents)),
            0x86 => Some(Name::Uri(contents)),
            0x87 => Some(Name::Ip(contents)),
            _ => None,
        })
    }
}

fn find_alternatives(extensions: &[u8]) -> Option<&[u8]> {
    let mut all = Reader(Reader(extensions).expect(SEQUENCE)?);
    while let Some(one) = all.expect(SEQUENCE) {
        let mut one = Reader(one);
        if one.expect(OBJECT_ID)? != SUBJECT_ALT_NAME {
            continue;
        }
        // A critical extension says so before its value.
        while let Some((tag, contents, _)) = one.element() {
            if tag == OCTETS {
                return Reader(contents).expect(SEQUENCE);
            }
        }
    }
    None
}

/// A time in either of the two spellings of RFC 5280, which are always in UTC and to the second.
fn time(reader: &mut Reader<'_>) -> Option<i64> {
    let (tag, text, _) = reader.element()?;
    let two = |at: usize| -> Option<i64> {
        let digits = text.get(at..at + 2)?;
        let digit = |byte: u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
        Some(digit(digits[0])? * 10 + digit(digits[1])?)
    };
    let (year, rest) = match tag {
        UTC_TIME => (two(0).map(|year| if year < 50 { 2000 + year } else { 1900 + year })?, 2),
        GENERALIZED_TIME => (two(0)? * 100 + two(2)?, 4),
        _ => return None,
    };
    let [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map(|at| two(rest + at));
    Some(days(year, month?, day?) * 86_400 + hour? * 3600 + minute? * 60 + second?)
}

/// Days from 1970 to a day of the Gregorian calendar: years begin in March here, so that the leap day is their last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, month) = (year.div_euclid(400), (month + 9) % 12);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        for (date, count) in
            [((1970, 1, 1), 0), ((2000, 2, 29), 11_016), ((2000, 3, 1), 11_017), ((2026, 11, 22), 20_779)]
        {
            assert_eq!(days(date.0, date.1, date.2), count, "{date:?}");
        }
    }

    #[test]
    fn times_have_two_spellings() {
        for (element, seconds) in [
            (&b"\x17\x0d700101000001Z"[..], Some(1)),
            (b"\x18\x0f20000229000000Z", Some(11_016 * 86_400)),
            (b"\x17\x0dx00101000001Z", None),
            (b"\x17\x0470010", None),
            (b"\x04\x0d700101000001Z", None),
        ] {
            assert_eq!(time(&mut Reader(element)), seconds, "{}", element.escape_ascii());
        }
    }

    #[test]
    fn what_is_cut_short_is_nothing() {
        for bytes in [&b""[..], b"\x30", b"\x30\x05abc", b"\x30\x80abc\0\0", b"\x30\x85\x01\x01\x01\x01\x01x"]
        {
            assert!(Reader(bytes).element().is_none(), "{}", bytes.escape_ascii());
            assert!(Certificate::read(bytes).is_none());
        }
        assert_eq!(Reader(b"\x04\x81\x01x").element(), Some((4, &b"x"[..], &b"\x04\x81\x01x"[..])));
    }
}
