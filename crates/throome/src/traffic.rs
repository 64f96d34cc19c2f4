//! The cores of the traffic and data doors: a thread each, with a runtime and listeners of its own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use proxy::Door;
use wire::cores;

use crate::handover::{self, Sockets};
use crate::shutdown::Closing;

/// The threads that serve traffic.
pub(crate) struct Traffic(Vec<JoinHandle<io::Result<()>>>);

/// How often idle connections to services are looked through on each core.
const SWEEP: Duration = Duration::from_secs(1);

/// When another process has taken this one's place, idle connections of the traffic door may bring one more request for
/// so long: most clients send one, and are told in its answer, rather than find their connection gone.
const LAST_REQUEST: Duration = Duration::from_secs(5);

/// What sets the port of the data door.
pub(crate) const DATA: &str = "data.port";

/// A door of the cores, and where it listens.
pub(crate) struct Listening {
    pub(crate) door: Door,
    pub(crate) address: SocketAddr,
    /// As people call it.
    pub(crate) name: String,
    /// What sets its port.
    pub(crate) setting: String,
}

impl Listening {
    /// Whether it leads to engines of this process, which another one waits for.
    fn patience(&self) -> Duration {
        if self.setting == DATA { handover::PATIENCE } else { LAST_REQUEST }
    }
}

/// A socket, the door behind it, and how long that is patient.
type Serving = (TcpListener, Door, Duration);

/// Listens on every address once for each core, and begins to serve. Fails before anything is served when one
/// of them cannot be had.
pub(crate) fn begin(
    doors: &[Listening],
    sockets: &Sockets,
    clusters: &clusters::Clusters,
    closing: &Closing,
    grace: Duration,
) -> anyhow::Result<Traffic> {
    let mut cores: Vec<Vec<Serving>> = (0..cores::count()).map(|_| Vec::new()).collect();
    for listening @ Listening { door, address, name, setting } in doors {
        let sockets = sockets.shared(*address, cores.len());
        let sockets = sockets.with_context(|| in_use(name, *address, setting))?;
        for (core, socket) in (0..cores.len()).cycle().zip(sockets) {
            cores[core].push((socket, door.clone(), listening.patience()));
        }
    }
    let begin = |(core, doors): (usize, Vec<Serving>)| {
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
                    .map(|(listener, door, patience)| {
                        let closing = closing.clone().wait_as_door(patience);
                        tokio::spawn(proxy::serve_core(listener, door, closing, grace))
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
