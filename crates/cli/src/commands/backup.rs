//! `backup`: what services that the gateway runs hold, in files: create, list, get, restore,
//! delete. Those that come and go are in `files`.

mod files;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sdk::{Backups, Client};

use crate::ask::{self, Consent};
use crate::commands::service::{Life, find, ordered};
use crate::complete;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::text;
use crate::progress;
use crate::session::{Session, items};
use crate::table::{Cell, Column, column, wide};

#[derive(Subcommand, Debug)]
pub(crate) enum Backup {
    /// Those of a service, the newest first
    #[command(visible_alias = "ls")]
    List {
        /// NAME, or CLUSTER/NAME
        #[arg(add = complete::services_of_all())]
        service: String,
    },
    /// One of them
    #[command(visible_alias = "show")]
    Get(One),
    /// Write all that a service holds into a file beside the gateway
    Create(Life),
    /// Fetch the file of one
    Download(Fetch),
    /// Bring a file, for a restore
    Upload(Bring),
    /// Put what one has in place of all that a service holds
    Restore(Restore),
    /// Remove one
    #[command(visible_alias = "rm")]
    Delete(Delete),
}

#[derive(Args, Debug)]
pub(crate) struct One {
    /// The service: NAME, or CLUSTER/NAME
    #[arg(add = complete::services_of_all())]
    service: String,
    /// The backup's id
    id: String,
}

#[derive(Args, Debug)]
pub(crate) struct Fetch {
    #[command(flatten)]
    one: One,
    /// Where it goes; `-` is standard output [default: SERVICE-ID.FORMAT here]
    file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Bring {
    /// The service: NAME, or CLUSTER/NAME
    #[arg(add = complete::services_of_all())]
    service: String,
    /// The file
    file: PathBuf,
    /// Its id: 1 to 64 of a to z, 0 to 9 and `-` [default: of the file's name]
    #[arg(long)]
    id: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Restore {
    #[command(flatten)]
    life: Life,
    /// The backup's id
    id: String,
    /// The service that the backup is of, where that is another one
    #[arg(long, value_name = "CLUSTER/NAME", add = complete::services_of_all())]
    from: Option<String>,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Args, Debug)]
pub(crate) struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    consent: Consent,
}

const LIST: &[Column] = &[
    column("ID", Cell::At("/id")),
    column("FORMAT", Cell::At("/format")),
    column("BYTES", Cell::At("/bytes")),
    column("ORIGIN", Cell::At("/origin")),
    column("AGE", Cell::Age("/created_at")),
    wide("KIND", Cell::At("/kind")),
    wide("CREATED", Cell::At("/created_at")),
    wide("SHA256", Cell::At("/sha256")),
];

pub(crate) async fn run(command: Backup, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let client = session.client()?;
    match command {
        Backup::List { service } => list(session, &client, &service).await,
        Backup::Get(one) => get(session, &client, &one).await,
        Backup::Create(life) => create(session, &client, &life).await,
        Backup::Download(fetch) => files::download(session, &client, &fetch).await,
        Backup::Upload(bring) => files::upload(session, &client, &bring).await,
        Backup::Restore(args) => restore(session, &client, &args).await,
        Backup::Delete(args) => delete(session, &client, &args).await,
    }
}

fn of(session: &Session<'_>, client: &Client, service: &str) -> Result<Backups, Fault> {
    let (services, name) = find(session, client, service)?;
    Ok(services.backups(&name))
}

async fn list(session: &mut Session<'_>, client: &Client, service: &str) -> Result<Exit, Fault> {
    let list = of(session, client, service)?.list();
    let body = session.gather(list, "backups").await?;
    let backups = items(&body, "backups");
    session.list(&body, &backups, LIST, |backup| text(backup, "/id"))?;
    if backups.is_empty() {
        session.say(&format!("no backups yet; `throome backup create {service}` makes one"));
    }
    Ok(Exit::Done)
}

async fn get(session: &mut Session<'_>, client: &Client, one: &One) -> Result<Exit, Fault> {
    let body = session.send(of(session, client, &one.service)?.get(&one.id)).await?;
    session.show(&body, &one.id, |session| {
        session.facts(&[
            ("Backup", text(&body, "/id")),
            ("Of", format!("{}/{}", text(&body, "/cluster"), text(&body, "/service"))),
            ("Kind", text(&body, "/kind")),
            ("Format", text(&body, "/format")),
            ("Origin", text(&body, "/origin")),
            ("Bytes", text(&body, "/bytes")),
            ("SHA-256", text(&body, "/sha256")),
            ("Created", text(&body, "/created_at")),
        ])
    })?;
    Ok(Exit::Done)
}

async fn create(session: &mut Session<'_>, client: &Client, life: &Life) -> Result<Exit, Fault> {
    let (services, name) = ordered(session, client, &life.order)?;
    let call = services.backups(&name).create();
    let (began, ended) = (format!("`{name}` is being backed up"), format!("`{name}` is backed up"));
    progress::led(session, client, call, life.no_wait, &began, &ended).await
}

async fn restore(session: &mut Session<'_>, client: &Client, args: &Restore) -> Result<Exit, Fault> {
    let (services, name) = ordered(session, client, &args.life.order)?;
    let id = &args.id;
    let from = args.from.as_deref().map_or_else(String::new, |from| format!(" of `{from}`"));
    let what = format!("all that `{name}` holds, and puts what the backup `{id}`{from} has in its place");
    ask::before(session, args.consent, &what, &name)?;
    let call = services.backups(&name).restore(id, args.from.as_deref());
    let began = format!("`{name}` is being restored");
    let ended = format!("`{name}` holds what the backup `{id}` has");
    progress::led(session, client, call, args.life.no_wait, &began, &ended).await
}

async fn delete(session: &mut Session<'_>, client: &Client, args: &Delete) -> Result<Exit, Fault> {
    let backups = of(session, client, &args.one.service)?;
    let id = &args.one.id;
    if !args.consent.given() {
        // A wrong id ends here.
        session.send(backups.get(id)).await?;
        ask::before(session, args.consent, &format!("the backup `{id}` of `{}`", args.one.service), id)?;
    }
    let body = session.send(backups.delete(id)).await?;
    session.changed(&format!("removed the backup `{id}`"), &body, id)?;
    Ok(Exit::Done)
}
