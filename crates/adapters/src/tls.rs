//! `tls` of a service: what a document says of it, and what rustls makes of that. Kinds whose client brings a TLS of
//! its own take the files from here and nothing else.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use model::check::Problems;
use model::field::{Field, Shape, field};
use model::tree::Node;
use model::{Code, Failure, ServiceSpec};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use wire::tls::Stamp;

use crate::options::Said;

/// The key that a service says it under.
pub(crate) const TLS: &str = "tls";

/// The key, for the table of a kind that connects by TLS.
pub(crate) const FIELD: Field =
    field(TLS, Shape::Fields(FIELDS), "How the connection to the service is secured.");

const FIELDS: &[Field] = &[
    field("enabled", Shape::Bool, "Whether it is; what else stands here means yes."),
    field(
        "ca",
        Shape::Text,
        "A PEM file of the authorities that are trusted; left out, those of this machine.",
    )
    .aliases(&["ca_file"]),
    field("cert", Shape::Text, "A PEM file of the certificate that the gateway shows.")
        .aliases(&["cert_file"]),
    field("key", Shape::Text, "A PEM file of its private key.").aliases(&["key_file"]),
    field("sni", Shape::Host, "The name that the service's certificate must have; left out, its host."),
    field("verify", Shape::Bool, "Whether the service's certificate is checked at all.").default("true"),
    field("insecure_skip_verify", Shape::Bool, "The same the other way round, as older files have it.")
        .default("false"),
];

/// What is said of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) ca: Option<PathBuf>,
    /// Certificate and private key.
    pub(crate) pair: Option<(PathBuf, PathBuf)>,
    pub(crate) sni: Option<String>,
    pub(crate) trust: Trust,
}

/// How far the service's certificate is checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Its authority and its name.
    #[default]
    Full,
    /// Its authority alone.
    Authority,
    /// Not at all.
    Anyone,
}

/// Whether a document asks for it, as [`of`] will find.
pub(crate) fn is_wanted(service: &Node) -> bool {
    let Some(tls) = service.get(TLS) else { return false };
    match tls.get("enabled").map(Node::to_json) {
        Some(serde_json::Value::Bool(enabled)) => enabled,
        _ => !tls.entries().is_empty(),
    }
}

/// What the table cannot say.
pub(crate) fn check(service: &Node, problems: &mut Problems) {
    let Some(tls) = service.get(TLS).filter(|tls| !tls.is_null()) else { return };
    if tls.entries().is_empty() {
        problems.add(
            TLS,
            tls.at,
            "says nothing; `enabled: true` secures the connection, by what this machine trusts",
        );
    }
    let said =
        |names: [&str; 2]| names.into_iter().find_map(|name| tls.get(name).filter(|node| !node.is_null()));
    match (said(["cert", "cert_file"]), said(["key", "key_file"])) {
        (Some(cert), None) => problems.add("tls.cert", cert.at, "needs the `key` that belongs to it"),
        (None, Some(key)) => problems.add("tls.key", key.at, "needs the `cert` that it belongs to"),
        _ => return,
    };
}

/// What a checked service says; `None` where it asks for none.
pub(crate) fn of(service: &ServiceSpec) -> Result<Option<Tls>, Failure> {
    let said = Said::within(service, TLS);
    let path = |names: &[&str]| said.first_text(names).map(PathBuf::from);
    let (ca, cert, key) =
        (path(&["ca", "ca_file"]), path(&["cert", "cert_file"]), path(&["key", "key_file"]));
    let verify = said.parsed("verify", true)? && !said.parsed("insecure_skip_verify", false)?;
    let says_more = ca.is_some() || cert.is_some() || !verify || said.has("sni") || said.has("verify");
    if !said.parsed("enabled", says_more)? {
        return Ok(None);
    }
    let pair = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => return Err(wrong("tls: `cert` and `key` belong together")),
    };
    let trust = if verify { Trust::Full } else { Trust::Anyone };
    Ok(Some(Tls { ca, pair, sni: said.text("sni"), trust }))
}

impl Tls {
    /// Reads the files and makes what connections are made with.
    ///
    /// # Errors
    /// `invalid_config`, naming the file that cannot be read or has nothing of the kind in it.
    pub(crate) fn client(&self) -> Result<Arc<ClientConfig>, Failure> {
        self.client_of(&[])
    }

    /// The same for connections on which one of these protocols is agreed on (ALPN), the preferred one first.
    ///
    /// # Errors
    /// As [`Tls::client`].
    pub(crate) fn client_of(&self, protocols: &[&str]) -> Result<Arc<ClientConfig>, Failure> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(format!("tls: {error}")))?;
        let verifier: Arc<dyn ServerCertVerifier> = match self.trust {
            Trust::Full => self.verifier(&provider)?,
            Trust::Authority => Arc::new(NoName(self.verifier(&provider)?)),
            Trust::Anyone => Arc::new(NoCheck(provider)),
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &self.pair {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let chain = certificates(cert)?;
                let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
                builder.with_client_auth_cert(chain, private).map_err(|error| unreadable(cert, &error))?
            }
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// Its files as they are now.
    pub(crate) fn stamp(&self) -> Stamp {
        let pair = self.pair.iter().flat_map(|(cert, key)| [&**cert, &**key]);
        Stamp::of(self.ca.as_deref().into_iter().chain(pair))
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, Failure> {
        let roots = match &self.ca {
            None => Arc::clone(MACHINE.get_or_init(|| Arc::new(of_machine()))),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(ca)? {
                    roots.add(certificate).map_err(|error| unreadable(ca, &error))?;
                }
                Arc::new(roots)
            }
        };
        WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
            .build()
            .map_err(|_| wrong("tls: this machine trusts no authority; name one with `ca`"))
    }
}

/// Whom this machine trusts. There are many of them, so they are read once.
static MACHINE: OnceLock<Arc<RootCertStore>> = OnceLock::new();

fn of_machine() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // One that cannot be read takes nothing from the others.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let all: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| unreadable(path, &error))?.collect();
    let all = all.map_err(|error| unreadable(path, &error))?;
    if all.is_empty() {
        return Err(unreadable(path, &"there is no certificate in it"));
    }
    Ok(all)
}

fn unreadable(path: &Path, error: &dyn fmt::Display) -> Failure {
    wrong(format!("tls: {}: {error}", path.display()))
}

fn wrong(detail: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    Failure::client(Code::InvalidConfig, detail)
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

    fn service(tls: serde_json::Value) -> ServiceSpec {
        let whole = serde_json::json!({ "type": "http", "host": "localhost", "port": 80, "tls": tls });
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn whoever_says_something_of_it_wants_it() {
        for (tls, trust) in [
            (serde_json::json!({ "enabled": true }), Some(Trust::Full)),
            (serde_json::json!({ "verify": true }), Some(Trust::Full)),
            (serde_json::json!({ "sni": "a.example" }), Some(Trust::Full)),
            (serde_json::json!({ "ca": "ca.pem" }), Some(Trust::Full)),
            (serde_json::json!({ "verify": false }), Some(Trust::Anyone)),
            (serde_json::json!({ "insecure_skip_verify": true }), Some(Trust::Anyone)),
            (serde_json::json!({ "enabled": false, "ca": "ca.pem" }), None),
            (serde_json::json!({ "insecure_skip_verify": false }), None),
        ] {
            assert_eq!(of(&service(tls.clone())).unwrap().map(|tls| tls.trust), trust, "{tls}");
        }
    }

    #[test]
    fn what_says_nothing_is_no_promise() {
        let mut problems = Problems::new(None);
        check(&model::yaml::parse("tls: {}").unwrap(), &mut problems);
        assert_eq!(problems.into_vec().first().map(|problem| problem.path.clone()), Some("tls".to_owned()));
    }
}
