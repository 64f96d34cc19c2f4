//! `throome dev`: the gateway with a ready cluster of embedded kinds, and lines to try.

use std::path::PathBuf;
use std::process::ExitCode;

use cli::ServeArgs;
use clusters::By;
use serde_json::json;

use crate::serve::{self, Running};

/// The cluster that is made when it is not there.
const CLUSTER: &str = "dev";

/// Runs the gateway; when everything listens, makes the cluster and says what to try.
pub(crate) fn dev(args: ServeArgs) -> ExitCode {
    serve::run(&args, |running| {
        make_cluster(running)?;
        greet(running);
        Ok(())
    })
}

fn make_cluster(running: &Running<'_>) -> anyhow::Result<()> {
    if running.clusters.snapshot().cluster(CLUSTER).is_ok() {
        return Ok(());
    }
    let body = json!({
        "cluster_id": CLUSTER,
        "name": "Dev",
        "description": "Made by `throome dev`. Everything in it lives inside the gateway.",
        "services": {
            "cache": { "type": "memory" },
            "db": { "type": "sqlite" },
            "queue": { "type": "log" },
        },
    });
    let by = By { actor: "start".into(), request_id: None };
    running.runtime.block_on(running.clusters.create(&body, by))?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the greeting of a program that a person started by hand")]
fn greet(running: &Running<'_>) {
    let Running { control, traffic, settings, .. } = running;
    let url = |is_secured: bool, port: u16| {
        format!("{}://localhost:{port}", if is_secured { "https" } else { "http" })
    };
    let (secured, is_traffic_secured) = (settings.server.tls.is_some(), settings.proxy.tls.is_some());
    let (control, traffic) = (url(secured, control.port()), url(is_traffic_secured, traffic.port()));
    let trust = match secured || is_traffic_secured {
        true => "\nAn authority of your own is named by `curl --cacert FILE` and `export THROOME_CA=FILE`.\n",
        false => "",
    };
    let throome = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("throome"));
    let throome = match throome.strip_prefix(std::env::current_dir().unwrap_or_default()) {
        Ok(inside) => format!("./{}", inside.display()),
        Err(_) => throome.display().to_string(),
    };
    let url = if control.ends_with(":9000") { String::new() } else { format!(" --url {control}") };
    println!(
        r#"
Throome is running. Control {control}  Traffic {traffic}  (Ctrl-C stops it)
{trust}
Set a key and read it, in another terminal:

  curl {control}/api/v1/clusters/dev/cache/set -d '{{"key":"hello","value":"world","ttl":600}}'
  curl {control}/api/v1/clusters/dev/cache/get -d '{{"key":"hello"}}'

Ask a database, with parameters, and again from the command line:

  curl {control}/api/v1/clusters/dev/db/execute -d '{{"query":"CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)"}}'
  curl {control}/api/v1/clusters/dev/db/query -d '{{"query":"INSERT INTO notes (text) VALUES ($1) RETURNING id","args":["first"]}}'
  {throome} sql --cluster dev -c 'SELECT * FROM notes'{url}

Publish messages, and consume them; what is not acknowledged comes again:

  curl {control}/api/v1/clusters/dev/queue/publish -d '{{"topic":"orders","message":"one"}}'
  curl {control}/api/v1/clusters/dev/queue/publish -d '{{"topic":"orders","message":"two"}}'
  curl -sN '{control}/api/v1/clusters/dev/queue/consume?topic=orders&group=mail&format=ndjson&wait_ms=500'
  {throome} consume orders --cluster dev --group books -n 2{url}

Put a route in front of a service of your own:

  python3 -m http.server 3000 --bind 127.0.0.1 &
  curl {control}/api/v1/clusters -d '{{"name":"Mine","cluster_id":"mine","services":{{"web":{{"type":"http",
       "host":"127.0.0.1","port":3000}}}},"routes":[{{"id":"mine","path":"/*","service":"web"}}]}}'
  curl -i {traffic}/

Break it, see what the gateway says, start it again, and see it heal:

  kill %1; curl -i {traffic}/
  {throome} service get mine/web{url}
  python3 -m http.server 3000 --bind 127.0.0.1 &
  sleep 2; curl -i {traffic}/

What happened, in four voices:

  curl '{control}/api/v1/activity?limit=10'
  curl '{control}/api/v1/events?limit=10'
  curl -s {control}/metrics | grep throome_service_health
  {throome} explain GET {traffic}/{url}

Watch it live: {throome} tap{url}   API: {control}/swagger/   CLI: {throome} --help
"#
    );
}
