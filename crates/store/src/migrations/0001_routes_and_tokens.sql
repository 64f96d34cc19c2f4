-- Times are milliseconds since 1970-01-01 UTC, so that they sort and compare as numbers.

-- Routes that the API owns; those of cluster files stay in their files.
CREATE TABLE routes (
    id         TEXT    NOT NULL PRIMARY KEY,
    cluster    TEXT    NOT NULL,
    spec       TEXT    NOT NULL,              -- the route as JSON
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX routes_by_cluster ON routes (cluster);

-- Tokens by what their SHA-256 is; the tokens themselves are shown once and kept nowhere.
CREATE TABLE tokens (
    id           INTEGER NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL,            -- for people; a renewed token keeps it, beside the revoked one
    hash         BLOB    NOT NULL UNIQUE,
    role         TEXT    NOT NULL,
    clusters     TEXT,                        -- JSON array of cluster ids; null means all
    abilities    TEXT,                        -- JSON array of abilities; null means all
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    last_used_at INTEGER
) STRICT;

CREATE INDEX tokens_by_name ON tokens (name);
