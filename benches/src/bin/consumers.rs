//! Readers of streams over HTTP; prints what came of it as one JSON document on stdout.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use throome_bench::consumers::{Place, drain, fanout};

/// Reads the messages of one topic.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    how: How,
}

#[derive(Debug, Args)]
struct Where {
    /// Address and port of the server, such as 127.0.0.1:8080
    address: SocketAddr,
    /// The path of the queue's calls
    #[arg(long)]
    queue: String,
    /// What is read
    #[arg(long)]
    topic: String,
    /// Processes whose processor time is read
    #[arg(long, value_delimiter = ',')]
    watch: Vec<u32>,
}

#[derive(Debug, Subcommand)]
enum How {
    /// Many groups, each of which gets every message that is published meanwhile
    Fanout {
        #[command(flatten)]
        place: Where,
        /// How many
        #[arg(long)]
        groups: usize,
        /// Messages published in a second
        #[arg(long)]
        rate: f64,
        /// How long
        #[arg(long, default_value_t = 2.0)]
        seconds: f64,
    },
    /// One consumer that takes what is there
    Drain {
        #[command(flatten)]
        place: Where,
        /// A group that has read nothing yet
        #[arg(long)]
        group: String,
        /// Messages that are there
        #[arg(long)]
        count: usize,
        /// Messages that may be delivered and unsettled
        #[arg(long)]
        credit: usize,
        /// Messages acknowledged with one call
        #[arg(long)]
        batch: usize,
    },
}

fn main() -> anyhow::Result<()> {
    let outcome = match Arguments::parse().how {
        How::Fanout { place, groups, rate, seconds } => {
            let length = Duration::try_from_secs_f64(seconds).context("--seconds")?;
            serde_json::to_string(&fanout::run(&fanout::Load { place: place.into(), groups, rate, length })?)?
        }
        How::Drain { place, group, count, credit, batch } => {
            let load = drain::Load { place: place.into(), group, count, credit, batch };
            serde_json::to_string(&drain::run(&load)?)?
        }
    };
    writeln!(std::io::stdout(), "{outcome}")?;
    Ok(())
}

impl From<Where> for Place {
    fn from(said: Where) -> Self {
        Place { address: said.address, queue: said.queue, topic: said.topic, watched: said.watch }
    }
}
