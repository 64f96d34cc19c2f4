//! What ran where: versions of the programs, processor, kernel, limits. A figure without them cannot be repeated.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::report::Table;
use crate::rig::Rig;

/// One row for each program and each fact about the machine. What cannot be found out is said to be unknown.
#[must_use]
pub fn table(rig: &Rig) -> Table {
    let mut table = Table::new("", &["what", "which"]);
    let mut row = |what: &str, which: String| table.rows.push(vec![what.to_owned(), which]);
    if let Some(throome) = &rig.tools.throome {
        row("throome", first_line(throome, &["--version"]));
    }
    row("nginx", first_line("nginx", &["-v"]));
    row("HAProxy", first_line("haproxy", &["-v"]));
    for (name, program, argument) in [
        ("Envoy", &rig.tools.envoy, "--version"),
        ("Traefik", &rig.tools.traefik, "version"),
        ("Caddy", &rig.tools.caddy, "version"),
    ] {
        row(name, program.as_ref().map_or_else(unknown, |program| short(&first_line(program, &[argument]))));
    }
    row("webdis", package("webdis"));
    row("Redis", first_line("redis-server", &["--version"]));
    row("PostgreSQL", first_line(postgres(), &["--version"]));
    row("pgbench", first_line("pgbench", &["--version"]));
    row("PgBouncer", first_line("pgbouncer", &["--version"]));
    row("tokio-postgres", locked("tokio-postgres"));
    row("rusqlite", locked("rusqlite"));
    row("Kafka", kafka());
    #[cfg(feature = "kafka")]
    row("Kafka's client", crate::direct::kafka::client_version());
    row("wrk", package("wrk"));
    row("processor", cpu_model());
    row("cores", std::thread::available_parallelism().map_or_else(|_| unknown(), |count| count.to_string()));
    row("kernel", read("/proc/sys/kernel/osrelease"));
    row("compiler", first_line("rustc", &["--version"]));
    table
}

/// Some say where they lie first, and a checksum last.
fn short(said: &str) -> String {
    let words =
        said.rsplit_once("version: ").map_or(said, |(_, version)| version).trim_start_matches("Version:");
    words.split(" h1:").next().unwrap_or(words).trim().to_owned()
}

/// Servers print their version on either output.
fn first_line(program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program.as_ref()).args(arguments).output() else { return unknown() };
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    said.lines().map(str::trim).find(|line| !line.is_empty()).map_or_else(unknown, str::to_owned)
}

/// Debian keeps the servers of several versions beside each other; `scripts/servers.sh` takes the newest.
fn postgres() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.max_by_key(|entry| entry.file_name().to_string_lossy().parse::<u32>().unwrap_or(0));
    newest.map_or_else(|| "postgres".into(), |entry| entry.path().join("bin/postgres"))
}

/// As `scripts/servers.sh` chooses it.
fn kafka() -> String {
    let named = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../test/kafka/pom.xml"));
    let named = named.split_once("<kafka.version>").and_then(|(_, rest)| rest.split_once('<'));
    std::env::var("KAFKA_VERSION")
        .ok()
        .or(named.map(|(version, _)| version.to_owned()))
        .unwrap_or_else(unknown)
}

/// The version of a library that is linked into the programs here.
fn locked(name: &str) -> String {
    let lock = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"));
    let behind = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).map(|(_, behind)| behind);
    behind.and_then(|text| text.split_once('"')).map_or_else(unknown, |(version, _)| version.to_owned())
}

/// For programs that cannot say their version themselves.
fn package(name: &str) -> String {
    let output = Command::new("dpkg-query").args(["-W", "-f=Debian ${Version}", name]).output();
    match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        _ => unknown(),
    }
}

fn cpu_model() -> String {
    let text = read("/proc/cpuinfo");
    let name = text.lines().find_map(|line| line.strip_prefix("model name"));
    name.and_then(|rest| rest.split_once(':')).map_or_else(unknown, |(_, model)| model.trim().to_owned())
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).map_or_else(|_| unknown(), |text| text.trim().to_owned())
}

fn unknown() -> String {
    "unknown".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_and_what_is_fetched_have_versions() {
        for version in [locked("tokio-postgres"), locked("rusqlite"), kafka()] {
            assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{version}");
        }
        assert_eq!(locked("no-such-library"), unknown());
    }
}
