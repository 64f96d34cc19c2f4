//! An engine used directly, as the peer of data calls over HTTP; prints what came of it as JSON on stdout.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use throome_bench::direct::{self, Job};

/// Makes one call after the other until the time is over.
#[derive(Debug, Parser)]
struct Arguments {
    /// What a call is
    #[arg(value_enum)]
    work: Work,
    /// Where the database is, or will be made
    #[arg(long)]
    directory: PathBuf,
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
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let job = Job {
        directory: arguments.directory,
        callers: arguments.callers,
        length: Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?,
    };
    let timings = match arguments.work {
        Work::Select => direct::sql::select(&job),
        Work::Insert => direct::sql::insert(&job),
        Work::Rows => direct::sql::rows(&job),
        Work::Publish => direct::queue::publish(&job, arguments.batch),
        Work::Consume => direct::queue::consume(&job, arguments.count, arguments.batch),
    }?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&timings)?)?;
    Ok(())
}
