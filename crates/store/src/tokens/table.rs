//! The table of tokens: all of its SQL but for the gateway's own token.

use std::time::Duration;

use super::grant::ADMIN;
use super::keyring::Unkept;
use super::{NewToken, TokenRole, TokenScope, now};
use crate::db::{Cell, Done, Session, cells};
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

pub(crate) fn load(s: &Session<'_>) -> Done<Vec<Row>> {
    let all =
        "SELECT id, hash, name, role, cluster, service, created_at, expires_at, revoked_at, last_used_at
               FROM tokens";
    s.rows(all, &[], |row| {
        let (cluster, service): (Option<String>, Option<String>) = (row.get(4)?, row.get(5)?);
        let scope = cluster.zip(service);
        Ok(Row {
            id: row.get(0)?,
            hash: row.digest(1)?,
            name: row.get(2)?,
            role: row.get(3)?,
            scope: scope
                .map(|(cluster, service)| TokenScope { cluster: cluster.into(), service: service.into() }),
            created_at: row.get(6)?,
            expires_at: row.get(7)?,
            revoked_at: row.get(8)?,
            last_used_at: row.get(9)?,
        })
    })
}

pub(super) fn insert(s: &Session<'_>, new: &NewToken, digest: Digest) -> Done<i64> {
    let insert = "INSERT INTO tokens (name, hash, role, cluster, service, created_at, expires_at)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING id";
    let now = now();
    let lifetime = new.lifetime.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    let (cluster, service) = new.scope.as_ref().map(|scope| (&*scope.cluster, &*scope.service)).unzip();
    let ends = lifetime.map(|time| now.saturating_add(time));
    s.number(
        insert,
        cells![new.name.as_str(), digest.as_bytes(), new.role.name(), cluster, service, now, ends],
    )
}

/// Whether this token is in use, for all of the gateway and an administrator's, and no other is.
pub(super) fn is_last_admin(s: &Session<'_>, id: i64) -> Done<bool> {
    let admins = "SELECT id FROM tokens WHERE role = ?1 AND service IS NULL AND revoked_at IS NULL
                  AND (expires_at IS NULL OR expires_at > ?2) LIMIT 2";
    let ids: Vec<i64> = s.rows(admins, cells![TokenRole::Admin.name(), now()], |row| row.get(0))?;
    Ok(ids == [id])
}

/// Deletes tokens that ended long ago, and the oldest of too many. The gateway's own last one stays, since
/// by it the gateway knows that it has made one.
pub(super) fn forget(s: &Session<'_>) -> Done<()> {
    let forget = "
        WITH ended AS (
            SELECT id, CASE WHEN coalesce(revoked_at, ?2) < coalesce(expires_at, ?2)
                            THEN revoked_at ELSE expires_at END AS ended_at FROM tokens
            WHERE revoked_at IS NOT NULL OR expires_at IS NOT NULL)
        DELETE FROM tokens
        WHERE id IN (SELECT id FROM ended WHERE ended_at <= ?3
                     UNION ALL
                     SELECT id FROM (SELECT id FROM ended WHERE ended_at <= ?1
                                     ORDER BY ended_at DESC, id DESC LIMIT ?2 OFFSET ?4) AS many)
          AND id IS DISTINCT FROM (SELECT max(id) FROM tokens WHERE name = ?5)";
    let now = now();
    let long_ago = now.saturating_sub(i64::try_from(DEAD_KEPT.as_millis()).unwrap_or(i64::MAX));
    s.execute(forget, cells![now, i64::MAX, long_ago, MOST_DEAD, ADMIN])?;
    Ok(())
}

/// How many may be used now.
pub(super) fn in_use(s: &Session<'_>) -> Done<i64> {
    let in_use = "SELECT count(*) FROM tokens
                  WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?1)";
    s.number(in_use, cells![now()])
}

/// Whether there ever was one of that name, as far as is known.
pub(super) fn any_named(s: &Session<'_>, name: &str) -> Done<bool> {
    Ok(s.number("SELECT count(*) FROM tokens WHERE name = ?1", cells![name])? > 0)
}

/// Revokes one. Says whether it was not yet.
pub(super) fn revoke(s: &Session<'_>, id: i64) -> Done<bool> {
    let revoke = "UPDATE tokens SET revoked_at = ?1 WHERE id = ?2 AND revoked_at IS NULL";
    Ok(s.execute(revoke, cells![now(), id])? > 0)
}

/// Revokes all of that name.
pub(super) fn revoke_named(s: &Session<'_>, name: &str) -> Done<()> {
    let revoke = "UPDATE tokens SET revoked_at = ?1 WHERE name = ?2 AND revoked_at IS NULL";
    s.execute(revoke, cells![now(), name])?;
    Ok(())
}

/// Writes the last uses down.
pub(super) fn keep_uses(s: &Session<'_>, uses: &[Unkept]) -> Done<()> {
    let update = "UPDATE tokens SET last_used_at = ?1 WHERE id = ?2";
    let rows: Vec<Vec<Cell<'_>>> = uses.iter().map(|unkept| cells![unkept.at, unkept.id].to_vec()).collect();
    s.execute_all(update, &rows)?;
    Ok(())
}
