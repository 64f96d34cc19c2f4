//! Tokens: created and shown once, listed, revoked. What they are kept as is `store`'s, what they open is the
//! guard's.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use bytes::Bytes;
use clusters::{By, Happening};
use jiff::Timestamp;
use model::field::{Field, Shape, field, word};
use model::tree::Place;
use model::{Code, Failure, Problems, Span};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{LastAdmin, NewToken, TokenInfo, TokenRole, TokenScope, TokenStanding};
use utoipa::ToSchema;

use super::{carried_through, json as answer};
use crate::body::{self, Table};
use crate::door::{Answer, Door};
use crate::query::Query;

/// Less is a slip of the keyboard, and over before anybody has copied it.
const SHORTEST: Span = Span::secs(1);

/// What a token for one service may do with its data.
const SERVICE_ROLE: TokenRole = TokenRole::Operator;

/// `{name?, service?, role?, expires_in?}`; the body may be left out.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenRequest {
    name: Option<String>,
    service: Option<String>,
    role: Option<String>,
    expires_in: Option<Span>,
    clusters: Option<Value>,
    abilities: Option<Value>,
}

impl Table for TokenRequest {
    const NAME: &'static str = "TokenRequest";
    const FIELDS: &'static [Field] = &[
        field("name", Shape::Text, "For people, 1 to 64 characters; left out, the service or the role."),
        field(
            "service",
            Shape::Text,
            "`ID/NAME`: the one service whose data it may use; left out, its role says what it may.",
        ),
        field(
            "role",
            Shape::Choice(&[word("viewer"), word("operator"), word("admin")]),
            "What it may do; left out, `viewer`. A token for a service has none to choose.",
        ),
        field(
            "expires_in",
            Shape::SpanFrom(1000),
            "How long it may be used, up to 366 days; left out, until it is revoked.",
        ),
        field("clusters", Shape::List(&Shape::ClusterId), "The clusters that it is for.").later(LATER),
        field("abilities", Shape::List(&Shape::Text), "The abilities that it is for.").later(LATER),
    ];
}

const LATER: &str = "roles of clusters and abilities";

/// A token without what opens doors.
#[derive(Serialize, ToSchema)]
pub(crate) struct Token {
    /// Its number; no other ever has it.
    id: String,
    /// For people; several may have the same.
    name: String,
    /// `viewer`, `operator` or `admin`.
    role: &'static str,
    /// `ID/NAME` of the one service whose data it may use; null for one that is for all of the gateway.
    service: Option<String>,
    /// `active`, `expired` or `revoked`.
    status: &'static str,
    /// RFC 3339, UTC.
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// From when on it may not be used; null until it is revoked.
    #[schema(value_type = Option<String>)]
    expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[schema(value_type = Option<String>)]
    revoked_at: Option<Timestamp>,
    /// When it was last used, to the second.
    #[schema(value_type = Option<String>)]
    last_used_at: Option<Timestamp>,
}

/// A new token, shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewTokenShown<'a> {
    /// The token itself: clients send it as `Authorization: Bearer …`. It is kept nowhere.
    token: &'a str,
    #[serde(flatten)]
    about: Token,
}

/// A page of tokens.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenList {
    /// By number: those in use, and those that ended in the last 30 days.
    tokens: Vec<Token>,
    /// How many this page has.
    count: usize,
    /// `cursor` of the next page; null at the end.
    next_cursor: Option<String>,
}

/// Lists tokens
///
/// Neither the tokens nor their hashes are shown.
#[utoipa::path(get, path = "/api/v1/tokens", operation_id = "listTokens", tag = "tokens",
    params(("limit" = Option<u32>, Query, description = "Items in a page, 1 to 1000; 100 when left out."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.")),
    responses((status = 200, description = "A page of tokens.", body = TokenList)))]
pub(crate) async fn list(State(door): State<Arc<Door>>, uri: Uri) -> Answer {
    let mut query = Query::of(&uri);
    let after: Option<i64> = query.parse("cursor", "the `next_cursor` of a page");
    let limit = query.limit();
    query.done()?;
    let mut tokens = door.options.guard.store.tokens(after.unwrap_or(0), limit + 1);
    let more = tokens.len() > limit;
    tokens.truncate(limit);
    let next_cursor = tokens.last().filter(|_| more).map(|last| last.id.to_string());
    let tokens: Vec<Token> = tokens.iter().map(Token::of).collect();
    Ok(answer(StatusCode::OK, &TokenList { count: tokens.len(), tokens, next_cursor }))
}

/// Creates a token
///
/// It is shown in this answer and never again. One with `service` may use the data of that service and
/// nothing else.
#[utoipa::path(post, path = "/api/v1/tokens", operation_id = "createToken", tag = "tokens",
    request_body(content = ref("#/components/schemas/TokenRequest")),
    responses((status = 201, description = "The token, this once; `Location` is its own.",
        body = NewTokenShown<'static>)))]
pub(crate) async fn create(
    State(door): State<Arc<Door>>,
    Extension(by): Extension<By>,
    uri: Uri,
    bytes: Bytes,
) -> Answer {
    Query::of(&uri).done()?;
    let new = body::read_or_default::<TokenRequest>(&bytes)?.check()?;
    if let Some(scope) = &new.scope {
        door.clusters().snapshot().service(&scope.cluster, &scope.service)?;
    }
    let (store, events) = (door.options.guard.store.clone(), door.clusters().events().clone());
    let created = carried_through(async move {
        let (info, secret) = store.create_token(new).await?;
        events.tell(happening("created", &info, by));
        Ok((info, secret))
    });
    let (info, secret) = created.await?;
    let shown = NewTokenShown { token: secret.reveal(), about: Token::of(&info) };
    let mut response = answer(StatusCode::CREATED, &shown);
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/tokens/{}", info.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Shows what is known of a token
#[utoipa::path(get, path = "/api/v1/tokens/{id}", operation_id = "getToken", tag = "tokens",
    params(("id" = String, Path, description = "Its number.")),
    responses((status = 200, description = "All but the token itself.", body = Token)))]
pub(crate) async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, uri: Uri) -> Answer {
    Query::of(&uri).done()?;
    let info = number(&id).and_then(|id| door.options.guard.store.token(id));
    Ok(answer(StatusCode::OK, &Token::of(&info.ok_or_else(unknown)?)))
}

/// Revokes a token
///
/// From this answer on nobody may use it. Revoking twice is the same as once; it stays in the list for 30
/// days. The last token of an administrator stays where nobody comes in without one: 409 `conflict`.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", operation_id = "revokeToken", tag = "tokens",
    params(("id" = String, Path, description = "Its number.")),
    responses((status = 200, description = "The token as it is now.", body = Token)))]
pub(crate) async fn revoke(
    State(door): State<Arc<Door>>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
    uri: Uri,
) -> Answer {
    Query::of(&uri).done()?;
    let id = number(&id).ok_or_else(unknown)?;
    let guard = &door.options.guard;
    let last = if guard.token_required { LastAdmin::Stays } else { LastAdmin::MayGo };
    let (store, events) = (guard.store.clone(), door.clusters().events().clone());
    let revoked = carried_through(async move {
        let (info, now) = store.revoke_token(id, last).await?.ok_or_else(unknown)?;
        if now {
            events.tell(happening("revoked", &info, by));
        }
        Ok(info)
    });
    Ok(answer(StatusCode::OK, &Token::of(&revoked.await?)))
}

impl TokenRequest {
    /// What is asked for, when all of it can be.
    fn check(self) -> Result<NewToken, Failure> {
        let mut problems = Problems::default();
        for (name, asked) in [("clusters", self.clusters), ("abilities", self.abilities)] {
            if asked.is_some() {
                let message = format!("`{name}` is not built yet: waits for {LATER}");
                problems.add(name, Place::default(), message).not_built = true;
            }
        }
        if !problems.is_empty() {
            return Err(Failure::invalid(Code::NotBuilt, problems.into_vec()));
        }
        let mut fault = |name: &str, message: &str| {
            problems.add(name, Place::default(), message);
        };
        let scope = self
            .service
            .and_then(|service| service.parse::<TokenScope>().map_err(|why| fault("service", why)).ok());
        let role = self.role.as_deref().map(|role| {
            TokenRole::of_name(role).unwrap_or_else(|| {
                fault("role", "must be `viewer`, `operator` or `admin`");
                TokenRole::Viewer
            })
        });
        if scope.is_some() && role.is_some_and(|role| role != SERVICE_ROLE) {
            fault("role", "must be left out: a token for a service works its data, and nothing else");
        }
        let role = role.unwrap_or(if scope.is_some() { SERVICE_ROLE } else { TokenRole::Viewer });
        if self.expires_in.is_some_and(|span| span < SHORTEST) {
            fault("expires_in", "must be at least 1s");
        }
        let name = self.name.unwrap_or_else(|| match &scope {
            Some(scope) => scope.service.to_string(),
            None => format!("{} token", role.name()),
        });
        let name = name.parse().map_err(|why| fault("name", why));
        match name {
            Ok(name) if problems.is_empty() => {
                Ok(NewToken { name, role, scope, lifetime: self.expires_in.map(|span| span.0) })
            }
            _ => Err(Failure::invalid(Code::InvalidRequest, problems.into_vec())),
        }
    }
}

impl Token {
    fn of(info: &TokenInfo) -> Token {
        Token {
            id: info.id.to_string(),
            name: info.name.to_string(),
            role: info.role.name(),
            service: info.scope.as_ref().map(ToString::to_string),
            status: match info.standing {
                TokenStanding::Active => "active",
                TokenStanding::Expired => "expired",
                TokenStanding::Revoked => "revoked",
            },
            created_at: info.created_at,
            expires_at: info.expires_at,
            revoked_at: info.revoked_at,
            last_used_at: info.last_used_at,
        }
    }
}

fn happening(verb: &str, info: &TokenInfo, by: By) -> Happening {
    let may = match &info.scope {
        Some(scope) => format!("for the data of {scope}"),
        None => format!("with the role {}", info.role.name()),
    };
    let scope = info.scope.as_ref();
    Happening {
        kind: format!("token.{verb}"),
        cluster: scope.map(|scope| scope.cluster.to_string()),
        service: scope.map(|scope| scope.service.to_string()),
        actor: by.actor.to_string(),
        message: format!("token {} `{}` {may}", info.id, info.name),
        request_id: by.request_id,
        ..Happening::default()
    }
}

/// The number that stands in a path.
fn number(id: &str) -> Option<i64> {
    id.parse().ok()
}

/// The path is not repeated: whoever sends the token in place of its number would find it in logs.
fn unknown() -> Failure {
    Failure::client(Code::NotFound, "There is no token of that number.")
        .with_hint("`GET /api/v1/tokens` lists them.")
}
