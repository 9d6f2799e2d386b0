"""Handoffs, the whole life: withdrawn ones, and decisions that cannot be told at once."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE handoffs ADD COLUMN tell_at timestamptz;
ALTER TABLE handoffs DROP CONSTRAINT handoffs_decision_check;
ALTER TABLE handoffs ADD CONSTRAINT handoffs_decision_check
    CHECK (decision IN ('approved', 'rejected', 'resolved', 'expired', 'withdrawn'));
GRANT UPDATE (tell_at) ON handoffs TO holdfast_app;
GRANT SELECT (tell_at) ON handoffs TO holdfast_lookup;
CREATE UNIQUE INDEX api_keys_by_name ON api_keys (organisation, name) WHERE revoked_at IS NULL;
"""
UNTOLD = """
CREATE OR REPLACE FUNCTION untold_handoffs(most integer)
    RETURNS TABLE (organisation varchar, handoff_id varchar)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
BEGIN ATOMIC
    SELECT h.organisation, h.id FROM handoffs h
    WHERE h.decision IS NOT NULL AND h.told_at IS NULL {when} ORDER BY h.decided_at LIMIT most;
END
"""
DOWN = """
DROP INDEX api_keys_by_name;
UPDATE handoffs SET decision = 'resolved' WHERE decision = 'withdrawn';
ALTER TABLE handoffs DROP CONSTRAINT handoffs_decision_check;
ALTER TABLE handoffs ADD CONSTRAINT handoffs_decision_check
    CHECK (decision IN ('approved', 'rejected', 'resolved', 'expired'));
ALTER TABLE handoffs DROP COLUMN tell_at;
"""


def upgrade() -> None:
    op.execute(UP)
    op.execute(UNTOLD.format(schema=_schema(), when="AND (h.tell_at IS NULL OR h.tell_at <= now())"))


def downgrade() -> None:
    op.execute(UNTOLD.format(schema=_schema(), when=""))
    op.execute(DOWN)


def _schema() -> str:
    return str(op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one())
