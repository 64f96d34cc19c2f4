-- The tables of the gateway, in a schema of their own. What each is for stands beside those of the embedded engine, in
-- the directory above. Whole numbers are BIGINT, real ones DOUBLE PRECISION; texts that are compared are compared byte
-- by byte, as the gateway compares them.

CREATE TABLE routes (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    cluster    TEXT   NOT NULL,
    spec       TEXT   NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX routes_by_cluster ON routes (cluster);

CREATE TABLE url_routes (
    id         BIGINT NOT NULL PRIMARY KEY,
    path       TEXT   NOT NULL,
    target_url TEXT   NOT NULL,
    method     TEXT   NOT NULL,
    enabled    BIGINT NOT NULL,
    rate_limit BIGINT NOT NULL,
    timeout    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE counters (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);

CREATE TABLE tokens (
    id           BIGINT NOT NULL PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name         TEXT   NOT NULL,
    hash         BYTEA  NOT NULL UNIQUE,
    role         TEXT   NOT NULL,
    cluster      TEXT,
    service      TEXT,
    clusters     TEXT,
    abilities    TEXT,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    revoked_at   BIGINT,
    last_used_at BIGINT,
    CHECK ((cluster IS NULL) = (service IS NULL))
);
CREATE INDEX tokens_by_name ON tokens (name);

CREATE TABLE activity (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    routed      BIGINT NOT NULL,
    began       BIGINT NOT NULL,
    cluster     TEXT   NOT NULL,
    service     TEXT   NOT NULL,
    kind        TEXT   NOT NULL,
    operation   TEXT   NOT NULL,
    shape       TEXT   NOT NULL,
    outcome     TEXT   NOT NULL,
    code        TEXT,
    status      BIGINT,
    duration_ms DOUBLE PRECISION NOT NULL,
    tries       BIGINT NOT NULL,
    endpoint    TEXT,
    request_id  TEXT   NOT NULL
);
CREATE INDEX activity_by_cluster ON activity (cluster, id, service);
CREATE INDEX activity_by_request ON activity (request_id, id);
CREATE INDEX activity_that_failed ON activity (id) WHERE outcome <> 'success';

CREATE TABLE events (
    id         BIGINT NOT NULL PRIMARY KEY,
    time       BIGINT NOT NULL,
    kind       TEXT   NOT NULL,
    cluster    TEXT,
    service    TEXT,
    endpoint   TEXT,
    route      TEXT,
    actor      TEXT   NOT NULL,
    message    TEXT   NOT NULL,
    request_id TEXT
);
CREATE INDEX events_by_cluster ON events (cluster, id);

CREATE TABLE idempotency (
    key      BYTEA  NOT NULL PRIMARY KEY,
    request  BYTEA  NOT NULL,
    began_at BIGINT NOT NULL,
    status   BIGINT,
    headers  TEXT,
    body     BYTEA,
    size     BIGINT NOT NULL
);
CREATE INDEX idempotency_by_age ON idempotency (began_at);

CREATE TABLE deletions (
    cluster   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    with_data BIGINT NOT NULL
);
