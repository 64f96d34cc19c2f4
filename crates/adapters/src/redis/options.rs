//! What only a `redis` service can say.

use std::time::Duration;

use model::check::{Problems, is_provisioned};
use model::cluster_fields::{DATABASE, PASSWORD, USERNAME};
use model::field::{Field, Shape, field, word};
use model::tree::Node;
use model::{Code, Failure, Secret, ServiceSpec};
use serde_json::Value;

use super::dial::Login;
use super::links::Keep;
use super::table;
use crate::options::Said;
use crate::recipe;
use crate::tls::{self, Tls};

const MODE: &str = "mode";
const SENTINEL: &str = "sentinel";
const COMMANDS: &str = "commands";
const POOL: &str = "pool";
const OPTIONS: &str = "options";

/// The keys of the kind.
pub(super) const FIELDS: &[Field] = &[
    USERNAME,
    PASSWORD,
    DATABASE,
    field(
        MODE,
        Shape::Choice(&[word("standalone"), word("sentinel"), word("cluster")]),
        "What the endpoints are: servers, sentinels that know the primary, or nodes of a cluster.",
    )
    .default("standalone"),
    field(
        SENTINEL,
        Shape::Fields(SENTINEL_FIELDS),
        "What the sentinels are asked; with `mode: sentinel` alone.",
    ),
    field(COMMANDS, Shape::Fields(COMMAND_FIELDS), "Which native commands may be sent."),
    field(POOL, Shape::Fields(POOL_FIELDS), "Connections, over all cores and nodes."),
    field(OPTIONS, Shape::Fields(OPTION_FIELDS), "Read from older files."),
    tls::FIELD,
];

const SENTINEL_FIELDS: &[Field] = &[
    field("master", Shape::Text, "The name that the sentinels know the primary by.").required(),
    field("username", Shape::Text, "Who the gateway is to the sentinels."),
    field("password", Shape::Secret, "How the gateway proves it to the sentinels."),
];

const COMMAND_FIELDS: &[Field] = &[
    field("allow", Shape::List(&Shape::Text), "Commands that are allowed although they are not by default."),
    field(
        "deny",
        Shape::List(&Shape::Text),
        "Commands that are refused although they are allowed by default.",
    ),
];

const POOL_FIELDS: &[Field] = &[
    field("min_connections", Shape::Integer(0, 10_000), "Opened at the start and kept open.").default("0"),
    field("max_connections", Shape::Integer(1, 10_000), "Open at most.").default("64"),
    field("max_idle_time", Shape::SpanFrom(1000), "One that was not used for so long is closed.")
        .default("5m"),
    field("max_lifetime", Shape::SpanFrom(1000), "One that is older is replaced.").default("1h"),
];

const OPTION_FIELDS: &[Field] =
    &[field("db", Shape::Integer(0, MOST_DATABASE as i64), "The same as `database`.")];

/// No server has so many databases.
const MOST_DATABASE: u32 = 1_000_000;
const MOST_CONNECTIONS: usize = 64;
const IDLE: Duration = Duration::from_secs(300);
const LIFETIME: Duration = Duration::from_secs(3600);

/// The checked options.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) mode: Mode,
    pub(super) login: Login,
    pub(super) tls: Option<Tls>,
    pub(super) keep: Keep,
    pub(super) most_connections: usize,
    pub(super) allow: Vec<Box<str>>,
    pub(super) deny: Vec<Box<str>>,
}

/// What the endpoints are.
#[derive(Debug, Clone)]
pub(super) enum Mode {
    /// Servers.
    Standalone,
    /// Sentinels, which know where the primary of this name is.
    Sentinel { master: Box<str>, login: Login },
    /// Nodes of a cluster, which know each other.
    Cluster,
}

/// What the table cannot say.
pub(super) fn check(service: &Node, problems: &mut Problems) {
    let mode = said(service, MODE).and_then(Node::as_str).unwrap_or("standalone");
    check_database(service, mode, problems);
    match (mode, said(service, SENTINEL)) {
        ("sentinel", None) => {
            let at = said(service, MODE).map_or(service.at, |node| node.at);
            problems.add(SENTINEL, at, "is needed with `mode: sentinel`").suggestion =
                Some("sentinel: { master: NAME }".to_owned());
        }
        ("standalone" | "cluster", Some(node)) => {
            problems.at(node, SENTINEL, "is for `mode: sentinel` alone");
        }
        // A mode that there is not is told elsewhere.
        _ => {}
    }
    if matches!(mode, "sentinel" | "cluster")
        && let Some(replicas) = said(service, "replicas")
    {
        problems.at(replicas, "replicas", format!("are found by the gateway with `mode: {mode}`"));
    }
    if is_provisioned(service) {
        check_provisioned(service, mode, problems);
    } else {
        check_user(service, "", problems);
    }
    if let Some(sentinel) = said(service, SENTINEL) {
        check_user(sentinel, "sentinel.", problems);
    }
    if let Some(pool) = said(service, POOL) {
        let number = |key| said(pool, key).and_then(Node::as_text).and_then(|text| text.parse::<u32>().ok());
        let most = number("max_connections").unwrap_or(MOST_CONNECTIONS as u32);
        if let (Some(least), Some(node)) = (number("min_connections"), said(pool, "min_connections"))
            && least > most
        {
            problems.at(
                node,
                "pool.min_connections",
                format!("is more than `max_connections`, which is {most}"),
            );
        }
    }
    check_commands(service, problems);
    tls::check(service, problems);
}

fn check_database(service: &Node, mode: &str, problems: &mut Problems) {
    let mut found: Option<u32> = None;
    let older = said(service, OPTIONS).and_then(|options| said(options, "db"));
    for (node, path) in [(said(service, "database"), "database"), (older, "options.db")] {
        let Some(node) = node else { continue };
        let Some(number) = node.as_text().and_then(|text| database(&text)) else {
            if path == "database" {
                let message = format!("is the number of a database, from 0 to {MOST_DATABASE}");
                problems.at(node, path, message);
            }
            continue;
        };
        if mode == "cluster" && number != 0 {
            problems.at(node, path, "must be 0: a cluster has one database");
        }
        if found.is_some_and(|other| other != number) {
            problems.at(node, path, "is another one than `database`; say one of them");
        }
        found = Some(number);
    }
}

/// What a server that the gateway runs is not.
fn check_provisioned(service: &Node, mode: &str, problems: &mut Problems) {
    if let Some(at) = said(service, MODE).filter(|_| mode != "standalone") {
        let message = format!("`{mode}` takes several servers, and the gateway runs one");
        problems.at(at, MODE, message).suggestion = Some(recipe::ELSEWHERE.to_owned());
    }
    if let Some(user) = said(service, "username")
        && user.as_text().is_some_and(|text| text.contains(char::is_whitespace))
    {
        problems.at(user, "username", "holds a space, which no user of the server can");
    }
    recipe::check_tls(service, problems);
    recipe::check_env(service, |name| (name == "REDIS_PASSWORD").then_some(recipe::SAID_ELSEWHERE), problems);
}

fn check_user(keys: &Node, path: &str, problems: &mut Problems) {
    if let (Some(user), None) = (said(keys, "username"), said(keys, "password")) {
        problems.at(user, &format!("{path}username"), "needs the `password` that belongs to it");
    }
}

fn check_commands(service: &Node, problems: &mut Problems) {
    let Some(commands) = said(service, COMMANDS) else { return };
    for list in ["allow", "deny"] {
        for node in said(commands, list).map(Node::items).unwrap_or_default() {
            let Some(name) = node.as_text() else { continue };
            if let Err(message) = table::nameable(&name) {
                problems.at(node, &format!("commands.{list}"), message);
            }
        }
    }
}

fn said<'n>(keys: &'n Node, key: &str) -> Option<&'n Node> {
    keys.get(key).filter(|node| !node.is_null())
}

fn database(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|number| *number <= MOST_DATABASE)
}

/// The options of a service that was checked.
pub(super) fn of(service: &ServiceSpec) -> Result<Options, Failure> {
    let keys = Said::of(service);
    let older = Said::within(service, OPTIONS);
    let number = match service.database.as_deref() {
        None | Some("") => older.parsed("db", 0)?,
        Some(text) => database(text).ok_or_else(|| wrong(format!("database: `{text}` is no number")))?,
    };
    let login = Login {
        username: service.username.as_deref().filter(|name| !name.is_empty()).map(Into::into),
        password: service.password.clone().filter(|password| !password.reveal().is_empty()),
        database: number,
    };
    let mode = match keys.text(MODE).as_deref() {
        None | Some("standalone") => Mode::Standalone,
        Some("cluster") => Mode::Cluster,
        Some("sentinel") => {
            let sentinel = Said::within(service, SENTINEL);
            let master = sentinel.text("master").ok_or_else(|| wrong("sentinel.master: is missing"))?;
            let login = Login {
                username: sentinel.text("username").map(Into::into),
                password: sentinel.text("password").map(Secret::new),
                database: 0,
            };
            Mode::Sentinel { master: master.into(), login }
        }
        Some(other) => return Err(wrong(format!("mode: `{other}` is not known"))),
    };
    let pool = Said::within(service, POOL);
    let keep = Keep {
        least: pool.parsed("min_connections", 0)?,
        idle: pool.span("max_idle_time", IDLE)?,
        lifetime: pool.span("max_lifetime", LIFETIME)?,
    };
    Ok(Options {
        mode,
        login,
        tls: tls::of(service)?,
        keep,
        most_connections: pool.parsed("max_connections", MOST_CONNECTIONS)?.max(1),
        allow: names(service, "allow"),
        deny: names(service, "deny"),
    })
}

fn names(service: &ServiceSpec, list: &str) -> Vec<Box<str>> {
    let commands = service.options.get(COMMANDS).and_then(|commands| commands.get(list));
    let names = commands.and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).map(|name| name.to_ascii_uppercase().into()).collect()
}

fn wrong(detail: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    Failure::client(Code::InvalidConfig, detail)
}

#[cfg(test)]
mod tests;
