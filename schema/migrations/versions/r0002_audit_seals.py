"""The audit chain: which transaction wrote an event, and the sealed order of all of them."""

from alembic import op

from schema.migrations.protection import protect

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# `xact` tells a seal run below which transaction nothing can appear any more; a default costs the writer nothing else.
TABLES = """
ALTER TABLE audit_events ADD COLUMN xact bigint NOT NULL DEFAULT (pg_current_xact_id()::text)::bigint;
CREATE INDEX audit_events_by_xact ON audit_events (organisation, xact);
CREATE TABLE audit_seals (
    organisation varchar NOT NULL, sequence bigint NOT NULL CHECK (sequence > 0),
    event_id varchar NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (organisation, sequence),
    UNIQUE (organisation, event_id)
);
CREATE TABLE audit_batches (
    organisation varchar NOT NULL, number bigint NOT NULL CHECK (number > 0),
    first_sequence bigint NOT NULL, last_sequence bigint NOT NULL,
    head_hash bytea NOT NULL,
    horizon bigint NOT NULL, horizon_id varchar NOT NULL,
    sealed_at timestamptz NOT NULL,
    PRIMARY KEY (organisation, number),
    UNIQUE (organisation, last_sequence),
    CHECK (first_sequence <= last_sequence)
);
"""
# Organisations after `after` that have something to do: events to seal; a batch since `since`, whose checkpoint may be
# missing; or, where transaction numbers began anew (another server), nobody can tell without looking.
LOOKUP = """
GRANT SELECT (organisation, id, xact) ON audit_events TO holdfast_lookup;
GRANT SELECT (organisation, event_id) ON audit_seals TO holdfast_lookup;
GRANT SELECT (organisation, number, horizon, horizon_id, sealed_at) ON audit_batches TO holdfast_lookup;
CREATE POLICY lookup ON audit_events FOR SELECT TO holdfast_lookup USING (current_user = 'holdfast_lookup');
CREATE POLICY lookup ON audit_seals FOR SELECT TO holdfast_lookup USING (current_user = 'holdfast_lookup');
CREATE POLICY lookup ON audit_batches FOR SELECT TO holdfast_lookup USING (current_user = 'holdfast_lookup');
CREATE FUNCTION audit_to_seal(after varchar, since timestamptz, every_one boolean, most integer)
    RETURNS TABLE (organisation varchar, last_batch bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE named AS (
        SELECT min(e.organisation::text) AS name FROM audit_events e WHERE e.organisation > after
        UNION ALL
        SELECT (SELECT min(e.organisation::text) FROM audit_events e WHERE e.organisation > named.name)
        FROM named WHERE named.name IS NOT NULL
    )
    SELECT named.name::varchar, coalesce(b.number, 0) FROM named
    LEFT JOIN LATERAL (
        SELECT x.number, x.horizon, x.horizon_id, x.sealed_at FROM audit_batches x
        WHERE x.organisation = named.name ORDER BY x.number DESC LIMIT 1
    ) b ON true
    CROSS JOIN (SELECT (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint AS xmin) now_
    WHERE named.name IS NOT NULL AND (
        every_one OR b.sealed_at >= since OR now_.xmin < b.horizon OR EXISTS (
            SELECT FROM audit_events e
            WHERE e.organisation = named.name AND e.xact >= coalesce(b.horizon, 0) AND e.xact < now_.xmin
                AND NOT EXISTS (
                    SELECT FROM audit_seals s WHERE s.organisation = e.organisation AND s.event_id = e.id)))
    ORDER BY named.name LIMIT most;
END;
REVOKE ALL ON FUNCTION audit_to_seal(varchar, timestamptz, boolean, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_to_seal(varchar, timestamptz, boolean, integer) TO holdfast_app;
GRANT CREATE ON SCHEMA {schema} TO holdfast_lookup;
ALTER FUNCTION audit_to_seal(varchar, timestamptz, boolean, integer) OWNER TO holdfast_lookup;
REVOKE CREATE ON SCHEMA {schema} FROM holdfast_lookup
"""
DOWN = """
DROP FUNCTION audit_to_seal(varchar, timestamptz, boolean, integer);
DROP TABLE audit_batches, audit_seals;
DROP POLICY lookup ON audit_events;
REVOKE SELECT (organisation, id) ON audit_events FROM holdfast_lookup;
ALTER TABLE audit_events DROP COLUMN xact;
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(TABLES)
    protect("audit_seals")
    protect("audit_batches")
    op.execute(LOOKUP.format(schema=schema))


def downgrade() -> None:
    op.execute(DOWN)
