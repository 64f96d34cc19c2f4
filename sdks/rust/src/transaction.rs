//! A transaction over several calls: it lives in the gateway, and ends when it is left idle.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::address::{escape, with_query};
use crate::call::{Call, Outgoing};
use crate::db::{Database, RowStream, Rows, affected};
use crate::error::Error;
use crate::reply::Reply;

/// How a transaction is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TransactionOptions {
    /// `read_uncommitted`, `read_committed`, `repeatable_read` or `serializable`; left out, the database's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<String>,
    /// It only looks.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// How long it may lie idle before it is rolled back, in milliseconds; left out, the database's own limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
}

impl TransactionOptions {
    /// As isolated as this.
    #[must_use]
    pub fn isolation(mut self, level: &str) -> Self {
        self.isolation = Some(level.to_owned());
        self
    }

    /// One that may lie idle for this long.
    #[must_use]
    pub fn idle(mut self, limit: Duration) -> Self {
        self.idle_ms = Some(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// One that only looks.
    #[must_use]
    pub fn read_only(self) -> Self {
        TransactionOptions { read_only: true, ..self }
    }

    pub(crate) fn only_reading(self, also: bool) -> Self {
        TransactionOptions { read_only: self.read_only || also, ..self }
    }
}

/// A transaction under way. Nothing in it is tried again by itself. After [`Transaction::commit`] or
/// [`Transaction::rollback`], or when it was left idle for too long, calls fail with `transaction_ended`.
#[derive(Debug)]
pub struct Transaction {
    db: Database,
    id: String,
    over: bool,
}

#[derive(Deserialize)]
struct Begun {
    tx: String,
}

impl Transaction {
    pub(crate) fn begun(db: Database, reply: &Reply) -> Result<Transaction, Error> {
        let begun: Begun = reply.json()?;
        Ok(Transaction { db, id: begun.tx, over: false })
    }

    /// What the gateway calls it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Runs a statement and gives its rows.
    pub fn query(&self, query: &str, args: &[Value]) -> Call<Rows> {
        self.db.client().call(self.asking(query, args))
    }

    /// The same, read while it comes.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn stream(&self, query: &str, args: &[Value]) -> Result<RowStream, Error> {
        RowStream::open(self.db.client(), &self.asking(query, args)).await
    }

    /// Runs a statement for its effect; how many rows it changed.
    pub fn execute(&self, query: &str, args: &[Value]) -> Call<u64> {
        let request = self.within("/execute").json(&json!({ "query": query, "args": args }));
        self.db.client().call::<Value>(request).decoded_by(affected)
    }

    /// Makes what it did last.
    ///
    /// # Errors
    /// It could not be committed, or is over already.
    pub async fn commit(mut self) -> Result<(), Error> {
        self.end("commit").await
    }

    /// Undoes what it did.
    ///
    /// # Errors
    /// It is over already, or the gateway cannot be reached; it ends by itself then.
    pub async fn rollback(mut self) -> Result<(), Error> {
        self.end("rollback").await
    }

    async fn end(&mut self, how: &str) -> Result<(), Error> {
        self.over = true;
        let call: Call<Value> = self.db.client().call(self.ending(how));
        call.reply().await.map(|_| ())
    }

    fn asking(&self, query: &str, args: &[Value]) -> Outgoing {
        self.within("/query").json(&self.db.question(query, args))
    }

    fn within(&self, rest: &str) -> Outgoing {
        let mut request = self.db.post(rest);
        request.path = with_query(&request.path, &[("tx", Some(&self.id))]);
        request
    }

    fn ending(&self, how: &str) -> Outgoing {
        self.db.post(&format!("/transactions/{}/{how}", escape(&self.id)))
    }
}

/// Left without an end, it is rolled back in the background, so that nobody waits for its idle limit.
impl Drop for Transaction {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let call: Call<Value> = self.db.client().call(self.ending("rollback"));
            // Whether it arrives changes nothing for us: without it, the idle limit ends the transaction.
            runtime.spawn(call.reply());
        }
    }
}
