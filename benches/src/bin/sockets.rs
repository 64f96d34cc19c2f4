//! Both ends of thousands of WebSockets through a proxy. Its orders come line by line: `open N` has so many open in all,
//! `broadcast` has the service say one message to each and prints the microseconds until the last client had heard it.

use std::io::{BufRead, Write};
use std::net::SocketAddr;

use clap::Parser;
use throome_bench::sockets::Sockets;

/// A service that holds every WebSocket, and the clients that hold theirs.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the service listens
    #[arg(long)]
    listen: SocketAddr,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut sockets = runtime.block_on(Sockets::listen(arguments.listen))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready")?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words.as_slice() {
            ["open", proxy, count] => {
                let (proxy, count) = (proxy.parse()?, count.parse()?);
                runtime.block_on(sockets.open(proxy, count))?;
                "ok".to_owned()
            }
            ["broadcast"] => runtime.block_on(sockets.broadcast())?.to_string(),
            ["close"] => {
                sockets.close();
                "ok".to_owned()
            }
            _ => anyhow::bail!("{line}?"),
        };
        writeln!(out, "{answer}")?;
    }
    Ok(())
}
