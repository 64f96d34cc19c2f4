//! HTTP/1.1 by TLS 1.3, on connections that stay.

use super::rows::{Row, tables};
use super::{Lineup, crowd_words};
use crate::contestants::{Front, Service};
use crate::report::Section;
use crate::rig::Rig;
use crate::speak::Speech;

const ROWS: [Row; 2] = [
    Row::plain("HTTP/1.1 by TLS 1.3, 200 B", Speech::Http1),
    Row { path: "/64k", size: 65_536, ..Row::plain("HTTP/1.1 by TLS 1.3, 64 KiB", Speech::Http1) }
        .without_latency(),
];

/// Answers of 200 B and of 64 KiB.
pub fn run(rig: &Rig, lineup: &Lineup) -> anyhow::Result<Section> {
    lineup.require_programs()?;
    let about = format!(
        "The same key (ECDSA, P-256) and the same cipher suite (TLS_AES_128_GCM_SHA256) for everyone; to the service \
         HTTP/1.1 in the clear. Handshakes are over before counting begins. {}",
        crowd_words(rig)
    );
    let tables = tables(rig, lineup, Front::Tls, Service::Web, &ROWS)?;
    Ok(Section { title: "TLS 1.3".to_owned(), about, tables })
}
