//! HTTP/2 at the door and HTTP/1.1 to the service, in the clear and by TLS.

use super::rows::{Row, tables};
use super::{Lineup, crowd_words};
use crate::contestants::{Front, Service};
use crate::report::Section;
use crate::rig::Rig;
use crate::speak::Speech;

const CLEAR: [Row; 3] = [
    Row::plain("HTTP/2 in the clear, 200 B, 50 connections of one stream", Speech::Http2),
    Row {
        connections: 10,
        at_once: 20,
        ..Row::plain("HTTP/2 in the clear, 200 B, 10 connections of 20 streams", Speech::Http2)
    }
    .without_latency(),
    Row {
        path: "/64k",
        size: 65_536,
        ..Row::plain("HTTP/2 in the clear, 64 KiB, 50 connections of one stream", Speech::Http2)
    }
    .without_latency(),
];

const SECURE: [Row; 2] = [
    Row::plain("HTTP/2 by TLS 1.3, 200 B, 50 connections of one stream", Speech::Http2),
    Row {
        connections: 10,
        at_once: 20,
        ..Row::plain("HTTP/2 by TLS 1.3, 200 B, 10 connections of 20 streams", Speech::Http2)
    }
    .without_latency(),
];

/// In the clear by prior knowledge, then by TLS.
pub fn run(rig: &Rig, lineup: &Lineup) -> anyhow::Result<Section> {
    lineup.require_programs()?;
    let about = format!(
        "HTTP/2 from clients, by prior knowledge or agreed on by TLS 1.3; HTTP/1.1 in the clear to the service. {}",
        crowd_words(rig)
    );
    let mut all = tables(rig, lineup, Front::Http2, Service::Web, &CLEAR)?;
    all.extend(tables(rig, lineup, Front::Http2Tls, Service::Web, &SECURE)?);
    Ok(Section { title: "HTTP/2".to_owned(), about, tables: all })
}
