//! HTTP/1.1 proxying under closed-loop load: what a request costs, and how many fit into a second.

use super::{Goals, Lineup, closed_loop_words, load_table, names};
use crate::contestants::Setup;
use crate::measure::{interleave, sample};
use crate::report::Section;
use crate::rig::Rig;
use crate::wrk::Requests;

/// Name, path, size of the body, and the processor time wished for against the better peer.
const ANSWERS: [(&str, &str, usize, f64); 2] =
    [("200 B", "/200b", 200, 0.95), ("64 KiB", "/64k", 65_536, 0.90)];

/// Answers of 200 B and of 64 KiB.
pub fn run(rig: &Rig, lineup: &Lineup) -> anyhow::Result<Section> {
    lineup.require_programs()?;
    let backend = rig.start_backend()?;
    let contestants = lineup.start(rig, &Setup::plain(backend.address))?;
    for contestant in &contestants {
        contestant.check_forwarded_headers()?;
    }
    let mut tables = Vec::new();
    for (name, path, size, cpu_goal) in ANSWERS {
        let requests = Requests::Get { path: path.to_owned() };
        for contestant in &contestants {
            contestant.check_answer(path, size)?;
            sample(rig, contestant, &requests, 1)?;
        }
        let samples = interleave(&contestants, rig.pace.rounds, |contestant, round| {
            eprintln!("http {name}: round {} of {}, {}", round + 1, rig.pace.rounds, contestant.name);
            sample(rig, contestant, &requests, rig.pace.seconds)
        })?;
        let goals = Goals { cpu: lineup.goal(cpu_goal), throughput: lineup.goal(1.0) };
        tables.push(load_table(&format!("Answers of {name}"), &names(&contestants), &samples, goals));
    }
    let about = format!(
        "Keep-alive on both sides, one worker each, no access log, `Host` kept and `X-Forwarded-For`, `-Proto` and \
         `-Host` set by everyone (checked before the load). {}",
        closed_loop_words(rig, rig.pace.seconds)
    );
    Ok(Section { title: "HTTP/1.1 proxying".to_owned(), about, tables })
}
