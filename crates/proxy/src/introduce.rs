//! The PROXY protocol at the door: whose connection it is, by the word of a proxy that is trusted. Strangers have no
//! word here: who is not in `proxy.trusted_proxies` is not served on such a listener, whatever he says.

use std::net::SocketAddr;

use clusters::doors::NotIntroduced;
use tokio::net::TcpStream;
use wire::proxy_protocol::{self, Ends, Error, Taken};

use crate::door::Door;

/// Takes the header and says between which ends the connection stands: those that the proxy names, or its own where it
/// speaks for itself. `None` for one that is closed, which is counted.
pub(crate) async fn introduce(
    stream: &mut TcpStream,
    peer: SocketAddr,
    taken: Taken,
    door: &Door,
) -> Option<Ends> {
    let refuse = |why, detail: &str| {
        tracing::debug!(%peer, detail, "a connection without a PROXY header that is believed");
        door.counts().not_introduced_by(why);
        None
    };
    if !door.options().trusted_proxies.trusts(peer.ip()) {
        return refuse(NotIntroduced::Untrusted, "it is not in `proxy.trusted_proxies`");
    }
    let header = proxy_protocol::take(stream, taken);
    match tokio::time::timeout(door.options().limits.head_timeout, header).await {
        Ok(Ok(Some(ends))) => Some(ends),
        Ok(Ok(None)) => Some(own_ends(stream, peer)),
        Ok(Err(Error::Malformed(why))) => refuse(NotIntroduced::Malformed, why),
        Ok(Err(Error::Io(error))) => refuse(NotIntroduced::Left, &error.to_string()),
        Err(_) => refuse(NotIntroduced::TimedOut, "it was not said in time"),
    }
}

/// The ends of a connection as the system has them.
pub(crate) fn own_ends(stream: &TcpStream, peer: SocketAddr) -> Ends {
    Ends { source: peer, destination: stream.local_addr().unwrap_or(peer) }
}
