//! Brings a connection back to how it was when it began, whatever was under way on it.

use std::sync::Arc;

use postgres_protocol::message::frontend;

use super::super::types::Catalog;
use super::frames::broken;
use super::open::Cancel;
use super::{Answer, Conn, Standing, Trouble};

/// From this version on a server can look whether its client is still there.
const KNOWS_HOW: u32 = 14;

/// Two seconds, unless somebody has said otherwise.
const LOOK_AFTER_US: &str = "SELECT pg_catalog.set_config('client_connection_check_interval', '2s', false) \
                             WHERE pg_catalog.current_setting('client_connection_check_interval') = '0'";

impl Conn {
    /// What a cancel request has to say, when something is under way that can be ended.
    pub(in crate::postgres) fn cancel(&self) -> Option<Cancel> {
        let busy = !self.broken && (self.syncs > 0 || self.unsynced);
        let [p0, p1, p2, p3, s0, s1, s2, s3] = self.key.filter(|_| busy)?;
        let key = (i32::from_be_bytes([p0, p1, p2, p3]), i32::from_be_bytes([s0, s1, s2, s3]));
        Some(Cancel { peer: self.peer, encrypted: self.encrypted, key })
    }

    /// Reads what is still to come, undoes what is open, and sets the session back where somebody changed it.
    ///
    /// # Errors
    /// When that cannot be done: the connection must not be used again.
    pub(in crate::postgres) async fn clean(&mut self) -> Result<(), Trouble> {
        match self.rest().await {
            // Whoever asked is gone, and with them the need to know.
            Ok(()) | Err(Trouble::Refused(_)) if !self.broken => {}
            other => return other,
        }
        if self.standing != Standing::Free {
            self.run_alone("ROLLBACK").await?;
        }
        if self.changed {
            self.closing("DISCARD ALL")?;
            self.sync();
            if self.looked_after {
                self.closing(LOOK_AFTER_US)?;
                self.sync();
            }
            self.rest().await?;
            self.statements.clear();
            self.changed = false;
        }
        Ok(())
    }

    /// Has the server look from time to time whether we are still there, so that no statement runs on for a gateway
    /// that was killed. A server that cannot is used all the same.
    ///
    /// # Errors
    /// When the connection broke.
    pub(super) async fn be_looked_after(&mut self) -> Result<(), Trouble> {
        // Nothing stays in the session of a pooler.
        if self.version < KNOWS_HOW || !self.statements.are_kept() {
            return Ok(());
        }
        self.looked_after = match self.run_alone(LOOK_AFTER_US).await {
            Err(Trouble::Refused(_)) if !self.broken => false,
            told => told.map(|()| true)?,
        };
        Ok(())
    }

    /// Goes there and back once: a word that came too late for its statement finds nothing to end, then.
    pub(in crate::postgres) async fn settle(&mut self) -> Result<(), Trouble> {
        self.sync();
        self.rest().await
    }

    /// Whether nothing has come that speaks against using it: it is open, and nothing was said but asides.
    pub(in crate::postgres) fn is_fresh(&mut self) -> bool {
        if self.frames.glance().is_err() {
            return false;
        }
        loop {
            match self.frames.ready() {
                Ok(None) => return self.frames.is_still(),
                Ok(Some(frame)) => match self.heard(frame) {
                    Ok(None) => {}
                    // A farewell, or an answer that nobody asked for.
                    Ok(Some(_)) | Err(_) => return false,
                },
                Err(_) => return false,
            }
        }
    }

    /// Why it is of no use any more, if the server has ended it meanwhile; its last word, if it said one.
    pub(in crate::postgres) fn ended(&mut self) -> Option<Trouble> {
        let glance = self.frames.glance();
        loop {
            match self.frames.ready() {
                Ok(None) => return glance.err().map(|error| self.broke(error)),
                Ok(Some(frame)) => match self.heard(frame) {
                    Ok(None) => {}
                    Ok(Some(frame)) if frame.tag == b'E' => return Some(self.refusal(frame)),
                    Ok(Some(_)) => return Some(self.broke(broken("it answered what nobody asked"))),
                    Err(trouble) => return Some(trouble),
                },
                Err(error) => return Some(self.broke(error)),
            }
        }
    }

    /// Says that it ends, as far as the socket takes it at once.
    pub(in crate::postgres) fn farewell(&mut self) {
        if !self.broken && self.is_at_rest() {
            frontend::terminate(self.frames.out());
            // Whether it is heard matters to nobody.
            let _ = self.frames.glance();
        }
    }

    /// A number of its own, for what must not happen to all connections at once.
    pub(in crate::postgres) fn lot(&self) -> u8 {
        self.key.map_or(0, |key| key[7])
    }

    /// Lets go of room that it does not need while it rests.
    pub(in crate::postgres) fn lie_down(&mut self) {
        self.frames.rest();
    }

    /// Runs a command by itself.
    ///
    /// # Errors
    /// When it is refused, or the connection broke.
    pub(in crate::postgres) async fn run_alone(&mut self, sql: &str) -> Result<(), Trouble> {
        self.command(sql)?;
        self.sync();
        self.rest().await
    }

    /// Runs a statement of our own by itself, and gives the cells of its first row.
    ///
    /// # Errors
    /// When it is refused, or the connection broke.
    pub(in crate::postgres) async fn look(
        &mut self,
        sql: &Arc<str>,
        args: &[Option<Vec<u8>>],
        catalog: &Catalog,
    ) -> Result<Vec<Option<String>>, Trouble> {
        let looked = self.look_on(sql, args, catalog).await;
        let rested = self.rest().await;
        looked.and_then(|cells| rested.map(|()| cells))
    }

    async fn look_on(
        &mut self,
        sql: &Arc<str>,
        args: &[Option<Vec<u8>>],
        catalog: &Catalog,
    ) -> Result<Vec<Option<String>>, Trouble> {
        let prepared = self.prepare(sql, catalog).await?;
        self.ask(&prepared, args, 0)?;
        self.sync();
        let mut first = Vec::new();
        loop {
            match self.answer().await? {
                Answer::Row(row) if first.is_empty() => {
                    for cell in self.cells(row) {
                        first.push(cell?.map(|cell| String::from_utf8_lossy(cell).into_owned()));
                    }
                }
                Answer::Done(_) => return Ok(first),
                Answer::Row(_) | Answer::Oversized | Answer::More => {}
            }
        }
    }
}
