//! Gateways that speak TLS: who is trusted, who is let in, and what is said when it comes to nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use throome_sdk::{Client, Error, Family};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const HEALTHY: &str = r#"{"status":"healthy"}"#;

/// An authority, and what it has issued.
struct Authority {
    dir: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Authority of the tests");
        let key = KeyPair::generate().unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Authority { dir, issuer: Issuer::new(params, key) }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// Certificate and key for this name.
    fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let (at, of) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        std::fs::write(&at, cert.pem()).unwrap();
        std::fs::write(&of, key.serialize_pem()).unwrap();
        (at, of)
    }
}

/// A gateway that is well, on a port of its own; with `clients` only theirs are let in.
async fn gateway(pair: &(PathBuf, PathBuf), clients: Option<&Path>) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = vec![CertificateDer::from_pem_file(&pair.0).unwrap()];
    let config = builder.with_single_cert(chain, PrivateKeyDer::from_pem_file(&pair.1).unwrap()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(tcp).await else { return };
                loop {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    let answer =
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{HEALTHY}", HEALTHY.len());
                    if stream.write_all(answer.as_bytes()).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

fn client(url: &str) -> Client {
    Client::new(url).unwrap()
}

async fn refused(client: Client) -> Error {
    let error = client.health().await.unwrap_err();
    assert_eq!(error.attempts(), 1, "another try would end the same way: {error}");
    error
}

#[tokio::test]
async fn a_gateway_is_known_by_its_certificate() {
    let (ours, other) = (Authority::new(), Authority::new());
    let port = gateway(&ours.issue("localhost"), None).await;
    let url = format!("https://localhost:{port}");
    let known = client(&url).with_ca(ours.path("ca.pem"));
    for _ in 0..3 {
        assert_eq!(known.health().await.unwrap().status, "healthy");
    }
    assert_eq!(known.url(), url);

    let stranger = refused(client(&url).with_ca(other.path("ca.pem"))).await;
    assert_eq!(stranger.family(), Family::Connection);
    assert!(stranger.detail().contains("authority that is not trusted"), "{stranger}");
    assert!(stranger.hint().unwrap().contains("holds another authority"), "{stranger}");
    let machine = refused(client(&url)).await;
    assert!(machine.hint().unwrap().contains("THROOME_CA"), "{machine}");

    let name = client(&format!("https://127.0.0.1:{port}")).with_ca(ours.path("ca.pem"));
    let name = refused(name).await;
    assert!(name.detail().contains("is for `localhost`, and not for `127.0.0.1`"), "{name}");
    assert!(name.hint().unwrap().contains("a name that the certificate has"), "{name}");

    let none = client(&url).with_ca(ours.path("none.pem")).health().await.unwrap_err();
    assert_eq!(none.family(), Family::Validation);
    assert!(none.detail().contains("none.pem cannot be used"), "{none}");
}

#[tokio::test]
async fn who_speaks_in_the_clear_is_told_of_tls_and_the_other_way_round() {
    let ours = Authority::new();
    let port = gateway(&ours.issue("localhost"), None).await;
    let clear = refused(client(&format!("http://localhost:{port}"))).await;
    assert!(clear.detail().contains("speaks TLS"), "{clear}");
    assert_eq!(clear.hint(), Some(&*format!("Write the URL as https://localhost:{port}.")));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let _ = tcp.read(&mut [0; 1024]).await;
            let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let secured = client(&format!("https://localhost:{port}")).with_ca(ours.path("ca.pem"));
    let secured = refused(secured).await;
    assert!(secured.detail().contains("does not answer in TLS"), "{secured}");
    assert!(secured.hint().unwrap().contains("http://"), "{secured}");
}

#[tokio::test]
async fn a_client_shows_who_it_is() {
    let (ours, other) = (Authority::new(), Authority::new());
    let port = gateway(&ours.issue("localhost"), Some(&ours.path("ca.pem"))).await;
    let of = || client(&format!("https://localhost:{port}")).with_ca(ours.path("ca.pem"));
    let (cert, key) = ours.issue("ann.example");
    assert_eq!(of().with_client_cert(cert, key).health().await.unwrap().status, "healthy");
    let nobody = refused(of()).await;
    assert!(nobody.detail().contains("wants a certificate of its clients"), "{nobody}");
    assert!(nobody.hint().unwrap().contains("THROOME_CLIENT_CERT"), "{nobody}");
    let (cert, key) = other.issue("eve.example");
    let eve = refused(of().with_client_cert(&cert, &key)).await;
    assert!(eve.detail().contains("does not let the certificate in"), "{eve}");
    // Nobody takes a connection on which another has shown who he is.
    let (of_ann, of_ann_key) = ours.issue("ann.example");
    let nobody = of();
    let ann = nobody.clone().with_client_cert(of_ann, of_ann_key);
    assert_eq!(ann.health().await.unwrap().status, "healthy");
    let eve = ann.clone().with_client_cert(cert, key);
    let stranger = ann.clone().with_ca(other.path("ca.pem"));
    for client in [nobody, eve, stranger] {
        refused(client).await;
    }
    assert_eq!(ann.clone().health().await.unwrap().status, "healthy");
}

#[test]
fn whoever_names_an_authority_or_a_certificate_says_nothing_in_the_clear() {
    let local = Client::local();
    assert_eq!(local.url(), "http://127.0.0.1:9000");
    assert_eq!(local.clone().with_ca("ca.pem").url(), "https://localhost:9000");
    assert_eq!(local.clone().with_client_cert("own.pem", "own.key").url(), "https://localhost:9000");
    assert_eq!(local.url(), "http://127.0.0.1:9000");
}
