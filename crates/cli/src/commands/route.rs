//! `route`: list, get, create, edit, delete.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::ask::{self, Consent};
use crate::complete;
use crate::document;
use crate::edit;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::text;
use crate::session::{Session, items};
use crate::table::{Cell, Column, column, wide};

#[derive(Subcommand, Debug)]
pub(crate) enum Route {
    /// Routes of the gateway, or of one cluster
    #[command(visible_alias = "ls")]
    List,
    /// One route
    #[command(visible_alias = "show")]
    Get {
        /// Its id
        #[arg(add = complete::routes())]
        id: String,
    },
    /// Create a route
    Create(Create),
    /// Change a route in your editor
    Edit {
        /// Its id
        #[arg(add = complete::routes())]
        id: String,
    },
    /// Remove a route
    #[command(visible_alias = "rm")]
    Delete {
        /// Its id
        #[arg(add = complete::routes())]
        id: String,
        #[command(flatten)]
        consent: Consent,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Create {
    /// Its document, YAML or JSON; `-` reads standard input
    #[arg(short, long, conflicts_with_all = ["path", "service", "host", "method"])]
    file: Option<String>,
    /// Its id; left out, made from cluster and path
    #[arg(long)]
    id: Option<String>,
    /// `/exact`, `/with/:name` or `/with/{name}`, or `/prefix/*`
    #[arg(long, required_unless_present = "file")]
    path: Option<String>,
    /// The service that answers
    #[arg(long, required_unless_present = "file")]
    service: Option<String>,
    /// The host it answers for; left out, every host
    #[arg(long)]
    host: Option<String>,
    /// A method it answers to; left out, all; may be repeated
    #[arg(long)]
    method: Vec<String>,
}

const LIST: &[Column] = &[
    column("ID", Cell::At("/id")),
    column("CLUSTER", Cell::At("/cluster")),
    column("ANSWERS", Cell::Of(answers)),
    column("HOST", Cell::At("/host")),
    column("PATH", Cell::At("/path")),
    column("METHODS", Cell::At("/methods")),
    column("ENABLED", Cell::Of(enabled)),
    column("OWNER", Cell::At("/owner")),
    wide("TIMEOUT", Cell::At("/timeout")),
    wide("STRATEGY", Cell::At("/strategy")),
    wide("HEADERS", Cell::At("/headers")),
];

pub(crate) async fn run(command: Route, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match command {
        Route::List => list(session).await,
        Route::Get { id } => get(session, &id).await,
        Route::Create(args) => create(session, args).await,
        Route::Edit { id } => change(session, &id).await,
        Route::Delete { id, consent } => delete(session, &id, consent).await,
    }
}

async fn list(session: &mut Session<'_>) -> Result<Exit, Fault> {
    let list = session.client()?.routes().list();
    let mut body = session.gather(list, "routes").await?;
    let mut routes = items(&body, "routes");
    if let Some(cluster) = session.named_cluster().map(str::to_owned) {
        routes.retain(|route| route["cluster"] == cluster.as_str());
        body["count"] = json!(routes.len());
        body["routes"] = json!(routes);
    }
    session.list(&body, &routes, LIST, |route| text(route, "/id"))?;
    if routes.is_empty() {
        session.say("no routes");
    }
    Ok(Exit::Done)
}

async fn get(session: &mut Session<'_>, id: &str) -> Result<Exit, Fault> {
    let call = session.client()?.routes().get(id);
    let body = session.send(call).await?;
    session.show(&body, id, |session| {
        session.facts(&[
            ("Route", text(&body, "/id")),
            ("Cluster", text(&body, "/cluster")),
            ("Answers", answers(&body)),
            ("Host", text(&body, "/host")),
            ("Path", text(&body, "/path")),
            ("Methods", text(&body, "/methods")),
            ("Headers", text(&body, "/headers")),
            ("Query", text(&body, "/query")),
            ("Rewrite", text(&body, "/rewrite")),
            ("Timeout", text(&body, "/timeout")),
            ("Retry", text(&body, "/retry")),
            ("Strategy", text(&body, "/strategy")),
            ("Affinity", text(&body, "/affinity")),
            ("Mirror", text(&body, "/mirror")),
            ("Fallback", text(&body, "/fallback")),
            ("Request headers", text(&body, "/request_headers")),
            ("Response headers", text(&body, "/response_headers")),
            ("Enabled", enabled(&body)),
            ("Owner", text(&body, "/owner")),
        ])
    })?;
    Ok(Exit::Done)
}

async fn create(session: &mut Session<'_>, args: Create) -> Result<Exit, Fault> {
    let read = match &args.file {
        Some(file) => Some(document::read(session, file)?),
        None => None,
    };
    let mut route = read.as_ref().map_or_else(|| json!({}), document::Document::json);
    let given = [("id", args.id), ("path", args.path), ("service", args.service), ("host", args.host)];
    for (field, value) in given {
        if let Some(value) = value {
            route[field] = Value::String(value);
        }
    }
    if !args.method.is_empty() {
        route["methods"] = json!(args.method);
    }
    if route["cluster"].is_null() {
        route["cluster"] = Value::String(session.cluster()?);
    }
    let call = session.client()?.routes().create(&route);
    let body = session.try_send(call).await.map_err(|error| match &read {
        Some(document) => document.locate(error),
        None => error.into(),
    })?;
    let id = text(&body, "/id");
    session.changed(&format!("created route `{id}`"), &body, &id)?;
    Ok(Exit::Done)
}

async fn change(session: &mut Session<'_>, id: &str) -> Result<Exit, Fault> {
    let routes = session.client()?.routes();
    let reply = routes.get(id).reply().await?;
    session.tell_trace();
    let Some((route, draft)) = edit::edit(session, id, &reply.json()?)? else {
        session.say("nothing was changed");
        return Ok(Exit::Done);
    };
    let mut call = routes.replace(id, &route);
    if let Some(etag) = reply.etag() {
        call = call.if_match(etag);
    }
    let body = session.send(call).await.map_err(|fault| draft.keep(fault))?;
    session.changed(&format!("changed route `{id}`"), &body, id)?;
    Ok(Exit::Done)
}

async fn delete(session: &mut Session<'_>, id: &str, consent: Consent) -> Result<Exit, Fault> {
    let routes = session.client()?.routes();
    if !consent.given() {
        let body = session.send(routes.get(id)).await?;
        let what = format!("route `{id}`, by which {} reaches {}", text(&body, "/path"), answers(&body));
        ask::before(session, consent, &what, id)?;
    }
    let body = session.send(routes.delete(id)).await?;
    session.changed(&format!("removed route `{id}`"), &body, id)?;
    Ok(Exit::Done)
}

/// What answers: `web`, `web 95, canary 5`, `redirect 307`, `answer 404`.
fn answers(route: &Value) -> String {
    let parts = items(route, "split");
    if !route["redirect"].is_null() {
        format!("redirect {}", text(route, "/redirect/status"))
    } else if !route["respond"].is_null() {
        format!("answer {}", text(route, "/respond/status"))
    } else if parts.is_empty() {
        text(route, "/service")
    } else {
        let part = |part: &Value| format!("{} {}", text(part, "/service"), text(part, "/weight"));
        parts.iter().map(part).collect::<Vec<_>>().join(", ")
    }
}

fn enabled(route: &Value) -> String {
    if route["enabled"] == false { "no".to_owned() } else { "yes".to_owned() }
}
