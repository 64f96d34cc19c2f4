//! What all connections of the door share: its options, its counts, and whether it is closing.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use clusters::Clusters;
use wire::http1::HeadLimits;

use crate::calls::Calls;

/// The traffic door. Clones share it.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

struct Inner {
    clusters: Clusters,
    options: Options,
    /// Whoever answers requests here; without, they are routed.
    calls: Option<Arc<dyn Calls>>,
    closing: AtomicBool,
}

/// How large a body of the traffic door may be.
pub(crate) const BODY_SETTING: &str = "proxy.limits.body";

/// How the door treats its clients.
#[derive(Debug, Clone)]
pub struct Options {
    /// How much, and for how long.
    pub limits: Limits,
    /// Whose `Forwarded` and `X-Forwarded-*` are believed and appended to.
    pub trusted_proxies: TrustedProxies,
    /// HTTP status of a timeout: 504 unless said otherwise.
    pub timeout_status: u16,
    /// The setting that says how large a body may be, for those who are told that theirs is larger.
    pub body_setting: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            limits: Limits::default(),
            trusted_proxies: TrustedProxies::default(),
            timeout_status: 504,
            body_setting: BODY_SETTING,
        }
    }
}

/// How much is taken from a client, and how long it is waited for.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The head of a request.
    pub head: HeadLimits,
    /// The body of a request, in bytes.
    pub body: u64,
    /// Connections open at once.
    pub connections: usize,
    /// Requests that one connection of HTTP/2 may have under way at once.
    pub streams: u32,
    /// From the first byte of a request to the end of its head.
    pub head_timeout: Duration,
    /// Without progress in a request's body.
    pub body_timeout: Duration,
    /// Without progress in sending an answer to a client that does not read.
    pub write_timeout: Duration,
    /// Between two requests of a connection.
    pub idle_timeout: Duration,
    /// Without a byte either way, for event streams and upgraded connections.
    pub stream_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            head: HeadLimits::default(),
            body: 100 * 1024 * 1024,
            connections: 20_000,
            streams: 128,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            stream_timeout: Duration::from_secs(3600),
        }
    }
}

impl Door {
    /// A door to these clusters.
    #[must_use]
    pub fn new(clusters: Clusters, options: Options) -> Self {
        Door(Arc::new(Inner { clusters, options, calls: None, closing: AtomicBool::new(false) }))
    }

    /// A door whose requests are answered and never routed.
    #[must_use]
    pub fn answering(clusters: Clusters, options: Options, calls: Arc<dyn Calls>) -> Self {
        Door(Arc::new(Inner { clusters, options, calls: Some(calls), closing: AtomicBool::new(false) }))
    }

    pub(crate) fn calls(&self) -> Option<&dyn Calls> {
        self.0.calls.as_deref()
    }

    /// What this door counts.
    pub(crate) fn counts(&self) -> &clusters::doors::Door {
        match self.0.calls {
            None => self.0.clusters.traffic(),
            Some(_) => self.0.clusters.data(),
        }
    }

    pub(crate) fn clusters(&self) -> &Clusters {
        &self.0.clusters
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    /// No further request is taken on any connection; those under way are finished.
    pub(crate) fn close(&self) {
        self.0.closing.store(true, Relaxed);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.0.closing.load(Relaxed)
    }
}

/// Networks whose word on forwarding is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<(IpAddr, u8)>);

impl TrustedProxies {
    /// Reads networks such as `10.0.0.0/8`, `::1` or `192.168.1.7`.
    ///
    /// # Errors
    /// Names the entry that is none.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let network = |entry: &'a str| {
            let (address, bits) = entry.split_once('/').map_or((entry, None), |(a, b)| (a, Some(b)));
            let address: IpAddr = address.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(most), |bits| bits.parse().ok())?;
            (bits <= most).then_some((address, bits))
        };
        entries
            .into_iter()
            .map(|entry| {
                network(entry).ok_or_else(|| format!("`{entry}` is not a network such as `10.0.0.0/8`"))
            })
            .collect::<Result<_, _>>()
            .map(TrustedProxies)
    }

    /// Whether this peer is in one of them.
    #[must_use]
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.iter().any(|&(network, bits)| match (network, peer) {
            (IpAddr::V4(network), IpAddr::V4(peer)) => {
                let shift = 32 - u32::from(bits);
                network.to_bits().checked_shr(shift) == peer.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(network), IpAddr::V6(peer)) => {
                let shift = 128 - u32::from(bits);
                network.to_bits().checked_shr(shift) == peer.to_bits().checked_shr(shift)
            }
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_own() {
        let trusted = TrustedProxies::parse(["10.0.0.0/8", "::1", "192.168.1.7"]).unwrap();
        for (peer, trusts) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.0.0.1", false),
            ("192.168.1.7", true),
            ("192.168.1.8", false),
            ("::1", true),
            ("::2", false),
        ] {
            assert_eq!(trusted.trusts(peer.parse().unwrap()), trusts, "{peer}");
        }
        assert!(TrustedProxies::parse(["0.0.0.0/0"]).unwrap().trusts("8.8.8.8".parse().unwrap()));
        assert!(TrustedProxies::parse(["10.0.0.0/33"]).is_err() && TrustedProxies::parse(["x"]).is_err());
    }
}
