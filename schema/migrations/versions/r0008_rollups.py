"""Rollups of metrics per hour, the indexes they are made from, and how everything stands at this moment."""

from alembic import op

from schema.migrations.protection import protect

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE metric_hours (
    organisation varchar NOT NULL, hour timestamptz NOT NULL,
    metric varchar NOT NULL, label varchar NOT NULL, bucket smallint NOT NULL,
    count bigint NOT NULL, sum double precision NOT NULL,
    PRIMARY KEY (organisation, hour, metric, label, bucket)
);
CREATE TABLE metric_days (
    organisation varchar NOT NULL, day timestamptz NOT NULL,
    metric varchar NOT NULL, label varchar NOT NULL, bucket smallint NOT NULL,
    count bigint NOT NULL, sum double precision NOT NULL,
    PRIMARY KEY (organisation, day, metric, label, bucket)
);
CREATE TABLE metric_watermarks (
    organisation varchar NOT NULL,
    rolled_until timestamptz NOT NULL, rolled_at timestamptz NOT NULL,
    PRIMARY KEY (organisation)
);
CREATE INDEX interactions_answered ON interactions (organisation, answered_at) WHERE answered_at IS NOT NULL;
CREATE INDEX interactions_finished_later ON interactions (organisation, finished_at)
    WHERE finished_at IS NOT NULL AND finished_at IS DISTINCT FROM answered_at;
CREATE INDEX interactions_unfinished ON interactions (organisation, status, created_at) WHERE finished_at IS NULL;
CREATE INDEX effect_events_by_time ON effect_events (organisation, at);
CREATE INDEX effect_events_unknown ON effect_events (organisation, at) WHERE state = 'unknown';
CREATE INDEX handoff_events_by_time ON handoff_events (organisation, at);
CREATE INDEX delivery_events_by_time ON delivery_events (organisation, at);
"""
# Inside its functions the role is the current user; whoever is merely a member of it, as the owner is, sees nothing.
GRANTS = """
GRANT SELECT (organisation, id, status, created_at, finished_at) ON interactions TO holdfast_lookup;
GRANT SELECT (kind, opened_at, sla_due_at) ON handoffs TO holdfast_lookup;
GRANT SELECT (status, effect_id) ON deliveries TO holdfast_lookup;
GRANT SELECT (organisation, id, interaction_id) ON effects TO holdfast_lookup;
GRANT SELECT (organisation, effect_id, state, at) ON effect_events TO holdfast_lookup;
GRANT SELECT (at) ON audit_events TO holdfast_lookup;
GRANT SELECT (organisation, rolled_until) ON metric_watermarks TO holdfast_lookup;
ALTER POLICY lookup ON api_keys USING (current_user = 'holdfast_lookup');
ALTER POLICY lookup ON handoffs USING (current_user = 'holdfast_lookup');
CREATE POLICY lookup ON interactions FOR SELECT TO holdfast_lookup USING (current_user = 'holdfast_lookup');
CREATE POLICY lookup ON effects FOR SELECT TO holdfast_lookup USING (current_user = 'holdfast_lookup');
CREATE POLICY lookup ON effect_events FOR SELECT TO holdfast_lookup USING (current_user = 'holdfast_lookup');
CREATE POLICY lookup ON metric_watermarks FOR SELECT TO holdfast_lookup USING (current_user = 'holdfast_lookup');
"""
# Names and counts only: what an operator of the whole installation must see, whoever it belongs to. Every branch reads
# an index that holds what is open, not what there ever was. `since` is the oldest of what is counted.
LOOKUPS = """
CREATE FUNCTION organisations_with_facts(after varchar, most integer)
    RETURNS TABLE (organisation varchar)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE asking AS (
        SELECT min(i.organisation::text) AS name FROM interactions i WHERE i.organisation > after
        UNION ALL
        SELECT (SELECT min(i.organisation::text) FROM interactions i WHERE i.organisation > asking.name)
        FROM asking WHERE asking.name IS NOT NULL
    ), sending AS (
        SELECT min(d.organisation::text) AS name FROM deliveries d WHERE d.organisation > after
        UNION ALL
        SELECT (SELECT min(d.organisation::text) FROM deliveries d WHERE d.organisation > sending.name)
        FROM sending WHERE sending.name IS NOT NULL
    )
    SELECT named.name::varchar FROM (SELECT name FROM asking UNION SELECT name FROM sending) named
    WHERE named.name IS NOT NULL ORDER BY named.name LIMIT most;
END;
CREATE FUNCTION standing_now()
    RETURNS TABLE (measure varchar, kind varchar, count bigint, since timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
BEGIN ATOMIC
    SELECT 'interactions'::varchar, i.status, count(*), min(i.created_at) FROM interactions i
        WHERE i.finished_at IS NULL GROUP BY i.status
    UNION ALL
    SELECT 'handoffs', h.kind, count(*), min(h.opened_at) FROM handoffs h WHERE h.decision IS NULL GROUP BY h.kind
    UNION ALL
    SELECT 'handoffs_overdue', h.kind, count(*), min(h.sla_due_at) FROM handoffs h
        WHERE h.decision IS NULL AND h.sla_due_at < now() GROUP BY h.kind
    UNION ALL
    SELECT 'untold', 'handoff', count(*), min(h.decided_at) FROM handoffs h
        WHERE h.decision IS NOT NULL AND h.told_at IS NULL
    UNION ALL
    SELECT 'untold', 'delivery', count(*), min(coalesce(d.decided_at, d.created_at)) FROM deliveries d
        WHERE d.told_at IS NULL
    UNION ALL
    SELECT 'deliveries', d.status, count(*), min(d.created_at) FROM deliveries d
        WHERE d.status IN ('pending', 'dead_letter') GROUP BY d.status
    UNION ALL
    SELECT 'unknown_effects', '', count(*), min(v.at) FROM effect_events v
        JOIN effects e ON e.organisation = v.organisation AND e.id = v.effect_id
        JOIN interactions i ON i.organisation = e.organisation AND i.id = e.interaction_id
        WHERE v.state = 'unknown' AND (i.finished_at IS NULL OR EXISTS (
            SELECT FROM deliveries d
            WHERE d.organisation = e.organisation AND d.effect_id = e.id AND d.status = 'dead_letter'))
    UNION ALL
    SELECT 'unsealed', '', count(*), min(first.at) FROM (
        WITH RECURSIVE named AS (
            SELECT min(e.organisation::text) AS name FROM audit_events e
            UNION ALL
            SELECT (SELECT min(e.organisation::text) FROM audit_events e WHERE e.organisation > named.name)
            FROM named WHERE named.name IS NOT NULL
        )
        SELECT (
            SELECT e.at FROM audit_events e
            WHERE e.organisation = named.name AND e.xact >= coalesce((
                    SELECT b.horizon FROM audit_batches b WHERE b.organisation = named.name
                    ORDER BY b.number DESC LIMIT 1), 0)
                AND NOT EXISTS (SELECT FROM audit_seals s WHERE s.organisation = e.organisation AND s.event_id = e.id)
            ORDER BY e.xact LIMIT 1
        ) AS at FROM named WHERE named.name IS NOT NULL
    ) first WHERE first.at IS NOT NULL
    UNION ALL
    SELECT 'rolled', '', count(*), min(w.rolled_until) FROM metric_watermarks w;
END;
REVOKE ALL ON FUNCTION organisations_with_facts(varchar, integer), standing_now() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION organisations_with_facts(varchar, integer), standing_now() TO holdfast_app;
GRANT CREATE ON SCHEMA {schema} TO holdfast_lookup;
ALTER FUNCTION organisations_with_facts(varchar, integer) OWNER TO holdfast_lookup;
ALTER FUNCTION standing_now() OWNER TO holdfast_lookup;
REVOKE CREATE ON SCHEMA {schema} FROM holdfast_lookup
"""
DOWN = """
DROP FUNCTION standing_now();
DROP FUNCTION organisations_with_facts(varchar, integer);
ALTER POLICY lookup ON api_keys USING (true);
ALTER POLICY lookup ON handoffs USING (true);
DROP POLICY lookup ON interactions;
DROP POLICY lookup ON effects;
DROP POLICY lookup ON effect_events;
REVOKE SELECT (organisation, id, status, created_at, finished_at) ON interactions FROM holdfast_lookup;
REVOKE SELECT (kind, opened_at, sla_due_at) ON handoffs FROM holdfast_lookup;
REVOKE SELECT (status, effect_id) ON deliveries FROM holdfast_lookup;
REVOKE SELECT (organisation, id, interaction_id) ON effects FROM holdfast_lookup;
REVOKE SELECT (organisation, effect_id, state, at) ON effect_events FROM holdfast_lookup;
REVOKE SELECT (at) ON audit_events FROM holdfast_lookup;
DROP INDEX delivery_events_by_time, handoff_events_by_time, effect_events_unknown, effect_events_by_time,
    interactions_unfinished, interactions_finished_later, interactions_answered;
DROP TABLE metric_watermarks, metric_days, metric_hours
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(TABLES)
    protect("metric_hours", "count, sum")
    protect("metric_days", "count, sum")
    protect("metric_watermarks", "rolled_until, rolled_at")
    op.execute(GRANTS)
    op.execute(LOOKUPS.format(schema=schema))


def downgrade() -> None:
    op.execute(DOWN)
