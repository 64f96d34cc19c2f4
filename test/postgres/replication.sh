#!/bin/bash
# Lets replicas in from other containers: the image lets others in, and these only from within.
echo "host replication replicator all scram-sha-256" >>"$PGDATA/pg_hba.conf"
