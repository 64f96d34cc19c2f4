//! HTTP/1.1 proxying under closed-loop load: what a request costs, and how many fit into a second.

use super::field::{Field, check_forwarded};
use super::{Goals, Lineup, closed_loop_words, load_table_beside};
use crate::contestants::{Front, Setup};
use crate::measure::sample;
use crate::report::Section;
use crate::rig::Rig;
use crate::wrk::Requests;

/// Name, path, size of the body, and the processor time wished for against the best peer.
const ANSWERS: [(&str, &str, usize, f64); 2] =
    [("200 B", "/200b", 200, 0.95), ("64 KiB", "/64k", 65_536, 0.90)];

/// Answers of 200 B and of 64 KiB.
pub fn run(rig: &Rig, lineup: &Lineup) -> anyhow::Result<Section> {
    lineup.require_programs()?;
    let backend = rig.start_backend()?;
    let field = Field::start(rig, lineup, &Setup::plain(backend.address), |contestant| {
        check_forwarded(contestant, Front::Http1, None)?;
        ANSWERS.iter().try_for_each(|(_, path, size, _)| contestant.check_answer(path, *size))
    });
    let mut tables = Vec::new();
    for (name, path, _, cpu_goal) in ANSWERS {
        let requests = Requests::Get { path: path.to_owned() };
        for contestant in &field.contestants {
            sample(rig, contestant, &requests, 1)?;
        }
        let taken = field.interleave(rig.pace.rounds, |contestant, round| {
            eprintln!("http {name}: round {} of {}, {}", round + 1, rig.pace.rounds, contestant.name);
            sample(rig, contestant, &requests, rig.pace.seconds)
        });
        let goals = Goals { cpu: lineup.goal(cpu_goal), throughput: lineup.goal(1.0) };
        let caption = format!("HTTP/1.1, answers of {name}");
        let mut table = load_table_beside(&caption, &taken.names, &taken.figures, goals, taken.compared());
        taken.tell_absent(&mut table);
        tables.push(table);
    }
    let about = format!(
        "Keep-alive on both sides, one worker each, no access log, `Host` kept and `X-Forwarded-For`, `-Proto` and \
         `-Host` set by everyone (checked before the load). {}",
        closed_loop_words(rig, rig.pace.seconds)
    );
    Ok(Section { title: "HTTP/1.1 proxying".to_owned(), about, tables })
}
