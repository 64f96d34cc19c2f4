//! Closed-loop load from one connection that never sleeps unless it is told to; prints what came of it as one JSON document on stdout.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use throome_bench::closedloop::{self, Load};

/// Sends POST requests one after the other and counts how long each took.
#[derive(Debug, Parser)]
struct Arguments {
    /// Address and port of the server, such as 127.0.0.1:8080
    address: SocketAddr,
    /// Where to
    #[arg(long)]
    path: String,
    /// A file with the bodies as a JSON list of texts; they are sent in turn
    #[arg(long)]
    bodies: PathBuf,
    /// How long
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Sleep while waiting for an answer, since the core is somebody else's too
    #[arg(long)]
    asleep: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let text = std::fs::read_to_string(&arguments.bodies)
        .with_context(|| format!("cannot read {}", arguments.bodies.display()))?;
    let bodies: Vec<String> = serde_json::from_str(&text).context("--bodies")?;
    ensure!(!bodies.is_empty(), "--bodies lists none");
    let load = Load {
        address: arguments.address,
        path: arguments.path,
        bodies,
        length: Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?,
        asleep: arguments.asleep,
    };
    let timings = closedloop::run(&load).with_context(|| format!("cannot connect to {}", load.address))?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&timings)?)?;
    Ok(())
}
