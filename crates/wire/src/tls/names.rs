//! Which of several certificates a client is shown: by the name that it asks for, exactly or by a wildcard that
//! stands for one label; else the first.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::challenges::{Challenges, PROTOCOL};
use super::files::Read;

/// The certificates of a door.
#[derive(Debug)]
pub(super) struct Names {
    /// All of them, as they were named.
    all: Vec<Arc<CertifiedKey>>,
    /// By name; one that begins with `*.` is a wildcard. Several of one name differ in their keys.
    by_name: HashMap<String, Vec<Arc<CertifiedKey>>>,
    challenges: Option<Challenges>,
}

impl Names {
    pub(super) fn of(pairs: Vec<Read>, challenges: Option<Challenges>) -> Self {
        let mut names = Names { all: Vec::new(), by_name: HashMap::new(), challenges };
        for Read { certified, hosts, .. } in pairs {
            let certified = Arc::new(certified);
            for host in hosts {
                names.by_name.entry(host).or_default().push(Arc::clone(&certified));
            }
            names.all.push(certified);
        }
        names
    }

    fn find(&self, name: &str) -> &[Arc<CertifiedKey>] {
        let name = name.to_ascii_lowercase();
        let exact = self.by_name.get(&name);
        let wild = || self.by_name.get(&format!("*.{}", name.split_once('.')?.1));
        exact.or_else(wild).map_or(&self.all, Vec::as_slice)
    }

    /// The first that the client can use; if it can use none, the first, so that the refusal says why.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let fit = name.map_or(self.all.as_slice(), |name| self.find(name));
        let usable = fit.iter().find(|one| one.key.choose_scheme(schemes).is_some());
        usable.or(fit.first()).cloned()
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(challenges) = &self.challenges
            && hello.alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == PROTOCOL))
        {
            return challenges.find(hello.server_name()?);
        }
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}
