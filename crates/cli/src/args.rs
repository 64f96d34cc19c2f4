//! The command line: every command, and the flags that all of them take. What a command alone takes is
//! beside the command.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, Parser, Subcommand};

use crate::commands::{
    cache, cluster, completion, config, declare, explain, route, service, status, validate,
};
use crate::examples;
use crate::fault::Fault;
use crate::output::{Color, Format};

/// The name under which the program carries the commands alone, without a gateway.
pub(crate) const CLI_ALONE: &str = "throome-cli";

/// One gateway in front of everything an application talks to.
#[derive(Parser, Debug)]
#[command(name = "throome", version, max_term_width = 100, disable_help_subcommand = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Flags of every command that asks a gateway.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Asking a gateway")]
pub(crate) struct Global {
    /// Where the gateway is [default: http://127.0.0.1:9000]
    #[arg(long, global = true, env = "THROOME_URL", hide_env_values = true)]
    pub(crate) url: Option<String>,
    /// What the gateway knows you by
    #[arg(long, global = true, env = "THROOME_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The cluster to work in
    #[arg(long, global = true, env = "THROOME_CLUSTER", hide_env_values = true, value_name = "ID")]
    pub(crate) cluster: Option<String>,
    /// What to print
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Format,
    /// Tables without their first line
    #[arg(long, global = true)]
    pub(crate) no_headers: bool,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: Color,
    /// Tell every request on standard error, without secrets
    #[arg(long, global = true, alias = "verbose", short_alias = 'v')]
    pub(crate) debug: bool,
    /// Never ask anything
    #[arg(long, global = true)]
    pub(crate) non_interactive: bool,
}

/// Flags of the gateway itself. What is left out is taken from the environment, the file, the default.
#[derive(Args, Debug, Clone, Default, PartialEq, Eq)]
#[command(next_help_heading = "Running a gateway")]
pub struct ServeArgs {
    /// The gateway's file [default: throome.yaml, where there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Port of the control door: dashboard, API, metrics
    #[arg(long)]
    pub port: Option<u16>,
    /// Port of the traffic door
    #[arg(long, value_name = "PORT")]
    pub proxy_port: Option<u16>,
    /// Where the clusters' files are
    #[arg(long, value_name = "DIR")]
    pub clusters_dir: Option<PathBuf>,
    /// Where the gateway keeps what it must not forget
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Confirm that no token is asked for beyond this machine
    #[arg(long)]
    pub insecure: bool,
    /// Read everything, tell every fault, start nothing
    #[arg(long)]
    pub check: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run the gateway (also without the word)
    Serve(ServeArgs),
    /// Run the gateway with a cluster to try things on
    Dev(ServeArgs),
    /// Check files without a gateway
    #[command(alias = "validate-config")]
    Validate(validate::Validate),
    /// Show what a file would change
    #[command(visible_alias = "diff")]
    Plan(declare::PlanArgs),
    /// Create or replace what a file describes
    Apply(declare::ApplyArgs),
    /// Clusters: groups of services
    #[command(subcommand, visible_alias = "clusters")]
    Cluster(cluster::Cluster),
    /// Services: the dependencies in a cluster
    #[command(subcommand, visible_alias = "services")]
    Service(service::Service),
    /// Routes: which requests lead to which service
    #[command(subcommand, visible_alias = "routes")]
    Route(route::Route),
    /// Keys in a cluster's cache
    Cache(cache::CacheArgs),
    /// Everything at a glance: gateway, clusters, services
    Status(status::Status),
    /// What would happen to a request, without sending it
    Explain(explain::Explain),
    /// Every setting of the gateway and where it comes from
    Config(config::Config),
    /// Completion for a shell
    Completion(completion::Completion),
    /// Name and version
    Version,
    /// As `cluster create`
    #[command(hide = true)]
    CreateCluster(cluster::LegacyCreate),
    /// As `cluster list`
    #[command(hide = true)]
    ListClusters(cluster::Legacy),
    /// As `cluster get`
    #[command(hide = true)]
    GetCluster(cluster::LegacyOne),
    /// As `cluster delete`
    #[command(hide = true)]
    DeleteCluster(cluster::LegacyDelete),
}

/// The whole command line, for completion and documentation.
#[must_use]
pub fn command() -> clap::Command {
    examples::lead(Cli::command())
}

/// Flags that may stand before the command, by the names of their fields: those of the gateway and those
/// of what asks one.
const GATEWAY: [&str; 8] =
    ["config", "port", "proxy_port", "clusters_dir", "data_dir", "log_level", "insecure", "check"];
const API: [&str; 8] =
    ["url", "token", "cluster", "output", "no_headers", "color", "debug", "non_interactive"];

/// Nothing is read and ignored: flags of the gateway go to the gateway, flags of the API to what asks it.
pub(crate) fn check_mix(cli: &Cli, matches: &ArgMatches) -> Result<(), Fault> {
    let typed = |names: &[&str]| {
        let typed = |id: &&&str| matches.value_source(id) == Some(ValueSource::CommandLine);
        names.iter().find(typed).map(|id| id.replace('_', "-"))
    };
    match &cli.command {
        None | Some(Command::Serve(_) | Command::Dev(_)) => match typed(&API) {
            Some(flag) => Err(Fault::usage(format!(
                "--{flag} is for commands that ask a gateway, and this one is a gateway"
            ))),
            None if cli.command.is_none() => Ok(()),
            None => elsewhere(typed(&GATEWAY)),
        },
        // As the predecessor's scripts have it; that it changes nothing is said where the command runs.
        Some(command) if command.predecessors() => {
            elsewhere(typed(&GATEWAY).filter(|flag| flag != "clusters-dir"))
        }
        Some(_) => elsewhere(typed(&GATEWAY)),
    }
}

fn elsewhere(flag: Option<String>) -> Result<(), Fault> {
    match flag {
        Some(flag) => {
            Err(Fault::usage(format!("--{flag} stands before the command and belongs to the gateway"))
                .fix(format!("`throome serve --{flag}`, or the flag after the command where it takes it")))
        }
        None => Ok(()),
    }
}

impl Command {
    /// Whether the predecessor had it, whose commands all took `--clusters-dir`.
    fn predecessors(&self) -> bool {
        matches!(
            self,
            Command::CreateCluster(_)
                | Command::ListClusters(_)
                | Command::GetCluster(_)
                | Command::DeleteCluster(_)
                | Command::Validate(_)
                | Command::Version
        )
    }
}

impl Cli {
    /// What there is to say before the command runs.
    pub(crate) fn note(&self) -> Option<&'static str> {
        let own = match &self.command {
            Some(Command::CreateCluster(create)) => create.legacy.clusters_dir.is_some(),
            Some(Command::ListClusters(legacy)) => legacy.clusters_dir.is_some(),
            Some(Command::GetCluster(one)) => one.legacy.clusters_dir.is_some(),
            Some(Command::DeleteCluster(delete)) => delete.legacy.clusters_dir.is_some(),
            Some(Command::Validate(validate)) => validate.clusters_dir.is_some(),
            _ => false,
        };
        let named = own || self.serve.clusters_dir.is_some();
        named.then_some("note: --clusters-dir changes nothing here: clusters are asked of the gateway, files found by their paths")
    }
}
