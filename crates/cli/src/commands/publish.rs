//! `publish`: a message from the command line, a file or a pipe; or a message for each line of one.

use std::io::{BufRead, BufReader, Read};

use clap::{Args, ValueHint};
use sdk::{Message, Published, Queue};
use serde_json::{Value, json};

use super::topic::OfQueue;
use crate::complete;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{Format, counted, text};
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Publish {
    /// Where to
    #[arg(add = complete::topics())]
    topic: String,
    /// Text; `-` reads standard input, bytes and all
    #[arg(conflicts_with = "file", allow_hyphen_values = true)]
    message: Option<String>,
    /// Messages of one key keep their order
    #[arg(long)]
    key: Option<String>,
    /// What travels with it; may repeat
    #[arg(long, value_name = "NAME=VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// The message is what this file holds
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<String>,
    /// Each line is a message
    #[arg(long)]
    lines: bool,
    #[command(flatten)]
    queue: OfQueue,
}

/// The longest message that is read; the queue's own limit is shorter.
const LONGEST: u64 = 256 * 1024 * 1024;
/// Lines of a file are published in batches of about this many bytes, and at most this many messages.
const BATCH: usize = 512 * 1024;
const MESSAGES: usize = 2000;

pub(crate) async fn run(args: Publish, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let queue = args.queue.open(session)?;
    if args.lines {
        return lines(&args, &queue, session).await;
    }
    let value = match (&args.message, &args.file) {
        (Some(message), _) if message != "-" => message.clone().into_bytes(),
        (_, file) => {
            let (name, reader) = input(file.as_deref(), args.message.is_some(), session)?;
            let mut value = Vec::new();
            reader.take(LONGEST).read_to_end(&mut value).map_err(|error| unread(&name, &error))?;
            value
        }
    };
    let body = session.send(queue.publish(&args.topic, &message(&args, value))).await?;
    let receipt = |pointer| text(&body, &format!("/results/0{pointer}"));
    let name = format!("{}/{}/{}", args.topic, receipt("/partition"), receipt("/offset"));
    let sentence = format!(
        "published to `{}`, partition {}, offset {}",
        args.topic,
        receipt("/partition"),
        receipt("/offset")
    );
    session.changed(&sentence, &body, &name)?;
    Ok(Exit::Done)
}

/// Publishes each line, as soon as it is there: a pipe may bring one an hour.
async fn lines(args: &Publish, queue: &Queue, session: &mut Session<'_>) -> Result<Exit, Fault> {
    if args.message.as_ref().is_some_and(|message| message != "-") {
        return Err(Fault::usage("--lines reads a file or standard input").fix("leave the message out"));
    }
    let mut done = 0;
    let (mut batch, mut begun): (Vec<Message>, Vec<u8>) = (Vec::new(), Vec::new());
    let mut file = match args.file.as_deref().filter(|file| *file != "-") {
        Some(file) => Some(BufReader::with_capacity(
            BATCH,
            std::fs::File::open(file).map_err(|error| unread(file, &error))?,
        )),
        None => {
            input(None, args.message.is_some(), session)?;
            None
        }
    };
    loop {
        let reader: &mut dyn BufRead = match &mut file {
            Some(file) => file,
            None => &mut *session.terminal.input,
        };
        let piece = reader.fill_buf().map_err(|error| unread("the lines", &error))?;
        let (length, end) = (piece.len(), piece.is_empty());
        for part in piece.split_inclusive(|&byte| byte == b'\n') {
            begun.extend_from_slice(part);
            if part.ends_with(b"\n") {
                batch.push(message(args, line(&mut begun)));
            }
        }
        reader.consume(length);
        if end && !begun.is_empty() {
            batch.push(message(args, line(&mut begun)));
        }
        if begun.len() as u64 > LONGEST {
            return Err(Fault::new(Exit::Invalid, format!("line {} is too long", done + 1)));
        }
        for some in batch.chunks(MESSAGES) {
            done = send(args, queue, session, some, done).await?;
        }
        batch.clear();
        if end {
            break;
        }
    }
    session.say(&format!("published {} to `{}`", counted(done, "message"), args.topic));
    Ok(Exit::Done)
}

fn line(begun: &mut Vec<u8>) -> Vec<u8> {
    let mut line = std::mem::take(begun);
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    line
}

/// Publishes some; how many are done with them. The first that was refused is told by its line.
async fn send(
    args: &Publish,
    queue: &Queue,
    session: &mut Session<'_>,
    messages: &[Message],
    done: u64,
) -> Result<u64, Fault> {
    let results = queue.publish_all(&args.topic, messages).await;
    session.tell_trace();
    let failed =
        |fault: Fault, at: u64| fault.at(&format!("line {at}; {} lines before it are published", at - 1));
    let results = results.map_err(|error| failed(error.into(), done + 1))?;
    if results.len() != messages.len() {
        let what = format!("the gateway answered for {} of {} messages", results.len(), messages.len());
        return Err(failed(Fault::new(Exit::Unreachable, what), done + 1));
    }
    let mut stored = 0;
    let mut refused = None;
    for (number, result) in (done + 1..).zip(results) {
        match result {
            Published::Stored(receipt) => {
                stored += 1;
                let receipt = json!({ "topic": receipt.topic, "partition": receipt.partition, "offset": receipt.offset });
                show(session, &receipt)?;
            }
            Published::Refused(error) if refused.is_none() => refused = Some((error, number)),
            _ => {}
        }
    }
    session.terminal.flush()?;
    match refused {
        Some((error, number)) => {
            let others =
                format!("line {number}; of the {} lines around it, {stored} are published", messages.len());
            Err(Fault::from(error).at(&others))
        }
        None => Ok(done + stored),
    }
}

/// A receipt is data only for whoever asked for a format.
fn show(session: &mut Session<'_>, receipt: &Value) -> Result<(), Fault> {
    match session.global.output {
        Format::Json => session.terminal.data(format!("{receipt}\n").as_bytes()),
        Format::Name => {
            let name = |pointer| text(receipt, pointer);
            let line = format!("{}/{}/{}\n", name("/topic"), name("/partition"), name("/offset"));
            session.terminal.data(line.as_bytes())
        }
        Format::Table | Format::Wide | Format::Yaml | Format::Csv | Format::Raw => Ok(()),
    }
}

/// Where the message is read from, with its name.
fn input<'a>(
    file: Option<&str>,
    asked_for: bool,
    session: &'a mut Session<'_>,
) -> Result<(String, Box<dyn Read + 'a>), Fault> {
    match file.filter(|file| *file != "-") {
        Some(file) => {
            let opened = std::fs::File::open(file).map_err(|error| unread(file, &error))?;
            Ok((file.to_owned(), Box::new(opened)))
        }
        // A person who did not ask for it would wonder what we wait for.
        None if session.terminal.people.type_input && !asked_for && file.is_none() => {
            Err(Fault::usage("there is no message").fix("write it behind the topic, or `-` to type it"))
        }
        None => Ok(("standard input".to_owned(), Box::new(&mut *session.terminal.input))),
    }
}

fn unread(name: &str, error: &std::io::Error) -> Fault {
    let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
    Fault::new(exit, format!("cannot read {name}")).why(error.to_string())
}

fn message(args: &Publish, value: Vec<u8>) -> Message {
    let mut message = Message::new(value);
    if let Some(key) = &args.key {
        message = message.key(key);
    }
    args.header.iter().fold(message, |message, (name, value)| message.header(name, value))
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    if name.is_empty() {
        Err("the name is empty".to_owned())
    } else {
        Ok((name.to_owned(), value.to_owned()))
    }
}
