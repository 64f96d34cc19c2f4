//! `service`: the facts of services, and what an operator may do to one. What one has said is in `logs`.

use clap::{Args, Subcommand};
use sdk::{Client, Services};
use serde_json::{Value, json};

use crate::commands::logs::{self, Logs};
use crate::complete;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::text;
use crate::progress;
use crate::session::{Session, items};
use crate::table::{Cell, Column, column, wide};

#[derive(Subcommand, Debug)]
pub(crate) enum Service {
    /// Services of a cluster, or of all
    #[command(visible_alias = "ls")]
    List,
    /// The facts of one service and of its endpoints, and the URLs that its clients need
    #[command(visible_alias = "show")]
    Get {
        /// NAME, or CLUSTER/NAME
        #[arg(add = complete::services_of_all())]
        name: String,
    },
    /// Give it no new requests; those under way end in peace
    Drain(Order),
    /// Give it requests again
    Undrain(Order),
    /// Close the breakers of its endpoints, which are then tried at once
    ResetBreaker(Order),
    /// End one that the gateway runs and begin it again; its data stay
    Restart(Life),
    /// End one that the gateway runs; it stays so until it is started, its data stay
    Stop(Life),
    /// Begin one that was stopped
    Start(Life),
    /// What one that the gateway runs has said
    Logs(Logs),
}

#[derive(Args, Debug)]
pub(crate) struct Order {
    /// NAME, or CLUSTER/NAME
    #[arg(add = complete::services_of_all())]
    pub(crate) name: String,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Life {
    #[command(flatten)]
    pub(crate) order: Order,
    /// Do not wait until it is done; the operation goes on
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// Also what `status` shows.
pub(crate) const LIST: &[Column] = &[
    column("CLUSTER", Cell::At("/cluster")),
    column("SERVICE", Cell::At("/name")),
    column("TYPE", Cell::At("/type")),
    column("STATUS", Cell::State("/status")),
    column("VERDICT", Cell::State("/verdict")),
    column("SINCE", Cell::Age("/since")),
    wide("LIFECYCLE", Cell::State("/lifecycle")),
    wide("HEALTH", Cell::State("/health")),
    wide("ROTATION", Cell::State("/rotation")),
    wide("BREAKER", Cell::State("/breaker")),
    column("REASON", Cell::At("/reason")),
];

const ENDPOINTS: &[Column] = &[
    column("ENDPOINT", Cell::At("/address")),
    column("ROLE", Cell::At("/role")),
    column("HEALTH", Cell::State("/health")),
    column("ROTATION", Cell::State("/rotation")),
    column("BREAKER", Cell::State("/breaker")),
    column("SINCE", Cell::Age("/since")),
    wide("WEIGHT", Cell::At("/weight")),
    wide("IN FLIGHT", Cell::At("/in_flight")),
    wide("LATENCY MS", Cell::Of(|endpoint| format!("{:.1}", endpoint["latency_ms"].as_f64().unwrap_or(0.0)))),
    column("REASON", Cell::At("/reason")),
];

pub(crate) async fn run(command: Service, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let client = session.client()?;
    match command {
        Service::List => list(session, &client).await?,
        Service::Get { name } => get(session, &client, &name).await?,
        Service::Drain(order) => {
            let (services, name) = ordered(session, &client, &order)?;
            let body = session.send(services.drain(&name)).await?;
            session.changed(&format!("`{name}` is given no new requests"), &body, &name)?;
        }
        Service::Undrain(order) => {
            let (services, name) = ordered(session, &client, &order)?;
            let body = session.send(services.undrain(&name)).await?;
            session.changed(&format!("`{name}` is given requests again"), &body, &name)?;
        }
        Service::ResetBreaker(order) => {
            let (services, name) = ordered(session, &client, &order)?;
            let body = session.send(services.reset_breaker(&name)).await?;
            session.changed(&format!("the breakers of `{name}` are closed"), &body, &name)?;
        }
        Service::Restart(life) => return lead(session, &client, &life, Act::Restart).await,
        Service::Stop(life) => return lead(session, &client, &life, Act::Stop).await,
        Service::Start(life) => return lead(session, &client, &life, Act::Start).await,
        Service::Logs(args) => {
            let (services, name) = find(session, &client, &args.name)?;
            return logs::run(&args, session, &services, &name).await;
        }
    }
    Ok(Exit::Done)
}

async fn list(session: &mut Session<'_>, client: &Client) -> Result<(), Fault> {
    let clusters: Vec<String> = match session.named_cluster() {
        Some(cluster) => vec![cluster.to_owned()],
        None => {
            let body = session.gather(client.clusters().list(), "clusters").await?;
            items(&body, "clusters").iter().map(|cluster| text(cluster, "/id")).collect()
        }
    };
    let mut services = Vec::new();
    for cluster in clusters {
        let health = session.send(client.cluster(&cluster).health()).await?;
        services.extend(of_health(&cluster, &health));
    }
    let body = json!({ "services": services, "count": services.len() });
    session.list(&body, &services, LIST, |service| {
        format!("{}/{}", text(service, "/cluster"), text(service, "/name"))
    })?;
    if services.is_empty() {
        session.say("no services");
    }
    Ok(())
}

/// The services in a cluster's health, each with its `cluster`.
pub(crate) fn of_health(cluster: &str, health: &Value) -> Vec<Value> {
    let facts = health["services"].as_object().into_iter().flatten();
    facts
        .map(|(name, facts)| {
            let mut item = json!({ "cluster": cluster, "name": name });
            if let (Some(item), Some(facts)) = (item.as_object_mut(), facts.as_object()) {
                item.extend(facts.clone());
            }
            item
        })
        .collect()
}

/// Where clients ask a service: each door by what it is called in the facts, and for people.
const DOORS: &[(&str, &str)] = &[
    ("cache", "Cache calls"),
    ("upstash", "Upstash clients"),
    ("db", "SQL calls"),
    ("neon", "Neon clients"),
    ("queue", "Queue calls"),
];

/// The URL of a door in the facts of a service, if it has that door.
pub(crate) fn door(session: &Session<'_>, facts: &Value, name: &str) -> Option<String> {
    let doors = items(facts, "doors");
    let path = doors.iter().find(|door| door["name"] == name)?["path"].as_str()?.to_owned();
    Some(format!("{}{path}", session.url()))
}

async fn get(session: &mut Session<'_>, client: &Client, name: &str) -> Result<(), Fault> {
    let (services, name) = find(session, client, name)?;
    let body = session.send(services.get(&name)).await?;
    session.show(&body, &name, |session| {
        let mut facts = vec![
            ("Service", text(&body, "/name")),
            ("Type", text(&body, "/type")),
            ("Verdict", text(&body, "/verdict")),
            ("Reason", text(&body, "/reason")),
            ("Since", text(&body, "/since")),
            ("Lifecycle", text(&body, "/lifecycle")),
            ("Health", text(&body, "/health")),
            ("Rotation", text(&body, "/rotation")),
            ("Breaker", text(&body, "/breaker")),
        ];
        facts.extend(DOORS.iter().filter_map(|(name, label)| Some((*label, door(session, &body, name)?))));
        let mut page = session.facts(&facts);
        let endpoints = items(&body, "endpoints");
        if !endpoints.is_empty() {
            page.push('\n');
            page.push_str(&session.table(&endpoints, ENDPOINTS));
        }
        page
    })
}

/// What is done to a service that the gateway runs.
#[derive(Debug, Clone, Copy)]
enum Act {
    Restart,
    Stop,
    Start,
}

/// Begins it, and shows how far it is until it has ended.
async fn lead(session: &mut Session<'_>, client: &Client, life: &Life, act: Act) -> Result<Exit, Fault> {
    let (services, name) = ordered(session, client, &life.order)?;
    let (call, doing, done) = match act {
        Act::Restart => (services.restart(&name), "restarted", "answers again"),
        Act::Stop => (services.stop(&name), "stopped", "is stopped"),
        Act::Start => (services.start(&name), "started", "answers"),
    };
    let (began, ended) = (format!("`{name}` is being {doing}"), format!("`{name}` {done}"));
    progress::led(session, client, call, life.no_wait, &began, &ended).await
}

/// What is ordered, and why.
pub(crate) fn ordered(
    session: &Session<'_>,
    client: &Client,
    order: &Order,
) -> Result<(Services, String), Fault> {
    let (services, name) = find(session, client, &order.name)?;
    Ok(match &order.reason {
        Some(reason) => (services.because(reason), name),
        None => (services, name),
    })
}

/// `NAME` in the named cluster, or `CLUSTER/NAME`.
pub(crate) fn find(session: &Session<'_>, client: &Client, name: &str) -> Result<(Services, String), Fault> {
    let (cluster, name) = match name.split_once('/') {
        Some((cluster, name)) => (cluster.to_owned(), name),
        None => (session.cluster()?, name),
    };
    Ok((client.cluster(&cluster).services(), name.to_owned()))
}
