//! Which flags go with which commands where one command line could mix them: nothing is read and ignored.

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::args::{Cli, Command};
use crate::fault::Fault;
use crate::output::Format;

/// Flags that may stand before the command, by the names of their fields: those of the gateway and those
/// of what asks one.
pub(crate) const GATEWAY: [&str; 8] =
    ["config", "port", "proxy_port", "clusters_dir", "data_dir", "log_level", "insecure", "check"];
pub(crate) const API: [&str; 12] = [
    "url",
    "ca",
    "client_cert",
    "client_key",
    "token",
    "cluster",
    "output",
    "no_headers",
    "color",
    "quiet",
    "debug",
    "non_interactive",
];

/// Of these, what only matters where a gateway is asked.
pub(crate) const ASKING: [&str; 6] = ["url", "ca", "client_cert", "client_key", "token", "cluster"];

/// Of these, what only matters where the gateway speaks TLS.
const SECURED: [&str; 3] = ["ca", "client_cert", "client_key"];

/// Nothing is read and ignored: flags of the gateway go to the gateway, flags of the API to what asks it,
/// and a format of one command's own to that command.
pub(crate) fn check_mix(cli: &Cli, matches: &ArgMatches) -> Result<(), Fault> {
    match (cli.global.output, &cli.command) {
        (Format::Csv, command) if !matches!(command, Some(Command::Sql(_))) => {
            return Err(Fault::usage("-o csv is for `sql`").fix("say -o json"));
        }
        (Format::Raw, command) if !matches!(command, Some(Command::Consume(_))) => {
            return Err(Fault::usage("-o raw is for `consume`").fix("leave it out"));
        }
        _ => {}
    }
    let typed = |names: &[&str]| {
        let typed = |id: &&&str| matches.value_source(id) == Some(ValueSource::CommandLine);
        names.iter().find(typed).map(|id| id.replace('_', "-"))
    };
    if let Some(url) = cli.global.url.as_deref().filter(|url| url.starts_with("http://"))
        && let Some(flag) = typed(&SECURED)
    {
        return Err(Fault::usage(format!(
            "--{flag} is for a gateway that speaks TLS, and the URL says http://"
        ))
        .fix(format!("write https://{}, or leave the flag out", &url["http://".len()..])));
    }
    match &cli.command {
        None | Some(Command::Serve(_) | Command::Dev(_)) => match typed(&API) {
            Some(flag) => Err(Fault::usage(format!(
                "--{flag} is for commands that ask a gateway, and this one is a gateway"
            ))),
            None if cli.command.is_none() => Ok(()),
            None => elsewhere(typed(&GATEWAY)),
        },
        Some(
            Command::Validate(_)
            | Command::Config(_)
            | Command::Completion(_)
            | Command::Import(_)
            | Command::Version,
        ) if typed(&ASKING).is_some() => {
            let flag = typed(&ASKING).unwrap_or_default();
            Err(Fault::usage(format!("--{flag} is for commands that ask a gateway, and this one asks none")))
        }
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
