//! Runs one statement after another, in or outside a transaction. An interrupt ends the statement that runs,
//! by leaving its connection: the gateway ends it then.

use std::time::{Duration, Instant};

use sdk::{Call, Database, RowStream, Transaction, TransactionOptions};
use serde_json::{Value, json};

use super::meaning::Meaning;
use super::print::{Shape, print};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::Format;
use crate::session::Session;

/// A transaction waits this long for whoever types its statements.
const IDLE: Duration = Duration::from_secs(300);

pub(super) struct Runner<'r, 's> {
    pub(super) session: &'r mut Session<'s>,
    db: Database,
    /// Every statement is sent as one that only looks, so that the database refuses the others.
    read_only: bool,
    transaction: Option<Transaction>,
    /// The transaction is of the whole text, and no statement of it may end it.
    of_all: bool,
    pub(super) shape: Shape,
    pub(super) timing: bool,
}

impl<'r, 's> Runner<'r, 's> {
    pub(super) fn new(session: &'r mut Session<'s>, db: Database, shape: Shape, read_only: bool) -> Self {
        Runner { session, db, read_only, transaction: None, of_all: false, shape, timing: false }
    }

    pub(super) fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Runs a statement and shows what it gave.
    pub(super) async fn run(&mut self, statement: &str, args: &[Value]) -> Result<(), Fault> {
        let began = Instant::now();
        let ran = tokio::select! {
            ran = self.carry_out(statement, args) => ran,
            _ = tokio::signal::ctrl_c() => {
                Err(Fault::new(Exit::Interrupted, "interrupted").why("the statement was given up"))
            }
        };
        self.session.tell_trace();
        if self.timing {
            self.session.say(&format!("time: {:.3} ms", began.elapsed().as_secs_f64() * 1000.0));
        }
        ran
    }

    async fn carry_out(&mut self, statement: &str, args: &[Value]) -> Result<(), Fault> {
        let meaning = Meaning::of(statement);
        if self.of_all && matches!(meaning, Meaning::Begin(_) | Meaning::Commit | Meaning::Rollback) {
            return Err(Fault::usage("a transaction begins or ends inside --single-transaction")
                .fix("leave one of them out"));
        }
        match meaning {
            Meaning::Begin(_) if self.in_transaction() => {
                Err(Fault::usage("there is a transaction already").fix("end it with COMMIT or ROLLBACK"))
            }
            Meaning::Begin(options) => self.begin(options).await,
            Meaning::Commit => self.commit().await,
            Meaning::Rollback => match self.transaction.take() {
                Some(transaction) => {
                    transaction.rollback().await?;
                    self.session.say("rolled back");
                    Ok(())
                }
                None => Err(none_to_end()),
            },
            Meaning::Execute if !self.read_only => self.execute(statement, args).await,
            Meaning::Execute | Meaning::Query => {
                let mut rows = self.rows(statement, args).await?;
                print(self.session, &mut rows, self.shape).await
            }
        }
    }

    /// The rows of a statement, for whoever shows them otherwise.
    pub(super) async fn rows(&mut self, statement: &str, args: &[Value]) -> Result<RowStream, sdk::Error> {
        let asked = match &self.transaction {
            Some(transaction) => transaction.stream(statement, args).await,
            None => self.db.stream(statement, args).await,
        };
        asked.inspect_err(|error| self.learn(error))
    }

    async fn execute(&mut self, statement: &str, args: &[Value]) -> Result<(), Fault> {
        let call: Call<u64> = match &self.transaction {
            Some(transaction) => transaction.execute(statement, args),
            None => self.db.execute(statement, args),
        };
        let changed = call.await.inspect_err(|error| self.learn(error))?;
        if self.session.global.output == Format::Json {
            self.session.terminal.data(format!("{}\n", json!({ "rows_affected": changed })).as_bytes())?;
            self.session.terminal.flush()?;
        } else {
            self.session.say(&match changed {
                0 => "done".to_owned(),
                1 => "1 row changed".to_owned(),
                changed => format!("{changed} rows changed"),
            });
        }
        Ok(())
    }

    /// Begins the transaction that all statements are part of.
    pub(super) async fn begin_for_all(&mut self) -> Result<(), Fault> {
        self.transaction = Some(self.db.begin(&TransactionOptions::default().idle(IDLE)).await?);
        self.of_all = true;
        Ok(())
    }

    async fn begin(&mut self, options: TransactionOptions) -> Result<(), Fault> {
        self.transaction = Some(self.db.begin(&options.idle(IDLE)).await?);
        self.session.say("transaction begun");
        Ok(())
    }

    pub(super) async fn commit(&mut self) -> Result<(), Fault> {
        let Some(transaction) = self.transaction.take() else { return Err(none_to_end()) };
        transaction.commit().await?;
        self.session.say("committed");
        Ok(())
    }

    /// Undoes what is open; whether something was. That it cannot be told so is no matter: it ends by itself.
    pub(super) async fn abandon(&mut self) -> bool {
        let Some(transaction) = self.transaction.take() else { return false };
        let undone = tokio::time::timeout(Duration::from_secs(3), transaction.rollback()).await;
        if matches!(undone, Ok(Ok(()))) {
            self.session.say("rolled back");
        }
        true
    }

    /// A failure may be the end of the transaction.
    fn learn(&mut self, error: &sdk::Error) {
        if error.code() == Some("transaction_ended") && self.transaction.take().is_some() {
            self.session.say("the transaction is over, and undone");
        }
    }
}

fn none_to_end() -> Fault {
    Fault::usage("there is no transaction to end").fix("begin one with BEGIN")
}
