"""Handoffs, the whole life: leases, approvals by several, edits, expiry, links; withdrawn ones, and decisions that
cannot be told at once."""

from alembic import op

from schema.migrations.protection import protect

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE handoffs ADD COLUMN tell_at timestamptz;
ALTER TABLE handoffs DROP CONSTRAINT handoffs_decision_check;
ALTER TABLE handoffs ADD CONSTRAINT handoffs_decision_check
    CHECK (decision IN ('approved', 'rejected', 'resolved', 'expired', 'withdrawn'));
ALTER TABLE handoffs ADD COLUMN claimed_until timestamptz, ADD COLUMN on_expiry varchar
    CHECK (on_expiry IN ('takeover', 'refuse')), ADD COLUMN agreed_digest varchar,
    ADD COLUMN revision integer NOT NULL DEFAULT 0;
ALTER TABLE handoffs ALTER COLUMN revision DROP DEFAULT;
CREATE INDEX handoffs_by_assignee ON handoffs (organisation, assignee, sla_due_at)
    WHERE decision IS NULL AND assignee IS NOT NULL;
CREATE TABLE handoff_revisions (
    organisation varchar NOT NULL, handoff_id varchar NOT NULL, revision integer NOT NULL CHECK (revision > 0),
    decision_id varchar NOT NULL, stage varchar NOT NULL,
    from_digest varchar NOT NULL, digest varchar NOT NULL,
    proposed jsonb NOT NULL, changes jsonb NOT NULL,
    raises boolean NOT NULL,
    actor varchar NOT NULL, at timestamptz NOT NULL,
    PRIMARY KEY (organisation, handoff_id, revision),
    FOREIGN KEY (organisation, handoff_id) REFERENCES handoffs,
    FOREIGN KEY (organisation, decision_id) REFERENCES decisions
);
CREATE TABLE handoff_approvals (
    organisation varchar NOT NULL, handoff_id varchar NOT NULL, digest varchar NOT NULL,
    approver varchar NOT NULL, scopes varchar[] NOT NULL, via varchar NOT NULL CHECK (via IN ('key', 'link')),
    note varchar, at timestamptz NOT NULL,
    PRIMARY KEY (organisation, handoff_id, digest, approver),
    FOREIGN KEY (organisation, handoff_id) REFERENCES handoffs
);
CREATE TABLE handoff_links (
    organisation varchar NOT NULL, id varchar NOT NULL,
    handoff_id varchar NOT NULL, digest varchar NOT NULL, approver varchar NOT NULL,
    created_by varchar NOT NULL, created_at timestamptz NOT NULL, expires_at timestamptz NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation, handoff_id) REFERENCES handoffs
);
CREATE TABLE handoff_presence (
    organisation varchar NOT NULL, handoff_id varchar NOT NULL, operator varchar NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (organisation, handoff_id, operator),
    FOREIGN KEY (organisation, handoff_id) REFERENCES handoffs
);
GRANT UPDATE (tell_at, claimed_until, revision, agreed_digest) ON handoffs TO holdfast_app;
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
MAY_CHANGE = {
    "handoff_revisions": "",
    "handoff_approvals": "",
    "handoff_links": "used_at",
    "handoff_presence": "seen_at",
}
DOWN = """
DROP INDEX api_keys_by_name;
DROP TABLE handoff_presence, handoff_links, handoff_approvals, handoff_revisions;
UPDATE handoffs SET decision = 'resolved' WHERE decision = 'withdrawn';
ALTER TABLE handoffs DROP CONSTRAINT handoffs_decision_check;
ALTER TABLE handoffs ADD CONSTRAINT handoffs_decision_check
    CHECK (decision IN ('approved', 'rejected', 'resolved', 'expired'));
ALTER TABLE handoffs DROP COLUMN tell_at, DROP COLUMN claimed_until, DROP COLUMN on_expiry,
    DROP COLUMN agreed_digest, DROP COLUMN revision;
"""


def upgrade() -> None:
    op.execute(UP)
    for table, columns in MAY_CHANGE.items():
        protect(table, columns)
    op.execute(UNTOLD.format(schema=_schema(), when="AND (h.tell_at IS NULL OR h.tell_at <= now())"))


def downgrade() -> None:
    op.execute(UNTOLD.format(schema=_schema(), when=""))
    op.execute(DOWN)


def _schema() -> str:
    return str(op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one())
