//! The table of tokens: all of its SQL but for the gateway's own token.

use std::time::Duration;

use disk::{Connection, SqlResult, params};

use super::grant::ADMIN;
use super::keyring::Unkept;
use super::{NewToken, TokenRole, TokenScope, now};
use crate::digest::Digest;

/// Revoked and expired tokens that are still told apart from unknown ones, and for how long.
pub(super) const MOST_DEAD: i64 = 1000;
const DEAD_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// A token as the table has it.
pub(crate) struct Row {
    pub(super) id: i64,
    pub(super) hash: [u8; 32],
    pub(super) name: String,
    pub(super) role: String,
    pub(super) scope: Option<TokenScope>,
    pub(super) created_at: i64,
    pub(super) expires_at: Option<i64>,
    pub(super) revoked_at: Option<i64>,
    pub(super) last_used_at: Option<i64>,
}

pub(crate) fn load(connection: &Connection) -> SqlResult<Vec<Row>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, hash, name, role, cluster, service, created_at, expires_at, revoked_at, last_used_at
         FROM tokens",
    )?;
    let rows = statement.query_map([], |row| {
        let (cluster, service): (Option<String>, Option<String>) = (row.get(4)?, row.get(5)?);
        let scope = cluster.zip(service);
        Ok(Row {
            id: row.get(0)?,
            hash: row.get(1)?,
            name: row.get(2)?,
            role: row.get(3)?,
            scope: scope
                .map(|(cluster, service)| TokenScope { cluster: cluster.into(), service: service.into() }),
            created_at: row.get(6)?,
            expires_at: row.get(7)?,
            revoked_at: row.get(8)?,
            last_used_at: row.get(9)?,
        })
    })?;
    rows.collect()
}

pub(super) fn insert(connection: &Connection, new: &NewToken, digest: Digest) -> SqlResult<i64> {
    let insert = "INSERT INTO tokens (name, hash, role, cluster, service, created_at, expires_at)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let now = now();
    let lifetime = new.lifetime.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    let (cluster, service) = new.scope.as_ref().map(|scope| (&*scope.cluster, &*scope.service)).unzip();
    let ends = lifetime.map(|time| now.saturating_add(time));
    let values = params![new.name.as_str(), digest.as_bytes(), new.role.name(), cluster, service, now, ends];
    connection.prepare_cached(insert)?.execute(values)?;
    Ok(connection.last_insert_rowid())
}

/// Whether this token is in use, for all of the gateway and an administrator's, and no other is.
pub(super) fn is_last_admin(connection: &Connection, id: i64) -> SqlResult<bool> {
    let admins = "SELECT id FROM tokens WHERE role = ?1 AND service IS NULL AND revoked_at IS NULL
                  AND (expires_at IS NULL OR expires_at > ?2) LIMIT 2";
    let mut statement = connection.prepare_cached(admins)?;
    let ids = statement.query_map(params![TokenRole::Admin.name(), now()], |row| row.get(0))?;
    Ok(ids.collect::<SqlResult<Vec<i64>>>()? == [id])
}

/// Deletes tokens that ended long ago, and the oldest of too many. The gateway's own last one stays, since
/// by it the gateway knows that it has made one.
pub(super) fn forget(connection: &Connection) -> SqlResult<()> {
    let forget = "
        WITH ended AS (
            SELECT id, min(ifnull(revoked_at, ?2), ifnull(expires_at, ?2)) AS at FROM tokens
            WHERE revoked_at IS NOT NULL OR expires_at IS NOT NULL)
        DELETE FROM tokens
        WHERE id IN (SELECT id FROM ended WHERE at <= ?3
                     UNION ALL
                     SELECT * FROM (SELECT id FROM ended WHERE at <= ?1 ORDER BY at DESC, id DESC LIMIT -1 OFFSET ?4))
          AND id IS NOT (SELECT max(id) FROM tokens WHERE name = ?5)";
    let now = now();
    let long_ago = now.saturating_sub(i64::try_from(DEAD_KEPT.as_millis()).unwrap_or(i64::MAX));
    connection.prepare_cached(forget)?.execute(params![now, i64::MAX, long_ago, MOST_DEAD, ADMIN])?;
    Ok(())
}

/// How many may be used now.
pub(super) fn in_use(connection: &Connection) -> SqlResult<i64> {
    let in_use = "SELECT count(*) FROM tokens
                  WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?1)";
    connection.prepare_cached(in_use)?.query_row([now()], |row| row.get(0))
}

/// Revokes one. Says whether it was not yet.
pub(super) fn revoke(connection: &Connection, id: i64) -> SqlResult<bool> {
    let revoke = "UPDATE tokens SET revoked_at = ?1 WHERE id = ?2 AND revoked_at IS NULL";
    Ok(connection.prepare_cached(revoke)?.execute([now(), id])? > 0)
}

/// Writes the last uses down.
pub(super) fn keep_uses(connection: &Connection, uses: &[Unkept]) -> SqlResult<()> {
    let mut update = connection.prepare_cached("UPDATE tokens SET last_used_at = ?1 WHERE id = ?2")?;
    for unkept in uses {
        update.execute(params![unkept.at, unkept.id])?;
    }
    Ok(())
}
