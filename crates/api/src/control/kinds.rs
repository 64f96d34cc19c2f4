//! The kinds of services there are: what the dashboard draws its forms from.

use adapters::{DRIVERS, Fact};
use axum::http::{StatusCode, Uri};
use model::kind::{Ability, Place};
use model::schema::field_schema;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{json as answer, page};
use crate::door::Answer;
use crate::query::Query;

/// A page of kinds.
#[derive(Serialize, ToSchema)]
pub(crate) struct KindList {
    /// By name.
    kinds: Vec<Kind>,
    /// How many this page has.
    count: usize,
    /// `cursor` of the next page; null at the end.
    next_cursor: Option<String>,
}

/// One kind.
#[derive(Serialize, ToSchema)]
pub(crate) struct Kind {
    /// The word in `type`.
    name: &'static str,
    /// One sentence for people.
    about: &'static str,
    /// `embedded` takes no host; `network` is at a host and port.
    #[schema(value_type = String)]
    place: Place,
    /// The port when none is said.
    default_port: Option<u16>,
    /// What its services can be asked: `http`, `key_value`, `sql`, `queue`.
    #[schema(value_type = Vec<String>)]
    abilities: &'static [Ability],
    /// JSON Schema of the keys that only this kind knows.
    #[schema(value_type = Object)]
    options: Value,
    /// In what it differs by nature from other kinds with the same abilities: those speak of the same facts.
    facts: Vec<KindFact>,
}

/// Something that a user of a kind should know.
#[derive(Serialize, ToSchema)]
pub(crate) struct KindFact {
    /// What it is about; the same for every kind that says something of it.
    name: &'static str,
    /// How it is with this kind, in a sentence or two.
    says: &'static str,
}

/// Lists the kinds of services
#[utoipa::path(get, path = "/api/v1/kinds", operation_id = "listKinds", tag = "gateway",
    params(("limit" = Option<u32>, Query, description = "Items in a page, 1 to 1000; 100 when left out."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.")),
    responses((status = 200, description = "Each with the schema of its options, and what is particular of it.", body = KindList)))]
pub(crate) async fn list(uri: Uri) -> Answer {
    let mut query = Query::of(&uri);
    let (cursor, limit) = (query.text("cursor"), query.limit());
    query.done()?;
    let all = DRIVERS.iter().map(|driver| Kind {
        name: driver.name(),
        about: driver.about(),
        place: driver.place(),
        default_port: driver.default_port(),
        abilities: driver.abilities(),
        options: field_schema(driver.fields()),
        facts: driver.facts().iter().map(|Fact { name, says }| KindFact { name, says }).collect(),
    });
    let (kinds, next_cursor) = page(all.collect(), |kind: &Kind| kind.name, cursor.as_deref(), limit);
    Ok(answer(StatusCode::OK, &KindList { count: kinds.len(), kinds, next_cursor }))
}
