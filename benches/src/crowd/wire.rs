//! One connection with its buffers, in the clear or by TLS 1.3. Everybody is offered the same single cipher suite, so that
//! nobody's choice is in the figures.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, version};

use crate::speak::{Script, Talker};

/// The name in the certificate.
pub const NAME: &str = "localhost";

/// How connections are secured.
#[derive(Debug, Clone)]
pub struct Secure(Arc<ClientConfig>);

impl Secure {
    /// Trusts this certificate alone, and speaks this protocol alone.
    pub fn new(certificate: &Path, alpn: &[u8]) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(certificate)
            .with_context(|| format!("cannot read {}", certificate.display()))?;
        roots.add(certificate)?;
        let provider = CryptoProvider {
            cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
            ..aws_lc_rs::default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// Connects, and insists on the protocol that was asked for.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let stream = open(address).await?;
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await?;
        let agreed = stream.get_ref().1.alpn_protocol();
        // Nothing said means HTTP/1.1.
        if agreed.unwrap_or(b"http/1.1") == self.0.alpn_protocols[0].as_slice() {
            Ok(stream)
        } else {
            Err(io::Error::other(format!("ALPN agreed on {agreed:?}")))
        }
    }
}

#[derive(Debug)]
enum Stream {
    Clear(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// An open connection.
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    pub input: BytesMut,
    pub output: Vec<u8>,
}

impl Wire {
    /// Connects, by TLS where that is asked for.
    pub async fn connect(address: SocketAddr, secure: Option<&Secure>) -> io::Result<Self> {
        let stream = match secure {
            None => Stream::Clear(open(address).await?),
            Some(secure) => Stream::Secure(Box::new(secure.connect(address).await?)),
        };
        Ok(Self { stream, input: BytesMut::with_capacity(16 * 1024), output: Vec::with_capacity(4096) })
    }

    /// Connects and brings the protocol to where exchanges may begin.
    pub async fn begin(
        address: SocketAddr,
        secure: Option<&Secure>,
        script: &Script,
    ) -> io::Result<(Self, Talker)> {
        let mut wire = Self::connect(address, secure).await?;
        let mut talker = Talker::new(script);
        talker.greet(script, &mut wire.output);
        wire.send().await?;
        while !talker.is_ready() {
            wire.receive().await?;
            talker.hear(&mut wire.input, &mut wire.output)?;
            wire.send().await?;
        }
        Ok((wire, talker))
    }

    /// One exchange from its beginning to its end.
    pub async fn exchange(&mut self, talker: &mut Talker) -> io::Result<()> {
        talker.ask(&mut self.output);
        loop {
            self.send().await?;
            self.receive().await?;
            if talker.hear(&mut self.input, &mut self.output)? > 0 {
                return Ok(());
            }
        }
    }

    /// Sends what stands in `output`.
    pub async fn send(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        match &mut self.stream {
            Stream::Clear(stream) => stream.write_all(&self.output).await?,
            Stream::Secure(stream) => {
                stream.write_all(&self.output).await?;
                stream.flush().await?;
            }
        }
        self.output.clear();
        Ok(())
    }

    /// Reads what is there into `input`.
    pub async fn receive(&mut self) -> io::Result<()> {
        self.input.reserve(32 * 1024);
        let read = match &mut self.stream {
            Stream::Clear(stream) => stream.read_buf(&mut self.input).await?,
            Stream::Secure(stream) => stream.read_buf(&mut self.input).await?,
        };
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed"));
        }
        Ok(())
    }
}
