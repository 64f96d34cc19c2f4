//! The PROXY protocol, versions 1 and 2: the line that a proxy says before anything else of whose connection it passes
//! on. Whether who says it is to be believed is decided elsewhere.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// How a header of version 2 begins: no word of any protocol in use.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family, length.
const FIXED: usize = 16;
/// The longest line of version 1, its end included.
const MOST_V1: usize = 107;
/// The longest addresses and extensions of version 2 that are read. Extensions are a few hundred bytes, those with a
/// certificate some thousand.
const MOST_V2: usize = 4096;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// Which versions are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// This one.
    Only(Version),
    /// Either.
    Any,
}

impl Taken {
    fn takes(self, version: Version) -> bool {
        matches!(self, Taken::Any) || self == Taken::Only(version)
    }
}

/// Both ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// Who has connected.
    pub source: SocketAddr,
    /// Where to.
    pub destination: SocketAddr,
}

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What came is none, or not of a version that is taken.
    #[error("{0}")]
    Malformed(&'static str),
    /// The peer left before its end.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Takes the header off the beginning of a connection, and no byte more. `None` is a connection of the proxy itself, or
/// one of which it knows no address: then it is as if it had said nothing.
///
/// # Errors
/// When there is none. Whoever awaits it says for how long.
pub async fn take(stream: &mut TcpStream, taken: Taken) -> Result<Option<Ends>, Error> {
    let mut begun = [0; SIGNATURE.len()];
    stream.read_exact(&mut begun).await?;
    if begun == *SIGNATURE && taken.takes(Version::V2) {
        return take_v2(stream).await;
    }
    if begun.starts_with(b"PROXY ") && taken.takes(Version::V1) {
        return take_v1(stream, &begun).await;
    }
    Err(Error::Malformed("the connection does not begin with a PROXY header of a version that is taken"))
}

async fn take_v1(stream: &mut TcpStream, begun: &[u8]) -> Result<Option<Ends>, Error> {
    let mut line = [0; MOST_V1];
    line[..begun.len()].copy_from_slice(begun);
    let mut len = begun.len();
    loop {
        if let Some(end) = line[..len].iter().position(|&byte| byte == b'\n') {
            return if end + 1 == len { line_v1(&line[..len]) } else { Err(BAD_LINE) };
        }
        if len == line.len() {
            return Err(Error::Malformed("a PROXY line of more than 107 bytes"));
        }
        // What follows the line is the client's: it is looked at, and only what is of the line is taken.
        let seen = stream.peek(&mut line[len..]).await?;
        if seen == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let of_line =
            line[len..len + seen].iter().position(|&byte| byte == b'\n').map_or(seen, |end| end + 1);
        stream.read_exact(&mut line[len..len + of_line]).await?;
        len += of_line;
    }
}

const BAD_LINE: Error = Error::Malformed("a PROXY line that is none");

/// Reads a whole line, its end included.
fn line_v1(line: &[u8]) -> Result<Option<Ends>, Error> {
    let line = line.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok()).ok_or(BAD_LINE)?;
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        // Whatever follows says nothing.
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", "TCP4", source, destination, from, to] => {
            ends::<Ipv4Addr>(source, destination, from, to).map(Some)
        }
        ["PROXY", "TCP6", source, destination, from, to] => {
            ends::<Ipv6Addr>(source, destination, from, to).map(Some)
        }
        _ => Err(BAD_LINE),
    }
}

fn ends<A: FromStr + Into<IpAddr>>(
    source: &str,
    destination: &str,
    from: &str,
    to: &str,
) -> Result<Ends, Error> {
    let end = |address: &str, port: &str| {
        let address: A = address.parse().ok()?;
        let plain = port.bytes().all(|byte| byte.is_ascii_digit()) && (port == "0" || !port.starts_with('0'));
        let port = port.parse().ok().filter(|_| plain)?;
        Some(SocketAddr::new(address.into(), port))
    };
    let (source, destination) = (end(source, from), end(destination, to));
    Ok(Ends { source: source.ok_or(BAD_LINE)?, destination: destination.ok_or(BAD_LINE)? })
}

async fn take_v2(stream: &mut TcpStream) -> Result<Option<Ends>, Error> {
    let mut rest = [0; FIXED - SIGNATURE.len()];
    stream.read_exact(&mut rest).await?;
    let [command, family, length @ ..] = rest;
    let length = usize::from(u16::from_be_bytes(length));
    if length > MOST_V2 {
        return Err(Error::Malformed("a PROXY header of more than 4096 bytes"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    body_v2(command, family, &body)
}

/// Reads what follows the fixed part. Extensions behind the addresses are passed over.
fn body_v2(command: u8, family: u8, body: &[u8]) -> Result<Option<Ends>, Error> {
    const BAD: Error = Error::Malformed("a PROXY header that is none");
    match command {
        // The proxy speaks for itself, such as to see whether we are well.
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err(BAD),
    }
    match family {
        0x11 => {
            let (body, _) = body.split_first_chunk::<12>().ok_or(BAD)?;
            let [a, b, c, d, e, f, g, h, p, q, r, s] = *body;
            Ok(Some(Ends {
                source: SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([p, q])),
                destination: SocketAddr::new(Ipv4Addr::new(e, f, g, h).into(), u16::from_be_bytes([r, s])),
            }))
        }
        0x21 => {
            let (source, body) = body.split_first_chunk::<16>().ok_or(BAD)?;
            let (destination, body) = body.split_first_chunk::<16>().ok_or(BAD)?;
            let (&[p, q, r, s], _) = body.split_first_chunk::<4>().ok_or(BAD)?;
            Ok(Some(Ends {
                source: SocketAddr::new(Ipv6Addr::from(*source).into(), u16::from_be_bytes([p, q])),
                destination: SocketAddr::new(Ipv6Addr::from(*destination).into(), u16::from_be_bytes([r, s])),
            }))
        }
        // Not known to it, or an address of another kind, which says nothing here: datagrams, sockets of a machine.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => Ok(None),
        _ => Err(BAD),
    }
}

impl Version {
    /// The header for a connection between these ends, or for one of our own.
    pub fn write(self, ends: Option<Ends>, out: &mut Vec<u8>) {
        match self {
            Version::V1 => write_v1(ends, out),
            Version::V2 => write_v2(ends, out),
        }
    }
}

fn write_v1(ends: Option<Ends>, out: &mut Vec<u8>) {
    let line = match ends.map(alike) {
        None => "PROXY UNKNOWN\r\n".to_owned(),
        Some((source, destination, from, to)) => {
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            format!("PROXY {family} {source} {destination} {from} {to}\r\n")
        }
    };
    out.extend_from_slice(line.as_bytes());
}

fn write_v2(ends: Option<Ends>, out: &mut Vec<u8>) {
    out.extend_from_slice(SIGNATURE);
    let Some((source, destination, from, to)) = ends.map(alike) else {
        return out.extend_from_slice(&[0x20, 0x00, 0, 0]);
    };
    out.push(0x21);
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            out.extend_from_slice(&[0x11, 0, 12]);
            out.extend_from_slice(&source.octets());
            out.extend_from_slice(&destination.octets());
        }
        (source, destination) => {
            out.extend_from_slice(&[0x21, 0, 36]);
            out.extend_from_slice(&mapped(source).octets());
            out.extend_from_slice(&mapped(destination).octets());
        }
    }
    out.extend_from_slice(&from.to_be_bytes());
    out.extend_from_slice(&to.to_be_bytes());
}

/// Both addresses in one family, as the header has it: that of IPv4 where both are of it.
fn alike(ends: Ends) -> (IpAddr, IpAddr, u16, u16) {
    let (source, destination) = (ends.source.ip().to_canonical(), ends.destination.ip().to_canonical());
    let (source, destination) = if source.is_ipv4() && destination.is_ipv4() {
        (source, destination)
    } else {
        (mapped(source).into(), mapped(destination).into())
    };
    (source, destination, ends.source.port(), ends.destination.port())
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests;
