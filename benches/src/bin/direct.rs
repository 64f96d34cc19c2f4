//! An engine used directly, as the peer of data calls over HTTP; prints what came of it as JSON on stdout.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, ValueEnum};
#[cfg(feature = "kafka")]
use throome_bench::direct::kafka;
use throome_bench::direct::{Job, Remote, log, postgres, sqlite};
use throome_bench::timings::Timings;

/// Makes one call after the other until the time is over.
#[derive(Debug, Parser)]
struct Arguments {
    /// What a call is
    #[arg(value_enum)]
    work: Work,
    /// Where the files of an embedded engine are, or will be made
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Where a server is, as its own client is told
    #[arg(long)]
    server: Option<String>,
    /// Where messages go
    #[arg(long, default_value = "direct")]
    topic: String,
    /// How many call at the same time
    #[arg(long, default_value_t = 1)]
    callers: usize,
    /// How long
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Messages of a publish, or of a read
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Messages that are read in all, whatever the time
    #[arg(long, default_value_t = 10_000)]
    count: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Work {
    /// One row by primary key
    Select,
    /// One row, committed
    Insert,
    /// Ten thousand rows
    Rows,
    /// Messages, on the disk
    Publish,
    /// Messages in order, with progress kept
    Consume,
    /// One row by primary key of a server
    PostgresSelect,
    /// Ten thousand rows of a server
    PostgresRows,
    /// Messages, each waited for until the broker has it
    #[cfg(feature = "kafka")]
    KafkaWaiting,
    /// Messages, as many under way as the client holds
    #[cfg(feature = "kafka")]
    KafkaBatching,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let timings = run(&arguments)?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&timings)?)?;
    Ok(())
}

fn run(arguments: &Arguments) -> anyhow::Result<Timings> {
    let length = Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?;
    let callers = arguments.callers;
    let embedded = || {
        let directory = arguments.directory.clone().context("this engine needs --directory")?;
        anyhow::Ok(Job { directory, callers, length })
    };
    let remote = || {
        let server = arguments.server.clone().context("this engine needs --server")?;
        anyhow::Ok(Remote { server, callers, length })
    };
    match arguments.work {
        Work::Select => sqlite::select(&embedded()?),
        Work::Insert => sqlite::insert(&embedded()?),
        Work::Rows => sqlite::rows(&embedded()?),
        Work::Publish => log::publish(&embedded()?, arguments.batch),
        Work::Consume => log::consume(&embedded()?, arguments.count, arguments.batch),
        Work::PostgresSelect => postgres::select(&remote()?),
        Work::PostgresRows => postgres::rows(&remote()?),
        #[cfg(feature = "kafka")]
        Work::KafkaWaiting => kafka::waiting(&remote()?, &arguments.topic),
        #[cfg(feature = "kafka")]
        Work::KafkaBatching => kafka::batching(&remote()?, &arguments.topic),
    }
}
