//! Publishing over HTTP: a section for each kind of service, with what the sections share.

#[cfg(feature = "kafka")]
mod kafka;
mod log;

use serde_json::json;

use crate::direct::log::message;
use crate::report::Section;
use crate::rig::Rig;

/// What Throome's queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Embedded.
    Log,
    /// A broker, beside its client.
    Kafka,
}

/// One at a time, fifty at a time, a hundred in one.
pub fn run(rig: &Rig, service: Service) -> anyhow::Result<Section> {
    match service {
        Service::Log => log::run(rig),
        #[cfg(feature = "kafka")]
        Service::Kafka => kafka::run(rig),
        #[cfg(not(feature = "kafka"))]
        Service::Kafka => anyhow::bail!("this program was built without its feature `kafka`"),
    }
}

/// Messages of a publish where there are many in one.
const BATCH: usize = 100;

const CALL: &str = "queue/publish";

fn one(topic: &str) -> serde_json::Value {
    json!({ "topic": topic, "message": message(0) })
}

fn hundred(topic: &str) -> serde_json::Value {
    let messages: Vec<_> = (0..BATCH).map(|number| json!({ "message": message(number) })).collect();
    json!({ "topic": topic, "messages": messages })
}
