//! What a document leaves open of a service that the gateway runs, filled in before anything starts: by whom, at which port,
//! with which password.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use model::provision::{RunSpec, settle};
use model::{ClusterId, ClusterSpec, Code, Failure, Secret, ServiceSpec};
use provision::Name;

use super::{CONTAINERS, lock};
use crate::Clusters;

/// Ports that one operation is going to use; nobody else is given them while it lives.
#[derive(Default)]
pub(crate) struct Promise {
    ports: Vec<u16>,
    of: Arc<Mutex<HashSet<u16>>>,
}

impl Promise {
    /// Of ports that nobody else is given.
    fn to(of: &Arc<Mutex<HashSet<u16>>>) -> Promise {
        Promise { ports: Vec::new(), of: Arc::clone(of) }
    }

    /// To nobody: what others were promised is heeded, and they hear nothing of this one.
    fn to_nobody(of: &Mutex<HashSet<u16>>) -> Promise {
        Promise { ports: Vec::new(), of: Arc::new(Mutex::new(lock(of).clone())) }
    }

    fn keep(&mut self, port: u16) -> bool {
        let free = lock(&self.of).insert(port);
        if free {
            self.ports.push(port);
        }
        free
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let mut of = lock(&self.of);
        for port in &self.ports {
            of.remove(port);
        }
    }
}

/// Who asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// Somebody who waits for the end: what cannot be had now is refused.
    Caller,
    /// A file: what it says is to be, and is tried until it is.
    File,
    /// A file that is read at the start: what there is of its services was run for them.
    Start,
}

impl Clusters {
    /// The spec with what its provisioned services leave open. What stands already is left as it is.
    pub(crate) async fn settle(
        &self,
        spec: ClusterSpec,
        old: Option<&ClusterSpec>,
        whose: For,
    ) -> Result<(ClusterSpec, Promise), Failure> {
        let mut promise = Promise::to(&self.0.hands.promised);
        let settled = self.settle_all(spec, old, whose, &mut promise).await?;
        Ok((settled, promise))
    }

    /// What whoever waits for the end would get now. Nobody is promised anything.
    pub(super) async fn would_settle(
        &self,
        spec: ClusterSpec,
        old: Option<&ClusterSpec>,
    ) -> Result<ClusterSpec, Failure> {
        let mut promise = Promise::to_nobody(&self.0.hands.promised);
        self.settle_all(spec, old, For::Caller, &mut promise).await
    }

    async fn settle_all(
        &self,
        mut spec: ClusterSpec,
        old: Option<&ClusterSpec>,
        whose: For,
        promise: &mut Promise,
    ) -> Result<ClusterSpec, Failure> {
        let id = spec.cluster_id.clone();
        for (name, service) in spec.services.iter_mut().filter(|(_, service)| service.is_provisioned()) {
            let before = old.and_then(|old| old.service(name)).filter(|old| old.is_provisioned());
            let settled = self.settle_service(&id, name, service, before, whose, promise).await;
            *service = settled.map_err(|failure| failure.with_service(name.as_str().into()))?;
        }
        Ok(spec)
    }

    async fn settle_service(
        &self,
        cluster: &ClusterId,
        name: &str,
        asked: &ServiceSpec,
        old: Option<&ServiceSpec>,
        whose: For,
        promise: &mut Promise,
    ) -> Result<ServiceSpec, Failure> {
        let hands = &self.0.hands;
        let word = match asked.provisioner().or_else(|| old.and_then(ServiceSpec::provisioner)) {
            Some(word) => hands.provisioner(word)?.word(),
            None => hands.preferred(asked, whose).await?.word(),
        };
        heeds_limits(word, asked)?;
        let driver = adapters::driver(&asked.kind);
        let runs = driver.and_then(|driver| driver.runs());
        let runs = runs.ok_or_else(|| {
            Failure::client(Code::InvalidConfig, format!("The gateway cannot run `{}`.", asked.kind))
        })?;
        let bind = asked.bind();
        let own = Name { cluster: cluster.shared(), service: name.into() };
        let mut asked = asked.clone();
        if old.is_none() {
            self.take_up(hands.provisioner(word)?, &own, &mut asked, whose).await?;
        }
        let port = match (asked.port, old.and_then(|old| old.port)) {
            (Some(port), Some(before)) if port == before => port,
            (Some(port), _) if whose != For::Caller => port,
            (Some(port), _) => self.take_port(&own, word, bind, port, promise).await?,
            (None, Some(before)) => before,
            (None, None) => self.next_port(bind, runs.port, promise)?,
        };
        Ok(settle(runs, &asked, word, port, Secret::new(store::random_text()?)))
    }

    /// A port that was asked for: it has to be free, unless what runs there is this very service.
    async fn take_port(
        &self,
        own: &Name,
        word: &str,
        bind: IpAddr,
        port: u16,
        promise: &mut Promise,
    ) -> Result<u16, Failure> {
        let found = self.0.hands.provisioner(word)?.find(own).await?;
        if found.is_some_and(|found| found.port == Some(port)) {
            return Ok(port);
        }
        let other = self.other_at(own, port);
        if other.is_none() && provision::free(bind, port).is_ok_and(|free| free == port) && promise.keep(port)
        {
            return Ok(port);
        }
        let by = match (other, provision::holder(port)) {
            (Some(Name { cluster, service }), _) => {
                format!("is that of `{cluster}/{service}`, which this gateway runs")
            }
            (None, Some(holder)) => format!("is in use by {holder}"),
            (None, None) => "is in use".to_owned(),
        };
        let detail = format!("Port {port} of `{}/{}` {by}.", own.cluster, own.service);
        let failure = Failure::client(Code::Conflict, detail);
        Err(match self.next_port(bind, port, promise) {
            Ok(next) => failure
                .with_hint(format!("Port {next} is free; without `port` the gateway takes one that is.")),
            Err(_) => failure.with_hint("Stop what uses it, or choose another `port`."),
        })
    }

    /// The first free port from here on that nobody else is going to use.
    fn next_port(&self, bind: IpAddr, from: u16, promise: &mut Promise) -> Result<u16, Failure> {
        let taken = self.all_ports();
        let mut from = from;
        loop {
            let port = provision::free(bind, from).map_err(|error| {
                Failure::gateway(Code::Conflict, format!("No port from {from} on is free: {error}."))
                    .with_hint("Give the service a `port` of its own.")
            })?;
            if !taken.contains(&port) && promise.keep(port) {
                return Ok(port);
            }
            from = port.checked_add(1).ok_or_else(|| {
                Failure::client(Code::Conflict, "No port up to the last one, 65535, is free.")
                    .with_hint("Give the service a `port` of its own.")
            })?;
        }
    }

    /// The ports of all services that the gateway runs, also of those that are stopped.
    fn all_ports(&self) -> HashSet<u16> {
        let world = self.snapshot();
        let services = world.clusters.values().flat_map(|cluster| &cluster.services);
        let run = services.filter(|service| service.spec.is_provisioned());
        run.filter_map(|service| service.spec.port).collect()
    }

    /// Which other service that the gateway runs has this port, also one that is stopped.
    fn other_at(&self, own: &Name, port: u16) -> Option<Name> {
        let world = self.snapshot();
        let services = world.clusters.values().flat_map(|cluster| &cluster.services);
        let at = services.filter(|service| service.spec.is_provisioned() && service.spec.port == Some(port));
        let mut names = at.map(|at| Name { cluster: Arc::clone(&at.cluster), service: Arc::clone(&at.name) });
        names.find(|name| name != own)
    }
}

/// What only a container can heed is asked of one.
fn heeds_limits(word: &str, asked: &ServiceSpec) -> Result<(), Failure> {
    let needs = asked.run.as_ref().filter(|_| word != CONTAINERS).and_then(RunSpec::needs_container);
    needs.map_or(Ok(()), |key| {
        let detail = format!("`run.{key}` is of a container, and by `{word}` there is none.");
        Err(Failure::client(Code::InvalidConfig, detail).with_hint(format!(
            "Take `run.{key}` away; or make the service anew, with `provision: {CONTAINERS}`."
        )))
    })
}
