//! The cores of the traffic door: a thread each, with a runtime and a listener of its own.

use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use proxy::Door;
use wire::{cores, socket};

use crate::shutdown::Closing;

/// The threads that serve traffic.
pub(crate) struct Traffic(Vec<JoinHandle<io::Result<()>>>);

/// How often idle connections to services are looked through on each core.
const SWEEP: Duration = Duration::from_secs(1);

/// Listens on `address` once for each core, and begins to serve. Fails before anything is served when the
/// address cannot be had.
pub(crate) fn begin(
    address: SocketAddr,
    door: &Door,
    clusters: &clusters::Clusters,
    closing: &Closing,
    grace: Duration,
) -> anyhow::Result<Traffic> {
    // Sharing a port would also share it with a stranger: the first socket asks for it alone.
    drop(socket::listen(address, false).with_context(|| in_use("traffic door", address, "proxy.port"))?);
    let listeners: Vec<std::net::TcpListener> =
        (0..cores::count()).map(|_| socket::listen(address, true)).collect::<io::Result<_>>()?;
    let begin = |(core, listener): (usize, std::net::TcpListener)| {
        let (door, clusters, closing) = (door.clone(), clusters.clone(), closing.clone());
        std::thread::Builder::new().name(format!("core-{core}")).spawn(move || {
            cores::enter(core);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async move {
                tokio::spawn(async move {
                    loop {
                        tokio::time::sleep(SWEEP).await;
                        clusters.sweep();
                    }
                });
                proxy::serve_core(listener, door, closing.wait(), grace).await
            })
        })
    };
    let threads = listeners.into_iter().enumerate().map(begin).collect::<io::Result<_>>()?;
    Ok(Traffic(threads))
}

/// What to say when an address cannot be listened on.
pub(crate) fn in_use(door: &str, address: SocketAddr, setting: &str) -> String {
    format!("the {door} cannot listen on {address}; choose another `{setting}`, or stop what listens there")
}

impl Traffic {
    /// Waits until the last request of the last core is answered.
    pub(crate) fn join(self) -> anyhow::Result<()> {
        for thread in self.0 {
            thread.join().map_err(|_| anyhow::anyhow!("a core panicked"))??;
        }
        Ok(())
    }
}
