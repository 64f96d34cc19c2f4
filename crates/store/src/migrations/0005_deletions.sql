-- Clusters whose deletion has begun. Their file, the routes that the API made for them and, where that was asked, the
-- data of their services go one after the other: whoever starts after a crash in the middle finds here what to finish.
CREATE TABLE deletions (
    cluster   TEXT    NOT NULL PRIMARY KEY,
    with_data INTEGER NOT NULL                -- 1: the data of its services goes as well
) STRICT, WITHOUT ROWID;
