//! `operation`: list, get, watch, cancel.

use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use sdk::OperationFilter;
use serde_json::Value;

use crate::commands::history;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{clean, text};
use crate::progress::{self, seconds};
use crate::session::{Session, items};
use crate::table::{Cell, Column, column, wide};

#[derive(Subcommand, Debug)]
pub(crate) enum Operation {
    /// The latest; of a cluster with --cluster
    #[command(visible_alias = "ls")]
    List {
        /// Those that stand so alone
        #[arg(long, value_parser = PossibleValuesParser::new(["running", "succeeded", "failed", "canceled"]))]
        status: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// One operation with its steps
    #[command(visible_alias = "show")]
    Get {
        /// Its id
        id: String,
    },
    /// Show how far one is until it ends
    Watch {
        /// Its id
        id: String,
    },
    /// End one: what it has made is undone
    Cancel {
        /// Its id
        id: String,
    },
}

const LIST: &[Column] = &[
    column("ID", Cell::At("/id")),
    column("KIND", Cell::At("/kind")),
    column("CLUSTER", Cell::At("/cluster")),
    column("SERVICE", Cell::At("/service")),
    column("STATUS", Cell::State("/status")),
    column("STEPS", Cell::Of(steps)),
    column("AGE", Cell::Age("/created_at")),
    column("TOOK", Cell::Of(took)),
    wide("ACTOR", Cell::At("/actor")),
    wide("REQUEST", Cell::At("/request_id")),
];

const STEPS: &[Column] = &[
    column("STEP", Cell::At("/name")),
    column("STATUS", Cell::State("/status")),
    column("TOOK", Cell::Of(took)),
    column("DETAIL", Cell::At("/detail")),
    wide("ACTION", Cell::At("/action")),
];

pub(crate) async fn run(command: Operation, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match command {
        Operation::List { status, limit } => list(session, status, limit).await,
        Operation::Get { id } => get(session, &id).await,
        Operation::Watch { id } => watch(session, &id).await,
        Operation::Cancel { id } => cancel(session, &id).await,
    }
}

async fn list(session: &mut Session<'_>, status: Option<String>, limit: usize) -> Result<Exit, Fault> {
    let mut filter = OperationFilter::default();
    filter.cluster = session.named_cluster().map(str::to_owned);
    filter.status = status;
    filter.limit = Some(u32::try_from(limit.clamp(1, 1000)).unwrap_or(1000));
    let list = session.client()?.operations().list(&filter);
    history::show(session, list, "operations", limit, LIST, "no operations").await
}

async fn get(session: &mut Session<'_>, id: &str) -> Result<Exit, Fault> {
    let call = session.client()?.operations().get(id);
    let body = session.send(call).await?;
    session.show(&body, id, |session| {
        let mut facts = vec![
            ("Operation", text(&body, "/id")),
            ("Kind", text(&body, "/kind")),
            ("Cluster", text(&body, "/cluster")),
            ("Service", text(&body, "/service")),
            ("Status", text(&body, "/status")),
            ("Created", text(&body, "/created_at")),
            ("Took", took(&body)),
            ("By", text(&body, "/actor")),
        ];
        if body["error"].is_object() {
            facts.push(("Why", text(&body, "/error/detail")));
        }
        let mut page = session.facts(&facts);
        let steps = items(&body, "steps");
        if !steps.is_empty() {
            page.push('\n');
            page.push_str(&session.table(&steps, STEPS));
        }
        let told = serde_json::from_value::<sdk::Operation>(body.clone()).map(|it| progress::last_lines(&it));
        for lines in told.unwrap_or_default() {
            page.push_str(&format!("\n{}\n", clean(&lines)));
        }
        page
    })?;
    Ok(Exit::Done)
}

async fn watch(session: &mut Session<'_>, id: &str) -> Result<Exit, Fault> {
    let client = session.client()?;
    let Some(last) = progress::watched(session, &client, id).await? else { return Ok(Exit::Interrupted) };
    let ended = format!("{} of `{}` has succeeded", last.kind, last.cluster);
    progress::told(session, &client, &last, &ended).await
}

async fn cancel(session: &mut Session<'_>, id: &str) -> Result<Exit, Fault> {
    let call = session.client()?.operations().cancel(id);
    let body = session.send(call).await?;
    session.changed(
        &format!("operation `{id}` is being undone; `throome operation watch {id}` shows how far"),
        &body,
        id,
    )?;
    Ok(Exit::Done)
}

/// How many are done, of how many.
fn steps(operation: &Value) -> String {
    let steps = items(operation, "steps");
    let done = steps.iter().filter(|step| step["status"] == "done").count();
    format!("{done}/{}", steps.len())
}

fn took(body: &Value) -> String {
    body["duration_ms"].as_u64().map_or_else(|| "-".to_owned(), seconds)
}
