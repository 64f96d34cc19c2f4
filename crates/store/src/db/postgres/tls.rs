//! The way to a PostgreSQL, secured: `wire::tls` under the driver, which brings none of its own.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use wire::tls::{self, Client, Greeted, ServerName};

use super::link::Trouble;
use super::url::{Place, Trust};

/// Makes secured connections.
#[derive(Clone)]
pub(super) struct Connector(tls::Connector);

/// One handshake, with this name.
pub(super) struct Handshake(tls::Connector, ServerName<'static>);

/// A secured connection.
pub(super) struct Stream<S>(Greeted<S>);

impl Connector {
    /// The connector that a place asks for. The authorities of its file are read anew each time, so that others take effect;
    /// those of this machine are an hour old at most.
    pub(super) fn of(place: &Place) -> Result<Connector, Trouble> {
        let (ca, trust): (Option<PathBuf>, _) = match &place.trust {
            Trust::Full(root) => (root.clone(), tls::Trust::Full),
            // As `prefer` and `require` say by the custom of PostgreSQL.
            Trust::Anyone => (None, tls::Trust::Anyone),
        };
        let made = Client { ca, pair: None, trust }.connector(&[]);
        made.map(Connector).map_err(|faults| {
            let why: Vec<&str> = faults.iter().map(|fault| &*fault.message).collect();
            Trouble::Broken(format!("`sslrootcert`: {}", why.join("; ")))
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Connector {
    type Stream = Stream<S>;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> io::Result<Handshake> {
        let name = ServerName::try_from(domain.to_owned());
        Ok(Handshake(self.0.clone(), name.map_err(io::Error::other)?))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Handshake {
    type Stream = Stream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let Handshake(connector, name) = self;
        Box::pin(async move { connector.greet(stream, name).await.map(Stream) })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> tokio_postgres::tls::TlsStream for Stream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
