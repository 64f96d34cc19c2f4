//! What connections to servers are made with: whom we trust, what we show of ourselves, read from files. One room for
//! all that connect by TLS, whatever they speak above it.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::files::{self, Fault, Pair};
use super::stamp::Stamp;

/// What is said of connections to servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// A PEM file of the authorities that are trusted; left out, those of this machine.
    pub ca: Option<PathBuf>,
    /// What is shown to a server that asks who we are.
    pub pair: Option<Pair>,
    /// How far the server's certificate is checked.
    pub trust: Trust,
}

/// How far a server's certificate is checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trust {
    /// Its authority and its name.
    #[default]
    Full,
    /// Its authority alone.
    Authority,
    /// Not at all.
    Anyone,
}

/// What connections are made with, as it was read. Clones share it.
#[derive(Debug, Clone)]
pub struct Connector(Arc<ClientConfig>);

/// A connection of any kind that was greeted.
pub type Greeted<S> = tokio_rustls::client::TlsStream<S>;

impl Client {
    /// Reads the files and makes what connections are made with, on which one of these protocols is agreed on (ALPN),
    /// the preferred one first; none is, where there are none.
    ///
    /// # Errors
    /// Every file that cannot be used, under its key: `ca`, `cert`, `key`.
    pub fn connector(&self, protocols: &[&str]) -> Result<Connector, Vec<Fault>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (verifier, shown) = match (self.verifier(&provider), self.shown(&provider)) {
            (Ok(verifier), Ok(shown)) => (verifier, shown),
            (verifier, shown) => {
                let faults = verifier.err().into_iter().chain(shown.err().into_iter().flatten());
                return Err(faults.collect());
            }
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| vec![Fault { key: String::new(), message: error.to_string() }])?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some(certified) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified))),
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(Connector::from(config))
    }

    /// Its files as they are now.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        let pair = self.pair.iter().flat_map(|pair| [&*pair.cert, &*pair.key]);
        Stamp::of(self.ca.as_deref().into_iter().chain(pair))
    }

    /// What is shown to a server that asks.
    fn shown(&self, provider: &CryptoProvider) -> Result<Option<CertifiedKey>, Vec<Fault>> {
        self.pair.as_ref().map(|pair| pair.certified("", provider)).transpose()
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Fault> {
        Ok(match self.trust {
            Trust::Full => self.authorities(provider)?,
            Trust::Authority => Arc::new(NoName(self.authorities(provider)?)),
            Trust::Anyone => Arc::new(NoCheck(Arc::clone(provider))),
        })
    }

    fn authorities(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, Fault> {
        let fault = |message: String| Fault { key: "ca".to_owned(), message };
        let roots = match &self.ca {
            None => MACHINE.roots(Instant::now(), of_machine),
            Some(ca) => Arc::new(files::authorities(ca).map_err(fault)?),
        };
        WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
            .build()
            .map_err(|_| fault("must be named: this machine trusts no authority".to_owned()))
    }
}

impl From<ClientConfig> for Connector {
    fn from(config: ClientConfig) -> Self {
        Connector(Arc::new(config))
    }
}

impl Connector {
    /// Greets a server of this name, over a stream of any kind.
    ///
    /// # Errors
    /// As rustls says them.
    pub async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        name: ServerName<'static>,
    ) -> io::Result<Greeted<S>> {
        TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await
    }
}

/// Whom this machine trusts.
static MACHINE: Kept = Kept(Mutex::new(None));

/// What was read of this machine counts for so long.
const LONGEST: Duration = Duration::from_secs(3600);

/// Authorities that were read, and when: there are many of them.
struct Kept(Mutex<Option<(Instant, Arc<RootCertStore>)>>);

impl Kept {
    fn roots(&self, now: Instant, read: impl FnOnce() -> RootCertStore) -> Arc<RootCertStore> {
        // Whole between any two statements, so a panic elsewhere does not spoil it.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((at, roots)) if now.saturating_duration_since(*at) < LONGEST => Arc::clone(roots),
            _ => {
                let roots = Arc::new(read());
                // That there is none is not for long: they are installed, or written anew.
                *kept = (!roots.is_empty()).then(|| (now, Arc::clone(&roots)));
                roots
            }
        }
    }
}

fn of_machine() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // One that cannot be read takes nothing from the others.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// Asks for the authority and not for the name.
#[derive(Debug)]
struct NoName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for NoName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(certificate, chain, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Takes whatever is shown, as long as who shows it has its key.
#[derive(Debug)]
struct NoCheck(Arc<CryptoProvider>);

impl ServerCertVerifier for NoCheck {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_of_the_machine_are_read_anew_when_they_are_old_or_were_none() {
        let key = rcgen::KeyPair::generate().unwrap();
        let own = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        let one = || {
            let mut roots = RootCertStore::empty();
            roots.add(own.der().clone()).unwrap();
            roots
        };
        let (kept, began) = (Kept(Mutex::new(None)), Instant::now());
        assert!(kept.roots(began, RootCertStore::empty).is_empty());
        let first = kept.roots(began, one);
        assert_eq!(first.len(), 1);
        assert!(Arc::ptr_eq(&first, &kept.roots(began + LONGEST / 2, RootCertStore::empty)));
        assert!(!Arc::ptr_eq(&first, &kept.roots(began + LONGEST, one)));
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let own = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (cert, key) = (file("cert.pem", &own.pem()), file("key.pem", &key.serialize_pem()));
        let other = file("other.pem", &rcgen::KeyPair::generate().unwrap().serialize_pem());
        let pair = |cert: &PathBuf, key: &PathBuf| Some(Pair { cert: cert.clone(), key: key.clone() });
        let trusting = |ca: &PathBuf| Client { ca: Some(ca.clone()), ..Client::default() };
        let none = dir.path().join("none.pem");
        for (client, at, said) in [
            (trusting(&none), "ca", "none.pem is not there"),
            (trusting(&key), "ca", "key.pem holds no certificate, but a key"),
            (Client { pair: pair(&none, &key), ..trusting(&cert) }, "cert", "none.pem is not there"),
            (Client { pair: pair(&cert, &cert), ..trusting(&cert) }, "key", "cert.pem holds no key"),
            (
                Client { pair: pair(&cert, &other), ..trusting(&cert) },
                "key",
                "other.pem is not the key of the",
            ),
        ] {
            let faults = client.connector(&[]).unwrap_err();
            let is_said = |fault: &Fault| fault.key == at && fault.message.contains(said);
            assert!(faults.iter().any(is_said), "{at}: {said}: {faults:?}");
        }
        // All at once.
        let nothing = Client { pair: pair(&none, &none), ..trusting(&none) };
        let keys: Vec<String> =
            nothing.connector(&[]).unwrap_err().into_iter().map(|fault| fault.key).collect();
        assert_eq!(keys, ["ca", "cert", "key"]);
        let whole = Client { pair: pair(&cert, &key), ..trusting(&cert) };
        assert_eq!(whole.connector(&["h2"]).unwrap().0.alpn_protocols, [b"h2".to_vec()]);
        let before = whole.stamp();
        std::fs::write(&cert, own.pem() + "\n").unwrap();
        assert_ne!(whole.stamp(), before);
    }
}
