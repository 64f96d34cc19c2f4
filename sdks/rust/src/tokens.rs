//! Tokens: what clients are known by, made here and shown once.

use std::fmt;

use http::Method;
use serde::{Deserialize, Serialize};

use crate::address::escape;
use crate::call::{Call, Outgoing, Patience};
use crate::client::Client;
use crate::page::Paged;

const TOKENS: &str = "/api/v1/tokens";

impl Client {
    /// The gateway's tokens.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        Tokens { client: self.clone() }
    }
}

/// The tokens of a gateway. An administrator makes and revokes them.
#[derive(Debug, Clone)]
pub struct Tokens {
    client: Client,
}

impl Tokens {
    /// All of them, by number: those in use, and those that ended lately.
    pub fn list(&self) -> Paged<TokenInfo> {
        Paged::new(self.client.clone(), TOKENS.to_owned(), "tokens", Patience::Management)
    }

    /// What is known of one.
    pub fn get(&self, id: &str) -> Call<TokenInfo> {
        self.client.call(Outgoing::get(path(id), Patience::Management))
    }

    /// Makes one, which this answer shows and nothing after it. A request is a [`TokenRequest`], or JSON of
    /// the same fields.
    pub fn create(&self, request: &impl Serialize) -> Call<CreatedToken> {
        self.client.call(Outgoing::post(TOKENS.to_owned(), Patience::Management).json(request))
    }

    /// Takes one back: once this has returned, nobody may use it. Twice is the same as once.
    pub fn revoke(&self, id: &str) -> Call<TokenInfo> {
        let mut request = Outgoing::new(Method::DELETE, path(id), Patience::Management);
        request.repeatable = true;
        self.client.call(request)
    }
}

fn path(id: &str) -> String {
    format!("{TOKENS}/{}", escape(id))
}

/// A token to be made. Without a service it is for all of the gateway, as far as its role goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TokenRequest {
    /// For people; left out, the service or the role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `ID/NAME`: the one service whose data it may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// `viewer`, `operator` or `admin`; left out, `viewer`. A token for a service has none to choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// How long it may be used, such as `30d`; left out, until it is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
}

impl TokenRequest {
    /// A token for the data of one service.
    #[must_use]
    pub fn for_service(cluster: &str, service: &str) -> TokenRequest {
        TokenRequest { service: Some(format!("{cluster}/{service}")), ..TokenRequest::default() }
    }
}

/// What is known of a token: all but the token itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TokenInfo {
    /// Its number; no other ever has it.
    pub id: String,
    /// For people.
    pub name: String,
    /// `viewer`, `operator` or `admin`.
    pub role: String,
    /// `ID/NAME` of the one service whose data it may use; without it, it is for all of the gateway.
    #[serde(default)]
    pub service: Option<String>,
    /// `active`, `expired` or `revoked`.
    #[serde(default)]
    pub status: String,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// From when on it may not be used.
    #[serde(default)]
    pub expires_at: Option<String>,
    /// When it was revoked.
    #[serde(default)]
    pub revoked_at: Option<String>,
    /// When it was last used, to the second.
    #[serde(default)]
    pub last_used_at: Option<String>,
}

/// A token that was just made. Its `Debug` does not show what opens doors.
#[derive(Clone, Deserialize)]
pub struct CreatedToken {
    /// The token itself, for [`Client::with_token`]: the gateway keeps only a hash of it.
    pub token: String,
    /// What may be known of it.
    #[serde(flatten)]
    pub info: TokenInfo,
}

impl fmt::Debug for CreatedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedToken").field("token", &"***").field("info", &self.info).finish()
    }
}
