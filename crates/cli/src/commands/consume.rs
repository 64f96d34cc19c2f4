//! `consume`: messages as one of a group. What was written out is acknowledged, a batch at a time, so that a
//! message is lost neither here nor behind a pipe.

use clap::{Args, ValueEnum};
use model::Span;
use sdk::{Consumer, Delivery};
use serde_json::Value;

use super::topic::OfQueue;
use crate::complete;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{Format, counted};
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Consume {
    /// What to read
    #[arg(add = complete::topics())]
    topic: String,
    /// As one of whom: each message goes to one of a group
    #[arg(short, long, add = complete::groups())]
    group: String,
    /// Where a group that is new begins
    #[arg(long, value_enum, default_value_t, value_name = "WHERE")]
    from: From,
    /// Messages that may be on their way to here [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    credit: Option<u32>,
    /// End after this many messages
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Whether what was written out is done, or comes again after its lease
    #[arg(long, value_enum, default_value_t)]
    ack: Ack,
    /// End when there was no message for this long: 0, 500ms, 5s; left out, never
    #[arg(long, value_name = "TIME")]
    wait: Option<Span>,
    /// How long a message may be unanswered before it comes again [default: 30s]
    #[arg(long, value_name = "TIME")]
    lease: Option<Span>,
    #[command(flatten)]
    queue: OfQueue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum From {
    #[default]
    Earliest,
    Latest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Ack {
    // What was written out is done.
    #[default]
    Auto,
    // Everything comes again.
    None,
}

/// Acknowledgements in one call at most.
const TOGETHER: usize = 1000;

/// What was read so far.
#[derive(Default)]
struct Tally {
    read: u64,
    acknowledged: u64,
    /// Written out and not acknowledged yet.
    owed: Vec<String>,
}

pub(crate) async fn run(args: Consume, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let json = match session.global.output {
        Format::Table | Format::Raw => false,
        Format::Json => true,
        Format::Wide | Format::Yaml | Format::Name | Format::Csv => {
            return Err(Fault::usage("consume writes values as they are, or JSON").fix("say -o raw or json"));
        }
    };
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let opened = tokio::select! {
        opened = open(&args, session) => opened,
        _ = &mut interrupt => return Ok(Exit::Interrupted),
    };
    session.tell_trace();
    let mut consumer = opened?;
    let mut tally = Tally::default();
    let mut broken = 0;
    session.say(&format!("reading `{}` as one of `{}`", args.topic, args.group));
    let exit = loop {
        if args.count.is_some_and(|count| tally.read >= count) {
            break Exit::Done;
        }
        let first = tokio::select! {
            first = consumer.next() => first,
            _ = &mut interrupt => break Exit::Interrupted,
        };
        session.tell_trace();
        if consumer.broken() != broken {
            broken = consumer.broken();
            session.say("the connection broke and was taken up again");
        }
        let Some(first) = first.map_err(|error| told(session, error.into(), &tally))? else {
            break Exit::Done;
        };
        batch(&args, session, &mut consumer, first, &mut tally, json)?;
        if args.count.is_some_and(|count| tally.read >= count) {
            // An acknowledgement makes room for more messages, which nobody would read.
            consumer.stop();
        }
        settle(session, &consumer, &mut tally).await?;
    };
    consumer.stop();
    settle(session, &consumer, &mut tally).await?;
    session.say(&summary(&args, &tally));
    Ok(exit)
}

async fn open(args: &Consume, session: &Session<'_>) -> Result<Consumer, Fault> {
    let mut consume = args.queue.open(session)?.consume(&args.topic, &args.group);
    // Whoever wants three messages takes no more away from the others of the group.
    let few = args.count.map(|count| u32::try_from(count).unwrap_or(u32::MAX).min(100));
    if let Some(credit) = args.credit.or(few) {
        consume = consume.credit(credit);
    }
    if args.from == From::Latest {
        consume = consume.from_latest();
    }
    if let Some(wait) = args.wait {
        consume = consume.wait(wait.0);
    }
    if let Some(lease) = args.lease {
        consume = consume.lease(lease.0);
    }
    Ok(consume.open().await?)
}

/// Writes what is here, and sees it leave.
fn batch(
    args: &Consume,
    session: &mut Session<'_>,
    consumer: &mut Consumer,
    first: Delivery,
    tally: &mut Tally,
    json: bool,
) -> Result<(), Fault> {
    let mut next = Some(first);
    while let Some(message) = next {
        let line = if json { as_json(message.raw) } else { as_it_is(session, &message.value) };
        session.terminal.data(&line)?;
        tally.read += 1;
        if args.ack == Ack::Auto {
            tally.owed.push(message.ack);
        }
        let enough = args.count.is_some_and(|count| tally.read >= count);
        next = if enough || tally.owed.len() >= TOGETHER { None } else { consumer.at_hand()? };
    }
    session.terminal.flush()
}

/// Acknowledges what was written out. A gateway that is away for a while is asked again with the next batch.
async fn settle(session: &mut Session<'_>, consumer: &Consumer, tally: &mut Tally) -> Result<(), Fault> {
    if tally.owed.is_empty() {
        return Ok(());
    }
    let asked = consumer.ack(&tally.owed).await;
    session.tell_trace();
    match asked {
        Ok(counted) => {
            let late = (tally.owed.len() as u64).saturating_sub(counted);
            tally.acknowledged += counted;
            tally.owed.clear();
            if late > 0 {
                session.say(&format!(
                    "{late} acknowledgements came too late: these messages come again (--lease gives more time)"
                ));
            }
            Ok(())
        }
        Err(error) if tally.owed.len() < 5 * TOGETHER && passes(&error) => {
            session.say(&format!("not acknowledged yet: {error}"));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn passes(error: &sdk::Error) -> bool {
    error.retryable() || matches!(error.family(), sdk::Family::Connection | sdk::Family::Timeout)
}

fn told(session: &mut Session<'_>, fault: Fault, tally: &Tally) -> Fault {
    session.say(&format!("{} read, {} acknowledged", counted(tally.read, "message"), tally.acknowledged));
    fault
}

fn summary(args: &Consume, tally: &Tally) -> String {
    let read = counted(tally.read, "message");
    match (args.ack, tally.owed.len()) {
        (Ack::None, _) => format!("{read}, none acknowledged: they come again"),
        (Ack::Auto, 0) => read,
        (Ack::Auto, owed) => format!("{read}; {owed} not acknowledged, they come again"),
    }
}

fn as_json(mut raw: Value) -> Vec<u8> {
    if let Some(fields) = raw.as_object_mut() {
        // Where the stream goes on is our business.
        fields.retain(|name, _| name != "resume" && name != "event");
    }
    format!("{raw}\n").into_bytes()
}

/// To a file or a program go the bytes; what could command a terminal is written out for a person.
fn as_it_is(session: &Session<'_>, value: &[u8]) -> Vec<u8> {
    let mut line = if session.terminal.people.read_out {
        let text = String::from_utf8_lossy(value);
        text.split('\n').map(crate::output::visible).collect::<Vec<_>>().join("\n").into_bytes()
    } else {
        value.to_vec()
    };
    line.push(b'\n');
    line
}
