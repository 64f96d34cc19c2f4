-- Tokens gain the one service that they are for, and numbers that are never given twice: a number that somebody
-- wrote down never comes to mean another token, also after its own was forgotten. SQLite takes AUTOINCREMENT only
-- when a table is made, so it is made anew.
CREATE TABLE tokens_next (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name         TEXT    NOT NULL,            -- for people; a renewed token keeps it, beside the revoked one
    hash         BLOB    NOT NULL UNIQUE,
    role         TEXT    NOT NULL,
    cluster      TEXT,                        -- with `service`: the one service whose data it may use
    service      TEXT,
    clusters     TEXT,                        -- JSON array of cluster ids; null means all
    abilities    TEXT,                        -- JSON array of abilities; null means all
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    last_used_at INTEGER,                     -- up to a minute behind
    CHECK ((cluster IS NULL) = (service IS NULL))
) STRICT;

INSERT INTO tokens_next
       (id, name, hash, role, clusters, abilities, created_at, expires_at, revoked_at, last_used_at)
SELECT  id, name, hash, role, clusters, abilities, created_at, expires_at, revoked_at, last_used_at FROM tokens;

DROP TABLE tokens;
ALTER TABLE tokens_next RENAME TO tokens;

CREATE INDEX tokens_by_name ON tokens (name);
