//! The fixed-answer server that stands behind the proxies; the first line on stdout is the address it listens on.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::Context;
use clap::Parser;
use tokio::net::TcpListener;

/// Answers `/64k` with 64 KiB, `/headers` with the request's own head, and any other path with 200 bytes; echoes WebSockets,
/// and sends events to those who ask for `/events`.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where to answer calls of gRPC, over HTTP/2 in the clear; left out, nowhere
    #[arg(long)]
    grpc: Option<SocketAddr>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        if let Some(address) = arguments.grpc {
            let listener = bind(address).await?;
            tokio::task::spawn_local(throome_bench::backend::grpc::serve(listener));
        }
        let listener = bind(arguments.listen).await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        throome_bench::backend::serve(listener).await?;
        Ok(())
    })
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}
