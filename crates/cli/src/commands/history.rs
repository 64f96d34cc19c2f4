//! `activity` and `events`: what services were asked, and what was changed; the latest first.

use sdk::{Filter, Paged};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::complete;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::text;
use crate::session::{Session, items};
use crate::table::{Cell, Column, column, wide};

/// Which records; of a cluster with --cluster.
#[derive(clap::Args, Debug)]
pub(crate) struct Which {
    /// Of this service
    #[arg(long, value_name = "NAME", add = complete::services())]
    service: Option<String>,
    /// Not before this time: 10m, 2h, or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Activity {
    #[command(flatten)]
    which: Which,
    /// What failed alone
    #[arg(long)]
    errors: bool,
    /// This operation alone: GET, QUERY, PUBLISH, …
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// With this code of failure alone
    #[arg(long)]
    code: Option<String>,
    /// Of this request alone
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

#[derive(clap::Args, Debug)]
pub(crate) struct Events {
    #[command(flatten)]
    which: Which,
    /// Of this kind alone: cluster.created, breaker.opened, …
    #[arg(long)]
    kind: Option<String>,
    /// By whom: api, token:NAME, file, probe, traffic, …
    #[arg(long)]
    actor: Option<String>,
}

const ACTIVITY: &[Column] = &[
    column("TIME", Cell::At("/time")),
    column("SERVICE", Cell::Of(service)),
    column("OPERATION", Cell::At("/operation")),
    column("SHAPE", Cell::At("/shape")),
    column("OUTCOME", Cell::State("/outcome")),
    column("CODE", Cell::At("/code")),
    column("MS", Cell::Of(|record| format!("{:.1}", record["duration_ms"].as_f64().unwrap_or(0.0)))),
    wide("STATUS", Cell::At("/status")),
    wide("TRIES", Cell::At("/tries")),
    wide("ENDPOINT", Cell::At("/endpoint")),
    column("REQUEST", Cell::At("/request_id")),
];

const EVENTS: &[Column] = &[
    column("ID", Cell::At("/id")),
    column("TIME", Cell::At("/time")),
    column("KIND", Cell::At("/kind")),
    column("CLUSTER", Cell::At("/cluster")),
    column("SERVICE", Cell::At("/service")),
    column("ACTOR", Cell::At("/actor")),
    wide("ENDPOINT", Cell::At("/endpoint")),
    wide("ROUTE", Cell::At("/route")),
    column("MESSAGE", Cell::At("/message")),
];

impl Which {
    fn filter(&self, session: &Session<'_>) -> Filter {
        let mut filter = Filter::default();
        filter.cluster = session.named_cluster().map(str::to_owned);
        filter.service.clone_from(&self.service);
        filter.since.clone_from(&self.since);
        filter.limit = Some(u32::try_from(self.limit.clamp(1, 1000)).unwrap_or(1000));
        filter
    }
}

pub(crate) async fn activity(args: Activity, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let mut filter = args.which.filter(session);
    filter.outcome = args.errors.then(|| "error".to_owned());
    filter.operation = args.operation;
    filter.code = args.code;
    filter.request_id = args.request_id;
    let list = session.client()?.activity(&filter);
    show(session, list, "activities", args.which.limit, ACTIVITY, "no operations").await
}

pub(crate) async fn events(args: Events, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let mut filter = args.which.filter(session);
    filter.kind = args.kind;
    filter.actor = args.actor;
    let list = session.client()?.events(&filter);
    show(session, list, "events", args.which.limit, EVENTS, "no events").await
}

/// Pages, until there are as many as were asked for.
pub(crate) async fn show<T: DeserializeOwned>(
    session: &mut Session<'_>,
    mut list: Paged<T>,
    plural: &str,
    limit: usize,
    columns: &[Column],
    none: &str,
) -> Result<Exit, Fault> {
    let (mut records, mut cursor) = (Vec::new(), Value::Null);
    while records.len() < limit {
        let page = list.next_page().await;
        session.tell_trace();
        let Some(page) = page? else { break };
        records.extend(items(&page, plural));
        cursor = page["next_cursor"].clone();
    }
    records.truncate(limit);
    let body = json!({ plural: records, "count": records.len(), "next_cursor": cursor });
    session.list(&body, &records, columns, |record| text(record, "/id"))?;
    if records.is_empty() {
        session.say(none);
    }
    Ok(Exit::Done)
}

fn service(record: &Value) -> String {
    format!("{}/{}", text(record, "/cluster"), text(record, "/service"))
}

/// A time, or how long ago it was.
fn moment(text: &str) -> Result<String, String> {
    if let Ok(ago) = text.parse::<model::Span>() {
        let then = jiff::SignedDuration::try_from(ago.0)
            .ok()
            .and_then(|ago| jiff::Timestamp::now().checked_sub(ago).ok());
        return then.map(|then| then.to_string()).ok_or_else(|| "that is too long ago".to_owned());
    }
    text.parse::<jiff::Timestamp>()
        .map(|time| time.to_string())
        .map_err(|_| "write 10m, 2h, or a time such as 2026-01-31T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_times_or_ages() {
        assert_eq!(moment("2026-01-31T12:00:00+01:00").unwrap(), "2026-01-31T11:00:00Z");
        let then: jiff::Timestamp = moment("10m").unwrap().parse().unwrap();
        let age = jiff::Timestamp::now().as_second() - then.as_second();
        assert!((599..=602).contains(&age), "{age}");
        assert!(moment("yesterday").is_err());
    }
}
