//! Statements in the engine's own terms, as one thing that a service can be asked to do.

use std::future::ready;

use adapters::sql::TransactionOptions;
use adapters::{Adapter, Call};
use clusters::Access;
use model::kind::Ability;
use model::{Code, Failure};
use tokio::time::Instant;

use super::reply;
use super::request::Asked;
use crate::data::ask::Operation;
use crate::data::db::shape_of;

/// One statement by itself, or several in one transaction.
pub(super) struct Native {
    pub(super) asked: Asked,
    pub(super) options: TransactionOptions,
    /// Values are told as the server's text.
    pub(super) raw: bool,
}

impl Operation for Native {
    const ABILITY: Ability = Ability::Sql;
    /// What each statement gave, as JSON: only the adapter knows how its values are told.
    type Answer = Vec<Vec<u8>>;

    fn name(&self) -> &'static str {
        if self.asked.several { "BATCH" } else { "EXECUTE" }
    }

    fn access(&self) -> Access {
        if self.options.suits_replicas() { Access::Read } else { Access::Write }
    }

    fn rerun(&self) -> bool {
        self.options.read_only
    }

    fn shape(&self) -> Box<str> {
        shape_of(&self.asked.statements)
    }

    fn run<'a>(&'a self, adapter: &'a dyn Adapter, deadline: Instant) -> Option<Call<'a, Self::Answer>> {
        let Some(native) = adapter.sql()?.native() else { return Some(Box::pin(ready(Err(not_native())))) };
        Some(Box::pin(async move {
            let Asked { statements, as_lists, .. } = &self.asked;
            let results = native.run(statements, self.options, deadline).await?;
            if results.len() != statements.len() {
                let detail = format!("{} statements gave {} results.", statements.len(), results.len());
                return Err(Failure::gateway(Code::Internal, detail));
            }
            reply::check_names(&results, as_lists)?;
            let values = if self.raw { reply::Values::Text } else { reply::Values::Json(native) };
            let written = results.iter().zip(as_lists);
            let written = written.map(|(result, as_lists)| {
                let rows = reply::Rows::of(*as_lists);
                reply::result(result, rows, &values)
            });
            written.collect()
        }))
    }
}

/// It runs SQL, and has no clients that speak this.
fn not_native() -> Failure {
    let detail = "The service runs SQL, and has no results in the terms of Neon's client.";
    Failure::client(Code::UnsupportedAbility, detail)
        .with_hint("Ask `db/query`, `db/execute` and `db/batch`, which any service with SQL answers.")
}
