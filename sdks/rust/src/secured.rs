//! TLS to a gateway: whom we trust, what we show of ourselves, and what is said when a handshake comes to nothing.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::address::Address;
use crate::error::{Error, Family};

/// How connections are secured where the gateway's URL says that they are.
#[derive(Clone, Default)]
pub(crate) struct Security {
    /// A PEM file of the authorities that are trusted, in place of those of this machine.
    pub(crate) ca: Option<PathBuf>,
    /// Certificate and private key, as PEM files.
    pub(crate) pair: Option<(PathBuf, PathBuf)>,
    /// Made for the first connection.
    made: Arc<OnceLock<TlsConnector>>,
}

impl Security {
    pub(crate) fn of(ca: Option<PathBuf>, pair: Option<(PathBuf, PathBuf)>) -> Security {
        Security { ca, pair, made: Arc::default() }
    }

    /// Whether something was said of it.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.ca.is_some() || self.pair.is_some()
    }

    /// Greets the gateway on a connection that is open.
    pub(crate) async fn greet(
        &self,
        address: &Address,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Error> {
        let connector = self.connector().await?;
        let name = ServerName::try_from(address.host.clone())
            .map_err(|_| Error::usage("the gateway's URL names no host", "Write it as https://host:port."))?;
        // A handshake is rare, and as large as all the rest.
        Box::pin(connector.connect(name, tcp)).await.map_err(|error| self.in_words(address, error))
    }

    /// Whether TLS is spoken on this connection, whatever becomes of the handshake.
    pub(crate) async fn is_spoken(&self, address: &Address, tcp: TcpStream) -> bool {
        let (Ok(connector), Ok(name)) = (self.connector().await, ServerName::try_from(address.host.clone()))
        else {
            return false;
        };
        match Box::pin(connector.connect(name, tcp)).await {
            Ok(_) => true,
            Err(error) => {
                of_rustls(&error).is_some_and(|said| !matches!(said, rustls::Error::InvalidMessage(_)))
            }
        }
    }

    /// What connections are made with, once its files were read.
    pub(crate) async fn connector(&self) -> Result<TlsConnector, Error> {
        if let Some(made) = self.made.get() {
            return Ok(made.clone());
        }
        // It reads files, and those of a whole machine take a while.
        let own = self.clone();
        let made = tokio::task::spawn_blocking(move || own.make()).await;
        let made = made.map_err(|source| Error::unsent("TLS could not be made ready", source))??;
        Ok(self.made.get_or_init(|| made).clone())
    }

    fn make(&self) -> Result<TlsConnector, Error> {
        let unusable = |error: rustls::Error| Error::usage(&format!("TLS cannot be used: {error}"), "");
        let mut roots = RootCertStore::empty();
        match &self.ca {
            // One that cannot be read takes nothing from the others.
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            Some(ca) => {
                for certificate in certificates(ca)? {
                    roots.add(certificate).map_err(|error| unreadable(ca, &error))?;
                }
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(roots);
        let mut config = match &self.pair {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
                let made = builder.with_client_auth_cert(certificates(cert)?, private);
                made.map_err(|error| unreadable(cert, &error))?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }

    fn in_words(&self, address: &Address, error: io::Error) -> Error {
        let (why, hint) = match of_rustls(&error) {
            Some(rustls::Error::InvalidCertificate(of)) => self.about(of, address),
            Some(rustls::Error::InvalidMessage(_)) => (
                "it does not answer in TLS".to_owned(),
                "Write the URL as http://, or secure that door: `server.tls`, or `data.tls`.".to_owned(),
            ),
            Some(rustls::Error::AlertReceived(alert)) => match self.refused(*alert) {
                Some((why, hint)) => (why.to_owned(), hint.to_owned()),
                None => (format!("it refuses the handshake: {alert:?}"), String::new()),
            },
            _ => {
                // It may be there again.
                return Error::unsent(format!("no connection to {address}: it left in the handshake"), error);
            }
        };
        Error::usage(&format!("no secured connection to {address}: {why}"), &hint)
            .caused_by(error)
            .of(Family::Connection)
            .for_good()
    }

    /// What is wrong with the gateway's certificate, and what to do.
    fn about(&self, fault: &CertificateError, address: &Address) -> (String, String) {
        use CertificateError as Of;
        match fault {
            // Another authority of the same name has another key.
            Of::UnknownIssuer | Of::BadSignature => (
                "its certificate is of an authority that is not trusted".to_owned(),
                match &self.ca {
                    Some(ca) => {
                        format!("{} holds another authority; name the PEM file of its own.", ca.display())
                    }
                    None => {
                        "Name a PEM file of that authority with THROOME_CA, or --ca of a command.".to_owned()
                    }
                },
            ),
            Of::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
                let names: Vec<String> = presented.iter().map(|name| format!("`{}`", plain(name))).collect();
                let (names, host) = (names.join(", "), &address.host);
                (
                    format!("its certificate is for {names}, and not for `{host}`"),
                    "Write the URL with a name that the certificate has.".to_owned(),
                )
            }
            Of::NotValidForName | Of::NotValidForNameContext { .. } => (
                format!("its certificate is not for `{}`", address.host),
                "Write the URL with a name that the certificate has.".to_owned(),
            ),
            Of::Expired | Of::ExpiredContext { .. } => (
                format!("its certificate has expired: {fault}"),
                "Renew it; the gateway picks up files that change.".to_owned(),
            ),
            Of::Other(why) if format!("{why:?}").contains("CaUsedAsEndEntity") => (
                "its certificate is that of an authority (CA:TRUE), which no gateway may show".to_owned(),
                "Let that authority issue a certificate for the gateway.".to_owned(),
            ),
            other => (format!("its certificate is not valid: {other}"), String::new()),
        }
    }

    /// What an alert says of the certificate that we showed, or did not show.
    fn refused(&self, alert: AlertDescription) -> Option<(&'static str, &'static str)> {
        use AlertDescription as Of;
        match (alert, &self.pair) {
            (
                Of::CertificateRequired | Of::BadCertificate | Of::HandshakeFailure | Of::AccessDenied,
                None,
            ) => Some((
                "it wants a certificate of its clients, and none was shown",
                "Name PEM files with THROOME_CLIENT_CERT and THROOME_CLIENT_KEY, or --client-cert and \
                 --client-key of a command.",
            )),
            (
                Of::BadCertificate
                | Of::UnsupportedCertificate
                | Of::CertificateRevoked
                | Of::CertificateExpired
                | Of::CertificateUnknown
                | Of::UnknownCA
                | Of::DecryptError
                | Of::AccessDenied,
                Some(_),
            ) => Some((
                "it does not let the certificate in that was shown",
                "Show one of an authority that its `client_auth.ca` has, which has not expired.",
            )),
            _ => None,
        }
    }

    /// A connection that broke because the gateway refused our certificate: by TLS 1.3 it says so only after the
    /// handshake.
    pub(crate) fn broken_by_refusal(&self, source: &(dyn StdError + 'static)) -> Option<Error> {
        let mut next = Some(source);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<io::Error>()
                && let Some(rustls::Error::AlertReceived(alert)) = of_rustls(error)
            {
                let (why, hint) = self.refused(*alert)?;
                let error = Error::usage(&format!("the gateway closed the connection: {why}"), hint);
                return Some(error.of(Family::Connection).for_good());
            }
            next = error.source();
        }
        None
    }
}

/// `DnsName("a.example")` is `a.example`.
fn plain(name: &str) -> &str {
    name.split('"').nth(1).unwrap_or(name)
}

fn of_rustls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>()
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).map_err(|error| unreadable(file, &error))?.collect();
    let all = all.map_err(|error| unreadable(file, &error))?;
    if all.is_empty() { Err(unreadable(file, &"it holds no certificate")) } else { Ok(all) }
}

fn unreadable(file: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::usage(
        &format!("{} cannot be used: {why}", file.display()),
        "It is a PEM file, which begins with `-----BEGIN`.",
    )
}
