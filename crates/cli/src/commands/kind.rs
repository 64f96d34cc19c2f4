//! `kinds`: the kinds of services there are, and in what they differ.

use serde_json::Value;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::text;
use crate::session::{Session, items};
use crate::table::{Cell, Column, column};

#[derive(clap::Args, Debug)]
pub(crate) struct Kinds {
    /// One of them, in full
    name: Option<String>,
}

const LIST: &[Column] = &[
    column("KIND", Cell::At("/name")),
    column("PLACE", Cell::At("/place")),
    column("PORT", Cell::At("/default_port")),
    column("ABILITIES", Cell::Of(abilities)),
    column("ABOUT", Cell::At("/about")),
];

pub(crate) async fn run(command: Kinds, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let client = session.client()?;
    let body = session.send(client.kinds()).await?;
    let kinds = items(&body, "kinds");
    let Some(name) = command.name else {
        session.list(&body, &kinds, LIST, |kind| text(kind, "/name"))?;
        return Ok(Exit::Done);
    };
    let Some(kind) = kinds.iter().find(|kind| kind["name"] == *name) else {
        return Err(Fault::new(Exit::NotFound, format!("there is no kind `{name}`"))
            .fix("`throome kinds` lists those there are"));
    };
    session.show(kind, &name, |session| {
        let mut page = session.facts(&[
            ("Kind", text(kind, "/name")),
            ("About", text(kind, "/about")),
            ("Place", text(kind, "/place")),
            ("Port", text(kind, "/default_port")),
            ("Abilities", abilities(kind)),
        ]);
        for fact in items(kind, "facts") {
            let (name, says) = (text(&fact, "/name"), text(&fact, "/says"));
            page.push('\n');
            page.push_str(&session.facts(&[(&name.replace('_', " "), says)]));
        }
        page
    })?;
    Ok(Exit::Done)
}

fn abilities(kind: &Value) -> String {
    let names = kind["abilities"].as_array().into_iter().flatten().filter_map(Value::as_str);
    names.collect::<Vec<_>>().join(", ")
}
