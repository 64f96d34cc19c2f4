//! Where a peer is found: its address, or what its name resolves to, remembered for a while.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::socket;

/// How long an address that a name resolved to is used before the name is asked for again.
const RESOLVED: Duration = Duration::from_secs(5);

/// Where a peer is found.
#[derive(Debug)]
pub struct Dial {
    host: Box<str>,
    port: u16,
    literal: Option<SocketAddr>,
    resolved: Mutex<Option<(Instant, Arc<[SocketAddr]>)>>,
}

impl Dial {
    /// The peer at this name or address.
    #[must_use]
    pub fn to(host: &str, port: u16) -> Self {
        let literal = host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port));
        Dial { host: host.into(), port, literal, resolved: Mutex::new(None) }
    }

    /// Connects, trying each address in turn.
    ///
    /// # Errors
    /// The last address's error, or that the name has none.
    pub async fn connect(&self) -> io::Result<TcpStream> {
        match self.literal {
            Some(address) => socket::connect(&[address]).await,
            None => socket::connect(&self.resolve().await?).await,
        }
    }

    async fn resolve(&self) -> io::Result<Arc<[SocketAddr]>> {
        if let Some((when, addresses)) = &*self.lock()
            && when.elapsed() < RESOLVED
        {
            return Ok(Arc::clone(addresses));
        }
        let asked = tokio::net::lookup_host((&*self.host, self.port)).await;
        let mut addresses: Vec<SocketAddr> = match asked {
            Ok(addresses) => addresses.collect(),
            // A name server that hiccups takes nobody down whose address was known a moment ago.
            Err(error) => return self.lock().as_ref().map(|(_, known)| Arc::clone(known)).ok_or(error),
        };
        // Most services of a laptop listen on IPv4 only; asking it first saves a refused connection.
        addresses.sort_by_key(SocketAddr::is_ipv6);
        let addresses: Arc<[SocketAddr]> = addresses.into();
        *self.lock() = Some((Instant::now(), Arc::clone(&addresses)));
        Ok(addresses)
    }

    /// What the lock guards is whole between any two statements, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Option<(Instant, Arc<[SocketAddr]>)>> {
        self.resolved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
