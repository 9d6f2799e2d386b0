"""Retention by class of data, and legal holds."""

from alembic import op

from schema.migrations.protection import protect

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE retention_policies (
    organisation varchar NOT NULL, version integer NOT NULL CHECK (version > 0),
    days jsonb NOT NULL,
    created_at timestamptz NOT NULL, created_by varchar NOT NULL,
    PRIMARY KEY (organisation, version)
);
CREATE TABLE retention_runs (
    organisation varchar NOT NULL, id varchar NOT NULL,
    data_class varchar NOT NULL, before timestamptz NOT NULL,
    rows bigint NOT NULL CHECK (rows > 0),
    begun_at timestamptz NOT NULL, finished_at timestamptz,
    PRIMARY KEY (organisation, id)
);
CREATE UNIQUE INDEX retention_runs_open ON retention_runs (organisation, data_class) WHERE finished_at IS NULL;
CREATE TABLE legal_holds (
    organisation varchar NOT NULL, id varchar NOT NULL,
    customer_id varchar,
    reason varchar NOT NULL,
    placed_by varchar NOT NULL, placed_at timestamptz NOT NULL, expires_at timestamptz,
    released_by varchar, released_at timestamptz, release_note varchar,
    PRIMARY KEY (organisation, id),
    CHECK ((released_at IS NULL) = (released_by IS NULL))
);
CREATE INDEX legal_holds_newest ON legal_holds (organisation, placed_at, id);
CREATE INDEX legal_holds_unreleased ON legal_holds (organisation, customer_id) WHERE released_at IS NULL;
ALTER TABLE interactions ADD COLUMN emptied_at timestamptz;
ALTER TABLE handoffs ADD COLUMN emptied_at timestamptz;
ALTER TABLE deliveries ADD COLUMN emptied_at timestamptz;
CREATE INDEX interactions_unemptied ON interactions (organisation, finished_at)
    WHERE emptied_at IS NULL AND finished_at IS NOT NULL;
CREATE INDEX handoffs_unemptied ON handoffs (organisation, decided_at)
    WHERE emptied_at IS NULL AND decided_at IS NOT NULL;
CREATE INDEX deliveries_unemptied ON deliveries (organisation, created_at) WHERE emptied_at IS NULL;
CREATE INDEX messages_by_time ON messages (organisation, at);
CREATE INDEX conversation_events_by_time ON conversation_events (organisation, at);
"""
# As for an erasure: the application says which rows, and can change none of them itself.
ENDS = r"""
CREATE FUNCTION end_rows(part varchar, ids varchar[], moment timestamptz) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp
AS $$
DECLARE
    org CONSTANT varchar := nullif(current_setting('holdfast.organisation', true), '');
    ended integer;
BEGIN
    CASE part
    WHEN 'messages' THEN
        DELETE FROM messages WHERE organisation = org AND id = ANY (ids);
    WHEN 'conversation_events' THEN
        DELETE FROM conversation_events WHERE organisation = org AND id = ANY (ids);
    WHEN 'notifications' THEN
        DELETE FROM notification_reads WHERE organisation = org AND notification_id = ANY (ids);
        DELETE FROM notifications WHERE organisation = org AND id = ANY (ids);
    WHEN 'sessions' THEN
        DELETE FROM sessions WHERE organisation = org AND id = ANY (ids);
    WHEN 'customer_tokens' THEN
        DELETE FROM customer_tokens WHERE organisation = org AND id = ANY (ids);
    WHEN 'sign_in_throttles' THEN
        DELETE FROM sign_in_throttles WHERE organisation = org AND kind || ':' || key = ANY (ids);
    WHEN 'deliveries' THEN
        UPDATE delivery_events SET details = wordless(details, false)
        WHERE organisation = org AND delivery_id = ANY (ids) AND details IS NOT NULL;
        UPDATE delivery_versions SET body = 'erased', recipient = NULL
        WHERE organisation = org AND delivery_id = ANY (ids);
        UPDATE deliveries SET body = 'erased', emptied_at = moment
        WHERE organisation = org AND id = ANY (ids) AND emptied_at IS NULL;
    WHEN 'handoffs' THEN
        UPDATE handoff_events SET details = wordless(details, false)
        WHERE organisation = org AND handoff_id = ANY (ids);
        UPDATE handoff_revisions SET proposed = wordless(proposed, false), changes = wordless(changes, false)
        WHERE organisation = org AND handoff_id = ANY (ids);
        UPDATE handoff_approvals SET note = NULL
        WHERE organisation = org AND handoff_id = ANY (ids) AND note IS NOT NULL;
        DELETE FROM handoff_links WHERE organisation = org AND handoff_id = ANY (ids);
        DELETE FROM handoff_presence WHERE organisation = org AND handoff_id = ANY (ids);
        UPDATE handoffs SET proposed = wordless(proposed, false), issues = wordless(issues, false),
            resolution = wordless(resolution, false), emptied_at = moment
        WHERE organisation = org AND id = ANY (ids) AND emptied_at IS NULL;
    WHEN 'interactions' THEN
        UPDATE decisions SET decision = wordless(decision, false), proposal = wordless(proposal, false),
            facts = wordless(facts, false)
        WHERE organisation = org AND interaction_id = ANY (ids);
        UPDATE effect_events SET result = wordless(result, false)
        WHERE organisation = org AND result IS NOT NULL AND effect_id IN
            (SELECT id FROM effects WHERE organisation = org AND interaction_id = ANY (ids));
        UPDATE effects SET arguments = wordless(arguments, false)
        WHERE organisation = org AND interaction_id = ANY (ids);
        UPDATE interactions SET message = 'erased', fingerprint = 'erased', body_fields = '{{}}',
            request_id = 'erased_' || id, reply = CASE WHEN reply IS NULL THEN NULL ELSE 'erased' END,
            answer = wordless(answer, false), emptied_at = moment
        WHERE organisation = org AND id = ANY (ids) AND emptied_at IS NULL;
    END CASE;
    GET DIAGNOSTICS ended = ROW_COUNT;
    RETURN ended;
END $$
"""
RIGHTS = """
REVOKE ALL ON FUNCTION end_rows(varchar, varchar[], timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION end_rows(varchar, varchar[], timestamptz) TO holdfast_app;
GRANT CREATE ON SCHEMA {schema} TO holdfast_eraser;
ALTER FUNCTION end_rows(varchar, varchar[], timestamptz) OWNER TO holdfast_eraser;
REVOKE CREATE ON SCHEMA {schema} FROM holdfast_eraser
"""
DELETES_MORE = ("notifications", "notification_reads", "sessions", "sign_in_throttles", "handoff_links", "handoff_presence")  # fmt: skip
DELETES = ("messages", "conversation_events", *DELETES_MORE)
# Counts of the whole installation for its operators, and whom a run goes through.
LOOKUPS = """
GRANT SELECT (organisation, begun_at, finished_at) ON retention_runs TO holdfast_lookup;
GRANT SELECT (organisation, placed_at, expires_at, released_at) ON legal_holds TO holdfast_lookup;
CREATE POLICY lookup ON retention_runs FOR SELECT TO holdfast_lookup USING (current_user = 'holdfast_lookup');
CREATE POLICY lookup ON legal_holds FOR SELECT TO holdfast_lookup USING (current_user = 'holdfast_lookup');
CREATE FUNCTION every_organisation(after varchar, most integer) RETURNS TABLE (organisation varchar)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
BEGIN ATOMIC
    SELECT named.name FROM (
        (SELECT o.id AS name FROM organisations o WHERE o.id > after ORDER BY o.id LIMIT most)
        UNION SELECT f.organisation FROM organisations_with_facts(after, most) f
    ) named ORDER BY named.name LIMIT most;
END;
CREATE FUNCTION retention_now() RETURNS TABLE (measure varchar, kind varchar, count bigint, since timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
BEGIN ATOMIC
    SELECT 'legal_holds'::varchar, ''::varchar, count(*), min(l.placed_at) FROM legal_holds l
        WHERE l.released_at IS NULL AND (l.expires_at IS NULL OR l.expires_at > now())
    UNION ALL
    SELECT 'retention', '', count(*), min(r.begun_at) FROM retention_runs r WHERE r.finished_at IS NULL;
END;
REVOKE ALL ON FUNCTION every_organisation(varchar, integer), retention_now() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION every_organisation(varchar, integer), retention_now() TO holdfast_app;
GRANT EXECUTE ON FUNCTION organisations_with_facts(varchar, integer) TO holdfast_lookup;
GRANT CREATE ON SCHEMA {schema} TO holdfast_lookup;
ALTER FUNCTION every_organisation(varchar, integer) OWNER TO holdfast_lookup;
ALTER FUNCTION retention_now() OWNER TO holdfast_lookup;
REVOKE CREATE ON SCHEMA {schema} FROM holdfast_lookup
"""
DOWN = """
DROP FUNCTION retention_now();
DROP FUNCTION every_organisation(varchar, integer);
DROP FUNCTION end_rows(varchar, varchar[], timestamptz);
DROP INDEX conversation_events_by_time, messages_by_time;
ALTER TABLE deliveries DROP COLUMN emptied_at;
ALTER TABLE handoffs DROP COLUMN emptied_at;
ALTER TABLE interactions DROP COLUMN emptied_at;
DROP TABLE legal_holds, retention_runs, retention_policies
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(TABLES)
    protect("retention_policies")
    protect("retention_runs", "rows, finished_at")
    protect("legal_holds", "customer_id, reason, released_by, released_at, release_note")
    bound = "organisation = nullif(current_setting('holdfast.organisation', true), '')"
    for table in DELETES_MORE:
        op.execute(f"CREATE POLICY erase ON {table} TO holdfast_eraser USING ({bound}) WITH CHECK ({bound})")
    op.execute(f"GRANT SELECT, DELETE ON {', '.join(DELETES)} TO holdfast_eraser")
    for statement in (ENDS, RIGHTS, LOOKUPS):
        op.execute(statement.format(schema=schema))


def downgrade() -> None:
    op.execute(DOWN)
    for table in DELETES_MORE:
        op.execute(f"DROP POLICY erase ON {table}")
    op.execute(f"REVOKE SELECT, DELETE ON {', '.join(DELETES_MORE)} FROM holdfast_eraser")
    op.execute("REVOKE DELETE ON messages, conversation_events FROM holdfast_eraser")
