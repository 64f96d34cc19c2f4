//! The cores of the traffic and data doors: a thread each, with a runtime and listeners of its own.

use std::io;
use std::net::{SocketAddr, TcpListener};
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

/// A door of the cores, and where it listens.
pub(crate) struct Listening {
    pub(crate) door: Door,
    pub(crate) address: SocketAddr,
    /// As people call it.
    pub(crate) name: String,
    /// What sets its port.
    pub(crate) setting: String,
}

/// Listens on every address once for each core, and begins to serve. Fails before anything is served when one
/// of them cannot be had.
pub(crate) fn begin(
    doors: &[Listening],
    clusters: &clusters::Clusters,
    closing: &Closing,
    grace: Duration,
) -> anyhow::Result<Traffic> {
    for Listening { address, name, setting, .. } in doors {
        // Sharing a port would also share it with a stranger: the first socket asks for it alone.
        drop(socket::listen(*address, false).with_context(|| in_use(name, *address, setting))?);
    }
    let of_core = || -> io::Result<Vec<(TcpListener, Door)>> {
        doors.iter().map(|door| Ok((socket::listen(door.address, true)?, door.door.clone()))).collect()
    };
    let cores: Vec<_> = (0..cores::count()).map(|_| of_core()).collect::<io::Result<_>>()?;
    let begin = |(core, doors): (usize, Vec<(TcpListener, Door)>)| {
        let (clusters, closing) = (clusters.clone(), closing.clone());
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
                let serving: Vec<_> = doors
                    .into_iter()
                    .map(|(listener, door)| {
                        tokio::spawn(proxy::serve_core(listener, door, closing.clone().wait(), grace))
                    })
                    .collect();
                for door in serving {
                    door.await.map_err(io::Error::other)??;
                }
                Ok(())
            })
        })
    };
    let threads = cores.into_iter().enumerate().map(begin).collect::<io::Result<_>>()?;
    Ok(Traffic(threads))
}

/// What to say when an address cannot be listened on.
pub(crate) fn in_use(name: &str, address: SocketAddr, setting: &str) -> String {
    format!("the {name} cannot listen on {address}; choose another `{setting}`, or stop what listens there")
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
