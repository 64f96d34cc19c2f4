//! `service logs`: what a service that the gateway runs has said, one line after another.

use clap::Args;
use sdk::{LogLine, LogOptions, Services, Tail};
use serde_json::json;

use crate::complete;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::Format;
use crate::session::Session;

/// For `--help`, behind the rest.
const MORE: &str = "\
What the service has said on its standard output and on its standard error goes to standard output, in \
the order in which it was said. With --follow it ends when the service does, or with Ctrl-C (130). A log \
that was cut off ends with an error.";

#[derive(Args, Debug)]
#[command(after_help = MORE)]
pub(crate) struct Logs {
    /// NAME, or CLUSTER/NAME
    #[arg(add = complete::services_of_all())]
    pub(crate) name: String,
    /// Go on with what it says from now on
    #[arg(short, long)]
    follow: bool,
    /// The last N lines, or `all` [default: 100, or all with --since]
    #[arg(long, value_name = "N", value_parser = tail)]
    tail: Option<Tail>,
    /// What was said since: a time (RFC 3339), or how long ago, such as 10m
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Begin each line with its time
    #[arg(short, long)]
    timestamps: bool,
}

fn tail(text: &str) -> Result<Tail, String> {
    match text {
        "all" => Ok(Tail::All),
        text => text.parse().map(Tail::Last).map_err(|_| "must be a whole number or `all`".to_owned()),
    }
}

pub(crate) async fn run(
    args: &Logs,
    session: &mut Session<'_>,
    services: &Services,
    name: &str,
) -> Result<Exit, Fault> {
    let as_json = match session.global.output {
        Format::Table | Format::Wide => false,
        Format::Json => true,
        Format::Yaml | Format::Name | Format::Csv | Format::Raw => {
            return Err(Fault::usage("logs writes lines as they are, or a JSON object for each")
                .fix("say -o table or json"));
        }
    };
    let mut options = LogOptions::default();
    // Whoever says since when wants no less.
    options.tail = args.tail.or(args.since.is_some().then_some(Tail::All));
    options.since.clone_from(&args.since);
    options.follow = args.follow;
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let opened = tokio::select! {
        opened = services.logs(name, &options) => opened,
        _ = &mut interrupt => return Ok(Exit::Interrupted),
    };
    session.tell_trace();
    let mut lines = opened?;
    let mut last = None;
    loop {
        let line = tokio::select! {
            line = lines.next() => line,
            _ = &mut interrupt => return Ok(Exit::Interrupted),
        };
        let Some(line) = line.map_err(|error| cut(error, last.as_deref()))? else { return Ok(Exit::Done) };
        let text = if as_json {
            format!("{}\n", json!({ "time": line.time, "text": line.text }))
        } else {
            shown(&line, args.timestamps, session.terminal.people.read_out)
        };
        session.terminal.data(text.as_bytes())?;
        if args.follow {
            session.terminal.flush()?;
        }
        last = Some(line.time);
    }
}

/// A line as it is; what would command the terminal of a person is not.
fn shown(line: &LogLine, timestamps: bool, to_a_person: bool) -> String {
    let text: String = match to_a_person {
        true => line.text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect(),
        false => line.text.clone(),
    };
    if timestamps { format!("{} {text}\n", line.time) } else { format!("{text}\n") }
}

/// What came is not all.
fn cut(error: sdk::Error, last: Option<&str>) -> Fault {
    let fix = match last {
        Some(time) => format!("`--since {time}` goes on from the last line"),
        None => "`throome status` shows how the gateway is".to_owned(),
    };
    Fault::from(error).instead("the log was cut off: this is not all of it").fix(fix)
}
