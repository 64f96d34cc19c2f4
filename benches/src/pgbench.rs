//! PostgreSQL under its own `pgbench`, asked directly or through a pooler: a file holds the one statement, a log the
//! time of each call.

use std::path::Path;

use anyhow::{Context, ensure};

use crate::direct::sqlite::ROWS;
use crate::histogram::Histogram;
use crate::proc;
use crate::process::{Invocation, Placement};
use crate::timings::Timings;

/// Where to, and how.
#[derive(Debug, Clone)]
pub struct Load {
    /// As libpq is told.
    pub server: String,
    pub clients: usize,
    /// How statements are sent: `prepared` needs a server that remembers them for a connection.
    pub protocol: &'static str,
}

impl Load {
    /// One row by its primary key again and again, for so long; processor time is pgbench's own.
    pub fn run(&self, directory: &Path, placement: Placement, seconds: u64) -> anyhow::Result<Timings> {
        let script = directory.join("select.sql");
        std::fs::write(
            &script,
            format!(
                "\\set id random(1, {ROWS})\nSELECT id, name, email, balance, note FROM people WHERE id = :id;\n"
            ),
        )?;
        let prefix = directory.join("calls");
        let arguments = [
            "--no-vacuum".to_owned(),
            format!("--protocol={}", self.protocol),
            format!("--client={}", self.clients),
            "--jobs=1".to_owned(),
            format!("--time={seconds}"),
            format!("--file={}", script.display()),
            "--log".to_owned(),
            format!("--log-prefix={}", prefix.display()),
            self.server.clone(),
        ];
        let cpu = proc::ended_children_cpu_time()?;
        Invocation::new("pgbench", arguments).output(placement)?;
        let cpu = proc::ended_children_cpu_time()? - cpu;
        let timings = read_logs(directory)?;
        ensure!(timings.completed > 0, "pgbench made no calls");
        Ok(Timings { seconds: seconds as f64, cpu_seconds: Some(cpu.as_secs_f64()), ..timings })
    }
}

/// Reads the logs in the directory and removes them, so that the next run has its own.
fn read_logs(directory: &Path) -> anyhow::Result<Timings> {
    let mut latencies = Histogram::default();
    let mut errors = 0;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let is_log = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("calls."));
        if is_log {
            errors += read_log(&std::fs::read_to_string(&path)?, &mut latencies)?;
            std::fs::remove_file(&path)?;
        }
    }
    let microseconds = |share| latencies.quantile(share) as f64 / 1_000.0;
    Ok(Timings {
        completed: latencies.total(),
        errors,
        first_error: (errors > 0).then(|| "a call that pgbench calls failed or skipped".to_owned()),
        p50_us: microseconds(0.5),
        p99_us: microseconds(0.99),
        max_us: latencies.largest() as f64 / 1_000.0,
        ..Timings::default()
    })
}

/// The third field of a line is the time in microseconds, or a word where there was none; returns how many words.
fn read_log(text: &str, latencies: &mut Histogram) -> anyhow::Result<u64> {
    let mut errors = 0;
    for line in text.lines() {
        let field = line.split(' ').nth(2).with_context(|| format!("no line of a call: {line}"))?;
        match field.parse::<u64>() {
            Ok(microseconds) => latencies.record(microseconds * 1_000),
            Err(_) => errors += 1,
        }
    }
    Ok(errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_the_time_of_each_call() {
        let directory = tempfile::tempdir().unwrap();
        let log = "0 1 100 0 1763750000 10\n1 1 300 0 1763750000 20\n0 2 failed 0 1763750000 30\n0 3 200 0 1763750000 40\n";
        std::fs::write(directory.path().join("calls.4711"), log).unwrap();
        let timings = read_logs(directory.path()).unwrap();
        assert_eq!((timings.completed, timings.errors), (3, 1));
        assert!((timings.p50_us - 200.0).abs() < 4.0 && (timings.max_us - 300.0).abs() < 1e-6, "{timings:?}");
        assert_eq!(read_logs(directory.path()).unwrap().completed, 0);
    }
}
