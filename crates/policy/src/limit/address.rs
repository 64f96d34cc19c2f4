//! Who a client is by its address, when proxies stand between that are believed.

use std::net::{IpAddr, Ipv6Addr};

/// The address that a client is counted by. `forwarded` are the values of `X-Forwarded-For` in the order of the
/// request; they are looked at from the end, since each proxy appends whom it has seen, and no further than to the
/// first address that is not a trusted one. What cannot be read ends the search: nobody vouches for what stands
/// before it.
///
/// Of an IPv6 address the network of 64 bits counts: whoever has one has all of its addresses.
#[must_use]
pub fn client_address<'v>(
    peer: IpAddr,
    forwarded: impl Iterator<Item = &'v [u8]>,
    trusted: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let mut client = peer.to_canonical();
    if trusted(client) {
        let said: Vec<&[u8]> = forwarded.flat_map(|value| value.split(|byte| *byte == b',')).collect();
        for said in said.into_iter().rev() {
            let Some(address) = address(said) else { break };
            client = address;
            if !trusted(client) {
                break;
            }
        }
    }
    network(client)
}

/// An address as proxies write it: alone, or with a port, and in brackets perhaps.
fn address(said: &[u8]) -> Option<IpAddr> {
    let said = std::str::from_utf8(said).ok()?.trim();
    let plain = said.parse::<IpAddr>().ok();
    let with_port = || said.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || said.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    plain.or_else(with_port).or_else(in_brackets).map(|address| address.to_canonical())
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}
