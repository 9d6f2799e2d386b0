#!/bin/sh
# Brings Temporal's own tables to this server's version. Safe to repeat: an existing schema is only updated.
set -eu

: "${POSTGRES_SEEDS:?is not set}" "${POSTGRES_USER:?is not set}" "${SQL_PASSWORD:?is not set}"

tool() {
	database=$1
	shift
	temporal-sql-tool --plugin postgres12 --ep "$POSTGRES_SEEDS" -u "$POSTGRES_USER" -p "${DB_PORT:-5432}" --db "$database" "$@"
}

# Only a database that says it has no version table is set up: doing that to any other would forget its version.
update() {
	versioned=/etc/temporal/schema/postgresql/v12/$2/versioned
	if said=$(tool "$1" update-schema -d "$versioned" 2>&1); then
		echo "$1 is up to date"
		return
	fi
	case $said in
	*schema_version*"does not exist"*) ;;
	*)
		echo "$said" >&2
		return 1
		;;
	esac
	tool "$1" setup-schema -v 0.0
	tool "$1" update-schema -d "$versioned"
}

update temporal temporal
update temporal_visibility visibility
