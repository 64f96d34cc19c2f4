-- Routes from a path to a URL, as clients of `/api/routes` ask for them. Times are microseconds since 1970-01-01 UTC.
CREATE TABLE url_routes (
    id         INTEGER NOT NULL PRIMARY KEY,
    path       TEXT    NOT NULL,
    target_url TEXT    NOT NULL,
    method     TEXT    NOT NULL,              -- `*` is all of them
    enabled    INTEGER NOT NULL,
    rate_limit INTEGER NOT NULL,              -- requests a second for each client; 0 is no limit
    timeout    INTEGER NOT NULL,              -- in seconds; 0 is that of everybody
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- The last number that something of this name was given, so that none is given twice.
CREATE TABLE counters (
    name  TEXT    NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
