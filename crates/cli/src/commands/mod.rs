//! A command a file: its arguments, and what it does with them.

// Without a gateway.
pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod import;
pub(crate) mod validate;

// Asking a gateway.
pub(crate) mod backup;
pub(crate) mod cache;
pub(crate) mod cluster;
pub(crate) mod consume;
pub(crate) mod declare;
pub(crate) mod explain;
pub(crate) mod group;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod kind;
pub(crate) mod legacy;
pub(crate) mod logs;
pub(crate) mod operation;
pub(crate) mod orphan;
pub(crate) mod publish;
pub(crate) mod route;
pub(crate) mod service;
pub(crate) mod sql;
pub(crate) mod status;
pub(crate) mod tap;
pub(crate) mod token;
pub(crate) mod topic;

use std::future::Future;

use serde_json::json;

use crate::Host;
use crate::args::Command;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::session::Session;

/// Carries out any command but those that run a gateway, which the caller has kept.
pub(crate) fn run(command: Command, host: &Host, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match command {
        Command::Serve(_) | Command::Dev(_) => Ok(Exit::Done),
        Command::Validate(command) => validate::run(&command, host, session),
        Command::Config(command) => config::run(&command, host, session),
        Command::Completion(command) => completion::run(&command, session),
        Command::Import(command) => import::run(&command, session),
        Command::Health(command) => wait(health::run(command, host, session)),
        Command::Version => version(host, session),
        Command::Plan(command) => wait(declare::plan(command, session)),
        Command::Apply(command) => wait(declare::apply(command, session)),
        Command::Cluster(command) => wait(cluster::run(command, session)),
        Command::Service(command) => wait(service::run(command, session)),
        Command::Kinds(command) => wait(kind::run(command, session)),
        Command::Route(command) => wait(route::run(command, session)),
        Command::Operation(command) => wait(operation::run(command, session)),
        Command::Backup(command) => wait(backup::run(command, session)),
        Command::Orphan(command) => wait(orphan::run(command, session)),
        Command::Token(command) => wait(token::run(command, session)),
        Command::Cache(command) => wait(cache::run(command, session)),
        Command::Sql(command) => wait(sql::run(command, session)),
        Command::Topic(command) => wait(topic::run(command, session)),
        Command::Publish(command) => wait(publish::run(command, session)),
        Command::Consume(command) => wait(consume::run(command, session)),
        Command::Group(command) => wait(group::run(command, session)),
        Command::Tap(command) => wait(tap::run(command, session)),
        Command::Activity(command) => wait(history::activity(command, session)),
        Command::Events(command) => wait(history::events(command, session)),
        Command::Status(command) => wait(status::run(command, session)),
        Command::Explain(command) => wait(explain::run(command, session)),
        Command::CreateCluster(command) => wait(command.run(session)),
        Command::ListClusters(command) => wait(command.run(session)),
        Command::GetCluster(command) => wait(command.run(session)),
        Command::DeleteCluster(command) => wait(command.run(session)),
    }
}

/// One thread is enough for one command, and starts in no time.
fn wait(command: impl Future<Output = Result<Exit, Fault>>) -> Result<Exit, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::new(Exit::Failed, "cannot start").why(error.to_string()))?;
    runtime.block_on(command)
}

fn version(host: &Host, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let body = json!({ "name": "throome", "version": host.version });
    session.show(&body, host.version, |_| format!("throome {}\n", host.version))?;
    Ok(Exit::Done)
}
