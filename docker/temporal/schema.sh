#!/bin/sh
# Brings Temporal's own tables to this server's version. Safe to repeat: an existing schema is only updated.
set -eu

: "${POSTGRES_SEEDS:?is not set}" "${POSTGRES_USER:?is not set}" "${SQL_PASSWORD:?is not set}"

tool() {
	database=$1
	shift
	temporal-sql-tool --plugin postgres12 --ep "$POSTGRES_SEEDS" -u "$POSTGRES_USER" -p "${DB_PORT:-5432}" --db "$database" "$@"
}

update() {
	# Nothing to ask for the version of an empty database, so a first set-up is told by its failure to update.
	tool "$1" update-schema -d "/etc/temporal/schema/postgresql/v12/$2/versioned" && return
	tool "$1" setup-schema -v 0.0
	tool "$1" update-schema -d "/etc/temporal/schema/postgresql/v12/$2/versioned"
}

update temporal temporal
update temporal_visibility visibility
