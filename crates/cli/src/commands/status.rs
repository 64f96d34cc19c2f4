//! `status`: the whole picture, as the gateway judges it.

use serde_json::{Value, json};

use crate::commands::service;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::text;
use crate::session::{Session, items};

#[derive(clap::Args, Debug)]
pub(crate) struct Status {
    /// End with code 9 if anything is not serving
    #[arg(long)]
    check: bool,
}

pub(crate) async fn run(args: Status, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let client = session.client()?;
    let health = client.health().reply().await;
    session.tell_trace();
    let health = health?;
    let (well, gateway) = (health.status() == 200, health.json::<Value>()?);
    let ids: Vec<String> = match session.named_cluster() {
        Some(cluster) => vec![cluster.to_owned()],
        None => {
            let body = session.gather(client.clusters().list(), "clusters").await?;
            items(&body, "clusters").iter().map(|cluster| text(cluster, "/id")).collect()
        }
    };
    let (mut clusters, mut services) = (Vec::new(), Vec::new());
    for id in ids {
        let health = session.send(client.cluster(&id).health()).await?;
        services.extend(service::of_health(&id, &health));
        clusters.push(health);
    }
    let down = services.iter().filter(|service| service["verdict"] == "not_serving").count();
    let body = json!({ "gateway": gateway, "clusters": clusters });
    let url = session.url();
    session.show(&body, &text(&body, "/gateway/status"), |session| {
        let mut page = session.facts(&[
            ("Gateway", url),
            ("Status", text(&body, "/gateway/status")),
            ("Clusters", clusters.len().to_string()),
            ("Services", format!("{}, of which {down} not serving", services.len())),
        ]);
        if !services.is_empty() {
            page.push('\n');
            page.push_str(&session.table(&services, service::LIST));
        }
        page
    })?;
    Ok(if args.check && (down > 0 || !well) { Exit::NotServing } else { Exit::Done })
}
