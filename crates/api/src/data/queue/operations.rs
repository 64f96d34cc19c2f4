//! What a queue can be asked to do, each as one value that can be asked again.

use std::time::Duration;

use adapters::queue::{
    ConsumeOptions, Consumer, Group, Idempotency, JOINING, Message, Position, Queue, Receipt, Settlement,
    Topic, TopicSpec,
};
use adapters::{Adapter, Call};
use clusters::Access;
use model::Failure;
use model::kind::Ability;
use tokio::time::Instant;

use crate::data::ask::Operation;

/// Something that a queue can be asked to do.
pub(crate) trait OnTopics: Sync {
    /// Which endpoints may be asked.
    const ACCESS: Access;
    /// What comes back.
    type Answer: Send;

    /// As metrics and activity name it.
    fn name(&self) -> &'static str;

    /// Whether it may run again once its bytes have left.
    fn rerun(&self) -> bool {
        Self::ACCESS == Access::Read
    }

    /// How much longer than usual it may take, since what it asks for is to wait.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    /// The topic, and the group where there is one. Names have been checked: they are short and plain.
    fn shape(&self) -> Box<str>;

    /// Asks.
    fn run<'a>(&'a self, queue: &'a dyn Queue) -> Call<'a, Self::Answer>;
}

/// An operation on a queue, as the try loop takes it.
pub(crate) struct Ask<O>(pub(crate) O);

impl<O: OnTopics> Operation for Ask<O> {
    const ABILITY: Ability = Ability::Queue;
    type Answer = O::Answer;

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn access(&self) -> Access {
        O::ACCESS
    }

    fn rerun(&self) -> bool {
        self.0.rerun()
    }

    fn patience(&self) -> Duration {
        self.0.patience()
    }

    fn shape(&self) -> Box<str> {
        self.0.shape()
    }

    fn run<'a>(&'a self, adapter: &'a dyn Adapter, _deadline: Instant) -> Option<Call<'a, Self::Answer>> {
        Some(self.0.run(adapter.queue()?))
    }
}

pub(crate) struct Publish<'p> {
    pub(crate) topic: &'p str,
    pub(crate) messages: &'p [Message],
    pub(crate) idempotency: Option<&'p Idempotency>,
}

impl OnTopics for Publish<'_> {
    const ACCESS: Access = Access::Write;
    type Answer = Vec<Result<Receipt, Failure>>;

    fn name(&self) -> &'static str {
        let keyed = self.messages.iter().any(|message| message.key.is_some());
        if keyed { "PUBLISH_WITH_KEY" } else { "PUBLISH" }
    }

    /// Under a key the engine knows it again, and publishes once.
    fn rerun(&self) -> bool {
        self.idempotency.is_some()
    }

    fn shape(&self) -> Box<str> {
        self.topic.into()
    }

    fn run<'a>(&'a self, queue: &'a dyn Queue) -> Call<'a, Self::Answer> {
        let call = queue.publish(self.topic, self.messages, self.idempotency);
        if self.messages.len() > 1 {
            return call;
        }
        // One message that fails is a call that fails.
        Box::pin(async move { call.await?.into_iter().map(|result| result.map(Ok)).collect() })
    }
}

pub(crate) struct Topics;

impl OnTopics for Topics {
    const ACCESS: Access = Access::Read;
    type Answer = Vec<Topic>;

    fn name(&self) -> &'static str {
        "LIST_TOPICS"
    }

    fn shape(&self) -> Box<str> {
        "*".into()
    }

    fn run<'a>(&'a self, queue: &'a dyn Queue) -> Call<'a, Self::Answer> {
        queue.topics()
    }
}

pub(crate) struct OneTopic<'t>(pub(crate) &'t str);

impl OnTopics for OneTopic<'_> {
    const ACCESS: Access = Access::Read;
    type Answer = Topic;

    fn name(&self) -> &'static str {
        "TOPIC"
    }

    fn shape(&self) -> Box<str> {
        self.0.into()
    }

    fn run<'a>(&'a self, queue: &'a dyn Queue) -> Call<'a, Topic> {
        queue.topic(self.0)
    }
}

pub(crate) struct CreateTopic(pub(crate) TopicSpec);

impl OnTopics for CreateTopic {
    const ACCESS: Access = Access::Write;
    type Answer = Topic;

    fn name(&self) -> &'static str {
        "CREATE_TOPIC"
    }

    fn shape(&self) -> Box<str> {
        self.0.name.clone()
    }

    fn run<'a>(&'a self, queue: &'a dyn Queue) -> Call<'a, Topic> {
        queue.create_topic(&self.0)
    }
}

pub(crate) struct DeleteTopic<'t>(pub(crate) &'t str);

impl OnTopics for DeleteTopic<'_> {
    const ACCESS: Access = Access::Write;
    type Answer = ();

    fn name(&self) -> &'static str {
        "DELETE_TOPIC"
    }

    fn shape(&self) -> Box<str> {
        self.0.into()
    }

    fn run<'a>(&'a self, queue: &'a dyn Queue) -> Call<'a, ()> {
        queue.delete_topic(self.0)
    }
}

pub(crate) struct Subscribe<'o>(pub(crate) &'o ConsumeOptions);

impl OnTopics for Subscribe<'_> {
    const ACCESS: Access = Access::Write;
    type Answer = Box<dyn Consumer>;

    fn name(&self) -> &'static str {
        "SUBSCRIBE"
    }

    /// The group decides who reads what before the stream begins.
    fn patience(&self) -> Duration {
        JOINING
    }

    fn shape(&self) -> Box<str> {
        of_group(&self.0.topic, &self.0.group)
    }

    fn run<'a>(&'a self, queue: &'a dyn Queue) -> Call<'a, Self::Answer> {
        queue.consume(self.0)
    }
}

pub(crate) struct Ack<'s>(pub(crate) &'s Settlement);

impl OnTopics for Ack<'_> {
    const ACCESS: Access = Access::Write;
    type Answer = u64;

    fn name(&self) -> &'static str {
        "ACK"
    }

    fn shape(&self) -> Box<str> {
        of_group(&self.0.topic, &self.0.group)
    }

    fn run<'a>(&'a self, queue: &'a dyn Queue) -> Call<'a, u64> {
        queue.settle(self.0)
    }
}

pub(crate) struct Groups<'t>(pub(crate) Option<&'t str>);

impl OnTopics for Groups<'_> {
    const ACCESS: Access = Access::Read;
    type Answer = Vec<Group>;

    fn name(&self) -> &'static str {
        "GROUPS"
    }

    fn shape(&self) -> Box<str> {
        self.0.unwrap_or("*").into()
    }

    fn run<'a>(&'a self, queue: &'a dyn Queue) -> Call<'a, Self::Answer> {
        queue.groups(self.0)
    }
}

pub(crate) struct ResetGroup<'g> {
    pub(crate) topic: &'g str,
    pub(crate) group: &'g str,
    pub(crate) to: Position,
}

impl OnTopics for ResetGroup<'_> {
    const ACCESS: Access = Access::Write;
    type Answer = Group;

    fn name(&self) -> &'static str {
        "RESET_GROUP"
    }

    fn shape(&self) -> Box<str> {
        of_group(self.topic, self.group)
    }

    fn run<'a>(&'a self, queue: &'a dyn Queue) -> Call<'a, Group> {
        queue.reset_group(self.topic, self.group, self.to)
    }
}

pub(crate) struct DeleteGroup<'g> {
    pub(crate) topic: &'g str,
    pub(crate) group: &'g str,
}

impl OnTopics for DeleteGroup<'_> {
    const ACCESS: Access = Access::Write;
    type Answer = ();

    fn name(&self) -> &'static str {
        "DELETE_GROUP"
    }

    fn shape(&self) -> Box<str> {
        of_group(self.topic, self.group)
    }

    fn run<'a>(&'a self, queue: &'a dyn Queue) -> Call<'a, ()> {
        queue.delete_group(self.topic, self.group)
    }
}

fn of_group(topic: &str, group: &str) -> Box<str> {
    format!("{topic}/{group}").into()
}
