//! `cache`: keys in a cluster's cache. Values go to standard output as they are.

use std::time::Duration;

use clap::{Args, Subcommand};
use model::Span;
use sdk::{Cache, TimeToLive};
use serde_json::{Value, json};

use crate::complete;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{Format, text};
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct CacheArgs {
    /// The cache, where the cluster has several
    #[arg(long, global = true, value_name = "NAME", add = complete::services())]
    service: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Print a value
    Get {
        /// Its key
        key: String,
    },
    /// Store a value
    Set {
        /// Its key
        key: String,
        /// Text; `-` reads standard input, bytes and all
        #[arg(allow_negative_numbers = true)]
        value: String,
        /// How long it lives: 60, 10s, 5m; left out, for ever
        #[arg(long)]
        ttl: Option<Span>,
    },
    /// Remove keys
    #[command(visible_alias = "delete")]
    Del {
        /// Their names
        #[arg(required = true)]
        keys: Vec<String>,
    },
    /// Add to a whole number
    Incr {
        /// Its key
        key: String,
        /// What to add; may be negative
        #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
        by: i64,
    },
    /// Set how long a key still lives
    Expire {
        /// Its name
        key: String,
        /// 60, 10s, 5m
        ttl: Span,
    },
    /// Print how many seconds a key still lives
    Ttl {
        /// Its name
        key: String,
    },
    /// Print the keys that match a pattern
    #[command(visible_alias = "scan")]
    Keys {
        /// `*` stands for anything
        #[arg(default_value = "*")]
        pattern: String,
        /// At most this many
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
}

pub(crate) async fn run(args: CacheArgs, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let mut cache = session.client()?.cluster(&session.cluster()?).cache();
    if let Some(service) = &args.service {
        cache = cache.service(service);
    }
    match args.verb {
        Verb::Get { key } => get(session, &cache, &key).await,
        Verb::Set { key, value, ttl } => set(session, &cache, &key, value, ttl).await,
        Verb::Del { keys } => del(session, &cache, &keys).await,
        Verb::Incr { key, by } => {
            let body = session.send(cache.incr(&key, by)).await?;
            session.show(&body, &key, |_| format!("{}\n", text(&body, "/value")))?;
            Ok(Exit::Done)
        }
        Verb::Expire { key, ttl } => {
            let body = session.send(cache.expire(&key, ttl.0)).await?;
            answer(session, &body, &key, "updated")
        }
        Verb::Ttl { key } => ttl(session, &cache, &key).await,
        Verb::Keys { pattern, limit } => keys(session, &cache, &pattern, limit).await,
    }
}

async fn get(session: &mut Session<'_>, cache: &Cache, key: &str) -> Result<Exit, Fault> {
    let reply = cache.get(key).reply().await;
    session.tell_trace();
    let reply = reply?;
    let Some(value) = Cache::value_of(&reply)? else {
        session.show(&reply.json()?, "", |_| String::new())?;
        return Err(missing(key));
    };
    if matches!(session.global.output, Format::Json | Format::Yaml | Format::Name) {
        session.show(&reply.json()?, key, |_| String::new())?;
        return Ok(Exit::Done);
    }
    session.terminal.data(&value)?;
    // To a file or a program goes the value alone; a person's prompt wants a line of its own.
    if session.terminal.people.read_out && !value.ends_with(b"\n") {
        session.terminal.data(b"\n")?;
    }
    Ok(Exit::Done)
}

async fn set(
    session: &mut Session<'_>,
    cache: &Cache,
    key: &str,
    value: String,
    ttl: Option<Span>,
) -> Result<Exit, Fault> {
    let mut bytes = value.into_bytes();
    if bytes == b"-" {
        bytes.clear();
        session
            .terminal
            .input
            .read_to_end(&mut bytes)
            .map_err(|error| Fault::new(Exit::Failed, "cannot read standard input").why(error.to_string()))?;
    }
    let call = match ttl {
        Some(ttl) => cache.set_with_ttl(key, &bytes, ttl.0),
        None => cache.set(key, &bytes),
    };
    let body = session.send(call).await?;
    session.changed(&format!("stored `{key}`"), &body, key)?;
    Ok(Exit::Done)
}

async fn del(session: &mut Session<'_>, cache: &Cache, keys: &[String]) -> Result<Exit, Fault> {
    let mut exit = Exit::Done;
    for key in keys {
        let body = session.send(cache.delete(key)).await?;
        if answer(session, &body, key, "deleted")? != Exit::Done {
            exit = Exit::NotFound;
        }
    }
    Ok(exit)
}

async fn ttl(session: &mut Session<'_>, cache: &Cache, key: &str) -> Result<Exit, Fault> {
    let reply = cache.ttl(key).reply().await;
    session.tell_trace();
    let reply = reply?;
    let body: Value = reply.json()?;
    let left = Cache::ttl_of(&reply)?;
    session.show(&body, key, |_| match left {
        TimeToLive::Missing => String::new(),
        TimeToLive::Unlimited => "unlimited\n".to_owned(),
        TimeToLive::Left(left) => format!("{}\n", whole_or_fraction(left)),
    })?;
    if left == TimeToLive::Missing { Err(missing(key)) } else { Ok(Exit::Done) }
}

async fn keys(session: &mut Session<'_>, cache: &Cache, pattern: &str, limit: usize) -> Result<Exit, Fault> {
    let mut scan = cache.scan(pattern);
    let (mut keys, mut more) = (Vec::new(), false);
    let ended = loop {
        match scan.next().await {
            Ok(Some(_)) if keys.len() == limit => {
                more = true;
                break Ok(());
            }
            Ok(Some(key)) => keys.push(key),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    session.tell_trace();
    ended?;
    let body = json!({ "keys": keys, "count": keys.len(), "truncated": more });
    session.show(&body, &keys.join("\n"), |_| keys.iter().map(|key| format!("{key}\n")).collect())?;
    if more {
        session.say(&format!("there are more than {limit}; say --limit N for more"));
    }
    Ok(Exit::Done)
}

/// An answer that is yes or no: no means that there is no such key.
fn answer(session: &mut Session<'_>, body: &Value, key: &str, field: &str) -> Result<Exit, Fault> {
    let yes = body[field].as_bool().unwrap_or_else(|| body[field].as_u64().is_some_and(|count| count > 0));
    let sentence = if yes { format!("{field} `{key}`") } else { format!("there is no key `{key}`") };
    session.changed(&sentence, body, key)?;
    Ok(if yes { Exit::Done } else { Exit::NotFound })
}

fn missing(key: &str) -> Fault {
    Fault::new(Exit::NotFound, format!("there is no key `{key}`"))
}

fn whole_or_fraction(left: Duration) -> String {
    if left.subsec_nanos() == 0 { left.as_secs().to_string() } else { format!("{:.3}", left.as_secs_f64()) }
}
