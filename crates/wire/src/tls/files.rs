//! Certificates and keys from files, each fault with the file and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::der::{Certificate, Name};
use super::identity::distinguished_name;

/// A certificate with its chain, and its private key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate first, then those that lead to its authority.
    pub cert: PathBuf,
    /// The private key that belongs to it.
    pub key: PathBuf,
}

/// What is wrong, and in the setting of which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Such as `certificates[0].cert`.
    pub key: String,
    /// The file, what is wrong with it, and what to do.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// A pair that was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) certified: CertifiedKey,
    /// The names of hosts that it is for, in small letters.
    pub(super) hosts: Vec<String>,
    /// What is not wrong, and still worth a word.
    pub(super) notes: Vec<String>,
}

/// The settings of a pair's two files.
const CERT: &str = "cert";
const KEY: &str = "key";

/// A certificate that ends sooner than this is worth a word.
const SOON: i64 = 14 * 86_400;

impl Pair {
    /// From when until when its certificate holds, in seconds since 1970; `None` when that cannot be read.
    #[must_use]
    pub fn validity(&self) -> Option<(i64, i64)> {
        let chain = certificates(&self.cert).ok()?;
        let leaf = Certificate::read(chain.first()?)?;
        Some((leaf.not_before, leaf.not_after))
    }

    /// Whether both files can be read, and the key is that of the certificate.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.read(0, &rustls::crypto::aws_lc_rs::default_provider()).is_ok()
    }

    /// Reads both files, whose settings stand below `path`. All that is wrong with them is told.
    pub(super) fn certified(
        &self,
        path: &str,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, Vec<Fault>> {
        let of_cert = |why: String| vec![self.fault(path, CERT, &why)];
        let of_key = |why: String| vec![self.fault(path, KEY, &why)];
        let (chain, key) = match (certificates(&self.cert), private_key(&self.key)) {
            (Ok(chain), Ok(key)) => (chain, key),
            (chain, key) => {
                let chain = chain.err().map(of_cert).unwrap_or_default();
                return Err([chain, key.err().map(of_key).unwrap_or_default()].concat());
            }
        };
        let key = provider.key_provider.load_private_key(key);
        let key = key.map_err(|error| of_key(format!("holds a key that cannot be used: {error}")))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
            Err(rustls::Error::InconsistentKeys(_)) => {
                let cert = self.cert.display();
                Err(of_key(format!(
                    "is not the key of the certificate in {cert}; both must come from one request, and the \
                     certificate must stand before its chain"
                )))
            }
            Err(error) => Err(of_cert(format!("holds a certificate that cannot be used: {error}"))),
        }
    }

    /// Reads both files, the pair in this place of a list. All that is wrong with them is told.
    pub(super) fn read(&self, at: usize, provider: &CryptoProvider) -> Result<Read, Vec<Fault>> {
        let path = format!("certificates[{at}].");
        let certified = self.certified(&path, provider)?;
        let leaf = certified.cert.first().and_then(|leaf| Certificate::read(leaf));
        let Some(leaf) = leaf else {
            return Err(vec![self.fault(&path, CERT, "holds a certificate that cannot be read")]);
        };
        let hosts: Vec<String> = leaf.names().filter_map(host).collect();
        let notes = notes(&leaf, &certified.cert, &hosts, now());
        let notes = notes.into_iter().map(|note| said(&self.cert, &note)).collect();
        Ok(Read { certified, hosts, notes })
    }

    fn fault(&self, path: &str, part: &str, why: &str) -> Fault {
        let file = if part == KEY { &self.key } else { &self.cert };
        Fault { key: format!("{path}{part}"), message: said(file, why) }
    }
}

fn said(path: &Path, why: &str) -> String {
    format!("{} {why}", path.display())
}

/// A name of a host as a client may ask for it. One that could not be asked for is none: such a name with a
/// NUL in it is for nobody.
fn host(name: Name<'_>) -> Option<String> {
    let Name::Dns(text) = name else { return None };
    let text = std::str::from_utf8(text).ok()?;
    let plain = text.strip_prefix("*.").unwrap_or(text);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (!plain.is_empty() && plain.bytes().all(fits)).then(|| text.to_ascii_lowercase())
}

fn notes(leaf: &Certificate<'_>, chain: &[CertificateDer<'_>], hosts: &[String], now: i64) -> Vec<String> {
    let mut notes = Vec::new();
    let days = |seconds: i64| seconds / 86_400;
    match leaf.not_after - now {
        left @ ..0 => notes.push(format!("has expired, {} days ago; clients will refuse it", days(-left))),
        left @ 0..SOON => notes.push(format!("expires in {} days", days(left))),
        _ => {}
    }
    if leaf.not_before > now {
        notes.push("is not valid yet; clients will refuse it until then".to_owned());
    }
    if hosts.is_empty() {
        notes.push("names no host in its `subjectAltName`; clients look nowhere else".to_owned());
    }
    let mut issuer = leaf.issuer;
    for (at, next) in chain.iter().enumerate().skip(1) {
        let Some(next) = Certificate::read(next) else { continue };
        if next.subject != issuer {
            notes.push(format!(
                "has a certificate in place {} of its chain that did not issue the one before",
                at + 1
            ));
        }
        issuer = next.issuer;
    }
    if chain.len() == 1 && leaf.issuer != leaf.subject {
        let issuer = distinguished_name(leaf.issuer).unwrap_or_default();
        notes.push(format!(
            "has no chain; unless clients know `{issuer}` itself, append the certificates that lead to its authority"
        ));
    }
    notes
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// The authorities in a PEM file.
pub(super) fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path).map_err(|why| said(path, &why))? {
        let added = roots.add(certificate);
        added.map_err(|error| said(path, &format!("holds an authority that cannot be used: {error}")))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = text(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|error| format!("is not a PEM file: {error}"))?;
    if all.is_empty() {
        return Err(match sections(&text).as_slice() {
            [] => {
                "holds no certificate: a PEM file has one between `-----BEGIN CERTIFICATE-----` and its end"
                    .to_owned()
            }
            [SectionKind::Csr, ..] => {
                "holds a request for a certificate; its authority answers with the certificate".to_owned()
            }
            _ => "holds no certificate, but a key; `cert` and `key` may be exchanged".to_owned(),
        });
    }
    Ok(all)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = text(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        if text.windows(9).any(|window| window == b"ENCRYPTED") {
            return "is encrypted; `openssl pkey -in FILE -out PLAIN` writes it without its passphrase"
                .to_owned();
        }
        match error {
            pem::Error::NoItemsFound if sections(&text).contains(&SectionKind::Certificate) => {
                "holds no key, but a certificate; `cert` and `key` may be exchanged".to_owned()
            }
            pem::Error::NoItemsFound => {
                "holds no private key: a PEM file has one between `-----BEGIN PRIVATE KEY-----` and its end"
                    .to_owned()
            }
            other => format!("is not a PEM file: {other}"),
        }
    })
}

fn sections(text: &[u8]) -> Vec<SectionKind> {
    let mut rest = text;
    let mut found = Vec::new();
    while let Ok(Some((kind, _))) = pem::from_buf(&mut rest) {
        found.push(kind);
    }
    found
}

fn text(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "is not there".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read by the user that the gateway runs as".to_owned(),
        _ => format!("cannot be read: {error}"),
    })
}
