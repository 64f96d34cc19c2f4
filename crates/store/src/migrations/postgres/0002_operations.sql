CREATE TABLE operations (
    id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    gateway TEXT   NOT NULL,
    cluster TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    status  TEXT   NOT NULL,
    started BIGINT NOT NULL,
    ended   BIGINT,
    body    TEXT   NOT NULL,
    touched TEXT   NOT NULL
);
CREATE INDEX operations_by_cluster ON operations (cluster, id);
CREATE INDEX operations_unfinished ON operations (id) WHERE ended IS NULL;
