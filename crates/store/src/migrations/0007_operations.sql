-- Changes that take a while: the newest of them, and those that have begun and not ended, which whoever starts after a
-- crash finds here. Times are microseconds since 1970-01-01 UTC; later ids sort later.
CREATE TABLE operations (
    id      TEXT    NOT NULL PRIMARY KEY,
    gateway TEXT    NOT NULL,                 -- who carries it out: others may share these tables
    cluster TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    status  TEXT    NOT NULL,
    started INTEGER NOT NULL,
    ended   INTEGER,
    body    TEXT    NOT NULL,                 -- JSON, as it is shown
    touched TEXT    NOT NULL                  -- JSON array: what it may have made, and what was there before
) STRICT, WITHOUT ROWID;

CREATE INDEX operations_by_cluster ON operations (cluster, id);
CREATE INDEX operations_unfinished ON operations (id) WHERE ended IS NULL;
