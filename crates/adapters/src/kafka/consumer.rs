//! A consumer as its caller has it: joins a group, and takes from the client what it has room for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::adapter::Hub;
use super::batch::Batch;
use super::group::{Ending, GRACE, Group, Member, State, Stream, name_of, random};
use super::ledger::Millis;
use super::letters::{self, Letter, Why};
use super::limits;
use super::making::Making;
use super::token::{Resume, Whose};
use crate::Call;
use crate::queue::{ConsumeOptions, Consumer, Delivery, Happening, JOINING};
use model::Failure;

/// One stream of a consumer.
pub(super) struct KafkaConsumer {
    pub(super) hub: Arc<Hub>,
    pub(super) group: Arc<Group>,
    id: Box<str>,
    pub(super) consumer: u64,
    session: u64,
    stream: Stream,
    /// The change of its partitions that its caller knows.
    known: u64,
    /// The last delivery that went out to the client, in the order in which they were handed out.
    written: u64,
}

/// Joins a group.
pub(super) async fn join(hub: &Arc<Hub>, options: &ConsumeOptions) -> Result<Box<dyn Consumer>, Failure> {
    limits::topic(&options.topic)?;
    limits::group(&options.group)?;
    if options.credit == 0 {
        return Err(limits::invalid("The credit must be at least 1."));
    }
    let whose = Whose::of(&options.topic, &options.group);
    let resume = match &options.resume {
        None => None,
        Some(text) => Some(
            Resume::read(text, whose)
                .ok_or_else(|| limits::invalid("This is nothing to resume by in this topic and group."))?,
        ),
    };
    if let Some(resume) = resume
        && let Some(group) = hub.table.find(&options.topic, &options.group)
        && let Some(consumer) = come_back(hub, &group, options, resume)
    {
        return Ok(Box::new(consumer));
    }
    let partitions = hub.desk.partitions(&options.topic).await?;
    let group = hub.table.enter(&options.topic, &options.group);
    let consumer = random();
    let stream = Stream::default();
    let making = Making {
        desk: Arc::clone(&hub.desk),
        group: Arc::clone(&group),
        consumer,
        wake: Arc::clone(&stream.wake),
        partitions,
        from: options.from,
        joins: group.lock().reading().next().is_some(),
    };
    let made = hub.desk.aside(move || making.make()).await?;
    let made = made.map_err(|error| super::failure::of(&error, hub.desk.ear(), "join the group"))?;
    hub.is_open()?;
    let member = Member {
        consumer,
        session: random(),
        credit: options.credit,
        lease: millis(options.lease),
        leaves_at: None,
        assignment: Vec::new(),
        changes: 0,
        turn: 0,
        stream,
        link: Arc::clone(&made.link),
    };
    let mut own = KafkaConsumer::of(hub, &group, &member);
    {
        let mut state = group.lock();
        own.written = state.sequence;
        // Who is there need not wait for who is not.
        for absent in state.members.iter_mut().filter(|own| own.leaves_at.is_some()) {
            absent.leaves_at = Some(Instant::now());
        }
        if let Some(resume) = resume.filter(|resume| resume.memory == group.memory) {
            let now = group.now();
            let parts = state.parts.values_mut();
            parts.for_each(|part| part.ledger.release(resume.consumer, resume.sequence, now));
        }
        state.insert(member);
    }
    if let Err(error) = made.join(Arc::clone(&hub.table), Handle::current()) {
        group.lock().members.retain(|member| member.consumer != consumer);
        return Err(super::failure::of(&error, hub.desk.ear(), "join the group"));
    }
    own.settle_in().await;
    Ok(Box::new(own))
}

/// The stream of a consumer that was there a moment ago.
fn come_back(
    hub: &Arc<Hub>,
    group: &Arc<Group>,
    options: &ConsumeOptions,
    resume: Resume,
) -> Option<KafkaConsumer> {
    if resume.memory != group.memory {
        return None;
    }
    let now = group.now();
    let mut state = group.lock();
    let sequence = state.sequence;
    let member = state.member(resume.consumer)?;
    // One that is about to leave is not called back.
    if member.leaves_at.is_some_and(|at| at <= Instant::now()) {
        return None;
    }
    member.stream.end(Ending::Superseded);
    member.stream.ending = Arc::default();
    member.session = random();
    (member.credit, member.lease, member.leaves_at) = (options.credit, millis(options.lease), None);
    let mut own = KafkaConsumer::of(hub, group, member);
    own.written = sequence;
    own.known = member.changes;
    let parts = state.parts.values_mut();
    parts.for_each(|part| part.ledger.release(resume.consumer, resume.sequence, now));
    Some(own)
}

fn millis(span: Duration) -> Millis {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX >> 1).max(1)
}

/// What a look at the group came to.
enum Look {
    Happened(Happening),
    Ended(Ending),
    /// Nothing, until then at the latest.
    Nothing(Option<Instant>),
}

impl KafkaConsumer {
    fn of(hub: &Arc<Hub>, group: &Arc<Group>, member: &Member) -> Self {
        KafkaConsumer {
            hub: Arc::clone(hub),
            group: Arc::clone(group),
            id: name_of(member.consumer).into(),
            consumer: member.consumer,
            session: member.session,
            stream: member.stream.clone(),
            known: 0,
            written: 0,
        }
    }

    /// Waits until the group has said which partitions are its own, for a moment.
    async fn settle_in(&mut self) {
        let told = async {
            loop {
                let changes = self.group.lock().member(self.consumer).map_or(1, |member| member.changes);
                if changes > 0 {
                    self.known = changes;
                    return;
                }
                self.stream.wake.notified().await;
            }
        };
        // Without an answer it is told as a change.
        let _ = tokio::time::timeout(JOINING, told).await;
    }

    async fn wait(&mut self) -> Result<Happening, Failure> {
        loop {
            let (look, letters) = self.look();
            for letter in letters {
                letters::send(&self.hub, &self.group, letter);
            }
            let until = match look {
                Look::Happened(happening) => return Ok(happening),
                Look::Ended(why) => return Err(why.failure(self.hub.desk.ear())),
                Look::Nothing(until) => until,
            };
            let woken = self.stream.wake.notified();
            match until {
                None => woken.await,
                Some(until) => drop(tokio::time::timeout_at(until.into(), woken).await),
            }
        }
    }

    /// Looks at what there is for it, and takes it. Never waits.
    fn look(&mut self) -> (Look, Vec<Letter>) {
        let mut state = self.group.lock();
        if let Some(why) = self.stream.ending.get() {
            return (Look::Ended(*why), Vec::new());
        }
        let Some(member) = state.member(self.consumer).filter(|member| member.session == self.session) else {
            return (Look::Ended(Ending::Closed), Vec::new());
        };
        if member.changes != self.known {
            self.known = member.changes;
            return (Look::Happened(Happening::Assignment(member.assignment.clone())), Vec::new());
        }
        let now = self.group.now();
        let mut letters = Vec::new();
        let own = state.parts.iter_mut().filter(|(_, part)| part.owner == Some(self.consumer));
        for (partition, part) in own {
            let dead = part.ledger.expire(now);
            letters.extend(dead.into_iter().filter_map(|offset| {
                let (content, deliveries) = part.ledger.bury(offset)?;
                let (partition, why) = (*partition, Why::MaxDeliveries);
                Some(Letter { partition, offset, deliveries, content, why })
            }));
        }
        let mut batch = Batch::of(self, &mut state, now);
        batch.gather(&mut state);
        let look = match (batch.failed, batch.deliveries) {
            (Some(code), deliveries) if deliveries.is_empty() => Look::Ended(Ending::Refused(code)),
            (_, deliveries) if deliveries.is_empty() => {
                let own = state.parts.values().filter(|part| part.owner == Some(self.consumer));
                let wakes = own.filter_map(|part| part.ledger.wakes_at(now)).min();
                Look::Nothing(wakes.map(|at| self.group.at(at.max(now + 1))))
            }
            (_, deliveries) => Look::Happened(Happening::Messages(deliveries)),
        };
        (look, letters)
    }
}

impl Consumer for KafkaConsumer {
    fn id(&self) -> &str {
        &self.id
    }

    fn assignment(&self) -> Vec<u32> {
        self.group.lock().member(self.consumer).map(|member| member.assignment.clone()).unwrap_or_default()
    }

    fn next(&mut self) -> Call<'_, Happening> {
        Box::pin(self.wait())
    }

    fn written(&mut self, last: &Delivery) {
        if let Some(resume) = Resume::read(&last.resume, self.group.whose) {
            self.written = self.written.max(resume.sequence);
        }
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        let now = self.group.now();
        let mut state = self.group.lock();
        let State { parts, members, .. } = &mut *state;
        let own = members.iter_mut().find(|own| own.consumer == self.consumer && own.session == self.session);
        let Some(member) = own else { return };
        member.leaves_at.get_or_insert(Instant::now() + GRACE);
        parts.values_mut().for_each(|part| part.ledger.take_back(self.consumer, self.written, now));
    }
}
