#!/bin/sh
# Runs once, on an empty volume. Three logins, each able to do its own work and nothing else:
#   holdfast_owner  owns the tables; only the migrate job uses it
#   holdfast        what API and workers log in as; it may become holdfast_app, which owns nothing
#   temporal        owns Temporal's two databases
set -eu

: "${HOLDFAST_OWNER_PASSWORD:?is not set}" "${HOLDFAST_PASSWORD:?is not set}" "${TEMPORAL_DB_PASSWORD:?is not set}"

psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet \
	--username "${POSTGRES_USER:-postgres}" --dbname "${POSTGRES_DB:-postgres}" \
	-v owner_password="$HOLDFAST_OWNER_PASSWORD" \
	-v app_password="$HOLDFAST_PASSWORD" \
	-v temporal_password="$TEMPORAL_DB_PASSWORD" <<'SQL'
CREATE ROLE holdfast_owner LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB PASSWORD :'owner_password';
CREATE ROLE holdfast LOGIN NOINHERIT NOSUPERUSER NOCREATEROLE NOCREATEDB PASSWORD :'app_password';
CREATE ROLE temporal LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB PASSWORD :'temporal_password';

-- The migrations make these two where they may create roles. Here their login may not, so they exist beforehand.
CREATE ROLE holdfast_app NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
CREATE ROLE holdfast_lookup NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
CREATE ROLE holdfast_eraser NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
GRANT holdfast_app, holdfast_lookup, holdfast_eraser TO holdfast_owner;
GRANT holdfast_app TO holdfast;

CREATE DATABASE holdfast OWNER holdfast_owner;
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
REVOKE ALL ON DATABASE holdfast, temporal, temporal_visibility FROM PUBLIC;
GRANT CONNECT ON DATABASE holdfast TO holdfast;
SQL
