//! Containers of a Docker Engine: one for each service, on a volume of its own, in the network of its cluster.
//!
//! What a container is comes from the recipe; what of it stands in a file of a cluster, and when anything is started, is
//! left to others. Nothing is remembered here but whom we are: the engine is asked, and its labels tell.

mod archive;
mod beside;
mod compare;
mod container;
mod data;
mod dial;
mod engine;
mod events;
mod find;
mod inside;
mod logs;
mod making;
mod names;
mod network;
mod pull;
mod taken;
mod volume;
mod wrong;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use model::Failure;
use model::recipe::{Run, Site, Within};
use tokio::sync::OnceCell;

pub use events::{Change, Changes};

use crate::docker::compare::Verdict;
use crate::docker::container::Seen;
use crate::docker::engine::Engine;
use crate::docker::making::{Making, Makings};
use crate::docker::wrong::Asked;
use crate::{
    Ask, Call, Data, Found, Input, Lines, Name, Output, Progress, Provisioner, Putting, Started, Tell, Work,
};

/// What is said of the engine and of us.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the engine is, as `DOCKER_HOST` says it. Where nothing is said, it is looked for as Docker's own client does.
    pub host: Option<String>,
    /// The id of this gateway, which stands on all that it makes.
    pub gateway: String,
}

/// Runs recipes as containers.
#[derive(Debug)]
pub struct Docker {
    options: Options,
    /// The container that the gateway itself runs in, once that is known.
    own: OnceCell<Option<String>>,
    /// What another gateway has made and this one has started: ours since then, whatever its label says.
    adopted: Mutex<HashSet<Name>>,
    makings: Makings,
}

impl Docker {
    /// Asks nobody: the engine is looked for at each call, and may come and go.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Docker { options, own: OnceCell::new(), adopted: Mutex::default(), makings: Makings::default() }
    }

    /// Tells of each container of ours that starts, ends or is removed by whomever, for as long as it is listened to.
    #[must_use]
    pub fn events(&self) -> Changes {
        events::listen(self.options.host.clone())
    }

    fn engine(&self) -> Result<Engine, Failure> {
        Engine::found(self.options.host.as_deref())
    }

    /// Who makes what is of this name.
    fn maker(&self, name: &Name) -> Maker<'_> {
        Maker { gateway: &self.options.gateway, making: self.makings.of(&name.cluster) }
    }

    /// The container that we are in, where it is one of this engine's.
    async fn own(&self, engine: &Engine) -> Result<Option<&str>, Failure> {
        let own = self.own.get_or_try_init(|| inside::container(engine)).await?;
        Ok(own.as_deref())
    }

    fn adopt(&self, name: &Name) {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
    }

    /// Whether what this gateway has put its label on may be ended and removed by us.
    fn owns(&self, gateway: &str, name: &Name) -> bool {
        gateway == self.options.gateway
            || self.adopted.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    async fn begin(&self, work: &Work, tell: &Tell<'_>) -> Result<Started, Failure> {
        let engine = self.engine()?;
        let own = self.own(&engine).await?;
        engine.can_publish(work.bind, own)?;
        // What it stands on may be taken away between two steps, by the removal of a neighbour: the network goes with
        // the last container that anybody sees in it. The second try makes what is missing.
        let id = match self.bring_up(&engine, own, work, tell).await {
            Err(Stopped::Again) => self.bring_up(&engine, own, work, tell).await,
            other => other,
        };
        let id = id.map_err(|stopped| match stopped {
            Stopped::For(failure) => failure,
            Stopped::Again => wrong::changed_meanwhile(&names::container(&work.name)),
        })?;
        self.adopt(&work.name);
        let (host, port) = engine.reached(own, &work.name, work.bind, work.port, work.recipe.network_port);
        Ok(Started { id, host, port })
    }

    /// Makes what is missing of it and starts it. Returns the container's id.
    async fn bring_up(
        &self,
        engine: &Engine,
        own: Option<&str>,
        work: &Work,
        tell: &Tell<'_>,
    ) -> Result<String, Stopped> {
        let maker = self.maker(&work.name);
        let network = network::ensure(engine, &work.name.cluster, &maker).await?;
        if let Some(own) = own {
            network::join(engine, &network, own, &maker).await?;
        }
        let container = match container::inspect(engine, &work.name).await? {
            None => None,
            Some(seen) => match compare::verdict(engine, &seen, work, &self.options.gateway).await? {
                Verdict::Leave => return Ok(seen.id),
                Verdict::Start => Some(seen),
                Verdict::Replace => {
                    tell(Progress::Says("ends what runs otherwise, and keeps its data".to_owned()));
                    container::stop(engine, &seen).await?;
                    container::remove(engine, &seen).await?;
                    None
                }
            },
        };
        let id = match container {
            Some(Seen { id, .. }) => id,
            None => create(engine, work, &network, &maker, tell).await?,
        };
        container::upload(engine, &id, work).await?;
        container::start(engine, &id, work, own.is_some(), &maker).await?;
        Ok(id)
    }

    async fn end(&self, name: &Name) -> Result<(), Failure> {
        let engine = self.engine()?;
        let Some(seen) = container::look(&engine, name).await? else { return Ok(()) };
        if !self.owns(&seen.owner.gateway, name) {
            return Err(wrong::of_another_gateway("container", &names::container(name), &seen.owner.gateway));
        }
        container::stop(&engine, &seen).await
    }

    async fn take_away(&self, name: &Name, data: Data, whose: Whose) -> Result<(), Failure> {
        let may = |gateway: &str| whose == Whose::Anybodys || self.owns(gateway, name);
        let engine = self.engine()?;
        let making = self.makings.of(&name.cluster);
        drop(making.over().await);
        if let Some(seen) = container::look(&engine, name).await? {
            if !may(&seen.owner.gateway) {
                let called = names::container(name);
                return Err(wrong::of_another_gateway("container", &called, &seen.owner.gateway));
            }
            // Data that stay are left in good order.
            if data == Data::Keep {
                container::stop(&engine, &seen).await?;
            }
            container::remove(&engine, &seen).await?;
            // What it stood on is ours with it, also where this is tried again.
            if whose == Whose::Ours {
                self.adopt(name);
            }
        }
        if data == Data::Remove
            && let Some(owner) = volume::owner(&engine, name).await?
        {
            if !may(&owner.gateway) {
                return Err(wrong::of_another_gateway("volume", &names::volume(name), &owner.gateway));
            }
            volume::remove(&engine, name).await?;
        }
        self.leave_no_network(&engine, &name.cluster).await
    }

    async fn leave_no_network(&self, engine: &Engine, cluster: &Arc<str>) -> Result<(), Failure> {
        let own = self.own(engine).await?;
        let making = self.makings.of(cluster);
        let _nobody_else = making.over().await;
        network::tidy(engine, cluster, own).await
    }
}

/// What may be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// What this gateway has made or taken over.
    Ours,
    /// What any gateway has made.
    Anybodys,
}

/// Who makes something, and in what turn.
struct Maker<'a> {
    gateway: &'a str,
    making: Making,
}

async fn create(
    engine: &Engine,
    work: &Work,
    network: &str,
    maker: &Maker<'_>,
    tell: &Tell<'_>,
) -> Result<String, Stopped> {
    if !work.recipe.data.is_empty() {
        volume::ensure(engine, work, maker).await?;
    }
    // Somebody may have tidied up since it was fetched.
    pull::ensure(engine, work.image(), tell).await?;
    container::create(engine, work, network, maker).await
}

/// Why a try to bring something up has stopped.
enum Stopped {
    /// What it was to stand on is not there any more.
    Again,
    /// For good.
    For(Failure),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Stopped::For(failure)
    }
}

impl Provisioner for Docker {
    fn word(&self) -> &'static str {
        "docker"
    }

    fn ready(&self) -> Call<'_, ()> {
        Box::pin(async move { self.engine()?.ready().await })
    }

    fn site(&self, name: &Name, port: u16) -> Site {
        Site {
            within: Within::Container { name: names::container(name) },
            config: container::CONFIG.to_owned(),
            port,
            host: "localhost".to_owned(),
        }
    }

    fn fetch<'a>(&'a self, work: &'a Work, tell: &'a Tell<'a>) -> Call<'a, ()> {
        Box::pin(async move { pull::ensure(&self.engine()?, work.image(), tell).await })
    }

    fn start<'a>(&'a self, work: &'a Work, tell: &'a Tell<'a>) -> Call<'a, Started> {
        Box::pin(self.begin(work, tell))
    }

    fn stop<'a>(&'a self, name: &'a Name) -> Call<'a, ()> {
        Box::pin(self.end(name))
    }

    fn remove<'a>(&'a self, name: &'a Name, data: Data) -> Call<'a, ()> {
        Box::pin(self.take_away(name, data, Whose::Ours))
    }

    fn remove_of_any<'a>(&'a self, name: &'a Name, data: Data) -> Call<'a, ()> {
        Box::pin(self.take_away(name, data, Whose::Anybodys))
    }

    fn tidy<'a>(&'a self, cluster: &'a str) -> Call<'a, ()> {
        Box::pin(async move { self.leave_no_network(&self.engine()?, &cluster.into()).await })
    }

    fn find<'a>(&'a self, name: &'a Name) -> Call<'a, Option<Found>> {
        Box::pin(async move {
            let engine = self.engine()?;
            let own = self.own(&engine).await?;
            find::one(&engine, own, name).await
        })
    }

    fn list(&self) -> Call<'_, Vec<Found>> {
        Box::pin(async move {
            let engine = self.engine()?;
            let own = self.own(&engine).await?;
            find::all(&engine, own).await
        })
    }

    fn logs<'a>(&'a self, name: &'a Name, ask: &'a Ask) -> Call<'a, Lines> {
        Box::pin(async move {
            let engine = self.engine()?;
            let container = names::container(name);
            let seen = container::look(&engine, name).await?;
            let seen = seen.ok_or_else(|| wrong::no_container(&container))?;
            let what = Asked::new(&engine, format!("read the log of the container `{container}`"));
            Ok(logs::read(&engine, &seen.id, ask, what))
        })
    }

    fn beside<'a>(
        &'a self,
        work: &'a Work,
        run: &'a Run,
        input: Option<Input<'a>>,
        output: Option<Output<'a>>,
    ) -> Call<'a, ()> {
        Box::pin(async move {
            let engine = self.engine()?;
            let seen = beside::running(&engine, &work.name).await?;
            beside::run(&engine, &seen, run, input, output).await
        })
    }

    fn take_data<'a>(&'a self, work: &'a Work, output: Output<'a>) -> Call<'a, ()> {
        Box::pin(async move {
            let engine = self.engine()?;
            let id = self.at_rest(&engine, work).await?;
            data::take(&engine, &id, work, output).await
        })
    }

    fn put_data<'a>(&'a self, work: &'a Work, input: Input<'a>) -> Putting<'a> {
        Box::pin(self.fill(work, input))
    }
}
