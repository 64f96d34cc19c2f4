//! What a door is secured with: certificates, the versions it speaks, whose clients it lets in. All of it comes from
//! files, and is replaced as a whole when they change; connections that stand keep what they began with.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::challenges::{Challenges, PROTOCOL};
use super::files::{Fault, Pair, authorities};
use super::identity::Identity;
use super::names::Names;
use super::stamp::Stamp;
use super::stream::Stream;
use crate::socket::Socket;

/// What a door says of itself.
#[derive(Debug, Clone)]
pub struct Options {
    /// The first is for clients that ask for no name, or for one that none of them has.
    pub certificates: Vec<Pair>,
    /// The least version that is spoken.
    pub min_version: Version,
    /// Whether clients show certificates of their own.
    pub clients: Clients,
    /// The protocols that are spoken above, as ALPN names them, the preferred one first.
    pub alpn: Vec<Vec<u8>>,
    /// What an authority is answered that asks whether a name is ours; without, none is.
    pub challenges: Option<Challenges>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 1.2.
    Tls12,
    /// 1.3.
    Tls13,
}

/// Whether clients show certificates, and whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clients {
    /// None is asked for.
    Off,
    /// One that is shown must be of an authority in this PEM file.
    Optional(PathBuf),
    /// Each client must show one.
    Required(PathBuf),
}

/// The TLS of a door. Clones share it.
#[derive(Debug, Clone)]
pub struct Server(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    config: ArcSwap<ServerConfig>,
}

/// What was read, and is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// What is not wrong, and still worth a word: a certificate that has expired, a chain that is not whole.
    pub notes: Vec<String>,
    /// The files as they were when they were read.
    pub stamp: Stamp,
}

/// Why a client was not let in. Each is counted under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Refused {
    /// It said nothing in time.
    TimedOut,
    /// It left in the middle.
    Left,
    /// It does not speak TLS.
    NotTls,
    /// It would not have us: it knows no authority of our certificate, or the certificate is not for the name it wants.
    ByClient,
    /// Its own certificate is missing, or not one that is let in.
    Certificate,
    /// No version, suite or protocol is spoken by both, or it broke the rules.
    Protocol,
    /// It only asked whether a name is ours, and was answered.
    Challenge,
}

impl Refused {
    /// Each of them, in the order of their numbers.
    pub const ALL: [Refused; 7] = [
        Refused::TimedOut,
        Refused::Left,
        Refused::NotTls,
        Refused::ByClient,
        Refused::Certificate,
        Refused::Protocol,
        Refused::Challenge,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Refused::TimedOut => "timeout",
            Refused::Left => "left",
            Refused::NotTls => "not_tls",
            Refused::ByClient => "by_client",
            Refused::Certificate => "certificate",
            Refused::Protocol => "protocol",
            Refused::Challenge => "challenge",
        }
    }

    fn of(error: &io::Error) -> Self {
        use rustls::Error;
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(Error::AlertReceived(_)) => Refused::ByClient,
            Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_)) => Refused::Certificate,
            Some(Error::InvalidMessage(_)) => Refused::NotTls,
            Some(_) => Refused::Protocol,
            None => Refused::Left,
        }
    }
}

impl Server {
    /// Reads all files.
    ///
    /// # Errors
    /// All that is wrong with any of them.
    pub fn load(options: Options) -> Result<(Server, Loaded), Vec<Fault>> {
        let (config, loaded) = read(&options)?;
        Ok((Server(Arc::new(Inner { options, config: ArcSwap::new(config) })), loaded))
    }

    /// Reads all files again. What they say is in force for every handshake from now on.
    ///
    /// # Errors
    /// All that is wrong with any of them; what was in force before still is.
    pub fn reload(&self) -> Result<Loaded, Vec<Fault>> {
        let (config, loaded) = read(&self.0.options)?;
        self.0.config.store(config);
        Ok(loaded)
    }

    /// The files as they are now.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        stamp(&self.0.options)
    }

    /// Greets a client that has connected. Whoever awaits it says for how long.
    ///
    /// # Errors
    /// Why it is not let in, and what rustls says of it.
    pub async fn accept(&self, stream: TcpStream) -> Result<Socket, (Refused, io::Error)> {
        let greeting = TlsAcceptor::from(self.0.config.load_full()).accept(stream);
        let (stream, session) = greeting.await.map_err(|error| (Refused::of(&error), error))?.into_inner();
        if session.alpn_protocol() == Some(PROTOCOL) {
            return Err((Refused::Challenge, io::Error::other("an authority asked whether a name is ours")));
        }
        let identity = match session.peer_certificates().and_then(<[_]>::first) {
            None => None,
            // Whoever cannot be named to services is not let in as somebody.
            Some(shown) => Some(Identity::of(shown).ok_or_else(|| {
                (Refused::Certificate, io::Error::other("the subject of the certificate cannot be said"))
            })?),
        };
        Ok(Socket::Tls(Box::new(Stream::new(stream, session.into(), identity))))
    }
}

fn files(options: &Options) -> impl Iterator<Item = &Path> {
    let pairs = options.certificates.iter().flat_map(|pair| [&*pair.cert, &*pair.key]);
    let ca = match &options.clients {
        Clients::Off => None,
        Clients::Optional(ca) | Clients::Required(ca) => Some(&**ca),
    };
    pairs.chain(ca)
}

fn stamp(options: &Options) -> Stamp {
    Stamp::of(files(options))
}

fn read(options: &Options) -> Result<(Arc<ServerConfig>, Loaded), Vec<Fault>> {
    // Taken first: a file that changes while it is read is read again.
    let stamp = stamp(options);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let (mut pairs, mut faults, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for (at, pair) in options.certificates.iter().enumerate() {
        match pair.read(at, &provider) {
            Ok(mut pair) => {
                notes.append(&mut pair.notes);
                pairs.push(pair);
            }
            Err(mut found) => faults.append(&mut found),
        }
    }
    let versions: &[&SupportedProtocolVersion] = match options.min_version {
        Version::Tls12 => &[&version::TLS13, &version::TLS12],
        Version::Tls13 => &[&version::TLS13],
    };
    let of_all = |error: rustls::Error| vec![Fault { key: String::new(), message: error.to_string() }];
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_protocol_versions(versions).map_err(of_all)?;
    let builder = match verifier(&options.clients, &provider) {
        Ok(None) => builder.with_no_client_auth(),
        Ok(Some(verifier)) => builder.with_client_cert_verifier(verifier),
        Err(message) => {
            faults.push(Fault { key: "client_auth.ca".to_owned(), message });
            return Err(faults);
        }
    };
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut config = builder.with_cert_resolver(Arc::new(Names::of(pairs, options.challenges.clone())));
    config.alpn_protocols.clone_from(&options.alpn);
    if options.challenges.is_some() {
        config.alpn_protocols.push(PROTOCOL.to_vec());
    }
    // Tickets carry a session from one core to another and cost no memory. Their keys are of this configuration
    // alone: nobody enters by a ticket where the certificate that earned it would not be let in.
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(of_all)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok((Arc::new(config), Loaded { notes, stamp }))
}

type Verifier = Arc<dyn rustls::server::danger::ClientCertVerifier>;

fn verifier(clients: &Clients, provider: &Arc<CryptoProvider>) -> Result<Option<Verifier>, String> {
    let (ca, optional) = match clients {
        Clients::Off => return Ok(None),
        Clients::Optional(ca) => (ca, true),
        Clients::Required(ca) => (ca, false),
    };
    let roots = Arc::new(authorities(ca)?);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    let builder = if optional { builder.allow_unauthenticated() } else { builder };
    builder.build().map(Some).map_err(|error| format!("{}: {error}", ca.display()))
}
