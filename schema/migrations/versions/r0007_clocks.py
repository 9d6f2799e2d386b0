"""Clocks of handoffs: due times that move, and what their workflows have not heard of yet."""

from alembic import op

from schema.migrations.protection import protect

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE handoff_wakes (
    organisation varchar NOT NULL, id varchar NOT NULL,
    handoff_id varchar NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (organisation, id)
);
CREATE INDEX handoff_wakes_by_handoff ON handoff_wakes (organisation, handoff_id);
CREATE INDEX handoff_wakes_by_time ON handoff_wakes (at);
GRANT UPDATE (sla_due_at) ON handoffs TO holdfast_app;
GRANT SELECT (organisation, handoff_id, at) ON handoff_wakes TO holdfast_lookup;
CREATE POLICY lookup ON handoff_wakes FOR SELECT TO holdfast_lookup USING (current_user = 'holdfast_lookup');
"""
LOOKUP = """
CREATE FUNCTION changed_handoffs(most integer)
    RETURNS TABLE (organisation varchar, handoff_id varchar)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
BEGIN ATOMIC
    SELECT w.organisation, w.handoff_id FROM handoff_wakes w WHERE w.at <= now()
    GROUP BY w.organisation, w.handoff_id ORDER BY min(w.at) LIMIT most;
END;
REVOKE ALL ON FUNCTION changed_handoffs(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION changed_handoffs(integer) TO holdfast_app;
GRANT CREATE ON SCHEMA {schema} TO holdfast_lookup;
ALTER FUNCTION changed_handoffs(integer) OWNER TO holdfast_lookup;
REVOKE CREATE ON SCHEMA {schema} FROM holdfast_lookup
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(TABLES)
    protect("handoff_wakes", "at", may_delete=True)
    op.execute(LOOKUP.format(schema=schema))


def downgrade() -> None:
    op.execute("DROP FUNCTION changed_handoffs(integer)")
    op.execute("REVOKE UPDATE (sla_due_at) ON handoffs FROM holdfast_app")
    op.execute("DROP TABLE handoff_wakes")
