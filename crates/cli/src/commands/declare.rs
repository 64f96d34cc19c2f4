//! `plan` and `apply`: a file says how a cluster, or some routes, shall be.

use sdk::{Client, Family};
use serde_json::{Value, json};

use crate::commands::cluster;
use crate::document::{self, Content, Document};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::text;
use crate::progress::{self, Outcome};
use crate::session::{Session, items};
use crate::table::{Cell, Column, column};

#[derive(clap::Args, Debug)]
pub(crate) struct PlanArgs {
    /// A cluster's file, or one with a list of `routes`; `-` reads standard input
    file: String,
    /// End with code 8 if anything would change
    #[arg(long)]
    exit_code: bool,
}

#[derive(clap::Args, Debug)]
pub(crate) struct ApplyArgs {
    /// A cluster's file, or one with a list of `routes`; `-` reads standard input
    #[arg(required_unless_present = "flag", value_name = "FILE")]
    file: Option<String>,
    #[arg(short, long = "file", id = "flag", value_name = "FILE", hide = true, conflicts_with = "file")]
    flag: Option<String>,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

const STEPS: &[Column] = &[
    column("ACTION", Cell::State("/action")),
    column("WHAT", Cell::At("/what")),
    column("NAME", Cell::At("/name")),
    column("DETAIL", Cell::At("/detail")),
];

pub(crate) async fn plan(args: PlanArgs, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let document = document::read(session, &args.file)?;
    let changes = show_plan(session, &document).await?;
    Ok(if changes && args.exit_code { Exit::Invalid } else { Exit::Done })
}

pub(crate) async fn apply(args: ApplyArgs, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let file = args.file.or(args.flag).unwrap_or_default();
    let document = document::read(session, &file)?;
    if args.dry_run {
        show_plan(session, &document).await?;
        return Ok(Exit::Done);
    }
    let client = session.client()?;
    match document.content()? {
        Content::Cluster(id, spec) => apply_cluster(session, &client, &document, &id, &spec).await,
        Content::Routes(routes) => apply_routes(session, &client, &document, &routes).await,
    }
}

/// Whether anything would change.
async fn show_plan(session: &mut Session<'_>, document: &Document) -> Result<bool, Fault> {
    let client = session.client()?;
    let plan = match document.content()? {
        Content::Cluster(id, spec) => plan_cluster(session, &client, document, &id, &spec).await?,
        Content::Routes(routes) => plan_routes(session, &client, &routes).await?,
    };
    let steps: Vec<Value> = items(&plan, "steps");
    let telling: Vec<Value> = steps.iter().filter(|step| step["action"] != "keep").cloned().collect();
    session
        .list(&plan, &telling, STEPS, |step| format!("{}/{}", text(step, "/what"), text(step, "/name")))?;
    let changes = plan["changes"].as_bool().unwrap_or(!telling.is_empty());
    session.say(&if changes { summary(&telling) } else { "nothing would change".to_owned() });
    Ok(changes)
}

/// `2 to create, 1 to update`
fn summary(steps: &[Value]) -> String {
    let count = |action: &str| steps.iter().filter(|step| step["action"] == action).count();
    let parts: Vec<String> = ["create", "update", "delete"]
        .into_iter()
        .filter(|action| count(action) > 0)
        .map(|action| format!("{} to {action}", count(action)))
        .collect();
    parts.join(", ")
}

async fn plan_cluster(
    session: &mut Session<'_>,
    client: &Client,
    document: &Document,
    id: &str,
    spec: &Value,
) -> Result<Value, Fault> {
    match session.try_send(client.clusters().plan(id, spec)).await {
        Ok(plan) => Ok(plan),
        Err(error) if error.family() == Family::NotFound => Ok(plan_of_new(id, spec)),
        Err(error) => Err(document.locate(error)),
    }
}

/// What the gateway would do for a cluster that it does not have, in the shape of its own plans.
fn plan_of_new(id: &str, spec: &Value) -> Value {
    let services = spec["services"].as_object().or_else(|| spec["config"]["services"].as_object());
    let mut steps =
        vec![json!({ "action": "create", "what": "cluster", "name": id, "detail": "is not there yet" })];
    steps.extend(services.into_iter().flatten().map(|(name, service)| {
        let detail = format!("of type {}", text(service, "/type"));
        json!({ "action": "create", "what": "service", "name": name, "detail": detail })
    }));
    steps.extend(items(spec, "routes").iter().map(|route| {
        let detail = format!("{} to {}", text(route, "/path"), text(route, "/service"));
        json!({ "action": "create", "what": "route", "name": text(route, "/id"), "detail": detail })
    }));
    json!({ "cluster_id": id, "changes": true, "steps": steps })
}

async fn apply_cluster(
    session: &mut Session<'_>,
    client: &Client,
    document: &Document,
    id: &str,
    spec: &Value,
) -> Result<Exit, Fault> {
    let there = match session.try_send(client.clusters().get(id)).await {
        Ok(_) => true,
        Err(error) if error.family() == Family::NotFound => false,
        Err(error) => return Err(error.into()),
    };
    if !there {
        let created = progress::carried_out(session, client, client.clusters().create(spec)).await;
        return cluster::created(session, client, created.map_err(|error| document.locate(error))?).await;
    }
    let plan =
        session.try_send(client.clusters().plan(id, spec)).await.map_err(|error| document.locate(error))?;
    if plan["changes"] == false {
        session.changed(&format!("cluster `{id}` is as the file says"), &plan, id)?;
        return Ok(Exit::Done);
    }
    let replaced = progress::carried_out(session, client, client.clusters().replace(id, spec)).await;
    let body = match replaced.map_err(|error| document.locate(error))? {
        Outcome::Answered(body) => body,
        Outcome::Ended(_) => session.send(client.clusters().get(id)).await?,
        Outcome::LetGo => return Ok(Exit::Interrupted),
    };
    let steps: Vec<Value> =
        items(&plan, "steps").into_iter().filter(|step| step["action"] != "keep").collect();
    let table = session.table(&steps, STEPS);
    session.talk(&table);
    session.changed(&format!("changed cluster `{id}`"), &body, id)?;
    Ok(Exit::Done)
}

async fn plan_routes(session: &mut Session<'_>, client: &Client, routes: &[Value]) -> Result<Value, Fault> {
    let mut steps = Vec::with_capacity(routes.len());
    for route in routes {
        let asked = in_cluster(session, route)?;
        let action = compare(session, client, &asked).await?;
        let detail =
            format!("{} to {}/{}", text(&asked, "/path"), text(&asked, "/cluster"), text(&asked, "/service"));
        steps.push(
            json!({ "action": action, "what": "route", "name": text(&asked, "/id"), "detail": detail }),
        );
    }
    let changes = steps.iter().any(|step| step["action"] != "keep");
    Ok(json!({ "changes": changes, "steps": steps }))
}

/// A route without a cluster belongs to the one that was named.
fn in_cluster(session: &Session<'_>, route: &Value) -> Result<Value, Fault> {
    let mut route = route.clone();
    if route["cluster"].is_null() {
        route["cluster"] = Value::String(session.cluster()?);
    }
    Ok(route)
}

/// `create`, `update` or `keep`.
async fn compare(session: &mut Session<'_>, client: &Client, asked: &Value) -> Result<&'static str, Fault> {
    match session.try_send(client.routes().get(&text(asked, "/id"))).await {
        Ok(found) => Ok(if without_defaults(&found) == without_defaults(asked) { "keep" } else { "update" }),
        Err(error) if error.family() == Family::NotFound => Ok("create"),
        Err(error) => Err(error.into()),
    }
}

fn without_defaults(route: &Value) -> Value {
    let mut route = route.clone();
    if let Some(fields) = route.as_object_mut() {
        fields.retain(|name, value| {
            name != "owner" && !value.is_null() && !(name == "enabled" && *value == true)
        });
    }
    route
}

async fn apply_routes(
    session: &mut Session<'_>,
    client: &Client,
    document: &Document,
    routes: &[Value],
) -> Result<Exit, Fault> {
    let mut done = Vec::with_capacity(routes.len());
    for route in routes {
        let asked = in_cluster(session, route)?;
        let id = text(&asked, "/id");
        let (call, verb) = match compare(session, client, &asked).await? {
            "create" => (client.routes().create(&asked), "created"),
            "update" => (client.routes().replace(&id, &asked), "changed"),
            _ => {
                session.say(&format!("route `{id}` is as the file says"));
                done.push(asked);
                continue;
            }
        };
        let body = session.try_send(call).await.map_err(|error| document.locate(error))?;
        session.say(&format!("{verb} route `{id}`"));
        done.push(body);
    }
    let names: Vec<String> = done.iter().map(|route| text(route, "/id")).collect();
    let body = json!({ "routes": done, "count": done.len() });
    session.show(&body, &names.join("\n"), |_| String::new())?;
    Ok(Exit::Done)
}
