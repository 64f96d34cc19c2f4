//! A network between a gateway and what it talks to, which can be cut: the gateway lives in a network of its own, and
//! finds the loopback of this machine at the other end of a cable.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use crate::Layout;

/// A network namespace with two cables to this machine: one for clients, which stays, and one to 127.0.0.1 of this
/// machine, where the servers are. It is gone when this is dropped.
#[derive(Debug)]
pub struct Network {
    name: String,
    /// The third number of all its addresses.
    number: u8,
}

/// Which packets are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Those that the gateway sends.
    Sent,
    /// Those that are sent to the gateway.
    Received,
}

impl Network {
    /// Makes it.
    ///
    /// # Panics
    /// When it cannot be made, saying what failed: root and `ip` are needed.
    #[must_use]
    pub fn new() -> Network {
        let number = u8::try_from(std::process::id() % 250).unwrap();
        let network = Network { name: format!("throome-{number}"), number };
        let Network { name, number } = &network;
        network.run(&format!("ip netns add {name}"));
        for (cable, at) in [("s", 0), ("c", 4)] {
            let (here, there) = (network.here(cable), format!("t{cable}"));
            network.run(&format!("ip link add {here} type veth peer name {there} netns {name}"));
            network.run(&format!("ip addr add 10.213.{number}.{}/30 dev {here}", at + 1));
            network.run(&format!("ip link set {here} up"));
            network.run_there(&format!("ip addr add 10.213.{number}.{}/30 dev {there}", at + 2));
            network.run_there(&format!("ip link set {there} up"));
        }
        // It has no loopback of its own: what it sends to 127.0.0.1 goes over the cable, and is taken in at its end.
        network.run(&format!("echo 1 >/proc/sys/net/ipv4/conf/{}/route_localnet", network.here("s")));
        network.run_there("echo 1 >/proc/sys/net/ipv4/conf/ts/route_localnet");
        network.run_there(&format!("ip route add 127.0.0.0/8 via 10.213.{number}.1"));
        network
    }

    /// Where clients find what listens in it.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        Ipv4Addr::new(10, 213, self.number, 6).into()
    }

    /// A gateway that lives in it, and answers clients of this machine.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let address = self.address();
        let mut layout = Layout::default()
            .with_file(&format!(
                "server: {{ host: {address} }}\nproxy: {{ host: {address} }}\nauth: {{ mode: off }}\n"
            ))
            .with_args(&["--insecure"])
            .with_wrapper(&["ip", "netns", "exec", &self.name]);
        layout.control.set_ip(address);
        layout.traffic.set_ip(address);
        layout
    }

    /// Loses packets on the way between the gateway and the servers, without a word to anybody.
    pub fn cut(&self, which: Cut) {
        match which {
            // To somebody who is not there; a route that leads nowhere would be told to the sender.
            Cut::Sent => self.run_there(&format!(
                "ip neigh replace 10.213.{}.1 lladdr 02:00:00:00:00:01 dev ts nud permanent",
                self.number
            )),
            Cut::Received => self.run(&format!("ip route add blackhole 10.213.{}.2/32", self.number)),
        }
    }

    /// Joins it again.
    pub fn mend(&self, which: Cut) {
        match which {
            Cut::Sent => self.run_there(&format!("ip neigh del 10.213.{}.1 dev ts", self.number)),
            Cut::Received => self.run(&format!("ip route del blackhole 10.213.{}.2/32", self.number)),
        }
    }

    /// Whether a connection from in there to this port of the servers stands at once: who is whose neighbour is found anew
    /// behind a cut, which takes the kernel a moment.
    #[must_use]
    pub fn reaches(&self, port: u16) -> bool {
        let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
        let words = ["netns", "exec", &self.name, "timeout", "0.2", "bash", "-c", &connect];
        Command::new("ip").args(words).output().is_ok_and(|output| output.status.success())
    }

    fn here(&self, cable: &str) -> String {
        format!("t{cable}{}", self.number)
    }

    fn run_there(&self, command: &str) {
        self.run(&format!("ip netns exec {} sh -c '{command}'", self.name));
    }

    #[expect(clippy::unused_self, reason = "what was made so far goes when it fails")]
    fn run(&self, command: &str) {
        let output = Command::new("sh").args(["-c", command]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "`{command}`: {}. A network that can be cut needs root and iproute2.",
            said.trim_end()
        );
    }
}

impl Default for Network {
    fn default() -> Network {
        Network::new()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let cut = format!("ip route del blackhole 10.213.{}.2/32", self.number);
        let _ = Command::new("sh").args(["-c", &cut]).output();
        // The cables end with it.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}
