//! Redis asked directly by its own `redis-benchmark`: what a call costs its client where nothing stands in between.

use std::net::SocketAddr;

use anyhow::{Context, ensure};

use crate::measure::{Sample, sample_while};
use crate::proc;
use crate::process::Invocation;
use crate::rig::{CONNECTIONS, Rig};
use crate::wrk::Outcome;

/// How many calls show how many fit into a second.
const FIRST: u64 = 20_000;

/// One command again and again on as many connections as others have.
#[derive(Debug, Clone)]
pub struct Load {
    pub redis: SocketAddr,
    pub command: Vec<String>,
    /// Commands that are sent at once on each connection.
    pub depth: usize,
}

impl Load {
    /// How many calls fit into about so long: the program takes a number of them and no time.
    pub fn calls_in(&self, rig: &Rig, seconds: u64) -> anyhow::Result<u64> {
        let first = self.run(rig, FIRST)?;
        Ok((first.requests as f64 / first.seconds * seconds as f64) as u64)
    }

    /// Runs so many on the contestant's core.
    pub fn sample(&self, rig: &Rig, calls: u64) -> anyhow::Result<Sample> {
        // The program is gone when it is asked for its time, so that its time is in that of the ended ones.
        sample_while(rig, proc::ended_children_cpu_time, || self.run(rig, calls.max(FIRST)))
    }

    fn run(&self, rig: &Rig, count: u64) -> anyhow::Result<Outcome> {
        let mut arguments = vec![
            "-h".to_owned(),
            self.redis.ip().to_string(),
            "-p".to_owned(),
            self.redis.port().to_string(),
            "-c".to_owned(),
            CONNECTIONS.to_string(),
            "-P".to_owned(),
            self.depth.to_string(),
            "-n".to_owned(),
            count.to_string(),
            "--csv".to_owned(),
        ];
        arguments.extend(self.command.iter().cloned());
        let output = Invocation::new("redis-benchmark", arguments).output(rig.contestant_core())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let rate = rate(&text).with_context(|| format!("redis-benchmark printed no figures:\n{text}"))?;
        ensure!(rate > 0.0, "redis-benchmark made no calls");
        // It ends at the first error, and says so.
        Ok(Outcome { requests: count, seconds: count as f64 / rate, errors: 0 })
    }
}

/// Calls a second: the second field of the line that is no heading.
fn rate(text: &str) -> Option<f64> {
    let line = text.lines().rfind(|line| line.starts_with('"') && !line.starts_with("\"test\""))?;
    // The command comes first, and may have commas in it.
    let (_, figures) = line.split_once("\",\"")?;
    figures.split('"').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_found_behind_the_command() {
        let text = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\"\n\"GET a,b\",\"98039.22\",\"0.262\",\"0.1\"\n";
        assert_eq!(rate(text), Some(98_039.22));
        assert_eq!(rate("\"test\",\"rps\"\n"), None);
    }
}
