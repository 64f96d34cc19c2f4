//! Reading messages as one of a group: a stream that is taken up again where it broke.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::address::with_query;
use crate::call::{Call, Outgoing, Patience, open};
use crate::error::Error;
use crate::patience::Persistence;
use crate::queue::{Queue, Settlement};
use crate::stream::Lines;

/// How a topic is read; from [`Queue::consume`].
///
/// ```no_run
/// # async fn example(queue: throome_sdk::Queue) -> Result<(), throome_sdk::Error> {
/// let mut consumer = queue.consume("orders", "mailer").credit(50).open().await?;
/// while let Some(message) = consumer.next().await? {
///     println!("{:?}", message.value);
///     consumer.ack(&[message.ack]).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Consume {
    queue: Queue,
    topic: String,
    group: String,
    credit: Option<u32>,
    from_latest: bool,
    wait: Option<Duration>,
    lease: Option<Duration>,
}

/// A message that was delivered, to be answered within the lease.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Delivery {
    /// Its topic.
    pub topic: String,
    /// Its partition, from 0.
    pub partition: u32,
    /// Its place in the partition.
    pub offset: u64,
    /// Its key, if it has one.
    pub key: Option<Bytes>,
    /// Its content.
    pub value: Bytes,
    /// What travels with it.
    pub headers: Map<String, Value>,
    /// When it was stored; RFC 3339, UTC.
    pub timestamp: String,
    /// 1 for the first time that it is given to the group.
    pub delivery: u32,
    /// What it is answered with.
    pub ack: String,
    /// The message as the gateway wrote it.
    pub raw: Value,
}

impl Consume {
    pub(crate) fn new(queue: Queue, topic: &str, group: &str) -> Consume {
        Consume {
            queue,
            topic: topic.to_owned(),
            group: group.to_owned(),
            credit: None,
            from_latest: false,
            wait: None,
            lease: None,
        }
    }

    /// How many messages may be given out and not answered; left out, 100.
    #[must_use]
    pub fn credit(mut self, messages: u32) -> Consume {
        self.credit = Some(messages);
        self
    }

    /// A group that is new begins after the newest message, and not at the oldest.
    #[must_use]
    pub fn from_latest(mut self) -> Consume {
        self.from_latest = true;
        self
    }

    /// The stream ends when there was no message for this long; left out, it never does.
    #[must_use]
    pub fn wait(mut self, time: Duration) -> Consume {
        self.wait = Some(time);
        self
    }

    /// A message that is not answered within this time comes again; left out, 30 s.
    #[must_use]
    pub fn lease(mut self, time: Duration) -> Consume {
        self.lease = Some(time);
        self
    }

    /// Joins the group and begins to read.
    ///
    /// # Errors
    /// The gateway cannot be reached, or there is no such topic.
    pub async fn open(self) -> Result<Consumer, Error> {
        let mut consumer = Consumer {
            options: self,
            lines: None,
            resume: None,
            hello: Value::Null,
            persistence: Persistence::default(),
            broken: 0,
            over: false,
        };
        consumer.lines = Some(consumer.connect().await?);
        Ok(consumer)
    }
}

/// One of a group, reading. When its connection breaks it is taken up again by itself, and no message is
/// lost; what was not answered may come twice. Dropping it leaves the group.
pub struct Consumer {
    options: Consume,
    lines: Option<Lines>,
    /// Where to go on after the last line that was read.
    resume: Option<String>,
    hello: Value,
    persistence: Persistence,
    broken: u64,
    over: bool,
}

/// A line of the stream. Heartbeats are empty lines and never come here.
enum Line {
    Message(Box<Delivery>),
    /// Who we are in the group and what we read; words of a later version.
    Other,
}

impl Consumer {
    /// The next message; `None` when there was none for as long as [`Consume::wait`] says.
    ///
    /// # Errors
    /// The stream ended in a way that trying again does not mend.
    pub async fn next(&mut self) -> Result<Option<Delivery>, Error> {
        loop {
            if self.over {
                return Ok(None);
            }
            let line = match &mut self.lines {
                Some(lines) => lines.next().await,
                None => match self.connect().await {
                    Ok(lines) => {
                        self.lines = Some(lines);
                        continue;
                    }
                    Err(error) => Err(error),
                },
            };
            let taken = match line {
                Ok(Some(line)) => self.take(&line),
                Ok(None) if self.options.wait.is_some() && self.lines.is_some() => {
                    self.over = true;
                    continue;
                }
                Ok(None) => Err(broke_off()),
                Err(error) => Err(error),
            };
            match taken {
                Ok(Some(Line::Message(message))) => return Ok(Some(*message)),
                Ok(_) => {}
                Err(error) => {
                    self.broken += u64::from(self.lines.take().is_some());
                    self.persistence.after(error).await?;
                }
            }
        }
    }

    /// The next message if it has arrived already.
    ///
    /// # Errors
    /// What has arrived is no message.
    pub fn at_hand(&mut self) -> Result<Option<Delivery>, Error> {
        loop {
            let Some(line) = self.lines.as_mut().and_then(Lines::at_hand) else { return Ok(None) };
            match self.take(&line) {
                Ok(Some(Line::Message(message))) => return Ok(Some(*message)),
                Ok(_) => {}
                // The next call of `next` opens the stream again or says why not.
                Err(error) if error.retryable() => {
                    self.lines = None;
                    self.broken += 1;
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads no more: the stream closes, and what was delivered and not read goes to others of the group. What
    /// was read can still be answered.
    pub fn stop(&mut self) {
        self.lines = None;
        self.over = true;
    }

    /// Who this is in the group, and what it reads: the latest the gateway said.
    #[must_use]
    pub fn hello(&self) -> &Value {
        &self.hello
    }

    /// How often the connection broke and was taken up again, or is about to be.
    #[must_use]
    pub fn broken(&self) -> u64 {
        self.broken
    }

    /// Says that messages are done, by their tokens; how many answers still counted.
    pub fn ack(&self, tokens: &[String]) -> Call<u64> {
        self.options.queue.ack(&self.options.topic, &self.options.group, tokens)
    }

    /// Answers for messages: done, again, or never again.
    pub fn settle(&self, settlement: &Settlement) -> Call<u64> {
        self.options.queue.settle(&self.options.topic, &self.options.group, settlement)
    }

    fn take(&mut self, line: &[u8]) -> Result<Option<Line>, Error> {
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let value: Value = serde_json::from_slice(line)
            .map_err(|source| Error::unreadable("a line of the stream is not JSON", source))?;
        if value["event"] == "error" {
            let nested = value.get("error").filter(|problem| problem.is_object());
            return Err(Error::from_problem(nested.unwrap_or(&value)));
        }
        self.persistence.rest();
        if let Some(resume) = value["resume"].as_str() {
            self.resume = Some(resume.to_owned());
        }
        match value["event"].as_str() {
            Some("message") => Ok(Some(Line::Message(Box::new(delivery(value)?)))),
            Some("hello" | "assignment") => {
                self.hello = value;
                Ok(Some(Line::Other))
            }
            _ => Ok(Some(Line::Other)),
        }
    }

    async fn connect(&self) -> Result<Lines, Error> {
        let Consume { queue, topic, group, credit, from_latest, wait, lease } = &self.options;
        let millis = |time: &Duration| time.as_millis().to_string();
        let path = with_query(
            &queue.path("/consume"),
            &[
                ("topic", Some(topic)),
                ("group", Some(group)),
                ("credit", credit.map(|credit| credit.to_string()).as_deref()),
                ("from", from_latest.then_some("latest")),
                ("wait_ms", wait.as_ref().map(millis).as_deref()),
                ("lease_ms", lease.as_ref().map(millis).as_deref()),
                ("resume", self.resume.as_deref()),
            ],
        );
        let mut request = Outgoing::get(path, Patience::Data);
        request.accept = "application/x-ndjson";
        let (_, body) = Box::pin(open(queue.client(), &request)).await?;
        Ok(Lines::new(body))
    }
}

fn broke_off() -> Error {
    Error::new(crate::Family::Connection, "the stream ended")
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    topic: String,
    #[serde(default)]
    partition: u32,
    offset: u64,
    key: Option<String>,
    key_encoding: Option<String>,
    value: Option<String>,
    encoding: Option<String>,
    #[serde(default)]
    headers: Option<Map<String, Value>>,
    #[serde(default)]
    timestamp: String,
    #[serde(default)]
    delivery: u32,
    #[serde(default)]
    ack: String,
}

fn delivery(raw: Value) -> Result<Delivery, Error> {
    let parsed = Raw::deserialize(&raw)
        .map_err(|source| Error::unreadable("a message of the stream is not what we expect", source))?;
    let key = match parsed.key {
        Some(key) => Some(bytes(key, parsed.key_encoding.as_deref())?),
        None => None,
    };
    Ok(Delivery {
        topic: parsed.topic,
        partition: parsed.partition,
        offset: parsed.offset,
        key,
        value: bytes(parsed.value.unwrap_or_default(), parsed.encoding.as_deref())?,
        headers: parsed.headers.unwrap_or_default(),
        timestamp: parsed.timestamp,
        delivery: parsed.delivery,
        ack: parsed.ack,
        raw,
    })
}

fn bytes(text: String, encoding: Option<&str>) -> Result<Bytes, Error> {
    match encoding {
        None => Ok(text.into()),
        Some("base64") => STANDARD
            .decode(text)
            .map(Bytes::from)
            .map_err(|source| Error::unreadable("a message is not base64", source)),
        Some(_) => Err(Error::unreadable("a message's encoding is one of a later version", "not base64")),
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("options", &self.options).finish_non_exhaustive()
    }
}
