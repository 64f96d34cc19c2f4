//! `tap`: what services are asked, while it happens. One operation on a line, until Ctrl-C.

use std::collections::HashMap;

use model::kind::Ability;
use sdk::{Change, Client};
use serde_json::Value;

use crate::complete;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{Format, Tone, clean, text};
use crate::session::{Session, items};

#[derive(clap::Args, Debug)]
pub(crate) struct Tap {
    /// Of this service; NAME alone with --cluster
    #[arg(long, value_name = "ID/NAME", add = complete::services_of_all())]
    service: Option<String>,
    /// Requests of the traffic door alone
    #[arg(long)]
    requests: bool,
    /// What failed alone
    #[arg(long)]
    errors: bool,
}

pub(crate) async fn run(args: Tap, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let json = match session.global.output {
        Format::Table | Format::Wide => false,
        Format::Json => true,
        Format::Yaml | Format::Name | Format::Csv | Format::Raw => {
            return Err(Fault::usage("tap writes a line or a JSON object for each operation")
                .fix("say -o table, wide or json"));
        }
    };
    let (cluster, service) = of(&args, session)?;
    let client = session.client()?;
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let opened = tokio::select! {
        opened = client.live(&["activity"], cluster.as_deref(), service.as_deref()) => opened,
        _ = &mut interrupt => return Ok(Exit::Interrupted),
    };
    session.tell_trace();
    let mut live = opened?;
    let mut routed = Routed::default();
    let mut listening = false;
    loop {
        let change = tokio::select! {
            change = live.next() => change,
            _ = &mut interrupt => return Ok(Exit::Interrupted),
        };
        session.tell_trace();
        match change? {
            Change::Snapshot(_) if listening => session.say("there was a gap: some operations are not shown"),
            Change::Snapshot(_) => {
                listening = true;
                session.say("listening; Ctrl-C ends it");
            }
            Change::Delta(delta) if delta.topic == "activity" => {
                let failed = delta.value["outcome"] != "success";
                if (args.errors && !failed)
                    || (args.requests && !routed.is(session, &client, &delta.value).await?)
                {
                    continue;
                }
                let line = if json { format!("{}\n", delta.value) } else { line(session, &delta.value) };
                session.terminal.data(line.as_bytes())?;
                session.terminal.flush()?;
            }
            _ => {}
        }
    }
}

/// Of which cluster and service.
fn of(args: &Tap, session: &Session<'_>) -> Result<(Option<String>, Option<String>), Fault> {
    let named = session.named_cluster().map(str::to_owned);
    match args.service.as_deref().map(|service| (service, service.split_once('/'))) {
        None => Ok((named, None)),
        Some((_, Some((cluster, service)))) => match named {
            Some(named) if named != cluster => {
                Err(Fault::usage(format!("--service is of `{cluster}`, and --cluster says `{named}`"))
                    .fix("leave one of them out"))
            }
            _ => Ok((Some(cluster.to_owned()), Some(service.to_owned()))),
        },
        Some((service, None)) => Ok((Some(session.cluster()?), Some(service.to_owned()))),
    }
}

/// Which services are reached through the traffic door. A record says which service, and not by which door.
#[derive(Default)]
struct Routed {
    by_service: HashMap<(String, String), bool>,
}

impl Routed {
    async fn is(
        &mut self,
        session: &mut Session<'_>,
        client: &Client,
        record: &Value,
    ) -> Result<bool, Fault> {
        let service = (text(record, "/cluster"), text(record, "/service"));
        if !self.by_service.contains_key(&service) {
            self.learn(session, client).await?;
        }
        // A service that is gone already is known by nothing but its answer.
        Ok(*self.by_service.entry(service).or_insert_with(|| record["status"].is_number()))
    }

    async fn learn(&mut self, session: &mut Session<'_>, client: &Client) -> Result<(), Fault> {
        let kinds = session.send(client.kinds()).await?;
        let clusters = session.gather(client.clusters().list(), "clusters").await?;
        let routed = |service: &Value| {
            let of_kind = |kind: &&Value| kind["name"] == service["type"];
            let abilities = kinds["kinds"].as_array().into_iter().flatten().find(of_kind);
            let abilities = abilities.map(|kind| items(kind, "abilities")).unwrap_or_default();
            abilities.iter().any(|ability| ability == Ability::Http.name())
        };
        for cluster in items(&clusters, "clusters") {
            for service in items(&cluster, "services") {
                let named = (text(&cluster, "/id"), text(&service, "/name"));
                self.by_service.insert(named, routed(&service));
            }
        }
        Ok(())
    }
}

/// Time, service, operation, shape, outcome, code, milliseconds, request.
pub(crate) fn line(session: &Session<'_>, record: &Value) -> String {
    let outcome = text(record, "/outcome");
    let code = match record["code"].as_str() {
        Some(code) => format!(" {code}"),
        None => record["status"].as_u64().map(|status| format!(" {status}")).unwrap_or_default(),
    };
    let time = text(record, "/time");
    let time = time.split_once('T').map_or(time.as_str(), |(_, time)| time).trim_end_matches('Z');
    let time = time.get(..12).unwrap_or(time);
    let told = Tone::of(&outcome).paint(&clean(&format!("{outcome}{code}")), session.color());
    let one_line = |text: String| clean(&text).replace('\n', " ");
    format!(
        "{time:<12}  {:<16}  {:<10}  {:<32}  {told}  {:.1} ms  {}\n",
        one_line(format!("{}/{}", text(record, "/cluster"), text(record, "/service"))),
        one_line(text(record, "/operation")),
        one_line(text(record, "/shape")),
        record["duration_ms"].as_f64().unwrap_or(0.0),
        one_line(text(record, "/request_id")),
    )
}
