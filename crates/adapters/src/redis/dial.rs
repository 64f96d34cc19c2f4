//! How a connection is made: the socket, TLS, and the words that every connection begins with.

use std::fmt;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use model::{Address, Secret};
use redis::{Cmd, ServerError, Value, cmd};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use wire::tls::{Connector, ServerName};

use super::failure::Refusal;
use super::link::Link;
use super::room::Permit;
use super::space::Space;

/// A connection that is not made by then is given up. Less than a try's share of the usual time, so that the try
/// itself can still say that nothing has left.
const DIAL: Duration = Duration::from_millis(1000);

/// What a server calls us in its list of clients.
const NAME: &str = "throome";

/// Which version of the protocol is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speak {
    /// The third, where the server has it.
    Newest,
    /// The second: its answers have the shapes that clients of native commands expect.
    Second,
}

/// Who the gateway is to a server.
#[derive(Debug, Clone, Default)]
pub(super) struct Login {
    pub(super) username: Option<Box<str>>,
    pub(super) password: Option<Secret>,
    pub(super) database: u32,
}

/// How a connection is secured.
pub(super) struct Secured {
    pub(super) connector: Connector,
    /// The name that certificates must have, over that of the host.
    pub(super) name: Option<Box<str>>,
}

/// Makes connections.
pub(super) struct Dialer {
    login: Login,
    secured: Option<Secured>,
    /// The server was found to speak the second version only.
    old: AtomicBool,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("login", &self.login).finish_non_exhaustive()
    }
}

/// A stream of bytes to a server, secured or not.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Dialer {
    pub(super) fn new(login: Login, secured: Option<Secured>) -> Self {
        Dialer { login, secured, old: AtomicBool::new(false) }
    }

    /// Makes a connection on which commands can be asked.
    pub(super) async fn dial(
        &self,
        address: &Address,
        speak: Speak,
        permit: Permit,
    ) -> Result<Link, Refusal> {
        let made = async {
            let stream = self.open(address).await.map_err(|error| Refusal::unreached(address, &error))?;
            let link = Link::new(stream, permit);
            self.greet(&link, address, speak).await?;
            Ok(link)
        };
        tokio::time::timeout(DIAL, made)
            .await
            .unwrap_or_else(|_| Err(Refusal::late(address, DIAL.as_millis())))
    }

    async fn open(&self, address: &Address) -> io::Result<Box<dyn Stream>> {
        let mut found: Vec<_> = tokio::net::lookup_host((&*address.host, address.port)).await?.collect();
        // Most servers of a laptop listen on IPv4 only; asking it first saves a refused connection.
        found.sort_by_key(std::net::SocketAddr::is_ipv6);
        let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
        for one in found {
            match TcpStream::connect(one).await {
                Ok(stream) => {
                    // The socket's refinements are those of all others of the house.
                    wire::socket::refine(&stream);
                    return self.secure(address, stream).await;
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn secure(&self, address: &Address, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        let Some(secured) = &self.secured else { return Ok(Box::new(stream)) };
        let name = secured.name.as_deref().unwrap_or(&address.host).to_owned();
        let name = ServerName::try_from(name).map_err(|error| io::Error::other(format!("tls: {error}")))?;
        let stream = secured.connector.greet(stream, name).await;
        Ok(Box::new(stream.map_err(|error| io::Error::other(format!("tls: {error}")))?))
    }

    /// Says who we are, which version is spoken, and which database is meant.
    async fn greet(&self, link: &Link, address: &Address, speak: Speak) -> Result<(), Refusal> {
        let newest = speak == Speak::Newest && !self.old.load(Relaxed);
        let greeted = newest && self.hello(link, address).await?;
        if !greeted {
            if let Some(password) = &self.login.password {
                let mut auth = cmd("AUTH");
                if let Some(username) = &self.login.username {
                    auth.arg(&**username);
                }
                auth.arg(password.reveal());
                accepted(link, address, &auth).await?;
            }
            // A name is a courtesy; a user that may not give one is served all the same.
            told(link, address, cmd("CLIENT").arg("SETNAME").arg(NAME)).await?.ok();
        }
        if self.login.database != 0 {
            accepted(link, address, cmd("SELECT").arg(self.login.database)).await?;
        }
        Ok(())
    }

    /// Whether the server took the third version, and with it who we are.
    async fn hello(&self, link: &Link, address: &Address) -> Result<bool, Refusal> {
        let mut hello = cmd("HELLO");
        hello.arg(3);
        if let Some(password) = &self.login.password {
            let username = self.login.username.as_deref().unwrap_or("default");
            hello.arg("AUTH").arg(username).arg(password.reveal());
        }
        hello.arg("SETNAME").arg(NAME);
        match told(link, address, &hello).await? {
            Ok(()) => Ok(true),
            Err(refusal) if lacks(&refusal) => {
                self.old.store(true, Relaxed);
                Ok(false)
            }
            Err(refusal) => Err(Refusal::unwelcome(address, &refusal)),
        }
    }
}

/// Whether a server, or what it allows the user, has no third version.
fn lacks(refusal: &ServerError) -> bool {
    matches!(refusal.code(), "NOPROTO" | "NOPERM")
        || refusal.details().is_some_and(|details| details.starts_with("unknown command"))
}

async fn accepted(link: &Link, address: &Address, command: &Cmd) -> Result<(), Refusal> {
    told(link, address, command).await?.map_err(|refusal| Refusal::unwelcome(address, &refusal))
}

async fn told(link: &Link, address: &Address, command: &Cmd) -> Result<Result<(), ServerError>, Refusal> {
    match link.ask(command, &mut Space::default()).await {
        Ok(Value::ServerError(refusal)) => Ok(Err(refusal)),
        Ok(_) => Ok(Ok(())),
        Err(broke) => Err(Refusal::broken(address, &broke)),
    }
}

/// What connects by TLS as a service says.
pub(super) fn secured(tls: &crate::tls::Tls) -> Result<Secured, model::Failure> {
    Ok(Secured { connector: tls.client()?, name: tls.sni.as_deref().map(Into::into) })
}

#[cfg(test)]
mod tests;
