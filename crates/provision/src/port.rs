//! Ports of this machine: which are free, and who has those that are not.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, TcpListener};

/// How many ports are tried.
const TRIED: u16 = 100;

/// Who listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its pid.
    pub pid: u32,
    /// The name of its program.
    pub command: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.command, self.pid)
    }
}

/// The first port from this one on at which a server can listen at this address. What is bound is bound as servers do it
/// (`SO_REUSEADDR`): a port whose last connections are just over is free, or a service that was removed and made again
/// would be refused its own for a minute.
///
/// # Errors
/// When there is none among a hundred.
pub fn free(bind: IpAddr, from: u16) -> io::Result<u16> {
    let mut last = None;
    for port in (from..=u16::MAX).take(usize::from(TRIED)) {
        match TcpListener::bind((bind, port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

/// Who listens on this port of this machine, where that can be found out: whose sockets they are is told to root, and to
/// their own user.
#[must_use]
pub fn holder(port: u16) -> Option<Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let sockets: Vec<String> = tables
        .iter()
        .flat_map(|table| listening(table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if sockets.is_empty() {
        return None;
    }
    let pids = fs::read_dir("/proc").ok()?.flatten();
    let mut pids: Vec<u32> = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    // What was started by another one may have its sockets too: the first one is it.
    pids.sort_unstable();
    let has_one = |pid: &u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut links = files.filter_map(|file| fs::read_link(file.path()).ok());
        links.any(|link| sockets.iter().any(|socket| link.as_os_str() == socket.as_str()))
    };
    pids.into_iter().find(has_one).map(|pid| Holder { pid, command: command(pid) })
}

/// The inodes of those that listen on this port: `sl local_address rem_address st … uid timeout inode`, all in hex.
fn listening(table: &str, port: u16) -> impl Iterator<Item = &str> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).filter_map(move |line| {
        let mut fields = line.split_ascii_whitespace();
        let (_, local) = fields.nth(1)?.rsplit_once(':')?;
        let state = fields.nth(1)?;
        (state == LISTEN && u16::from_str_radix(local, 16) == Ok(port)).then(|| fields.nth(5))?
    })
}

/// The name of a program as people call it; the system's own is cut at fifteen letters.
fn command(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line);
    // One that has given itself another title has it all in the first word.
    let first = line.split(['\0', ' ']).next().unwrap_or_default();
    let name = first.rsplit('/').next().unwrap_or_default().trim_end_matches(':');
    if !name.is_empty() {
        return name.to_owned();
    }
    let short = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    short.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_port_that_is_taken_is_passed_over_and_its_holder_is_told() {
        let listener = TcpListener::bind((HERE, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_ne!(free(HERE, port).unwrap(), port);
        let own = holder(port).unwrap();
        assert_eq!(own.pid, std::process::id());
        assert!(own.to_string().ends_with(&format!(" (pid {})", own.pid)), "{own}");
        assert!(own.command.starts_with("throome_provision"), "{own}");
        drop(listener);
        assert_eq!(holder(port), None);
        assert_eq!(free(HERE, port).unwrap(), port);
    }

    #[test]
    fn a_port_is_free_again_at_once_although_its_connections_linger() {
        let listener = TcpListener::bind((HERE, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let client = std::net::TcpStream::connect(address).unwrap();
        // The side that closes first is the one that lingers, as a server does which is stopped.
        drop(listener.accept().unwrap());
        drop(client);
        drop(listener);
        assert_eq!(free(HERE, address.port()).unwrap(), address.port());
    }

    #[test]
    fn those_that_listen_are_found_among_those_that_are_connected() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000   102        0 31415 1 f 100\n\
            \x20  1: 0100007F:18EB 0100007F:A1B2 01 00000000:00000000 00:00000000 00000000   102        0 27182 1 f 20\n\
            \x20  2: 0100007F:18EC 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 16180 1 f 100\n";
        assert_eq!(listening(table, 6379).collect::<Vec<_>>(), ["31415"]);
        assert_eq!(listening(table, 6381).count(), 0);
    }

    #[test]
    fn after_the_last_port_there_is_none() {
        let taken = TcpListener::bind((HERE, u16::MAX));
        if taken.is_ok() {
            assert_eq!(free(HERE, u16::MAX).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
    }
}
