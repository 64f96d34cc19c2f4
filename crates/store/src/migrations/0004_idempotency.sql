-- Requests that carried an `Idempotency-Key`, and what they were answered. Times are milliseconds since
-- 1970-01-01 UTC.
CREATE TABLE idempotency (
    key          BLOB    NOT NULL PRIMARY KEY, -- SHA-256 of who asked, where, and the key
    request      BLOB    NOT NULL,             -- SHA-256 of the request
    began_at     INTEGER NOT NULL,
    status       INTEGER,                      -- of the answer; null before there is one
    headers      TEXT,                         -- JSON: [[name, value]]; null where the answer is not kept
    body         BLOB,                         -- null where the answer is not kept
    size         INTEGER NOT NULL              -- what it is counted as, in bytes
) STRICT;

CREATE INDEX idempotency_by_age ON idempotency (began_at);
