//! Servers that `scripts/servers.sh` starts, a set of our own for one run: where each stands is what the script prints.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use tempfile::TempDir;

use crate::process::{Invocation, Placement};

/// The user whose database is used, as the script makes it.
pub const USER: &str = "throome";
/// Of no use to anybody but tests and benchmarks.
pub const PASSWORD: &str = "throome-secret";
/// What belongs to that user.
pub const DATABASE: &str = "throome";

/// Running servers; they end when this is dropped, and also when this program ends in any other way.
#[derive(Debug)]
pub struct Servers {
    directory: TempDir,
    /// Waits for the end of its input, which ends with us, and then stops them all.
    holder: Child,
    told: BTreeMap<String, String>,
}

impl Servers {
    /// None yet.
    pub fn new() -> anyhow::Result<Self> {
        // The database's own user must get through to its files.
        let open = PermissionsExt::from_mode(0o711);
        let directory =
            tempfile::Builder::new().prefix("throome-bench-servers-").permissions(open).tempdir()?;
        let mut command = Command::new(script());
        command.arg("hold").env("THROOME_SERVERS_DIR", directory.path());
        let holder = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let holder = holder.context("cannot start scripts/servers.sh")?;
        Ok(Self { directory, holder, told: BTreeMap::new() })
    }

    /// Starts these, and what they need, if they are not up; all of them stay where they are placed.
    pub fn start(&mut self, names: &[&str], placement: Placement) -> anyhow::Result<()> {
        let home = format!("THROOME_SERVERS_DIR={}", self.directory.path().display());
        let mut arguments = vec![home, script().display().to_string(), "start".to_owned()];
        arguments.extend(names.iter().map(|&name| name.to_owned()));
        let output = Invocation::new("env", arguments).output(placement)?;
        self.told.extend(variables(&String::from_utf8_lossy(&output.stdout)));
        Ok(())
    }

    /// Where a server takes connections.
    pub fn address(&self, name: &str) -> anyhow::Result<SocketAddr> {
        let variable = format!("{}_PORT", name.to_uppercase().replace('-', "_"));
        let told = self.told.get(&variable);
        let port = told.with_context(|| format!("scripts/servers.sh printed no {variable}"))?;
        Ok((Ipv4Addr::LOCALHOST, port.parse::<u16>().context(variable)?).into())
    }

    /// The process of a server, which may have others under it.
    pub fn pid(&self, name: &str) -> anyhow::Result<u32> {
        let file = self.directory.path().join(name).join("pid");
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        text.trim().parse().with_context(|| file.display().to_string())
    }

    /// How a client of PostgreSQL's protocol is told where to go: at the server itself, or at its pooler.
    pub fn database(&self, name: &str) -> anyhow::Result<String> {
        let at = self.address(name)?;
        Ok(format!(
            "host={} port={} user={USER} password={PASSWORD} dbname={DATABASE} sslmode=disable",
            at.ip(),
            at.port()
        ))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // What it could not stop it has said on the standard error that is ours too.
        let _ = self.holder.wait();
    }
}

fn script() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/servers.sh"))
}

/// The lines NAME=value of what was printed for a shell, quotes taken off.
fn variables(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_matches(['\'', '"']).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_prints_is_read() {
        let read = variables("REDIS_PORT=20123\nKAFKA_CA='/srv/a b/ca.pem'\n\n");
        assert_eq!(read["REDIS_PORT"], "20123");
        assert_eq!(read["KAFKA_CA"], "/srv/a b/ca.pem");
    }
}
