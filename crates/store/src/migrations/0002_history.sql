-- What happened lately. Times are microseconds since 1970-01-01 UTC, as fine as the ids of operations are.

-- Operations on services. An id begins with the moment of the end, so that later ones sort later.
CREATE TABLE activity (
    id          TEXT    NOT NULL PRIMARY KEY,
    routed      INTEGER NOT NULL,             -- 1 for a request of the traffic door, 0 for a data call
    began       INTEGER NOT NULL,
    cluster     TEXT    NOT NULL,
    service     TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    operation   TEXT    NOT NULL,
    shape       TEXT    NOT NULL,             -- never values
    outcome     TEXT    NOT NULL,
    code        TEXT,
    status      INTEGER,
    duration_ms REAL    NOT NULL,
    tries       INTEGER NOT NULL,
    endpoint    TEXT,
    request_id  TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- In the order of a cluster's pages; the service stands in it so that a page of one service reads no other's rows.
CREATE INDEX activity_by_cluster ON activity (cluster, id, service);
CREATE INDEX activity_by_request ON activity (request_id, id);
-- What is looked for at night, and is rare.
CREATE INDEX activity_that_failed ON activity (id) WHERE outcome <> 'success';

-- Changes of state and configuration.
CREATE TABLE events (
    id         INTEGER NOT NULL PRIMARY KEY,
    time       INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    cluster    TEXT,
    service    TEXT,
    endpoint   TEXT,
    route      TEXT,
    actor      TEXT    NOT NULL,
    message    TEXT    NOT NULL,
    request_id TEXT
) STRICT;

CREATE INDEX events_by_cluster ON events (cluster, id);
