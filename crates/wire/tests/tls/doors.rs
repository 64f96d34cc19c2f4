//! Which certificate a client is shown, who is let in, and what a change of files does.

use std::sync::Arc;

use rcgen::{DnType, ExtendedKeyUsagePurpose, SanType, string::Ia5String};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use throome_wire::tls::{Clients, Options, Refused, Server, Version};
use throome_wire::{Conn, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Authority, greeted, listening, name, options, server, tried};
use crate::support::run;

/// The common name of the certificate that a client of this name is shown.
async fn shown(server: &Server, config: ClientConfig, host: &str) -> Option<String> {
    let (address, listener) = listening().await;
    let connecting = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(name(host), stream).await.ok()?;
        let leaf = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        Some(leaf)
    };
    let accepting = async { server.accept(listener.accept().await.unwrap().0).await.ok() };
    let (_door, leaf) = tokio::join!(accepting, connecting);
    let leaf = leaf?;
    let at = leaf.windows(5).position(|window| window == b"cert-")? + 5;
    let name = leaf[at..].iter().take_while(|byte| byte.is_ascii_lowercase());
    Some(name.map(|&byte| char::from(byte)).collect())
}

/// A client that takes whatever it is shown, so that it can be seen.
fn anyone() -> ClientConfig {
    #[derive(Debug)]
    struct Anyone;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::{ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};
    impl ServerCertVerifier for Anyone {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ECDSA_NISTP256_SHA256]
        }
    }
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth()
}

#[test]
fn the_name_that_is_asked_for_chooses_the_certificate() {
    run(async {
        let authority = Authority::new();
        let mut odd = Authority::params(&[]);
        odd.distinguished_name.push(DnType::CommonName, "cert-odd");
        odd.subject_alt_names =
            vec![SanType::DnsName(Ia5String::try_from("nul.example\0.evil.example").unwrap())];
        let server = server(vec![
            authority.issue("cert-first", &["first.example"]),
            authority.issue("cert-shop", &["shop.example", "Other.Example"]),
            authority.issue("cert-wild", &["*.example"]),
            authority.issue("cert-deep", &["*.shop.example"]),
            authority.issue_as("odd", &odd),
        ]);
        for (host, certificate) in [
            ("first.example", "first"),
            ("shop.example", "shop"),
            ("SHOP.example", "shop"),
            ("other.example", "shop"),
            ("any.example", "wild"),
            ("a.shop.example", "deep"),
            // A wildcard is one label.
            ("a.b.shop.example", "first"),
            ("a.b.example", "first"),
            ("example", "first"),
            ("elsewhere.test", "first"),
            // A name that is cut at a NUL is nobody's.
            ("nul.example", "wild"),
            ("nul.test", "first"),
            // Who asks by address asks for no name.
            ("127.0.0.1", "first"),
        ] {
            assert_eq!(shown(&server, anyone(), host).await.as_deref(), Some(certificate), "{host}");
        }
    });
}

#[test]
fn names_that_only_look_right_are_refused() {
    run(async {
        let authority = Authority::new();
        for (of_certificate, asked, fits) in [
            ("shop.example", "shop.example", true),
            ("*.shop.example", "a.shop.example", true),
            ("*.shop.example", "a.b.shop.example", false),
            ("*.shop.example", "shop.example", false),
            ("*.example", "shop.example", false),
            ("shop.example\0.evil.example", "shop.example", false),
            ("shop.example.evil.example", "shop.example", false),
            ("*", "shop.example", false),
            ("sh*.example", "shop.example", false),
            (".example", "shop.example", false),
        ] {
            let mut params = Authority::params(&[]);
            params.subject_alt_names = vec![SanType::DnsName(Ia5String::try_from(of_certificate).unwrap())];
            params.distinguished_name.push(DnType::CommonName, "shop.example");
            let server = server(vec![authority.issue_as("case", &params)]);
            let (_, client) = tried(&server, authority.client(None), asked).await;
            assert_eq!(client.is_ok(), fits, "{of_certificate:?} for {asked}: {client:?}");
        }
    });
}

fn letting_in(authority: &Authority, clients: Clients) -> Server {
    let certificates = vec![authority.issue("cert-first", &["shop.example"])];
    Server::load(Options { clients, ..options(certificates) }).unwrap().0
}

#[test]
fn clients_are_let_in_by_the_authority_that_is_named_and_no_other() {
    run(async {
        let (ours, other) = (Authority::new(), Authority::new());
        let mut params = Authority::params(&["ann.example"]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.distinguished_name.push(DnType::CommonName, "Ann, \"root\"\r\nX: y");
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        let (known, unknown) = (ours.issue_as("ann", &params), other.issue_as("ann", &params));
        for (clients, shows, entry) in [
            (Clients::Off, None, Ok(false)),
            (Clients::Off, Some(&known), Ok(false)),
            (Clients::Optional(ours.ca()), None, Ok(false)),
            (Clients::Optional(ours.ca()), Some(&known), Ok(true)),
            (Clients::Optional(ours.ca()), Some(&unknown), Err(Refused::Certificate)),
            (Clients::Required(ours.ca()), None, Err(Refused::Certificate)),
            (Clients::Required(ours.ca()), Some(&known), Ok(true)),
            (Clients::Required(ours.ca()), Some(&unknown), Err(Refused::Certificate)),
        ] {
            let server = letting_in(&ours, clients.clone());
            let (door, _client) = tried(&server, ours.client(shows), "shop.example").await;
            let found = door.as_ref().map(|socket| socket.identity().is_some()).map_err(|why| *why);
            assert_eq!(found, entry, "{clients:?}, {shows:?}");
            if let Some(identity) = door.ok().and_then(|socket| socket.identity().cloned()) {
                let subject = identity.subject.as_str();
                assert_eq!(subject, "O=Example,CN=Ann\\, \\\"root\\\"\\0D\\0AX: y");
                assert_eq!((identity.fingerprint.len(), identity.names.as_str()), (64, "DNS:ann.example"));
                assert!(identity.fields().all(|(_, value)| value.bytes().all(|b| (b' '..0x7f).contains(&b))));
            }
        }
    });
}

#[test]
fn a_ticket_lets_nobody_in_whose_certificate_is_not_let_in_any_more() {
    run(async {
        let (ours, other) = (Authority::new(), Authority::new());
        let ann = ours.issue("ann", &["ann.example"]);
        let server = letting_in(&ours, Clients::Required(ours.ca()));
        let config = Arc::new(ours.client(Some(&ann)));
        let visit = async |server: &Server| {
            let (address, listener) = listening().await;
            let connecting = async {
                let stream = TcpStream::connect(address).await.unwrap();
                let mut stream = TlsConnector::from(Arc::clone(&config))
                    .connect(name("shop.example"), stream)
                    .await
                    .ok()?;
                // The ticket comes before the word.
                let _ = stream.read(&mut [0; 1]).await.ok()?;
                Some(stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed))
            };
            let accepting = async {
                let mut socket = server.accept(listener.accept().await.unwrap().0).await.ok()?;
                socket.write_all(b"!").await.unwrap();
                Some(socket)
            };
            let (door, resumed) = tokio::join!(accepting, connecting);
            door.and(resumed)
        };
        assert_eq!(visit(&server).await, Some(false));
        assert_eq!(visit(&server).await, Some(true), "a session goes on where it was");
        std::fs::copy(other.ca(), ours.ca()).unwrap();
        server.reload().unwrap();
        assert_eq!(visit(&server).await, None, "the new authority does not know her");
    });
}

#[test]
fn the_least_version_holds() {
    run(async {
        let authority = Authority::new();
        let certificates = vec![authority.issue("cert-first", &["shop.example"])];
        let old = || {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(authority.ca()).unwrap()).unwrap();
            ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_protocol_versions(&[&rustls::version::TLS12])
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth()
        };
        for (min_version, lets_in) in [(Version::Tls12, true), (Version::Tls13, false)] {
            let options = Options { min_version, ..options(certificates.clone()) };
            let server = Server::load(options).unwrap().0;
            let (door, _) = tried(&server, old(), "shop.example").await;
            assert_eq!(door.is_ok(), lets_in, "{min_version:?}");
            let (door, _) = tried(&server, authority.client(None), "shop.example").await;
            assert!(door.is_ok());
        }
    });
}

#[test]
fn the_protocol_is_agreed_on() {
    run(async {
        let authority = Authority::new();
        let certificates = vec![authority.issue("cert-first", &["shop.example"])];
        let alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let server = Server::load(Options { alpn, ..options(certificates) }).unwrap().0;
        for (offers, agreed) in [
            (&[][..], Ok(None)),
            (&["http/1.1", "h2"], Ok(Some("h2"))),
            (&["http/1.1"], Ok(Some("http/1.1"))),
            (&["spdy/3"], Err(Refused::Protocol)),
        ] {
            let mut config = authority.client(None);
            config.alpn_protocols = offers.iter().map(|offer| offer.as_bytes().to_vec()).collect();
            let (door, client) = tried(&server, config, "shop.example").await;
            let of = |socket: &Socket| socket.alpn().map(|name| String::from_utf8(name.to_vec()).unwrap());
            assert_eq!(door.as_ref().map(of).map_err(|why| *why), agreed.map(|name| name.map(str::to_owned)));
            if agreed.is_ok() {
                assert_eq!(of(&client.unwrap()), of(&door.unwrap()));
            }
        }
    });
}

#[test]
fn a_stranger_to_tls_is_known_as_one() {
    run(async {
        let authority = Authority::new();
        let server = server(vec![authority.issue("cert-first", &["shop.example"])]);
        for (says, why) in [
            (&b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"[..], Refused::NotTls),
            (b"", Refused::Left),
            (b"\x16\x03\x01", Refused::Left),
        ] {
            let (address, listener) = listening().await;
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(says).await.unwrap();
            stream.shutdown().await.unwrap();
            let (found, _) = server.accept(listener.accept().await.unwrap().0).await.unwrap_err();
            assert_eq!(found, why, "{}", says.escape_ascii());
        }
        // One that does not trust us says so.
        let stranger = Authority::new();
        let (door, client) = tried(&server, stranger.client(None), "shop.example").await;
        assert_eq!(door.unwrap_err(), Refused::ByClient);
        let told = client.unwrap_err();
        assert!(told.contains("`tls.ca`"), "{told}");
        let (_, client) = tried(&server, authority.client(None), "other.example").await;
        let told = client.unwrap_err();
        assert!(told.contains("`tls.sni`") && told.contains("other.example"), "{told}");
    });
}

#[test]
fn new_files_are_for_new_handshakes() {
    run(async {
        let authority = Authority::new();
        let first = authority.issue("cert-first", &["shop.example"]);
        let server = server(vec![first.clone()]);
        let (mut door, client) = greeted(&server, authority.client(None), "shop.example").await;
        let new = authority.issue("cert-new", &["shop.example"]);
        let before = server.stamp();
        std::fs::rename(&new.cert, &first.cert).unwrap();
        assert_ne!(server.stamp(), before);
        let faults = server.reload().unwrap_err();
        assert!(faults[0].to_string().contains("is not the key of the certificate"), "{faults:?}");
        assert_eq!(shown(&server, anyone(), "shop.example").await.as_deref(), Some("first"));
        std::fs::rename(&new.key, &first.key).unwrap();
        server.reload().unwrap();
        assert_eq!(shown(&server, anyone(), "shop.example").await.as_deref(), Some("new"));
        // What stood, stands.
        door.write_all(b"still").await.unwrap();
        let mut client = Conn::new(client);
        assert_eq!(std::future::poll_fn(|cx| client.poll_fill(cx, 1024)).await.unwrap(), 5);
    });
}
