//! gRPC over HTTP/2 in the clear on both sides: calls with one answer, with many, and an echo in both directions.

use super::rows::{Row, tables};
use super::{Lineup, crowd_words};
use crate::backend::grpc;
use crate::contestants::{Front, Service};
use crate::report::Section;
use crate::rig::Rig;
use crate::speak::Speech;

const ROWS: [Row; 3] = [
    Row::plain("gRPC, one message and one answer", Speech::Unary),
    Row::plain("gRPC, streams of answers, for each message", Speech::Stream).without_latency(),
    Row::plain("gRPC, echo in one stream a connection, for each message", Speech::Echo).without_latency(),
];

/// Unary calls and streams.
pub fn run(rig: &Rig, lineup: &Lineup) -> anyhow::Result<Section> {
    lineup.require_programs()?;
    let about = format!(
        "HTTP/2 in the clear on both sides, messages of {} B, calls that end by trailers; a stream has {} answers. An \
         echo goes back and forth in one call for as long as the load lasts. {}",
        grpc::MESSAGE,
        grpc::STREAMED,
        crowd_words(rig)
    );
    let tables = tables(rig, lineup, Front::Http2, Service::Grpc, &ROWS)?;
    Ok(Section { title: "gRPC".to_owned(), about, tables })
}
