//! `token`: create, list, revoke.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use sdk::{Client, TokenRequest};
use serde_json::{Value, json};

use crate::commands::service::door;
use crate::complete;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{Format, age, text};
use crate::session::{Session, items};
use crate::table::{Cell, Column, column, wide};

/// What every token begins with.
const PREFIX: &str = "thr_";

#[derive(Subcommand, Debug)]
pub(crate) enum Token {
    /// Make a token and print it, this once
    Create(Create),
    /// Tokens in use, and those that ended lately
    #[command(visible_alias = "ls")]
    List,
    /// Take tokens back: nobody may use them any more
    #[command(visible_aliases = ["rm", "delete"])]
    Revoke {
        /// Their ids, as `token list` shows them
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Create {
    /// The one service whose data it may use, and nothing else; NAME alone with --cluster
    #[arg(long, value_name = "ID/NAME", add = complete::services_of_all())]
    service: Option<String>,
    /// For people; left out, the service or the role
    #[arg(long)]
    name: Option<String>,
    /// What it may do [default: viewer]; a token for a service has no role to choose
    #[arg(long, value_parser = PossibleValuesParser::new(["viewer", "operator", "admin"]))]
    role: Option<String>,
    /// How long it may be used: 12h, 30d; left out, until it is revoked
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
}

const LIST: &[Column] = &[
    column("ID", Cell::At("/id")),
    column("NAME", Cell::At("/name")),
    column("ROLE", Cell::At("/role")),
    column("SERVICE", Cell::At("/service")),
    column("STATUS", Cell::At("/status")),
    column("AGE", Cell::Age("/created_at")),
    column("LAST USED", Cell::Of(last_used)),
    column("EXPIRES", Cell::Of(expires)),
    wide("REVOKED", Cell::At("/revoked_at")),
];

pub(crate) async fn run(command: Token, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match command {
        Token::Create(args) => create(session, args).await,
        Token::List => list(session).await,
        Token::Revoke { ids } => revoke(session, &ids).await,
    }
}

async fn create(session: &mut Session<'_>, args: Create) -> Result<Exit, Fault> {
    if session.global.output == Format::Name {
        return Err(Fault::usage("-o name would print the id, and nobody would ever see the token")
            .fix("leave it out to print the token alone, or say -o json for all of it"));
    }
    let service = match args.service {
        Some(service) if !service.contains('/') => Some(format!("{}/{service}", session.cluster()?)),
        service => service,
    };
    let request = TokenRequest { name: args.name, service, role: args.role, expires_in: args.expires };
    let client = session.client()?;
    let body = session.send(client.tokens().create(&request)).await?;
    session.show(&body, "", |_| format!("{}\n", text(&body, "/token")))?;
    // What follows may ask the gateway: nobody who waits for the token waits for that.
    session.terminal.flush()?;
    session.say(&made(&body));
    session.say("It is shown this once, and kept nowhere. Clients send it as `Authorization: Bearer …`;");
    session.say("the CLI and the SDKs read it from THROOME_TOKEN.");
    for clients in of_clients(session, &client, &body).await {
        session.say(&clients);
    }
    Ok(Exit::Done)
}

/// What was made, in a sentence.
fn made(body: &Value) -> String {
    let may = match body["service"].as_str() {
        Some(service) => format!("for the data of {service} and nothing else"),
        None => format!("with the role {}", text(body, "/role")),
    };
    let until = match body["expires_at"].as_str() {
        Some(end) => format!("until {end}"),
        None => "until it is revoked".to_owned(),
    };
    format!("created token {} `{}`, {may}, {until}", text(body, "/id"), text(body, "/name"))
}

/// What published clients make of the token, where they can talk to its service. That it cannot be found out is no
/// failure of what was done.
async fn of_clients(session: &mut Session<'_>, client: &Client, body: &Value) -> Vec<String> {
    let Some((cluster, name)) = body["service"].as_str().and_then(|service| service.split_once('/')) else {
        return Vec::new();
    };
    let Ok(facts) = session.try_send(client.cluster(cluster).services().get(name)).await else {
        return Vec::new();
    };
    let upstash = door(session, &facts, "upstash")
        .map(|url| format!("Upstash clients take it as their token, with the URL {url}"));
    let neon = door(session, &facts, "neon").map(|url| {
        format!(
            "Neon clients take it as the password of their connection string, with the fetch endpoint {url}"
        )
    });
    upstash.into_iter().chain(neon).collect()
}

async fn list(session: &mut Session<'_>) -> Result<Exit, Fault> {
    let list = session.client()?.tokens().list();
    let mut body = session.gather(list, "tokens").await?;
    let mut tokens = items(&body, "tokens");
    if let Some(cluster) = session.named_cluster().map(str::to_owned) {
        let of_cluster = |service: &str| service.split_once('/').is_some_and(|(own, _)| own == cluster);
        tokens.retain(|token| token["service"].as_str().is_some_and(of_cluster));
        body["count"] = json!(tokens.len());
        body["tokens"] = json!(tokens);
    }
    session.list(&body, &tokens, LIST, |token| text(token, "/id"))?;
    if tokens.is_empty() {
        session.say("no tokens");
    }
    Ok(Exit::Done)
}

async fn revoke(session: &mut Session<'_>, ids: &[String]) -> Result<Exit, Fault> {
    if ids.iter().any(|id| id.starts_with(PREFIX)) {
        return Err(Fault::usage("that is a token, and not its id")
            .why("it was not sent anywhere, but your shell may remember it")
            .fix("`throome token list` shows the ids"));
    }
    let tokens = session.client()?.tokens();
    for id in ids {
        let revoked = session.try_send(tokens.revoke(id)).await;
        let body = revoked.map_err(|error| {
            let fault = Fault::from(error);
            // Those before it are revoked, those after it are not.
            if ids.len() > 1 { fault.places(vec![format!("token {id}")]) } else { fault }
        })?;
        session.changed(&format!("revoked token {id} `{}`", text(&body, "/name")), &body, id)?;
    }
    Ok(Exit::Done)
}

fn last_used(token: &Value) -> String {
    token["last_used_at"].as_str().map_or_else(|| "never".to_owned(), |time| format!("{} ago", age(time)))
}

/// How long a token may still be used, or since when it may not.
fn expires(token: &Value) -> String {
    let Some(text) = token["expires_at"].as_str() else { return "never".to_owned() };
    let Ok(end) = text.parse::<jiff::Timestamp>() else { return text.to_owned() };
    let now = jiff::Timestamp::now();
    let left = end.duration_since(now);
    // As long ago as the end is ahead.
    let mirrored = now.checked_sub(left).unwrap_or(now);
    if left.is_positive() {
        format!("in {}", age(&mirrored.to_string()))
    } else {
        format!("{} ago", age(text))
    }
}
