"""What the audit says of the ledger stands with the seal; what everybody does most is left out of the audit's filters."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

# Null: sealed before there was this column, in the first format. The agent's own events are nearly all there are: a list
# of them is found by time as well, and an index without them costs an interaction nothing.
UP = """
ALTER TABLE audit_seals ADD COLUMN ledger varchar;
DROP INDEX audit_events_by_actor, audit_events_by_action;
CREATE INDEX audit_events_by_actor ON audit_events (organisation, actor, at, id) WHERE actor <> 'agent';
CREATE INDEX audit_events_by_action ON audit_events (organisation, action, at, id)
    WHERE action <> 'interaction.completed';
"""
DOWN = """
DROP INDEX audit_events_by_actor, audit_events_by_action;
CREATE INDEX audit_events_by_actor ON audit_events (organisation, actor, at, id);
CREATE INDEX audit_events_by_action ON audit_events (organisation, action, at, id);
ALTER TABLE audit_seals DROP COLUMN ledger;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
