//! How connections to one endpoint are secured: by the files of the service, and by what is in them now.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::{Code, Failure};
use tokio::net::TcpStream;
use tokio::time::Instant;
use wire::Socket;
use wire::tls::{Connector, ServerName, Stamp};

use crate::tls::Tls;

/// A new connection looks at the files when nobody has for so long.
const LOOK: Duration = Duration::from_millis(400);

/// What connections to one endpoint are greeted with.
#[derive(Debug)]
pub(super) struct Secured {
    tls: Tls,
    /// By which the endpoint's certificate must know it.
    name: ServerName<'static>,
    protocols: &'static [&'static str],
    in_force: Mutex<InForce>,
}

#[derive(Debug)]
struct InForce {
    connector: Connector,
    stamp: Stamp,
    looked: Instant,
}

impl Secured {
    /// Reads the files, for an endpoint of this host that speaks one of these protocols.
    ///
    /// # Errors
    /// `invalid_config`, naming the file or key that cannot be used.
    pub(super) fn new(tls: Tls, host: &str, protocols: &'static [&'static str]) -> Result<Self, Failure> {
        let name = tls.sni.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(|error| {
            Failure::client(
                Code::InvalidConfig,
                format!("tls.sni: {error}; it is a name such as `shop.example`"),
            )
        })?;
        let (stamp, looked) = (tls.stamp(), Instant::now());
        let in_force = Mutex::new(InForce { connector: tls.client_of(protocols)?, stamp, looked });
        Ok(Secured { tls, name, protocols, in_force })
    }

    /// Greets the endpoint on a connection that is open.
    pub(super) async fn greet(&self, stream: TcpStream) -> io::Result<Socket> {
        let socket = wire::tls::connect(stream, &self.connector(), self.name.clone()).await?;
        if self.protocols == ["h2"] && socket.alpn().is_none() {
            return Err(io::Error::other("tls: it does not agree on HTTP/2 (ALPN)"));
        }
        Ok(socket)
    }

    /// What is in force. Files that changed are read again; if they cannot be used, what was before stays.
    fn connector(&self) -> Connector {
        // Whole between any two statements, so a panic elsewhere does not spoil it.
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        if in_force.looked.elapsed() >= LOOK {
            in_force.looked = Instant::now();
            let stamp = self.tls.stamp();
            if stamp != in_force.stamp {
                in_force.stamp = stamp;
                match self.tls.client_of(self.protocols) {
                    Ok(connector) => in_force.connector = connector,
                    Err(failure) => {
                        let why = failure.detail();
                        tracing::warn!(
                            why,
                            "changed certificates of a service cannot be used; those before stay"
                        );
                    }
                }
            }
        }
        in_force.connector.clone()
    }
}
