//! TLS with real sockets: an authority of our own, doors and clients.

mod doors;
mod faults;
mod streams;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use throome_wire::Socket;
use throome_wire::tls::{self, Clients, Options, Pair, Server, Version};
use tokio::net::{TcpListener, TcpStream};

/// An authority, and a directory for what it issues.
pub(super) struct Authority {
    pub(super) dir: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Authority of the tests");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let authority =
            Authority { dir: tempfile::tempdir().unwrap(), issuer: Issuer::new(params, key), pem };
        std::fs::write(authority.ca(), &authority.pem).unwrap();
        authority
    }

    pub(super) fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    pub(super) fn params(names: &[&str]) -> CertificateParams {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
    }

    /// Writes a certificate for these names, and its key, under the name of a file.
    pub(super) fn issue(&self, file: &str, names: &[&str]) -> Pair {
        let mut params = Self::params(names);
        params.distinguished_name.push(DnType::CommonName, file);
        self.issue_as(file, &params)
    }

    pub(super) fn issue_as(&self, file: &str, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let pair = Pair {
            cert: self.dir.path().join(format!("{file}.pem")),
            key: self.dir.path().join(format!("{file}.key")),
        };
        std::fs::write(&pair.cert, cert.pem()).unwrap();
        std::fs::write(&pair.key, key.serialize_pem()).unwrap();
        pair
    }

    /// A client that trusts this authority, and shows a certificate if it has one.
    pub(super) fn client(&self, shows: Option<&Pair>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        match shows {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = CertificateDer::pem_file_iter(&pair.cert).unwrap().map(Result::unwrap).collect();
                let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        }
    }
}

pub(super) fn options(certificates: Vec<Pair>) -> Options {
    Options {
        certificates,
        min_version: Version::Tls12,
        clients: Clients::Off,
        alpn: Vec::new(),
        challenges: None,
    }
}

pub(super) fn server(certificates: Vec<Pair>) -> Server {
    Server::load(options(certificates)).unwrap().0
}

pub(super) fn name(name: &str) -> ServerName<'static> {
    ServerName::try_from(name.to_owned()).unwrap()
}

/// Our end as a door and the peer's as a client, both of this house.
pub(super) async fn greeted(server: &Server, config: ClientConfig, host: &str) -> (Socket, Socket) {
    let (address, listener) = listening().await;
    let connecting = async {
        let stream = TcpStream::connect(address).await.unwrap();
        tls::connect(stream, &config.into(), name(host)).await.unwrap()
    };
    let accepting = async { server.accept(listener.accept().await.unwrap().0).await.unwrap() };
    tokio::join!(accepting, connecting)
}

/// What becomes of a handshake on either side: why the client was not let in, and what the client was told. By TLS
/// 1.3 a client learns of its refusal only when it reads.
pub(super) async fn tried(
    server: &Server,
    config: ClientConfig,
    host: &str,
) -> (Result<Socket, tls::Refused>, Result<Socket, String>) {
    let (address, listener) = listening().await;
    let connecting = async {
        let stream = TcpStream::connect(address).await.unwrap();
        tls::connect(stream, &config.into(), name(host)).await.map_err(|error| error.to_string())
    };
    let accepting = async { server.accept(listener.accept().await.unwrap().0).await.map_err(|(why, _)| why) };
    tokio::join!(accepting, connecting)
}

pub(super) async fn listening() -> (SocketAddr, TcpListener) {
    let listener = crate::support::listener().await;
    (listener.local_addr().unwrap(), listener)
}
