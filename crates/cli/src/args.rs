//! The command line: every command, and the flags that all of them take. What a command alone takes is
//! beside the command.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::commands::{
    backup, cache, cluster, completion, config, consume, declare, explain, group, health, history, import,
    kind, legacy, operation, orphan, publish, route, service, sql, status, tap, token, topic, validate,
};
use crate::complete;
use crate::examples;
use crate::mix::{API, ASKING, GATEWAY};
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
    /// Where the gateway is [env: THROOME_URL] [default: http://127.0.0.1:9000]
    #[arg(long, global = true, env = "THROOME_URL", hide_env = true)]
    pub(crate) url: Option<String>,
    /// PEM file of the authorities to trust [env: THROOME_CA]
    #[arg(long, global = true, env = "THROOME_CA", hide_env = true, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// PEM file of the certificate to show [env: THROOME_CLIENT_CERT]
    #[arg(long, global = true, env = "THROOME_CLIENT_CERT", hide_env = true, value_name = "FILE")]
    pub(crate) client_cert: Option<PathBuf>,
    /// PEM file of its private key [env: THROOME_CLIENT_KEY]
    #[arg(long, global = true, env = "THROOME_CLIENT_KEY", hide_env = true, value_name = "FILE")]
    pub(crate) client_key: Option<PathBuf>,
    /// What the gateway knows you by [env: THROOME_TOKEN]
    #[arg(long, global = true, env = "THROOME_TOKEN", hide_env = true)]
    pub(crate) token: Option<String>,
    /// The cluster to work in [env: THROOME_CLUSTER]
    #[arg(long, global = true, env = "THROOME_CLUSTER", hide_env = true, value_name = "ID", add = complete::clusters())]
    pub(crate) cluster: Option<String>,
    /// What to print
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        help_heading = "Output"
    )]
    pub(crate) output: Format,
    /// Tables without their first line
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) no_headers: bool,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", help_heading = "Output")]
    pub(crate) color: Color,
    /// Say nothing on standard error but what went wrong
    #[arg(short, long, global = true, conflicts_with = "debug", help_heading = "Output")]
    pub(crate) quiet: bool,
    /// Tell every request on standard error, without secrets
    #[arg(long, global = true, alias = "verbose", short_alias = 'v', help_heading = "Output")]
    pub(crate) debug: bool,
    /// Never ask anything
    #[arg(long, global = true, help_heading = "Output")]
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
    /// Make a cluster's file of a Compose file
    Import(import::Import),
    /// Clusters: groups of services
    #[command(subcommand, visible_alias = "clusters")]
    Cluster(cluster::Cluster),
    /// Services: the dependencies in a cluster
    #[command(subcommand, visible_alias = "services")]
    Service(service::Service),
    /// Kinds of services, and in what they differ
    #[command(visible_alias = "kind")]
    Kinds(kind::Kinds),
    /// Routes: which requests lead to which service
    #[command(subcommand, visible_alias = "routes")]
    Route(route::Route),
    /// Operations: changes that take a while
    #[command(subcommand, visible_alias = "operations")]
    Operation(operation::Operation),
    /// Backups: what services that the gateway runs hold, in files
    #[command(subcommand, visible_alias = "backups")]
    Backup(backup::Backup),
    /// Orphans: what is run or kept that no cluster asks for
    #[command(subcommand, visible_alias = "orphans")]
    Orphan(orphan::Orphan),
    /// Tokens: what clients are known by
    #[command(subcommand, visible_alias = "tokens")]
    Token(token::Token),
    /// Keys in a cluster's cache
    Cache(cache::CacheArgs),
    /// Statements for a cluster's database, one by one or from a file
    Sql(sql::Sql),
    /// Topics of a cluster's queue
    #[command(visible_alias = "topics")]
    Topic(topic::TopicArgs),
    /// Put a message into a topic
    Publish(publish::Publish),
    /// Read a topic as one of a group
    Consume(consume::Consume),
    /// Groups: those who read a topic together
    #[command(visible_alias = "groups")]
    Group(group::GroupArgs),
    /// Everything at a glance: gateway, clusters, services
    Status(status::Status),
    /// Whether the gateway answers, as health checks ask
    Health(health::Health),
    /// What would happen to a request, without sending it
    Explain(explain::Explain),
    /// What services are asked, while it happens
    Tap(tap::Tap),
    /// What services were asked
    Activity(history::Activity),
    /// What was changed, and by whom
    Events(history::Events),
    /// Every setting of the gateway and where it comes from
    Config(config::Config),
    /// Completion for a shell
    Completion(completion::Completion),
    /// Name and version
    Version,
    /// As `cluster create`
    #[command(hide = true)]
    CreateCluster(legacy::LegacyCreate),
    /// As `cluster list`
    #[command(hide = true)]
    ListClusters(legacy::Legacy),
    /// As `cluster get`
    #[command(hide = true)]
    GetCluster(legacy::LegacyOne),
    /// As `cluster delete`
    #[command(hide = true)]
    DeleteCluster(legacy::LegacyDelete),
}

/// The whole command line, for completion and documentation.
#[must_use]
pub fn command() -> clap::Command {
    let mut command = Cli::command();
    // Flags that a command refuses are no help to whoever reads its help.
    for (name, refused) in [
        ("serve", &API[..]),
        ("dev", &API),
        ("completion", &API),
        ("validate", &ASKING),
        ("config", &ASKING),
        ("import", &ASKING),
        ("version", &ASKING),
    ] {
        let hidden: Vec<clap::Arg> =
            command.get_arguments().filter(|arg| refused.contains(&arg.get_id().as_str())).cloned().collect();
        command = command.mut_subcommand(name, |sub| sub.args(hidden.into_iter().map(|arg| arg.hide(true))));
    }
    for (name, default, formats) in FORMATS {
        let names = formats.iter().filter_map(ValueEnum::to_possible_value).map(|value| value.hide(false));
        let parser = PossibleValuesParser::new(names).try_map(|name| Format::from_str(&name, false));
        let output = command.get_arguments().find(|arg| arg.get_id() == "output").cloned();
        let output = output.map(|arg| arg.value_parser(parser).default_value(default));
        command = command.mut_subcommand(name, |sub| sub.args(output));
    }
    // A file's form is its own, and `--output` is where it goes.
    let output = command.get_arguments().find(|arg| arg.get_id() == "output").cloned();
    let output = output.map(|arg| arg.long(None).hide(true));
    command = command.mut_subcommand("import", |sub| sub.args(output));
    examples::lead(command)
}

/// Commands with formats of their own, the one that is taken where none is named, and all of them.
const FORMATS: [(&str, &str, &[Format]); 3] = [
    ("sql", "table", &[Format::Table, Format::Json, Format::Csv]),
    ("consume", "raw", &[Format::Raw, Format::Json]),
    ("tap", "table", &[Format::Table, Format::Json]),
];

/// The same for the program that carries the commands alone.
pub(crate) fn command_alone() -> clap::Command {
    let hide = |command: clap::Command, id: &str| command.mut_arg(id, |arg| arg.hide(true));
    let command = GATEWAY.into_iter().fold(command(), hide);
    ["serve", "dev"]
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(name, |sub| sub.hide(true)))
}
