//! The binary: hands the commands what only it can do.

mod acme;
mod certificates;
mod config;
#[cfg(test)]
mod contract;
mod descriptors;
mod dev;
mod doors;
mod handover;
mod hands;
mod listeners;
mod lock;
mod serve;
mod settings;
mod shutdown;
mod traffic;
mod validate;

use std::process::ExitCode;

fn main() -> ExitCode {
    let host = cli::Host {
        serve: serve::serve,
        dev: dev::dev,
        validate: validate::validate,
        config: validate::config,
        version: env!("CARGO_PKG_VERSION"),
    };
    cli::run(std::env::args_os(), host)
}
