//! The fixed-answer HTTP server that stands behind the proxies; the first line on stdout is the address it listens on.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::Context;
use clap::Parser;

/// Answers `/64k` with 64 KiB, `/headers` with the request's own head, and any other path with 200 bytes.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::TcpListener::bind(arguments.listen)
            .await
            .with_context(|| format!("cannot listen on {}", arguments.listen))?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        throome_bench::backend::serve(listener).await?;
        Ok(())
    })
}
