//! Who may ask what: a pure look at the head of a request, before anything else is done with it.
//!
//! A door on loopback asks for no token, so it makes sure that the asker means it: pages of other sites can
//! send requests there, and can point their names there, but choose neither `Host` nor `Origin`.

mod caller;

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};
use model::{Code, Failure};
use store::{Store, TokenRole, TokenVerdict};

use crate::data::Data;
use crate::data::neon::{CONNECTION_STRING, password};
use crate::percent::{Plus, decode_text};
pub(crate) use caller::Caller;
use caller::{out_of_scope, unauthenticated};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const OWN_PAGES: &str = "Only the gateway's own pages and programs may; a program sends no `Origin`.";

/// How a door decides who may ask.
#[derive(Clone)]
pub struct GuardOptions {
    /// It is bound to loopback: requests must name loopback as their host.
    pub loopback: bool,
    /// Every request needs a token, but for those that ask how the gateway is.
    pub token_required: bool,
    /// The metrics need none either.
    pub public_metrics: bool,
    /// Where our own pages come from beside the host that was asked, such as `http://localhost:9000`.
    pub own_origins: Vec<String>,
    /// Knows the tokens.
    pub store: Store,
}

/// Whether a path answers also those who bring no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Open {
    /// It does, with what anybody may know.
    ToAll,
    /// It does not.
    No,
}

impl GuardOptions {
    /// Decides.
    ///
    /// # Errors
    /// `permission_denied` for a host, an origin, a role or a token for one service that may not; `unauthenticated` for a token that is
    /// missing, revoked, expired or, where one is needed, unknown; `invalid_request` for a head that says two
    /// things at once; `busy` while nobody knows which tokens there are.
    pub(crate) fn check(&self, head: &Parts, open: Open) -> Result<Caller, Failure> {
        self.check_host(head)?;
        if changes(&head.method) || Data::has_effects(head.uri.path()) {
            self.check_origin(head)?;
        }
        let verdict = token(head)?.map(|token| self.store.check_token(&token));
        match verdict {
            Some(TokenVerdict::Valid { name, role, scope }) => {
                let path = head.uri.path();
                match &scope {
                    // It is told what anybody is told.
                    Some(_) if open == Open::ToAll => return Ok(Caller::Stranger),
                    Some(scope) if !is_data_of(&scope.cluster, path) => {
                        return Err(out_of_scope(&name, scope));
                    }
                    Some(_) | None => holds(&name, role, needed(&head.method, path))?,
                }
                Ok(Caller::Holder { name, scope })
            }
            // Its sender believes that it counts, also where none is needed.
            Some(TokenVerdict::Revoked) => Err(unauthenticated("The token was revoked.")),
            Some(TokenVerdict::Expired) => Err(unauthenticated("The token has expired.")),
            _ if !self.token_required => Ok(Caller::Trusted),
            _ if open == Open::ToAll => Ok(Caller::Stranger),
            // Whom it knows, nobody can say.
            Some(TokenVerdict::Unknown) if !self.store.is_ready() => {
                Err(Failure::gateway(Code::Busy, "The store has not come yet, which knows the tokens."))
            }
            Some(TokenVerdict::Unknown) => Err(unauthenticated("The token was not issued by this gateway.")),
            None => Err(unauthenticated("This door asks for a token.")),
        }
    }

    fn check_host(&self, head: &Parts) -> Result<(), Failure> {
        let said = one(head, HOST)?.map(HeaderValue::as_bytes);
        // A target in absolute form names the host as well; both must be fine.
        let target = head.uri.authority().map(|authority| authority.as_str().as_bytes());
        if !self.loopback {
            return Ok(());
        }
        let mut names = said.into_iter().chain(target).peekable();
        if names.peek().is_none() {
            return Err(Failure::client(Code::InvalidRequest, "The request names no `Host`."));
        }
        match names.find(|name| !is_loopback(name)) {
            None => Ok(()),
            Some(name) => {
                let name = String::from_utf8_lossy(name).into_owned();
                Err(Failure::client(
                    Code::PermissionDenied,
                    format!("`{name}` is not a name of this machine's loopback."),
                )
                .with_hint(
                    "Ask `localhost`, 127.0.0.1 or [::1]; beyond loopback set `server.host`, which asks for a token.",
                ))
            }
        }
    }

    /// A token in a header is never sent by a page of another site; where none is needed, the origin must show.
    fn check_origin(&self, head: &Parts) -> Result<(), Failure> {
        if self.token_required && !self.loopback {
            return one(head, ORIGIN).map(drop);
        }
        let Some(origin) = one(head, ORIGIN)? else { return check_site(head) };
        let origin = origin.as_bytes();
        let own = self.own_origins.iter().any(|own| own.as_bytes().eq_ignore_ascii_case(origin));
        let scheme_and_host =
            [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| origin.strip_prefix(scheme));
        let asked = one(head, HOST)?.map(HeaderValue::as_bytes);
        if own
            || scheme_and_host.is_some_and(|host| asked.is_some_and(|asked| asked.eq_ignore_ascii_case(host)))
        {
            return Ok(());
        }
        let origin = String::from_utf8_lossy(origin).into_owned();
        Err(Failure::client(
            Code::PermissionDenied,
            format!("A page of `{origin}` may not change anything here."),
        )
        .with_hint(OWN_PAGES))
    }
}

/// An image or a link sends a GET without an `Origin`; browsers then still say whose page asked.
fn check_site(head: &Parts) -> Result<(), Failure> {
    match one(head, SEC_FETCH_SITE)?.map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => {
            let detail = "A page of another origin may not change anything here.";
            Err(Failure::client(Code::PermissionDenied, detail).with_hint(OWN_PAGES))
        }
    }
}

/// What a request needs at least: looking, working the running services and their data, or changing the rest.
fn needed(method: &Method, path: &str) -> TokenRole {
    if Data::is_at(path) {
        return TokenRole::Operator;
    }
    // The whole path counts, and not its end: clusters and routes may have these words as their ids.
    let path: Vec<&str> = path.split('/').collect();
    match (method, path.as_slice()) {
        // What there is of other gateways is nothing that everybody looks at.
        (_, ["", "api", "v1", "orphans", ..]) => TokenRole::Admin,
        // All of a service's data are in there.
        (
            &Method::GET | &Method::HEAD,
            ["", "api", "v1", "clusters", _, "services", _, "backups", _, "file"],
        ) => TokenRole::Operator,
        _ if !changes(method) => TokenRole::Viewer,
        // Their method says change, and their work is looking.
        (
            &Method::POST,
            ["", "api", "v1", "validate" | "explain"] | ["", "api", "v1", "clusters", _, "plan"],
        ) => TokenRole::Viewer,
        // What operators do to a running service.
        (
            &Method::POST,
            [
                "",
                "api",
                "v1",
                "clusters",
                _,
                "services",
                _,
                "restart" | "stop" | "start" | "drain" | "undrain" | "reset-breaker" | "backups",
            ],
        ) => TokenRole::Operator,
        _ => TokenRole::Admin,
    }
}

/// Whether a path is one of the data API and in this cluster.
fn is_data_of(cluster: &str, path: &str) -> bool {
    let asked = path.strip_prefix("/api/v1/clusters/").and_then(|rest| rest.split('/').next());
    let asked = asked.and_then(|asked| decode_text(asked, Plus::Plus));
    asked.is_some_and(|asked| asked == cluster) && Data::is_at(path)
}

/// Whether a method may change something.
pub(crate) fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The token that a request brings, if it does. What `Authorization` says counts first.
fn token(head: &Parts) -> Result<Option<Cow<'_, str>>, Failure> {
    let said = one(head, AUTHORIZATION)?.is_some();
    // Nearly no request has this header, and only one path looks at it.
    if said
        || !head.headers.contains_key(CONNECTION_STRING)
        || !Data::takes_connection_string(head.uri.path())
    {
        return Ok(bearer(&head.headers).map(Cow::Borrowed));
    }
    Ok(one(head, CONNECTION_STRING)?.and_then(password))
}

/// The token in the one `Authorization` of a request that has passed the guard.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The header of that name; two of them could be read differently by somebody else on the way.
fn one(head: &Parts, name: HeaderName) -> Result<Option<&HeaderValue>, Failure> {
    let mut all = head.headers.get_all(&name).iter();
    match (all.next(), all.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => {
            Err(Failure::client(Code::InvalidRequest, format!("The request has several `{name}` headers.")))
        }
    }
}

/// Whether `host` or `host:port` is a name of loopback.
fn is_loopback(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let (name, port) = match host.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((name, port))) => {
            return name.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
                && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
        }
        Some(None) => return false,
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    port.is_none_or(is_port)
        && (name.eq_ignore_ascii_case("localhost")
            || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback()))
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn holds(name: &str, role: TokenRole, needed: TokenRole) -> Result<(), Failure> {
    if role >= needed {
        return Ok(());
    }
    let (role, needed) = (role.name(), needed.name());
    let detail = format!("The token `{name}` has the role {role}; this needs {needed}.");
    Err(Failure::client(Code::PermissionDenied, detail))
}

#[cfg(test)]
mod tests;
