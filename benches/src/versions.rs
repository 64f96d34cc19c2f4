//! What ran where: versions of the programs, processor, kernel, limits. A figure without them cannot be repeated.

use std::path::Path;
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
    row("webdis", package("webdis"));
    row("Redis", first_line("redis-server", &["--version"]));
    row("wrk", package("wrk"));
    row("processor", cpu_model());
    row("cores", std::thread::available_parallelism().map_or_else(|_| unknown(), |count| count.to_string()));
    row("kernel", read("/proc/sys/kernel/osrelease"));
    row("compiler", first_line("rustc", &["--version"]));
    table
}

/// Servers print their version on either output.
fn first_line(program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program.as_ref()).args(arguments).output() else { return unknown() };
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    said.lines().map(str::trim).find(|line| !line.is_empty()).map_or_else(unknown, str::to_owned)
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
