//! TLS by rustls, both sides: what a door is secured with, the handshake, and the bytes after it.
//!
//! Which keys a document has for it, and what is said of files that change, is told elsewhere.

mod challenges;
mod client;
mod der;
mod files;
mod identity;
mod names;
mod server;
mod stamp;
mod stream;

use std::io;

pub use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

pub use challenges::{Answer, Challenges};
pub use client::{Client, Connector, Greeted, Trust};
pub use files::{Fault, Pair};
pub use identity::Identity;
pub use server::{Clients, Loaded, Options, Refused, Server, Version};
pub use stamp::Stamp;
pub use stream::Stream;

use crate::socket::Socket;

/// Greets a service that was connected to.
///
/// # Errors
/// What it, or its certificate, lacks; in words that name the setting where one helps.
pub async fn connect(
    stream: TcpStream,
    connector: &Connector,
    name: ServerName<'static>,
) -> io::Result<Socket> {
    let (stream, session) = connector.greet(stream, name).await.map_err(in_words)?.into_inner();
    Ok(Socket::Tls(Box::new(Stream::new(stream, session.into(), None))))
}

/// What rustls says of a service, as whoever set it up can use it.
fn in_words(error: io::Error) -> io::Error {
    use rustls::{CertificateError as Of, Error};
    let said = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let words = match said {
        Some(Error::InvalidCertificate(of)) => match of {
            // Another authority of the same name has another key.
            Of::UnknownIssuer | Of::BadSignature => {
                "its certificate is of an authority that is not trusted; `tls.ca` names one, and where a URL is all that \
                 is said, `SSL_CERT_FILE` in the gateway's environment"
                    .to_owned()
            }
            Of::NotValidForName | Of::NotValidForNameContext { .. } => {
                format!("{of}; `tls.sni` says by which name it is known")
            }
            Of::Expired | Of::ExpiredContext { .. } => format!("its certificate has expired: {of}"),
            Of::Other(why) if format!("{why:?}").contains("CaUsedAsEndEntity") => {
                "its certificate is that of an authority (CA:TRUE), which no service may show; let it issue one"
                    .to_owned()
            }
            other => format!("its certificate is not valid: {other}"),
        },
        Some(Error::InvalidMessage(_)) => "it does not answer in TLS".to_owned(),
        Some(Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)) => {
            "it speaks none of the protocols that are asked for (ALPN)".to_owned()
        }
        Some(Error::AlertReceived(alert)) => format!("it refuses the handshake: {alert:?}"),
        _ if error.kind() == io::ErrorKind::UnexpectedEof => "it left in the handshake".to_owned(),
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("tls: {words}"))
}
