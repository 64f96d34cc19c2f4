//! The certificates of the doors: what the settings say of them, and what happens when their files change.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use adapters::gate;
use clusters::{Clusters, Events, Happening};
use wire::tls::{Clients, Fault, Loaded, Options, Pair, Server, Stamp, Version};

use crate::acme::Acme;
use crate::settings::{Settings, Tls};
use crate::shutdown::Closing;

/// How often it is looked whether the files are still the same: they are few, and a change is seen wherever it comes
/// from, links to other directories and other file systems included.
const LOOK: Duration = Duration::from_millis(200);
/// Certificate and key are seldom replaced in one moment. Files that fit together no sooner are refused, aloud.
const SETTLE: Duration = Duration::from_secs(2);

/// The data door, as people call it.
pub(crate) const DATA_DOOR: &str = "data door";

/// Each door that says something of TLS, by the path of its setting.
pub(crate) fn said(settings: &Settings) -> Vec<(String, &Tls)> {
    let (server, proxy, data) = (&settings.server.tls, &settings.proxy.tls, &settings.data.tls);
    let own = [("server.tls", server), ("proxy.tls", proxy), ("data.tls", data)];
    let own = own.map(|(path, tls)| (path.to_owned(), tls));
    let further = settings.proxy.listeners.iter().enumerate();
    let further = further.map(|(at, listener)| (format!("proxy.listeners[{at}].tls"), &listener.tls));
    own.into_iter().chain(further).filter_map(|(path, tls)| Some((path, tls.as_ref()?))).collect()
}

/// What fits together, without a look at any file.
pub(crate) fn check(tls: &Tls) -> Result<(), Fault> {
    let fault = |key: &str, message: &str| Err(Fault { key: key.to_owned(), message: message.to_owned() });
    if tls.certificates.is_empty() && tls.acme.is_none() {
        return fault("certificates", "names none, and without one nobody can be greeted by TLS");
    }
    if let Some(acme) = &tls.acme {
        let mode = tls.client_auth.mode.as_deref();
        if acme.names.is_empty() {
            return fault("acme.names", "names none");
        }
        if acme.names.iter().any(|name| name.contains('*')) {
            return fault("acme.names", "a wildcard needs proof by DNS, which is not built; name each host");
        }
        if !acme.terms_agreed {
            return fault("acme.terms_agreed", "must be `true`: no authority issues anything without");
        }
        if mode == Some("required") {
            let why =
                "cannot be `required` with `acme`: the authority visits this door, and shows no certificate";
            return fault("client_auth.mode", why);
        }
    }
    match (tls.client_auth.mode.as_deref(), &tls.client_auth.ca) {
        (Some("optional" | "required"), None) => {
            fault("client_auth.ca", "is required: it says whose clients are let in")
        }
        (None | Some("off"), Some(_)) => {
            fault("client_auth.mode", "is off, so `ca` would mean nothing; say `optional` or `required`")
        }
        _ => Ok(()),
    }
}

/// Every fault of every file that a door is secured with, as path and message.
pub(crate) fn faults(settings: &Settings) -> Vec<(String, String)> {
    let load = |(path, tls): (String, &Tls)| {
        // What an authority issues is made at the start; until then there is nothing to look at.
        let faults = Server::load(options(tls, &[], None)).err().unwrap_or_default();
        faults.into_iter().map(move |fault| (below(&path, &fault.key), fault.message))
    };
    said(settings).into_iter().flat_map(load).collect()
}

/// Where in the data directory is what an authority issues for a door.
fn kept_at(door: &str) -> &'static str {
    if door == DATA_DOOR { "acme-data" } else { "acme" }
}

/// The path of a key below another.
pub(crate) fn below(path: &str, key: &str) -> String {
    if key.is_empty() { path.to_owned() } else { format!("{path}.{key}") }
}

/// What the door is secured with, as `wire` asks for it.
fn options(tls: &Tls, alpn: &[&str], acme: Option<&Acme>) -> Options {
    let pairs = tls.certificates.iter().map(|pair| Pair { cert: pair.cert.clone(), key: pair.key.clone() });
    let pairs = pairs.chain(acme.map(Acme::pair));
    let ca = tls.client_auth.ca.clone().unwrap_or_default();
    Options {
        certificates: pairs.collect(),
        min_version: if tls.min_version.as_deref() == Some("1.3") { Version::Tls13 } else { Version::Tls12 },
        clients: match tls.client_auth.mode.as_deref() {
            Some("required") => Clients::Required(ca),
            Some("optional") => Clients::Optional(ca),
            _ => Clients::Off,
        },
        alpn: alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect(),
        challenges: acme.map(Acme::challenges),
    }
}

/// The doors that are secured, and the files that they were secured with.
pub(crate) struct Watch {
    doors: Vec<Watched>,
    /// Certificates that an authority issues, and where they are kept.
    acme: Vec<Acme>,
    data_dir: PathBuf,
}

struct Watched {
    /// As people call it.
    door: String,
    server: Server,
    in_force: Stamp,
    doubt: Option<Doubt>,
}

/// Files that changed and cannot be used.
struct Doubt {
    stamp: Stamp,
    since: Instant,
    told: bool,
}

impl Watch {
    /// None yet. What an authority issues is kept in this directory.
    pub(crate) fn new(data_dir: PathBuf) -> Self {
        Watch { doors: Vec::new(), acme: Vec::new(), data_dir }
    }

    /// Secures a door that speaks these protocols, if its settings say so.
    pub(crate) fn secure(
        &mut self,
        door: &str,
        tls: Option<&Tls>,
        alpn: &[&str],
    ) -> anyhow::Result<Option<Server>> {
        let Some(tls) = tls else { return Ok(None) };
        let acme = tls
            .acme
            .as_ref()
            .map(|acme| Acme::prepare(acme, self.data_dir.join(kept_at(door))))
            .transpose()?;
        let (server, loaded) = Server::load(options(tls, alpn, acme.as_ref())).map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("the {door} cannot be secured: {}", faults.join("; "))
        })?;
        note(door, &loaded);
        let in_force = loaded.stamp;
        self.doors.push(Watched { door: door.to_owned(), server: server.clone(), in_force, doubt: None });
        self.acme.extend(acme);
        Ok(Some(server))
    }

    /// Watches on the calling runtime, until that ends.
    pub(crate) fn begin(mut self, clusters: &Clusters, closing: &Closing) {
        for acme in self.acme.drain(..) {
            let (events, closing) = (clusters.events().clone(), closing.clone());
            tokio::spawn(async move {
                // Of two processes in one place, the one that has the engines: both would write the same files.
                if gate::opened().await {
                    tokio::select! { () = acme.keep(events) => {}, () = closing.wait() => {} }
                }
            });
        }
        if !self.doors.is_empty() {
            tokio::spawn(self.keep(clusters.events().clone()));
        }
    }

    async fn keep(mut self, events: Events) {
        loop {
            tokio::time::sleep(LOOK).await;
            let looked = tokio::task::spawn_blocking(move || {
                let now = Instant::now();
                let happened: Vec<_> = self.doors.iter_mut().filter_map(|door| door.look(now)).collect();
                (self, happened)
            });
            let Ok((watch, happened)) = looked.await else { return };
            self = watch;
            happened.into_iter().for_each(|happening| events.tell(happening));
        }
    }
}

impl Watched {
    /// Looks at the files once; says what came of it when they have changed.
    fn look(&mut self, now: Instant) -> Option<Happening> {
        let stamp = self.server.stamp();
        if stamp == self.in_force {
            self.doubt = None;
            return None;
        }
        if self.doubt.as_ref().is_some_and(|doubt| doubt.told && doubt.stamp == stamp) {
            return None;
        }
        match self.server.reload() {
            Ok(loaded) => {
                note(&self.door, &loaded);
                (self.in_force, self.doubt) = (loaded.stamp, None);
                let message = format!(
                    "The {} greets with the certificates that are in its files now; connections that stand go on.",
                    self.door
                );
                Some(happening("certificate.replaced", "file", message))
            }
            Err(faults) => {
                if self.doubt.as_ref().is_none_or(|doubt| doubt.stamp != stamp) {
                    self.doubt = Some(Doubt { stamp, since: now, told: false });
                }
                let doubt = self.doubt.as_mut().filter(|doubt| now.duration_since(doubt.since) >= SETTLE)?;
                doubt.told = true;
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                let message = format!(
                    "The changed certificates of the {} are refused, and those before stay: {}",
                    self.door,
                    faults.join("; ")
                );
                tracing::warn!(door = self.door, "changed certificates are refused; those before stay");
                Some(happening("certificate.refused", "file", message))
            }
        }
    }
}

pub(crate) fn happening(kind: &str, actor: &str, message: String) -> Happening {
    Happening { kind: kind.to_owned(), actor: actor.to_owned(), message, ..Happening::default() }
}

fn note(door: &str, loaded: &Loaded) {
    for note in &loaded.notes {
        tracing::warn!(door, "{note}");
    }
}
