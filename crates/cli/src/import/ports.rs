//! `ports` of a service, in both of its forms.

use model::tree::Node;

use super::compose::{Service, scalar};

/// A port that is published on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Published {
    /// The port inside the container.
    pub(super) target: u16,
    /// The port of this machine; left out, any that is free.
    pub(super) port: Option<u16>,
    /// The address of this machine; left out, every one.
    pub(super) address: Option<String>,
}

/// What is published by TCP, in order; and what could not be read.
pub(super) fn of(service: &Service) -> (Vec<Published>, Vec<String>) {
    let (mut published, mut unread) = (Vec::new(), Vec::new());
    for item in service.items("ports") {
        let read = if item.entries().is_empty() { short(&scalar(item)) } else { Some(long(item)) };
        match read {
            // A base may say the same as what is laid over it.
            Some(found) => published
                .extend(found.into_iter().filter(|port| !published.contains(port)).collect::<Vec<_>>()),
            None => unread.push(scalar(item)),
        }
    }
    (published, unread)
}

/// Ports of the container as they are told: a range may have thousands.
pub(super) fn told<'a>(ports: impl Iterator<Item = &'a Published>) -> Option<String> {
    const MOST: usize = 8;
    let ports: Vec<String> = ports.map(|port| port.target.to_string()).collect();
    match ports.len() {
        0 => None,
        count if count > MOST => Some(format!("{} and {} more", ports[..MOST].join(", "), count - MOST)),
        _ => Some(ports.join(", ")),
    }
}

/// `[[ADDRESS:]PORT:]TARGET[/PROTOCOL]`, where ports may be ranges. Nothing where it is none, an empty list for UDP.
fn short(text: &str) -> Option<Vec<Published>> {
    let (text, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (address, ports) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            (Some(address), rest.strip_prefix(':')?)
        }
        None => match text.rsplitn(3, ':').collect::<Vec<_>>()[..] {
            [_, _, address] => (Some(address), &text[address.len() + 1..]),
            _ => (None, text),
        },
    };
    let (published, target) = match ports.rsplit_once(':') {
        Some((published, target)) => (Some(published), target),
        None => (None, ports),
    };
    let targets = range(target)?;
    let published = match published.filter(|text| !text.is_empty()) {
        Some(text) => Some(range(text)?),
        None => None,
    };
    if protocol != "tcp" {
        return Some(Vec::new());
    }
    let address = address.filter(|address| !address.is_empty()).map(str::to_owned);
    let one = |(target, at)| {
        // A range for one target is a choice, of which nobody knows what was chosen.
        let port = published
            .as_ref()
            .and_then(|(first, last)| (last - first == targets.1 - targets.0).then_some(first + at));
        Published { target, port, address: address.clone() }
    };
    Some((targets.0..=targets.1).zip(0..).map(one).collect())
}

/// `{ target, published, host_ip, protocol, … }`
fn long(node: &Node) -> Vec<Published> {
    let text = |key: &str| node.get(key).map(scalar).filter(|text| !text.is_empty());
    if text("protocol").is_some_and(|protocol| protocol != "tcp") {
        return Vec::new();
    }
    let target = text("target").and_then(|target| target.parse().ok());
    let port = text("published").and_then(|port| port.parse().ok());
    target.map(|target| Published { target, port, address: text("host_ip") }).into_iter().collect()
}

fn range(text: &str) -> Option<(u16, u16)> {
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    match text.split_once('-') {
        Some((first, last)) => Some((port(first)?, port(last)?)).filter(|(first, last)| first <= last),
        None => port(text).map(|port| (port, port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms() {
        let one = |target, port: u16, address: &str| Published {
            target,
            port: Some(port).filter(|port| *port > 0),
            address: Some(address.to_owned()).filter(|address| !address.is_empty()),
        };
        for (text, expected) in [
            ("80", Some(vec![one(80, 0, "")])),
            ("8080:80", Some(vec![one(80, 8080, "")])),
            ("8080:80/tcp", Some(vec![one(80, 8080, "")])),
            ("127.0.0.1:8080:80", Some(vec![one(80, 8080, "127.0.0.1")])),
            ("127.0.0.1::80", Some(vec![one(80, 0, "127.0.0.1")])),
            ("[::1]:8080:80", Some(vec![one(80, 8080, "::1")])),
            ("::1:8080:80", Some(vec![one(80, 8080, "::1")])),
            ("9090-9091:80-81", Some(vec![one(80, 9090, ""), one(81, 9091, "")])),
            ("9090-9095:80", Some(vec![one(80, 0, "")])),
            ("65535:65535", Some(vec![one(65535, 65535, "")])),
            ("53:53/udp", Some(vec![])),
            ("8080:web", None),
            ("99999:80", None),
            ("81-80:80", None),
            ("", None),
        ] {
            assert_eq!(short(text), expected, "{text}");
        }
        let all = short("1-65535:1-65535").unwrap();
        assert_eq!((all.len(), all[65534].port), (65535, Some(65535)));
        assert_eq!(told(all.iter()).as_deref(), Some("1, 2, 3, 4, 5, 6, 7, 8 and 65527 more"));
    }
}
