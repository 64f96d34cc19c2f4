//! Messages over WebSockets that come back from the service.

use super::rows::{Row, tables};
use super::{Lineup, crowd_words};
use crate::contestants::{Front, Service};
use crate::report::Section;
use crate::rig::Rig;
use crate::speak::Speech;

const ROWS: [Row; 1] = [Row::plain("WebSocket echo, 200 B", Speech::WebSocket)];

/// One message at a time on each connection.
pub fn run(rig: &Rig, lineup: &Lineup) -> anyhow::Result<Section> {
    lineup.require_programs()?;
    let about = format!(
        "WebSockets over HTTP/1.1 in the clear, to a service that sends every message back. {}",
        crowd_words(rig)
    );
    let tables = tables(rig, lineup, Front::Http1, Service::WebSocket, &ROWS)?;
    Ok(Section { title: "WebSocket".to_owned(), about, tables })
}
