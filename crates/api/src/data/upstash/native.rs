//! The service's own commands, where it has some: asked as they come, and answered in its own words.

use std::time::Duration;

use adapters::key_value::{Commands, NATIVE, Reply, Sort};
use adapters::{Adapter, Call};
use bytes::Bytes;
use clusters::{Access, Service};
use model::kind::Ability;
use model::{Code, Failure, Origin};
use tokio::time::Instant;

use super::command::aborted;
use crate::data::ask::Operation;
use crate::data::cache::operations::{shape, walk_access};

/// How long the commands of one pipeline may wait for something to happen, all of them together.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The commands of a service, where it has its own. What they are is the same at each endpoint.
pub(super) fn commands_of(service: &Service) -> Option<&dyn Commands> {
    service.endpoints.first()?.adapter().key_value()?.commands()
}

fn own(adapter: &dyn Adapter) -> Option<&dyn Commands> {
    adapter.key_value()?.commands()
}

/// Who may be asked commands of these sorts together, of a service that has several endpoints or not.
fn access<'s>(mut sorts: impl Iterator<Item = &'s Sort>, several: bool) -> Access {
    let anywhere = sorts.all(|sort| sort.reads && !(several && sort.walks));
    if anywhere { Access::Read } else { Access::Write }
}

fn are_several(service: &Service) -> bool {
    walk_access(service) == Access::Write
}

/// What may be written down of a command: the beginning of its first key.
fn shape_of<'w>(mut commands: impl Iterator<Item = (&'w [Bytes], &'w Sort)>) -> Box<str> {
    let key = commands.find_map(|(words, sort)| words.get(sort.key?));
    key.map_or_else(|| "*".into(), |key| shape(key))
}

/// One command.
pub(super) struct One {
    words: Vec<Bytes>,
    sort: Sort,
    several: bool,
}

impl One {
    /// What these words are.
    ///
    /// # Errors
    /// Why they cannot be asked here.
    pub(super) fn of(commands: &dyn Commands, words: Vec<Bytes>) -> Result<Self, Failure> {
        let sort = commands.sort(&words)?;
        Ok(One { words, sort, several: false })
    }

    /// The same, to be asked of this service.
    pub(super) fn of_service(self, service: &Service) -> Self {
        One { several: are_several(service), ..self }
    }

    pub(super) fn reads(&self) -> bool {
        self.sort.reads
    }
}

impl Operation for One {
    const ABILITY: Ability = Ability::KeyValue;
    type Answer = Reply;

    fn name(&self) -> &'static str {
        self.sort.name
    }

    fn access(&self) -> Access {
        access(std::iter::once(&self.sort), self.several)
    }

    fn rerun(&self) -> bool {
        self.sort.reads
    }

    fn patience(&self) -> Duration {
        self.sort.waits
    }

    fn shape(&self) -> Box<str> {
        shape_of(std::iter::once((&*self.words, &self.sort)))
    }

    fn run<'a>(&'a self, adapter: &'a dyn Adapter, deadline: Instant) -> Option<Call<'a, Reply>> {
        let commands = own(adapter)?;
        Some(Box::pin(async move {
            match commands.run(&self.words, deadline).await? {
                Reply::Error(text) => Err(refused(text)),
                reply => Ok(reply),
            }
        }))
    }
}

/// A refusal of the engine, with the word that it begins with.
fn refused(text: Box<str>) -> Failure {
    let prefix = text.split(' ').next().unwrap_or_default().to_owned();
    Failure::client(Code::CommandFailed, String::from(text)).with_native(NATIVE, prefix)
}

/// Commands one after the other, in one operation.
pub(super) struct Piped {
    words: Vec<Vec<Bytes>>,
    sorts: Vec<Sort>,
    /// What cannot be asked, with its place among the others.
    refused: Vec<(usize, Failure)>,
    several: bool,
}

impl Piped {
    /// What these commands are. One that cannot be asked has its own end, and the others count.
    pub(super) fn of(commands: &dyn Commands, list: Vec<Vec<Bytes>>) -> Self {
        let words = Vec::with_capacity(list.len());
        let mut piped = Piped { words, sorts: Vec::new(), refused: Vec::new(), several: false };
        for (at, words) in list.into_iter().enumerate() {
            match commands.sort(&words) {
                Ok(sort) => {
                    piped.words.push(words);
                    piped.sorts.push(sort);
                }
                Err(refusal) => piped.refused.push((at, refusal)),
            }
        }
        piped
    }

    /// The same, to be asked of this service.
    pub(super) fn of_service(self, service: &Service) -> Self {
        Piped { several: are_several(service), ..self }
    }

    /// Whether there is nothing to be asked.
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The ends of all commands in order: of those that were asked, and of those that were not.
    ///
    /// # Errors
    /// `bad_gateway` when not each command that was asked has its end.
    pub(super) fn ends(
        self,
        asked: Vec<Result<Reply, Failure>>,
    ) -> Result<Vec<Result<Reply, Failure>>, Failure> {
        all_answered(asked.len(), self.words.len())?;
        let (mut asked, mut refused) = (asked.into_iter(), self.refused.into_iter().peekable());
        let ends = (0..self.words.len() + refused.len()).filter_map(|at| {
            refused
                .next_if(|(place, _)| *place == at)
                .map(|(_, failure)| Err(failure))
                .or_else(|| asked.next())
        });
        Ok(ends.collect())
    }
}

impl Operation for Piped {
    const ABILITY: Ability = Ability::KeyValue;
    type Answer = Vec<Result<Reply, Failure>>;

    fn name(&self) -> &'static str {
        "PIPELINE"
    }

    fn access(&self) -> Access {
        access(self.sorts.iter(), self.several)
    }

    fn rerun(&self) -> bool {
        self.sorts.iter().all(|sort| sort.reads)
    }

    fn patience(&self) -> Duration {
        let waits = self.sorts.iter().fold(Duration::ZERO, |sum, sort| sum.saturating_add(sort.waits));
        waits.min(LONGEST_WAIT)
    }

    fn if_late(&self) -> &'static str {
        if self.rerun() { "" } else { " Some of the commands may have been carried out all the same." }
    }

    fn shape(&self) -> Box<str> {
        shape_of(self.words.iter().map(Vec::as_slice).zip(&self.sorts))
    }

    fn run<'a>(&'a self, adapter: &'a dyn Adapter, deadline: Instant) -> Option<Call<'a, Self::Answer>> {
        Some(own(adapter)?.run_all(&self.words, deadline))
    }
}

/// Commands that nobody sees some of. None of them waits: it finds what is there.
pub(super) struct Together {
    words: Vec<Vec<Bytes>>,
    sorts: Vec<Sort>,
    several: bool,
}

impl Together {
    /// All of them, or none.
    ///
    /// # Errors
    /// Why the first that cannot be asked cannot.
    pub(super) fn of(commands: &dyn Commands, words: Vec<Vec<Bytes>>) -> Result<Self, Failure> {
        let sorts = words.iter().map(|words| commands.sort(words)).collect::<Result<_, _>>();
        Ok(Together { sorts: sorts.map_err(|why| aborted(&why))?, words, several: false })
    }

    /// The same, to be asked of this service.
    pub(super) fn of_service(self, service: &Service) -> Self {
        Together { several: are_several(service), ..self }
    }
}

impl Operation for Together {
    const ABILITY: Ability = Ability::KeyValue;
    type Answer = Vec<Result<Reply, Failure>>;

    fn name(&self) -> &'static str {
        "MULTI"
    }

    fn access(&self) -> Access {
        access(self.sorts.iter(), self.several)
    }

    fn rerun(&self) -> bool {
        self.sorts.iter().all(|sort| sort.reads)
    }

    fn shape(&self) -> Box<str> {
        shape_of(self.words.iter().map(Vec::as_slice).zip(&self.sorts))
    }

    fn run<'a>(&'a self, adapter: &'a dyn Adapter, deadline: Instant) -> Option<Call<'a, Self::Answer>> {
        let commands = own(adapter)?;
        Some(Box::pin(async move {
            let ends = commands.run_together(&self.words, deadline).await?;
            all_answered(ends.len(), self.words.len())?;
            Ok(ends)
        }))
    }
}

/// An answer too few or too many would give each command the result of another.
fn all_answered(ends: usize, asked: usize) -> Result<(), Failure> {
    if ends == asked {
        return Ok(());
    }
    let detail = format!("There were {asked} commands, and {ends} answers.");
    Err(Failure::new(Code::BadGateway, Origin::Service, detail))
}

#[cfg(test)]
mod tests;
