//! What all connections of the door share: its options, its counts, and whether it is closing.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use clusters::Clusters;
use model::route::MAIN_LISTENER;
use tokio::sync::Notify;
use wire::http1::HeadLimits;
use wire::proxy_protocol::Taken;

use crate::calls::Calls;
use crate::carry::Carrier;

/// The traffic door. Clones share it.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

struct Inner {
    clusters: Clusters,
    options: Options,
    work: Work,
    closing: AtomicBool,
    /// Told when the time for what is under way is over.
    going: Notify,
}

/// What is done with whoever comes.
enum Work {
    /// Requests are routed.
    Route,
    /// Requests are answered.
    Answer(Arc<dyn Calls>),
    /// Bytes are carried to a service.
    Carry(Carrier),
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
    /// How connections are secured; without, they are in the clear.
    pub tls: Option<wire::tls::Server>,
    /// What routes call the listener.
    pub listener: Arc<str>,
    /// Whether connections begin with a PROXY header, and of which version. Only [`trusted_proxies`] are served then.
    ///
    /// [`trusted_proxies`]: Options::trusted_proxies
    pub proxy_protocol: Option<Taken>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            limits: Limits::default(),
            trusted_proxies: TrustedProxies::default(),
            timeout_status: 504,
            body_setting: BODY_SETTING,
            tls: None,
            listener: MAIN_LISTENER.into(),
            proxy_protocol: None,
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
    /// From the first byte of a request to the end of its head; and for the handshake of TLS.
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
        Door::of(clusters, options, Work::Route)
    }

    /// A door whose requests are answered and never routed.
    #[must_use]
    pub fn answering(clusters: Clusters, options: Options, calls: Arc<dyn Calls>) -> Self {
        Door::of(clusters, options, Work::Answer(calls))
    }

    /// A door that carries bytes to one service.
    #[must_use]
    pub fn carrying(clusters: Clusters, options: Options, carrier: Carrier) -> Self {
        Door::of(clusters, options, Work::Carry(carrier))
    }

    fn of(clusters: Clusters, options: Options, work: Work) -> Self {
        let (closing, going) = (AtomicBool::new(false), Notify::new());
        Door(Arc::new(Inner { clusters, options, work, closing, going }))
    }

    pub(crate) fn calls(&self) -> Option<&dyn Calls> {
        match &self.0.work {
            Work::Answer(calls) => Some(&**calls),
            Work::Route | Work::Carry(_) => None,
        }
    }

    /// Whether it takes requests of whoever connects, as nearly all doors do.
    pub(crate) fn is_plain(&self) -> bool {
        self.0.options.proxy_protocol.is_none() && self.carrier().is_none()
    }

    /// Where bytes are carried, at a door where they are.
    pub(crate) fn carrier(&self) -> Option<&Carrier> {
        match &self.0.work {
            Work::Carry(carrier) => Some(carrier),
            Work::Route | Work::Answer(_) => None,
        }
    }

    /// What this door counts.
    pub(crate) fn counts(&self) -> &clusters::doors::Door {
        match self.0.work {
            Work::Route | Work::Carry(_) => self.0.clusters.traffic(),
            Work::Answer(_) => self.0.clusters.data(),
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

    /// What never ends by itself has a moment to say so.
    pub(crate) fn go(&self) {
        self.0.going.notify_waiters();
    }

    /// Ready when it is told so.
    pub(crate) fn going(&self) -> impl Future<Output = ()> + '_ {
        self.0.going.notified()
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
