//! `orphan`: what is run or kept that no cluster asks for; list, delete.

use clap::Subcommand;
use sdk::Data;
use serde_json::Value;

use crate::ask::{self, Consent};
use crate::complete;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{clean, text};
use crate::session::{Session, items};
use crate::table::{Cell, Column, column, wide};

#[derive(Subcommand, Debug)]
pub(crate) enum Orphan {
    /// Services that nobody asks for, and data that were kept
    #[command(visible_alias = "ls")]
    List,
    /// Take one away with its data
    #[command(visible_alias = "rm", alias = "remove")]
    Delete(Delete),
}

#[derive(clap::Args, Debug)]
pub(crate) struct Delete {
    /// Its name, as the list has it: PROVISIONER/CLUSTER/SERVICE
    #[arg(add = complete::orphans())]
    name: String,
    /// Keep its data, for a service of the same name
    #[arg(long)]
    keep_data: bool,
    /// Also when another gateway has made it, which may use it
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    consent: Consent,
}

const LIST: &[Column] = &[
    column("ORPHAN", Cell::Of(name)),
    column("TYPE", Cell::At("/type")),
    column("STATE", Cell::State("/state")),
    column("MADE BY", Cell::Of(made_by)),
    wide("DATA", Cell::Of(|orphan| if orphan["has_data"] == true { "yes" } else { "no" }.to_owned())),
    wide("PORT", Cell::At("/port")),
];

pub(crate) async fn run(command: Orphan, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match command {
        Orphan::List => list(session).await,
        Orphan::Delete(args) => delete(session, &args).await,
    }
}

async fn list(session: &mut Session<'_>) -> Result<Exit, Fault> {
    let call = session.client()?.orphans().list();
    let body = session.send(call).await?;
    let orphans = items(&body, "orphans");
    session.list(&body, &orphans, LIST, name)?;
    let unseen = items(&body, "unseen");
    for unseen in &unseen {
        let (who, why) = (text(unseen, "/provisioner"), text(unseen, "/detail"));
        session.say(&format!("`{who}` could not be asked: {why}"));
    }
    if orphans.is_empty() && unseen.is_empty() {
        session.say("no orphans");
    }
    Ok(Exit::Done)
}

async fn delete(session: &mut Session<'_>, args: &Delete) -> Result<Exit, Fault> {
    let words: Vec<&str> = args.name.split('/').collect();
    let [provisioner, cluster, service] = words.as_slice() else {
        return Err(Fault::usage(format!("`{}` is not PROVISIONER/CLUSTER/SERVICE", args.name))
            .fix("`throome orphan list -o name` shows the names"));
    };
    let mut orphans = session.client()?.orphans();
    if !args.consent.given() {
        // Whoever is asked hears what it is; a wrong name ends here.
        let body = session.send(orphans.list()).await?;
        let found = items(&body, "orphans").into_iter().find(|orphan| name(orphan) == args.name);
        let found = found.ok_or_else(|| {
            Fault::new(Exit::NotFound, format!("there is no orphan `{}`", args.name))
                .fix("`throome orphan list` shows them")
        })?;
        let data = if args.keep_data { "without its data" } else { "with its data" };
        let what =
            format!("`{}` ({}, made by {}) {data}", args.name, text(&found, "/state"), made_by(&found));
        ask::before(session, args.consent, &what, &args.name)?;
    }
    if args.force {
        orphans = orphans.forced();
    }
    let data = if args.keep_data { Data::Keep } else { Data::Remove };
    let body = session.send(orphans.delete(provisioner, cluster, service, data)).await?;
    session.changed(&format!("removed `{}`", args.name), &body, &args.name)?;
    Ok(Exit::Done)
}

/// As it is typed.
fn name(orphan: &Value) -> String {
    let part = |pointer| text(orphan, pointer);
    format!("{}/{}/{}", part("/provisioner"), part("/cluster"), part("/service"))
}

fn made_by(orphan: &Value) -> String {
    if orphan["own"] == true { "this gateway".to_owned() } else { clean(&text(orphan, "/gateway")) }
}
