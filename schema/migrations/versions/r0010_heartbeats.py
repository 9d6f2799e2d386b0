"""Signs of life of the workers."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

HEARTBEATS = """
CREATE TABLE worker_heartbeats (
    task_queue varchar NOT NULL, worker_id varchar NOT NULL, at timestamptz NOT NULL,
    PRIMARY KEY (task_queue, worker_id)
)
"""
# No organisation stands in it: a worker works for all of them. Who is bound to an organisation sees none of it.
NOBODY = "nullif(current_setting('holdfast.organisation', true), '') IS NULL"


def upgrade() -> None:
    op.execute(HEARTBEATS)
    op.execute("ALTER TABLE worker_heartbeats ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE worker_heartbeats FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY nobodys ON worker_heartbeats TO holdfast_app USING ({NOBODY}) WITH CHECK ({NOBODY})")
    op.execute("GRANT SELECT, INSERT, UPDATE (at), DELETE ON worker_heartbeats TO holdfast_app")


def downgrade() -> None:
    op.execute("DROP TABLE worker_heartbeats")
