//! The adapter: takes a connection for each call, runs it within its time, and puts outcomes into the words of the
//! contract.

use std::future::Future;
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::{Code, Failure, Origin, Seen};
use tokio::time::{Instant, timeout_at};

use super::conn::{Conn, Target, Trouble};
use super::failure::{self, Circumstances, Ended};
use super::options::Options;
use super::pool::{Lease, Pool};
use super::role::{self, Standpoint};
use super::run::{self, Batch, Done, PostgresTransaction, Progress, Terms};
use super::text::{self, Look, Place};
use super::types;
use crate::sql::limits::Limits;
use crate::sql::{
    BatchResult, NativeResult, NativeSql, QueryOptions, Rows, Sql, Statement, Transaction, TransactionOptions,
};
use crate::{Adapter, Call};

/// The server's word that it only reads.
const READS_ONLY: &str = "25006";

/// One server, as one service sees it.
pub(super) struct PostgresAdapter {
    pool: Pool,
    limits: Limits,
    /// Whether what is the administrator's of the server is let through.
    allow_admin: bool,
    standpoint: Standpoint,
    /// The connection that watches over the server, beside those that are used: it must not wait for its turn.
    watcher: Mutex<Option<Box<Conn>>>,
}

impl PostgresAdapter {
    pub(super) fn new(target: Target, options: &Options) -> Self {
        PostgresAdapter {
            pool: Pool::new(target, options.pool),
            limits: options.limits,
            allow_admin: options.allow_admin,
            standpoint: Standpoint::new(options.max_lag),
            watcher: Mutex::new(None),
        }
    }

    /// A connection, unless there is no time left for anything.
    async fn take(&self, deadline: Instant) -> Result<Lease, Failure> {
        if Instant::now() >= deadline {
            return Err(failure::late(Ended::NotBegun));
        }
        self.pool.take(deadline).await
    }

    /// Runs one statement to its end, or so far that the rest streams.
    async fn run(&self, statement: &Statement, terms: Terms, deadline: Instant) -> Result<Done, Failure> {
        run::check_sizes(&statement.args, &self.limits)?;
        let lease = self.take(deadline).await?;
        self.run_on(lease, statement, terms, deadline).await
    }

    async fn run_on(
        &self,
        mut lease: Lease,
        statement: &Statement,
        terms: Terms,
        deadline: Instant,
    ) -> Result<Done, Failure> {
        let started =
            timeout_at(deadline, run::start(lease.conn(), statement, terms, self.pool.catalog())).await;
        match started {
            Ok(Ok(Progress::Done(done))) => Ok(done),
            Ok(Ok(Progress::Begun(first, reader))) => {
                let rows = run::hand_over(lease, first, reader, self.limits.max_result_time);
                Ok(Done { rows, affected: 0 })
            }
            Ok(Err(failure)) => Err(self.judged(lease, failure, terms.only_looks, deadline).await),
            Err(_) if terms.only_looks => {
                let _ = lease.end().await;
                Err(failure::late(Ended::Looked).with_retryable(terms.kept_from_writing))
            }
            Err(_) => Err(failure::late(lease.end().await.of(terms.look.in_parts))),
        }
    }

    /// What a refusal to write means: that of a standby is no fault of the statement.
    async fn judged(
        &self,
        mut lease: Lease,
        failure: Failure,
        only_looks: bool,
        deadline: Instant,
    ) -> Failure {
        if only_looks || failure.native().is_none_or(|(_, code)| code != READS_ONLY) {
            return failure;
        }
        let asked = timeout_at(deadline, role::is_standby(lease.conn(), self.pool.catalog())).await;
        if !matches!(asked, Ok(Ok(true))) {
            return failure;
        }
        self.standpoint.is_a_standby();
        failure.with_primary_wanted()
    }

    /// Runs several statements in one transaction, in this form.
    async fn together<'a, T>(
        &'a self,
        statements: &'a [Statement],
        options: TransactionOptions,
        deadline: Instant,
        form: impl AsyncFnOnce(&mut Conn, &Batch<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let place =
            if options.read_only || self.limits.read_only { Place::WithinReadOnly } else { Place::Within };
        let looks = self.looks(statements, place)?;
        let current = AtomicUsize::new(0);
        let batch = Batch { statements, looks: &looks, options, limits: self.limits, current: &current };
        let mut lease = self.take(deadline).await?;
        match timeout_at(deadline, form(lease.conn(), &batch)).await {
            Ok(Ok(results)) => Ok(results),
            Ok(Err(failure)) => {
                let only_looks = place == Place::WithinReadOnly;
                Err(self.judged(lease, failure, only_looks, deadline).await)
            }
            Err(_) => {
                let in_parts = matches!(looks.as_slice(), [look] if look.in_parts);
                Err(run::late(&batch, &failure::late(lease.end().await.of(in_parts))))
            }
        }
    }

    fn look(&self, statement: &Statement, place: Place) -> Result<Look, Failure> {
        text::check(statement, self.limits.max_statement, self.allow_admin, place)
    }

    /// Looks at each statement before any is asked.
    fn looks(&self, statements: &[Statement], place: Place) -> Result<Vec<Look>, Failure> {
        let look = |(at, statement): (usize, &Statement)| {
            let look = self
                .look(statement, place)
                .and_then(|look| run::check_sizes(&statement.args, &self.limits).map(|()| look));
            look.map_err(|failure| run::numbered(at, &failure))
        };
        statements.iter().enumerate().map(look).collect()
    }

    async fn begin(
        &self,
        options: TransactionOptions,
        deadline: Instant,
    ) -> Result<Box<dyn Transaction>, Failure> {
        let read_only = options.read_only || self.limits.read_only;
        let mut lease = self.take(deadline).await?;
        let begun = within(deadline, async {
            let conn = lease.conn();
            if !read_only && role::is_standby(conn, self.pool.catalog()).await? {
                self.standpoint.is_a_standby();
                return Ok(false);
            }
            conn.run_alone(&run::begin_words(TransactionOptions { read_only, ..options })).await?;
            Ok(true)
        });
        if !begun.await? {
            let detail = "The server is a standby, which begins no transaction that may write.";
            return Err(Failure::client(Code::QueryFailed, detail).with_primary_wanted());
        }
        Ok(Box::new(PostgresTransaction::new(
            self.pool.clone(),
            lease,
            self.limits,
            self.allow_admin,
            read_only,
        )))
    }

    /// Asks the server who it is, over a connection of its own; over one of the pool's where it takes no more.
    async fn watch(&self, timeout: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + timeout;
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut conn = match watcher.take_if(|conn| conn.is_clean() && conn.is_fresh()) {
            Some(conn) => conn,
            None => match self.pool.target().open().await {
                Ok(conn) => Box::new(conn),
                Err(failure) if failure::is_limit(&failure) && self.pool.has_some() => {
                    return self.watch_in_turn(deadline).await;
                }
                Err(failure) => return Err(failure),
            },
        };
        // Dropped in the middle, the connection is gone, and the next look opens another.
        self.ask_who(&mut conn).await?;
        if !self.pool.is_closed() {
            *self.watcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(conn);
        }
        Ok(())
    }

    async fn ask_who(&self, conn: &mut Conn) -> Result<(), Failure> {
        let promotions = self.pool.target().promotions();
        self.standpoint.ask(conn, self.pool.catalog(), promotions).await
    }

    /// Asks over a connection of the pool's. If none comes free, the server is there all the same: it has just said that
    /// it takes no more.
    async fn watch_in_turn(&self, deadline: Instant) -> Result<(), Failure> {
        match self.pool.take(deadline).await {
            Ok(mut lease) => self.ask_who(lease.conn()).await,
            Err(failure) if failure.origin() == Origin::Gateway && !self.pool.is_closed() => Ok(()),
            Err(failure) => Err(failure),
        }
    }
}

/// Something of our own on a connection, of which nothing remains if it fails.
async fn within<T>(deadline: Instant, asked: impl Future<Output = Result<T, Trouble>>) -> Result<T, Failure> {
    match timeout_at(deadline, asked).await {
        Ok(answered) => answered.map_err(|trouble| failure::of(trouble, Circumstances::default())),
        Err(_) => Err(failure::late(Ended::Undone)),
    }
}

impl Adapter for PostgresAdapter {
    fn probe(&self, timeout: Duration) -> Call<'_, ()> {
        Box::pin(async move {
            match tokio::time::timeout(timeout, Box::pin(self.watch(timeout))).await {
                Ok(seen) => seen,
                Err(_) => Err(Failure::service(
                    Code::Timeout,
                    format!("The server did not say who it is within {} ms.", timeout.as_millis()),
                )),
            }
        })
    }

    fn says_its_role(&self) -> bool {
        true
    }

    fn seen(&self) -> Option<Seen> {
        self.standpoint.seen()
    }

    fn set_aside(&self) -> Option<String> {
        self.standpoint.set_aside()
    }

    fn has_news(&self) -> bool {
        self.standpoint.is_outdated(self.pool.target().promotions())
    }

    fn sql(&self) -> Option<&dyn Sql> {
        Some(self)
    }

    fn close(&self) -> Call<'_, ()> {
        Box::pin(async move {
            self.pool.close();
            if let Some(mut conn) = self.watcher.lock().unwrap_or_else(PoisonError::into_inner).take() {
                conn.farewell();
            }
            Ok(())
        })
    }

    fn sweep(&self) {
        self.pool.sweep();
    }
}

impl Drop for PostgresAdapter {
    fn drop(&mut self) {
        self.pool.close();
    }
}

impl Sql for PostgresAdapter {
    fn query<'a>(
        &'a self,
        statement: &'a Statement,
        options: &'a QueryOptions,
        deadline: Instant,
    ) -> Call<'a, Rows> {
        Box::pin(async move {
            let look = self.look(statement, Place::Alone)?;
            run::check_sizes(&statement.args, &self.limits)?;
            self.standpoint.is_near()?;
            let terms = Terms::query(self.limits, look, options);
            let mut lease = self.take(deadline).await?;
            if let Some(position) = &options.after {
                let reached = role::reach(lease.conn(), position, self.pool.catalog(), deadline);
                timeout_at(deadline, reached).await.unwrap_or_else(|_| Err(failure::late(Ended::Undone)))?;
            }
            let standby = lease.conn().standby().unwrap_or_else(|| self.standpoint.follows());
            let terms = if standby { terms.on_standby() } else { terms };
            Ok(self.run_on(lease, statement, terms, deadline).await?.rows)
        })
    }

    fn execute<'a>(&'a self, statement: &'a Statement, deadline: Instant) -> Call<'a, u64> {
        Box::pin(async move {
            let look = self.look(statement, Place::Alone)?;
            Ok(self.run(statement, Terms::execute(self.limits, look), deadline).await?.affected)
        })
    }

    fn batch<'a>(
        &'a self,
        statements: &'a [Statement],
        options: TransactionOptions,
        deadline: Instant,
    ) -> Call<'a, Vec<BatchResult>> {
        Box::pin(async move {
            let catalog = self.pool.catalog();
            self.together(statements, options, deadline, async |conn, batch| {
                run::batch(conn, batch, catalog).await
            })
            .await
        })
    }

    fn begin<'a>(&'a self, options: TransactionOptions, deadline: Instant) -> Call<'a, Box<dyn Transaction>> {
        Box::pin(self.begin(options, deadline))
    }

    fn position(&self, deadline: Instant) -> Call<'_, Box<str>> {
        Box::pin(async move {
            let mut lease = self.take(deadline).await?;
            let asked = role::position(lease.conn(), self.pool.catalog());
            timeout_at(deadline, asked).await.unwrap_or_else(|_| Err(failure::late(Ended::Undone)))
        })
    }

    fn native(&self) -> Option<&dyn NativeSql> {
        Some(self)
    }

    fn idle_limit(&self) -> Duration {
        self.limits.transaction_idle
    }
}

impl NativeSql for PostgresAdapter {
    fn run<'a>(
        &'a self,
        statements: &'a [Statement],
        options: TransactionOptions,
        deadline: Instant,
    ) -> Call<'a, Vec<NativeResult>> {
        Box::pin(async move {
            let catalog = self.pool.catalog();
            self.together(statements, options, deadline, async |conn, batch| {
                run::native(conn, batch, catalog).await
            })
            .await
        })
    }

    fn tell(&self, type_id: u32, value: &str, out: &mut Vec<u8>) {
        types::tell(self.pool.catalog(), type_id, value, out);
    }
}
