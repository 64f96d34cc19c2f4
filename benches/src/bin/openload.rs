//! Open-loop load against one URL; prints what came of it as one JSON document on stdout.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use throome_bench::openload::{self, Load};
use throome_bench::schedule;

/// Sends GET requests at a fixed mean rate, whatever the server does, and counts latency from the time each was due.
#[derive(Debug, Parser)]
struct Arguments {
    /// Address and port of the server, such as 127.0.0.1:8080
    address: SocketAddr,
    /// What to ask for
    #[arg(long, default_value = "/200b")]
    path: String,
    /// Requests a second
    #[arg(long)]
    rate: f64,
    /// Counted seconds
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Seconds of load before counting begins
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// The most requests that are under way at once
    #[arg(long, default_value_t = 50)]
    connections: usize,
    /// How requests are spread over time
    #[arg(long, value_enum, default_value_t = Arrivals::Poisson)]
    arrivals: Arrivals,
    /// Repeats a Poisson schedule
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Arrivals {
    Poisson,
    Even,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.rate > 0.0, "--rate must be above zero");
    ensure!(arguments.connections > 0, "--connections must be above zero");
    let load = Load {
        address: arguments.address,
        path: arguments.path,
        rate: arguments.rate,
        warm_up: seconds(arguments.warm_up).context("--warm-up")?,
        length: seconds(arguments.seconds).context("--seconds")?,
        connections: arguments.connections,
        arrivals: match arguments.arrivals {
            Arrivals::Poisson => schedule::Arrivals::Poisson,
            Arrivals::Even => schedule::Arrivals::Even,
        },
        seed: arguments.seed,
    };
    let report = openload::run(&load).with_context(|| format!("cannot connect to {}", load.address))?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?)?;
    Ok(())
}

fn seconds(value: f64) -> anyhow::Result<Duration> {
    Ok(Duration::try_from_secs_f64(value)?)
}
