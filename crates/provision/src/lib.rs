//! The hands: what runs a recipe, as a container or as a process of this machine.
//!
//! A provisioner starts, stops, finds and removes, and tells what it sees. It does not know what a recipe is of, whether
//! what it has started can be used (an adapter's probe says that), nor which cluster is asked for: `clusters` decides.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use model::recipe::{Recipe, Run, Site};
use model::secret::MASK;
use model::{Failure, Secret};
use tokio::io::{AsyncRead, AsyncWrite};

mod archive;
mod beside;
mod logs;
mod port;

pub mod docker;
pub mod process;

pub use logs::{Ask, Line, Lines, Source};
pub use port::{Holder, free, holder};

/// What a provisioner's call returns.
pub type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// What a program that stands beside reads, or an archive.
pub type Input<'a> = Pin<Box<dyn AsyncRead + Send + 'a>>;

/// Where what such a program writes goes, or an archive.
pub type Output<'a> = Pin<Box<dyn AsyncWrite + Send + 'a>>;

/// Why data are not in the place that they were to be put in.
#[derive(Debug)]
pub struct NotPut {
    /// Why.
    pub failure: Failure,
    /// What was there before is gone, all or half of it. Otherwise nothing has changed.
    pub is_lost: bool,
}

impl From<Failure> for NotPut {
    fn from(failure: Failure) -> Self {
        NotPut { failure, is_lost: false }
    }
}

impl std::ops::Deref for NotPut {
    type Target = Failure;

    fn deref(&self) -> &Failure {
        &self.failure
    }
}

/// What becomes of data that are put somewhere.
pub type Putting<'a> = Pin<Box<dyn Future<Output = Result<(), NotPut>> + Send + 'a>>;

/// Whose something is: a service of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// Its cluster.
    pub cluster: Arc<str>,
    /// Its name there.
    pub service: Arc<str>,
}

/// What is to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// Whose it is.
    pub name: Name,
    /// What it is.
    pub recipe: Recipe,
    /// The image that the service says, in place of the recipe's.
    pub image: Option<String>,
    /// What the service says of the program's environment, over the recipe's.
    pub env: Vec<(String, String)>,
    /// The most memory that it may have, in bytes.
    pub memory: Option<u64>,
    /// How many processors it may keep busy.
    pub cpus: Option<f64>,
    /// The address of this machine at which clients reach it.
    pub bind: IpAddr,
    /// The port there.
    pub port: u16,
    /// What nobody may read in what its program says.
    pub secret: Option<Secret>,
    /// The operation by which it came to be, for whoever cleans up after a crash.
    pub operation: String,
}

impl Work {
    /// The image that it runs.
    #[must_use]
    pub fn image(&self) -> &str {
        self.image.as_deref().unwrap_or(&self.recipe.image)
    }

    /// What its program has said, with its secret masked: a server that is told something wrong may say all of it again. A
    /// secret of fewer than four characters is none, and would be found in every other word.
    #[must_use]
    pub fn masked(&self, said: String) -> String {
        match self.secret.as_ref().map(Secret::reveal) {
            Some(secret) if secret.len() >= 4 && said.contains(secret) => said.replace(secret, MASK),
            _ => said,
        }
    }
}

/// What became of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Container id or pid.
    pub id: String,
    /// Where the gateway reaches it.
    pub host: String,
    /// The port there.
    pub port: u16,
}

/// What there is of a service here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Whose it is.
    pub name: Name,
    /// The gateway that made it.
    pub gateway: String,
    /// The operation by which it came to be.
    pub operation: String,
    /// Container id or pid; empty where only data are left.
    pub id: String,
    /// How it is.
    pub state: State,
    /// Whether there are data of it.
    pub has_data: bool,
    /// The port of this machine at which it is published.
    pub port: Option<u16>,
    /// Where the gateway reaches it.
    pub at: Option<(String, u16)>,
}

/// How something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing runs and nothing could be started as it is: data may be there.
    Absent,
    /// It does not run, since somebody has stopped it or it was never started.
    Stopped,
    /// It runs.
    Running,
    /// It has ended by itself and is about to be started again.
    Restarting {
        /// With which code it has ended.
        code: Option<i64>,
        /// How often it was started again since it last ran well.
        count: u64,
    },
    /// It has ended by itself, and nobody will start it again.
    Ended {
        /// With which code.
        code: Option<i64>,
    },
}

/// What becomes of the data of what is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// They go too.
    Remove,
    /// They stay, for a service of the same name.
    Keep,
}

/// What is told on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// So many bytes of so many are here.
    Bytes {
        /// Here.
        done: u64,
        /// In all, as far as that is known by now.
        total: u64,
    },
    /// What is being done, in a few words.
    Says(String),
}

/// Who hears it.
pub type Tell<'t> = dyn Fn(Progress) + Send + Sync + 't;

/// Runs recipes. A call that is dropped in the middle may leave something behind, which `remove` then finds.
pub trait Provisioner: Send + Sync {
    /// The word that a document asks for it by.
    fn word(&self) -> &'static str;

    /// Whether anything could be run now; or why not, and what to do about it.
    fn ready(&self) -> Call<'_, ()>;

    /// The site at which this service would run, reached at this port of this machine.
    fn site(&self, name: &Name, port: u16) -> Site;

    /// Gets what is needed to run it: the image, or the programs. Bytes are told.
    fn fetch<'a>(&'a self, work: &'a Work, tell: &'a Tell<'a>) -> Call<'a, ()>;

    /// Sees to it that it runs, and as the work says: what runs just so is left alone, what is stopped is started, what is
    /// otherwise is put in its place on the same data. One that fails leaves what it has made, for [`Provisioner::remove`].
    fn start<'a>(&'a self, work: &'a Work, tell: &'a Tell<'a>) -> Call<'a, Started>;

    /// Ends it as it wishes to be ended. It stays ended until it is started. Nothing where it does not run.
    fn stop<'a>(&'a self, name: &'a Name) -> Call<'a, ()>;

    /// Takes away all that there is of it, but for its data where they are to be kept. Nothing where there is nothing.
    fn remove<'a>(&'a self, name: &'a Name, data: Data) -> Call<'a, ()>;

    /// The same also for what another gateway has made and may use: whoever asks for it knows that. The same where gateways
    /// share nothing.
    fn remove_of_any<'a>(&'a self, name: &'a Name, data: Data) -> Call<'a, ()> {
        self.remove(name, data)
    }

    /// Takes away what a cluster has beside its services, such as a network, where none of them is left.
    fn tidy<'a>(&'a self, _cluster: &'a str) -> Call<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    /// What there is of it; `None` where there is nothing, data neither.
    fn find<'a>(&'a self, name: &'a Name) -> Call<'a, Option<Found>>;

    /// All that any gateway has made here.
    fn list(&self) -> Call<'_, Vec<Found>>;

    /// What it has said.
    fn logs<'a>(&'a self, name: &'a Name, ask: &'a Ask) -> Call<'a, Lines>;

    /// Runs a program beside what runs there, by the same user and in the same surroundings, to its end. It reads the input,
    /// and its standard output goes into the output; what it has said last on its standard error is told where it ends with
    /// something else than 0. One whose call is dropped is asked to end, and its input ends for it in the middle. A conflict
    /// where the service does not run.
    fn beside<'a>(
        &'a self,
        work: &'a Work,
        run: &'a Run,
        input: Option<Input<'a>>,
        output: Option<Output<'a>>,
    ) -> Call<'a, ()>;

    /// Its data as a tar archive, with paths from where the directory of its data begins. A conflict where it runs.
    fn take_data<'a>(&'a self, work: &'a Work, output: Output<'a>) -> Call<'a, ()>;

    /// Puts what is in such an archive in the place of all its data, for whoever runs it there. What is no whole archive, or
    /// would reach outside of the data, is refused before anything is changed. A conflict where it runs; it does not run
    /// after it either.
    fn put_data<'a>(&'a self, work: &'a Work, input: Input<'a>) -> Putting<'a>;
}
