//! What keeps a client with one endpoint: a key made from something that it says, or a cookie that names the endpoint.

use std::time::Duration;

use model::route::AffinitySpec;

use super::conditions::parameters;
use crate::balance::Load;
use crate::seed::{fingerprint, mix};

/// What affinity goes by.
#[derive(Debug)]
pub struct Affinity(Source);

#[derive(Debug)]
enum Source {
    Cookie {
        name: Box<str>,
        makes: bool,
        lasts: Option<Duration>,
    },
    /// In lower case.
    Header(Box<str>),
    Query(Box<str>),
    Address,
}

/// Who asks, as far as affinity looks at it.
#[derive(Clone, Copy)]
pub struct Asker<'f, 'a> {
    /// The value of a header. Asked with names in lower case; never for `cookie`.
    pub header: &'f dyn Fn(&str) -> Option<&'a [u8]>,
    /// The value of each `Cookie` line. HTTP/2 may send several.
    pub cookies: &'f dyn Fn(usize) -> Option<&'a [u8]>,
    /// What stands after `?`, as received.
    pub query: Option<&'a str>,
    /// The client's address, without its port.
    pub address: &'a str,
}

impl Affinity {
    /// Of what was checked before; `None` when it says nothing to go by.
    #[must_use]
    pub fn new(spec: &AffinitySpec) -> Option<Self> {
        let AffinitySpec { cookie, ttl, make, header, query, address } = spec;
        let source = match (cookie, header, query) {
            (Some(name), _, _) => {
                Source::Cookie { name: name.as_str().into(), makes: *make, lasts: ttl.map(|span| span.0) }
            }
            (_, Some(name), _) => Source::Header(name.to_ascii_lowercase().into()),
            (_, _, Some(name)) => Source::Query(name.as_str().into()),
            (None, None, None) if *address => Source::Address,
            (None, None, None) => return None,
        };
        Some(Affinity(source))
    }

    /// By the client's address: what `hash` goes by where nothing else is said.
    #[must_use]
    pub fn by_address() -> Self {
        Affinity(Source::Address)
    }

    /// The key of this client; `None` when it does not say what affinity goes by.
    #[must_use]
    pub fn key(&self, asker: &Asker<'_, '_>) -> Option<u64> {
        match &self.0 {
            Source::Cookie { makes, .. } => {
                let value = self.cookie(asker)?;
                Some(if *makes { named(value) } else { None }.unwrap_or_else(|| hashed(value)))
            }
            Source::Header(name) => (asker.header)(name).map(hashed),
            Source::Query(name) => {
                let value: Vec<u8> = parameters(asker.query?, name).next()?.collect();
                Some(hashed(&value))
            }
            Source::Address => Some(hashed(asker.address.as_bytes())),
        }
    }

    /// The `Set-Cookie` of an answer of this endpoint; `None` when the client has it already, or the cookie is not ours to
    /// make. `secure` where the client came by TLS. An answer that sets a cookie of this [`name`](Affinity::made) itself
    /// has the last word.
    #[must_use]
    pub fn cookie_for(&self, endpoint: &Load, asker: &Asker<'_, '_>, secure: bool) -> Option<String> {
        let Source::Cookie { name, makes: true, lasts } = &self.0 else { return None };
        if self.cookie(asker).and_then(named) == Some(endpoint.name()) {
            return None;
        }
        let mut cookie = format!("{name}={:016x}; Path=/; HttpOnly; SameSite=Lax", endpoint.name());
        if let Some(lasts) = lasts {
            cookie.push_str(&format!("; Max-Age={}", lasts.as_secs()));
        }
        if secure {
            cookie.push_str("; Secure");
        }
        Some(cookie)
    }

    /// The name of the cookie that the gateway makes, if it makes one.
    #[must_use]
    pub fn made(&self) -> Option<&str> {
        match &self.0 {
            Source::Cookie { name, makes: true, .. } => Some(name),
            _ => None,
        }
    }

    /// Whether it goes by the client's address.
    #[must_use]
    pub fn goes_by_address(&self) -> bool {
        matches!(self.0, Source::Address)
    }

    /// What it goes by, for people: `cookie GATE`, `header x-user`, `query id`, `address`.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.0 {
            Source::Cookie { name, .. } => format!("cookie {name}"),
            Source::Header(name) => format!("header {name}"),
            Source::Query(name) => format!("query {name}"),
            Source::Address => "address".to_owned(),
        }
    }

    fn cookie<'a>(&self, asker: &Asker<'_, 'a>) -> Option<&'a [u8]> {
        let Source::Cookie { name, .. } = &self.0 else { return None };
        let lines = (0..).map_while(|index| (asker.cookies)(index));
        lines.flat_map(|line| line.split(|byte| *byte == b';')).find_map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=')?;
            let (own, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
            (own == name.as_bytes()).then_some(value)
        })
    }
}

/// What a client says never names an endpoint, whatever it says.
fn hashed(value: &[u8]) -> u64 {
    mix(fingerprint(value))
}

/// The endpoint that a cookie of ours names.
fn named(value: &[u8]) -> Option<u64> {
    let is_ours = value.len() == 16 && value.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let text = std::str::from_utf8(value).ok().filter(|_| is_ours)?;
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use model::Span;

    use super::*;

    const ENDPOINT: u64 = 0x00ab_cdef_0123_4567;

    fn spec() -> AffinitySpec {
        AffinitySpec::default()
    }

    fn asker<'f>(cookies: &'f dyn Fn(usize) -> Option<&'f [u8]>) -> Asker<'f, 'f> {
        Asker {
            header: &|name| (name == "x-user").then_some(b"ann"),
            cookies,
            query: Some("a=1&id=%61nn"),
            address: "10.0.0.1",
        }
    }

    #[test]
    fn the_same_word_is_the_same_key_wherever_it_stands() {
        let key = |spec: AffinitySpec| Affinity::new(&spec).unwrap().key(&asker(&|_| None));
        let ann = key(AffinitySpec { header: Some("X-User".into()), ..spec() });
        assert!(ann.is_some());
        assert_eq!(key(AffinitySpec { query: Some("id".into()), ..spec() }), ann);
        assert_eq!(key(AffinitySpec { query: Some("none".into()), ..spec() }), None);
        assert_eq!(key(AffinitySpec { header: Some("x-none".into()), ..spec() }), None);
        let address = key(AffinitySpec { address: true, ..spec() });
        assert!(address.is_some() && address != ann);
        assert!(Affinity::new(&spec()).is_none());
    }

    #[test]
    fn a_cookie_of_ours_names_the_endpoint() {
        let made = AffinitySpec { cookie: Some("GATE".into()), ttl: Some(Span::secs(60)), ..spec() };
        let affinity = Affinity::new(&made).unwrap();
        let endpoint = Load::new(1).named(ENDPOINT);
        let bare = asker(&|_| None);
        assert_eq!(affinity.key(&bare), None);
        let cookie = affinity.cookie_for(&endpoint, &bare, true).unwrap();
        assert_eq!(cookie, "GATE=00abcdef01234567; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure");
        let lines: [&[u8]; 2] = [b"a=b; XGATE=1", b" c=d;GATE=00abcdef01234567 "];
        let back = |index: usize| lines.get(index).copied();
        let back = asker(&back);
        assert_eq!(affinity.key(&back), Some(ENDPOINT));
        assert_eq!(affinity.cookie_for(&endpoint, &back, false), None);
        // Another endpoint has answered: the old one could not.
        let other = Load::new(1).named(1);
        assert!(affinity.cookie_for(&other, &back, false).is_some_and(|made| !made.contains("Secure")));
        // The service's own cookie is a key and no name, whatever it looks like.
        let read = Affinity::new(&AffinitySpec { make: false, ttl: None, ..made }).unwrap();
        assert!(read.key(&back).is_some_and(|key| key != ENDPOINT));
        assert_eq!((read.cookie_for(&endpoint, &bare, false), read.made()), (None, None));
    }

    #[test]
    fn nobody_names_an_endpoint_by_guessing_its_address() {
        let label = b"shop/web/10.0.0.7:80";
        let header = AffinitySpec { header: Some("x-user".into()), ..spec() };
        let guess = Asker { header: &|_| Some(label), ..asker(&|_| None) };
        assert_ne!(Affinity::new(&header).unwrap().key(&guess), Some(fingerprint(label)));
    }
}
