//! Load over many connections by any protocol, in one of three ways; prints what came of it as one JSON document on stdout.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use clap::{Parser, Subcommand, ValueEnum};
use throome_bench::crowd::wire::Secure;
use throome_bench::crowd::{Load, Watched, closed, listen, open};
use throome_bench::speak::{Script, Speech};

/// One thread with many connections to one server. Every answer is checked.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    way: Way,
    /// Address and port of the server, such as 127.0.0.1:8080
    #[arg(global = true, long, default_value = "127.0.0.1:8080")]
    address: SocketAddr,
    /// What is said
    #[arg(global = true, long, value_enum, default_value_t = Said::Http1)]
    speech: Said,
    /// What a GET asks for
    #[arg(global = true, long, default_value = "/200b")]
    path: String,
    /// The length of what a GET must bring
    #[arg(global = true, long, default_value_t = 200)]
    size: usize,
    /// A PEM file of the server's certificate: connect by TLS 1.3, and trust this one
    #[arg(global = true, long)]
    certificate: Option<PathBuf>,
    #[arg(global = true, long, default_value_t = 50)]
    connections: usize,
    /// Counted seconds
    #[arg(global = true, long, default_value_t = 2.0)]
    seconds: f64,
    /// Seconds of load before counting begins
    #[arg(global = true, long, default_value_t = 0.5)]
    warm_up: f64,
    /// Processes whose processor time is counted
    #[arg(global = true, long, value_delimiter = ',')]
    watch: Vec<u32>,
    /// The core that these have
    #[arg(global = true, long, default_value_t = 0)]
    contestant_core: usize,
    /// The core that this program runs on
    #[arg(global = true, long, default_value_t = 0)]
    load_core: usize,
}

#[derive(Debug, Clone, Subcommand)]
enum Way {
    /// The end of each exchange begins the next
    Closed {
        /// Exchanges under way on each connection
        #[arg(long, default_value_t = 1)]
        at_once: usize,
    },
    /// Exchanges at a steady mean rate, whatever the server does
    Open {
        /// Exchanges a second
        #[arg(long)]
        rate: f64,
        /// Repeats a schedule
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Each connection listens to `/events`
    Listen,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Said {
    Http1,
    Http2,
    Unary,
    Stream,
    Echo,
    Websocket,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.connections > 0, "--connections must be above zero");
    let way = arguments.way.clone();
    let load = load(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let printed = tokio::task::LocalSet::new().block_on(&runtime, async {
        anyhow::Ok(match way {
            Way::Closed { at_once } => {
                ensure!(at_once > 0, "--at-once must be above zero");
                serde_json::to_string(&closed::run(load, at_once).await?)?
            }
            Way::Open { rate, seed } => {
                ensure!(rate > 0.0, "--rate must be above zero");
                serde_json::to_string(&open::run(load, rate, seed).await?)?
            }
            Way::Listen => serde_json::to_string(&listen::run(load).await?)?,
        })
    })?;
    writeln!(std::io::stdout(), "{printed}")?;
    Ok(())
}

fn load(arguments: Arguments) -> anyhow::Result<Load> {
    let speech = match arguments.speech {
        Said::Http1 => Speech::Http1,
        Said::Http2 => Speech::Http2,
        Said::Unary => Speech::Unary,
        Said::Stream => Speech::Stream,
        Said::Echo => Speech::Echo,
        Said::Websocket => Speech::WebSocket,
    };
    let secure = arguments.certificate.map(|path| Secure::new(&path, speech.alpn())).transpose()?;
    Ok(Load {
        address: arguments.address,
        script: Script {
            speech,
            host: arguments.address.to_string(),
            path: arguments.path,
            size: arguments.size,
            is_secure: secure.is_some(),
        },
        secure,
        connections: arguments.connections,
        warm_up: Duration::try_from_secs_f64(arguments.warm_up)?,
        length: Duration::try_from_secs_f64(arguments.seconds)?,
        watched: Watched {
            pids: arguments.watch,
            contestant_core: arguments.contestant_core,
            load_core: arguments.load_core,
        },
    })
}
