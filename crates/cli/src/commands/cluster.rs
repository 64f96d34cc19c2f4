//! `cluster`: list, get, create, edit, delete.

use clap::{Args, Subcommand};
use sdk::{Client, Data};
use serde_json::{Value, json};

use crate::ask::{self, Consent};
use crate::complete;
use crate::document;
use crate::edit;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{plain, text};
use crate::progress::{self, Outcome};
use crate::session::{Session, items};
use crate::table::{Cell, Column, column, wide};

#[derive(Subcommand, Debug)]
pub(crate) enum Cluster {
    /// All clusters
    #[command(visible_alias = "ls")]
    List,
    /// One cluster with its services
    #[command(visible_alias = "show")]
    Get {
        /// Its id
        #[arg(add = complete::clusters())]
        id: String,
    },
    /// Create a cluster
    Create(Create),
    /// Change a cluster in your editor
    Edit {
        /// Its id
        #[arg(add = complete::clusters())]
        id: String,
    },
    /// Remove a cluster with its services and routes
    #[command(visible_alias = "rm")]
    Delete(Delete),
}

#[derive(Args, Debug)]
pub(crate) struct Create {
    /// Its name, for people; also makes its id where none is given
    #[arg(long, required_unless_present = "file")]
    pub(crate) name: Option<String>,
    /// Its id, unique in the gateway
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Its document, YAML or JSON; `-` reads standard input
    #[arg(short, long)]
    pub(crate) file: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Delete {
    /// Its id
    #[arg(add = complete::clusters())]
    id: String,
    /// Keep the data of the services that the gateway runs for it
    #[arg(long)]
    keep_data: bool,
    #[command(flatten)]
    consent: Consent,
}

const LIST: &[Column] = &[
    column("ID", Cell::At("/id")),
    column("NAME", Cell::At("/name")),
    column("STATUS", Cell::State("/status")),
    column("SERVICES", Cell::Of(|cluster| cluster["services"].as_array().map_or(0, Vec::len).to_string())),
    column("AGE", Cell::Age("/created_at")),
    wide("CREATED", Cell::At("/created_at")),
    wide("KINDS", Cell::Of(kinds)),
];

const SERVICES: &[Column] = &[
    column("SERVICE", Cell::At("/name")),
    column("TYPE", Cell::At("/type")),
    column("ENDPOINTS", Cell::Of(endpoints)),
];

pub(crate) async fn run(command: Cluster, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match command {
        Cluster::List => list(session).await,
        Cluster::Get { id } => get(session, &id).await,
        Cluster::Create(args) => create(session, args).await,
        Cluster::Edit { id } => change(session, &id).await,
        Cluster::Delete(args) => delete(session, &args).await,
    }
}

pub(crate) async fn list(session: &mut Session<'_>) -> Result<Exit, Fault> {
    let list = session.client()?.clusters().list();
    let body = session.gather(list, "clusters").await?;
    let clusters = items(&body, "clusters");
    session.list(&body, &clusters, LIST, |cluster| text(cluster, "/id"))?;
    if clusters.is_empty() {
        session.say("no clusters yet; make one with `throome cluster create --name NAME`");
    }
    Ok(Exit::Done)
}

pub(crate) async fn get(session: &mut Session<'_>, id: &str) -> Result<Exit, Fault> {
    let call = session.client()?.clusters().get(id);
    let body = session.send(call).await?;
    session.show(&body, id, |session| {
        let mut page = session.facts(&[
            ("Cluster", text(&body, "/id")),
            ("Name", text(&body, "/name")),
            ("Status", text(&body, "/status")),
            ("Created", text(&body, "/created_at")),
            ("Strategy", text(&body, "/routing/strategy")),
            ("Routes", body["routes"].as_array().map_or(0, Vec::len).to_string()),
        ]);
        let services = named(&body["services"]);
        if !services.is_empty() {
            page.push('\n');
            page.push_str(&session.table(&services, SERVICES));
        }
        page
    })?;
    Ok(Exit::Done)
}

pub(crate) async fn create(session: &mut Session<'_>, args: Create) -> Result<Exit, Fault> {
    let read = match &args.file {
        Some(file) => Some(document::read(session, file)?),
        None => None,
    };
    let mut spec = read.as_ref().map_or_else(|| json!({ "services": {} }), document::Document::json);
    if let Some(name) = args.name {
        spec["name"] = Value::String(name);
    }
    if let Some(id) = args.id {
        spec["cluster_id"] = Value::String(id);
    }
    let client = session.client()?;
    let call = client.clusters().create(&spec);
    let outcome = progress::carried_out(session, &client, call).await.map_err(|error| match &read {
        Some(document) => document.locate(error),
        None => error.into(),
    })?;
    created(session, &client, outcome).await
}

pub(crate) async fn created(
    session: &mut Session<'_>,
    client: &Client,
    outcome: Outcome,
) -> Result<Exit, Fault> {
    let body = match outcome {
        Outcome::Answered(body) => body,
        Outcome::Ended(id) => session.send(client.clusters().get(&id)).await?,
        Outcome::LetGo => return Ok(Exit::Interrupted),
    };
    let id = text(&body, "/id");
    session.changed(&format!("created cluster `{id}`"), &body, &id)?;
    Ok(Exit::Done)
}

async fn change(session: &mut Session<'_>, id: &str) -> Result<Exit, Fault> {
    let client = session.client()?;
    let clusters = client.clusters();
    let reply = clusters.get(id).reply().await?;
    session.tell_trace();
    let Some((spec, draft)) = edit::edit(session, id, &reply.json()?)? else {
        session.say("nothing was changed");
        return Ok(Exit::Done);
    };
    let mut call = clusters.replace(id, &spec);
    if let Some(etag) = reply.etag() {
        call = call.if_match(etag);
    }
    let replaced = progress::carried_out(session, &client, call).await;
    let body = match replaced.map_err(|error| draft.keep(error.into()))? {
        Outcome::Answered(body) => body,
        Outcome::Ended(id) => session.send(clusters.get(&id)).await?,
        Outcome::LetGo => return Ok(Exit::Interrupted),
    };
    session.changed(&format!("changed cluster `{id}`"), &body, id)?;
    Ok(Exit::Done)
}

pub(crate) async fn delete(session: &mut Session<'_>, args: &Delete) -> Result<Exit, Fault> {
    let clusters = session.client()?.clusters();
    let id = &args.id;
    if !args.consent.given() {
        // Whoever is asked hears what goes with it; a wrong id ends here.
        let body = session.send(clusters.get(id)).await?;
        let services: Vec<String> =
            body["services"].as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default();
        let routes = body["routes"].as_array().map_or(0, Vec::len);
        let services = if services.is_empty() { "no services".to_owned() } else { services.join(", ") };
        let what = format!("cluster `{id}` ({services}; routes: {routes})");
        ask::before(session, args.consent, &what, id)?;
    }
    let data = if args.keep_data { Data::Keep } else { Data::Remove };
    let body = session.send(clusters.delete(id, data)).await?;
    session.changed(&format!("removed cluster `{id}`"), &body, id)?;
    Ok(Exit::Done)
}

/// A map of specs as a list whose items have their `name`.
fn named(services: &Value) -> Vec<Value> {
    let named = |(name, spec): (&String, &Value)| {
        let mut item = spec.clone();
        if let Some(fields) = item.as_object_mut() {
            fields.insert("name".to_owned(), json!(name));
        }
        item
    };
    services.as_object().map(|all| all.iter().map(named).collect()).unwrap_or_default()
}

/// `host:port` of every endpoint of a spec; `-` for a service inside the gateway.
fn endpoints(spec: &Value) -> String {
    let address = |at: &Value| {
        let host = at["host"].as_str().filter(|host| !host.is_empty())?;
        Some(at["port"].as_u64().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    };
    let further = ["replicas", "endpoints"].into_iter().flat_map(|list| items(spec, list));
    let all: Vec<String> =
        address(spec).into_iter().chain(further.filter_map(|endpoint| address(&endpoint))).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}

fn kinds(cluster: &Value) -> String {
    let kinds: std::collections::BTreeSet<String> =
        items(cluster, "services").iter().map(|service| plain(&service["type"])).collect();
    if kinds.is_empty() { "-".to_owned() } else { kinds.into_iter().collect::<Vec<_>>().join(", ") }
}
