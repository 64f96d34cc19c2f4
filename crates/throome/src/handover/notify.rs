//! Words to whoever manages this service, by systemd's protocol: that it is ready, and which process is the service.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where the manager listens; nobody does when it is not there.
const PLACE: &str = "NOTIFY_SOCKET";

/// Everything listens.
pub(crate) fn ready() {
    say("READY=1\n");
}

/// Another process is the service from here on.
pub(crate) fn replaced_by(pid: u32) {
    say(&format!("MAINPID={pid}\n"));
}

fn say(words: &str) {
    let Some(place) = std::env::var_os(PLACE) else { return };
    if let Err(error) = send(place.as_bytes(), words) {
        tracing::warn!(%error, place = %place.display(), "whoever manages the service cannot be told");
    }
}

fn send(place: &[u8], words: &str) -> io::Result<()> {
    let address = match place.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(place))?,
    };
    UnixDatagram::unbound()?.send_to_addr(words.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_hears_by_a_path_and_by_a_name_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("throome-test-{}", std::process::id());
        let of_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (manager, place) in [
            (UnixDatagram::bind(&path).unwrap(), path.as_os_str().as_bytes().to_vec()),
            (UnixDatagram::bind_addr(&of_name).unwrap(), format!("@{name}").into_bytes()),
        ] {
            send(&place, "MAINPID=7\n").unwrap();
            let mut heard = [0; 64];
            let n = manager.recv(&mut heard).unwrap();
            assert_eq!(&heard[..n], b"MAINPID=7\n");
        }
        assert!(send(b"/nowhere/at/all", "READY=1\n").is_err());
    }
}
