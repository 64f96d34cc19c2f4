//! Opens a connection: finds the server, agrees on encryption, says who we are.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::BytesMut;
use model::{Address, Failure};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::tls::{Connector, ServerName};

use super::super::failure;
use super::super::options::{Asks, Login, Options};
use super::auth::Proof;
use super::frames::{Frames, broken};
use super::stream::Stream;
use super::words::ServerError;
use super::{Conn, Trouble};

/// The least room for a message, whatever the options say: descriptions and errors must pass.
const LEAST: usize = 1 << 20;

/// No entry of the server's list of who may come fits: perhaps one of the other way, encrypted or plain, does.
const NOT_THIS_WAY: &str = "28000";

/// Where the server is, and how it is spoken to.
pub(in crate::postgres) struct Target {
    pub(in crate::postgres) address: Address,
    login: Login,
    asks: Asks,
    tls: Option<Tls>,
    /// Statements that a connection keeps prepared.
    statements: usize,
    /// The largest message that is taken.
    most: usize,
    /// How often a session has heard that its server is no standby any more.
    promotions: Arc<AtomicU32>,
}

struct Tls {
    connector: Connector,
    /// Whose certificate is expected.
    name: ServerName<'static>,
}

impl Target {
    /// # Errors
    /// `invalid_config` when a file for encryption cannot be read.
    pub(in crate::postgres) fn new(address: Address, options: &Options) -> Result<Self, Failure> {
        let security = &options.security;
        let tls = match security.asks {
            Asks::Never => None,
            Asks::IfNeeded | Asks::IfPossible | Asks::Always => {
                let host = security.tls.sni.clone().unwrap_or_else(|| address.host.to_string());
                let name = ServerName::try_from(host.clone()).map_err(|_| failure::no_name(&host))?;
                Some(Tls { connector: security.tls.client()?, name })
            }
        };
        let most = usize::try_from(options.limits.max_value).unwrap_or(usize::MAX).max(LEAST);
        let (login, statements) = (options.login.clone(), options.pool.statements);
        let promotions = Arc::default();
        Ok(Target { address, login, asks: security.asks, tls, statements, most, promotions })
    }

    /// How often a session has heard that its server is no standby any more.
    pub(in crate::postgres) fn promotions(&self) -> u32 {
        self.promotions.load(Ordering::Acquire)
    }

    /// Opens a connection. It takes as long as it takes: whoever calls has a deadline.
    ///
    /// # Errors
    /// Why there is none. Nothing of any command has left.
    pub(in crate::postgres) async fn open(&self) -> Result<Conn, Failure> {
        let (first, second) = match self.asks {
            Asks::Never => (Way::Plain, None),
            Asks::IfNeeded => (Way::Plain, Some(Way::Encrypted)),
            Asks::IfPossible => (Way::EncryptedIfPossible, Some(Way::Plain)),
            Asks::Always => (Way::Encrypted, None),
        };
        let opened = match (self.open_by(first).await, second) {
            (Err(Trouble::Refused(refused)), Some(second)) if refused.code() == NOT_THIS_WAY => {
                // What the first way was refused with says more than that the second does not work either.
                self.open_by(second).await.map_err(|_| Trouble::Refused(refused))
            }
            (opened, _) => opened,
        };
        opened.map_err(|trouble| failure::unopened(&self.address, trouble))
    }

    async fn open_by(&self, way: Way) -> Result<Conn, Trouble> {
        let (tcp, peer) = self.dial().await?;
        let (stream, certificate) = match way {
            Way::Plain => (Stream::Plain(tcp), None),
            Way::Encrypted | Way::EncryptedIfPossible => self.encrypt(tcp, way).await?,
        };
        let encrypted = matches!(stream, Stream::Tls(_));
        let mut conn = Conn::new(Frames::new(stream, self.most), self.statements, peer, encrypted);
        conn.promotions = Arc::clone(&self.promotions);
        self.start(&mut conn, certificate.as_deref()).await?;
        conn.be_looked_after().await?;
        Ok(conn)
    }

    async fn dial(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let asked = tokio::net::lookup_host((&*self.address.host, self.address.port)).await?;
        let mut addresses: Vec<SocketAddr> = asked.collect();
        // Most services of a laptop listen on IPv4 only; asking it first saves a refused connection.
        addresses.sort_by_key(SocketAddr::is_ipv6);
        let mut last = broken("its name has no address");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok((stream, address));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Asks for encryption; gives the server's certificate where it is used.
    async fn encrypt(&self, mut tcp: TcpStream, way: Way) -> Result<(Stream, Option<Vec<u8>>), Trouble> {
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        tcp.write_all(&request).await?;
        // One byte and no more: whatever came behind it unencrypted would be taken for the server's.
        match (tcp.read_u8().await?, &self.tls) {
            (b'S', Some(tls)) => {
                let stream = tls.connector.greet(tcp, tls.name.clone()).await?;
                let chain = stream.get_ref().1.peer_certificates();
                let certificate = chain.and_then(|chain| chain.first()).map(|own| own.to_vec());
                Ok((Stream::Tls(Box::new(stream)), certificate))
            }
            (b'N', _) if way == Way::EncryptedIfPossible => Ok((Stream::Plain(tcp), None)),
            (b'N', _) => Err(Trouble::Ours(failure::unencrypted(&self.address))),
            _ => Err(broken("it does not speak the protocol of PostgreSQL").into()),
        }
    }

    /// Says who we are, proves it, and takes in what the server says of itself.
    async fn start(&self, conn: &mut Conn, certificate: Option<&[u8]>) -> Result<(), Trouble> {
        let login = &self.login;
        let mut parameters = vec![
            ("user", login.user.as_str()),
            ("database", &login.database),
            ("application_name", &login.application_name),
            // What values are read by.
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO"),
            ("TimeZone", "UTC"),
        ];
        parameters.extend(login.options.as_deref().map(|options| ("options", options)));
        frontend::startup_message(parameters, conn.frames.out())?;
        let mut proof = Proof::new(login, certificate, conn.encrypted);
        loop {
            let frame = conn.next().await?;
            let body = conn.frames.body(frame);
            match frame.tag {
                b'R' => {
                    let answer = proof.answer(body.to_vec()).await.map_err(|error| match error {
                        Trouble::Ours(failure) => Trouble::Ours(failure),
                        other => other,
                    })?;
                    if let Some(answer) = answer {
                        conn.frames.out().extend_from_slice(&answer);
                    }
                }
                b'K' => conn.key = body.try_into().ok(),
                b'E' => return Err(Trouble::Refused(Box::new(ServerError::read(body)))),
                b'Z' if proof.is_done() => return Ok(()),
                // A server that asks for a newer form of the protocol than was offered, and the like.
                _ => return Err(broken("it did not let the connection begin as the protocol has it").into()),
            }
        }
    }

    /// Asks the server to end what runs on a connection, and waits until it has heard it.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub(in crate::postgres) async fn cancel(&self, whose: &Cancel) -> Result<(), Trouble> {
        let tcp = TcpStream::connect(whose.peer).await?;
        // Where encryption is only preferred the word goes in clear, as libpq has it: a handshake for each statement
        // that somebody leaves costs more than what it hides.
        let mut stream = if whose.encrypted && self.asks == Asks::Always {
            let (stream, _) = self.encrypt(tcp, Way::Encrypted).await?;
            stream
        } else {
            tcp.set_nodelay(true)?;
            Stream::Plain(tcp)
        };
        let (process, secret) = whose.key;
        let mut request = BytesMut::new();
        frontend::cancel_request(process, secret, &mut request);
        stream.write_all(&request).await?;
        // The server closes it when it has passed the word on; only then is a later statement safe from it.
        stream.read_to_end().await;
        Ok(())
    }
}

/// Which connection is meant by a cancel request.
#[derive(Clone, Copy)]
pub(in crate::postgres) struct Cancel {
    pub(super) peer: SocketAddr,
    pub(super) encrypted: bool,
    pub(super) key: (i32, i32),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Encrypted,
    EncryptedIfPossible,
}
