-- Who there is in the PostgreSQL of the tests, beside its superuser. scripts/servers.sh and docker-compose.yml run it.
CREATE ROLE throome LOGIN PASSWORD 'throome-secret';
CREATE ROLE reader LOGIN PASSWORD 'reader-secret';
CREATE ROLE certified LOGIN;
CREATE ROLE replicator LOGIN REPLICATION PASSWORD 'replicator-secret';
CREATE DATABASE throome OWNER throome;
\connect throome
ALTER SCHEMA public OWNER TO throome;
-- Before version 15 everybody may make tables there.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE throome GRANT SELECT ON TABLES TO reader;
