//! `config`: every setting of the gateway, its value, and where the value came from.

use serde_json::{Value, json};

use crate::Host;
use crate::args::ServeArgs;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::text;
use crate::session::{Session, items};
use crate::table::{Cell, Column, column};

#[derive(clap::Args, Debug)]
pub(crate) struct Config {
    #[command(flatten)]
    serve: ServeArgs,
}

const COLUMNS: &[Column] = &[
    column("SETTING", Cell::At("/path")),
    column("VALUE", Cell::At("/value")),
    column("SOURCE", Cell::At("/source")),
];

pub(crate) fn run(args: &Config, host: &Host, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let settings = (host.config)(&args.serve)
        .map_err(|problems| Fault::invalid("the gateway would not start with this", &problems))?;
    let settings: Vec<Value> = settings
        .into_iter()
        .map(|setting| json!({ "path": setting.path, "value": setting.value, "source": setting.source }))
        .collect();
    let body = json!({ "settings": settings });
    session.list(&body, &items(&body, "settings"), COLUMNS, |setting| text(setting, "/path"))?;
    Ok(Exit::Done)
}
