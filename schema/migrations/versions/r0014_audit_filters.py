"""Lists of the audit by one person or one action; interactions nobody works on are found and resumed."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TABLES = """
CREATE INDEX audit_events_by_actor ON audit_events (organisation, actor, at, id);
CREATE INDEX audit_events_by_action ON audit_events (organisation, action, at, id);
ALTER TABLE interactions ADD COLUMN resumes integer NOT NULL DEFAULT 0, ADD COLUMN look_at timestamptz;
GRANT UPDATE (resumes, look_at) ON interactions TO holdfast_app;
CREATE INDEX interactions_unanswered ON interactions (created_at) WHERE status = 'running' AND finished_at IS NULL;
"""
LOOKUP = """
GRANT SELECT (look_at) ON interactions TO holdfast_lookup;
CREATE FUNCTION unanswered_interactions(before timestamptz, moment timestamptz, most integer)
    RETURNS TABLE (organisation varchar, interaction_id varchar)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
BEGIN ATOMIC
    SELECT i.organisation, i.id FROM interactions i
    WHERE i.status = 'running' AND i.finished_at IS NULL AND i.created_at < before
        AND (i.look_at IS NULL OR i.look_at <= moment)
    ORDER BY i.created_at LIMIT most;
END;
REVOKE ALL ON FUNCTION unanswered_interactions(timestamptz, timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION unanswered_interactions(timestamptz, timestamptz, integer) TO holdfast_app;
GRANT CREATE ON SCHEMA {schema} TO holdfast_lookup;
ALTER FUNCTION unanswered_interactions(timestamptz, timestamptz, integer) OWNER TO holdfast_lookup;
REVOKE CREATE ON SCHEMA {schema} FROM holdfast_lookup
"""
DOWN = """
DROP FUNCTION unanswered_interactions(timestamptz, timestamptz, integer);
DROP INDEX interactions_unanswered, audit_events_by_action, audit_events_by_actor;
ALTER TABLE interactions DROP COLUMN look_at, DROP COLUMN resumes
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(TABLES)
    op.execute(LOOKUP.format(schema=schema))


def downgrade() -> None:
    op.execute(DOWN)
