"""What a restored database must know of the time it has lost."""

from alembic import op

from schema.migrations.protection import protect

revision = "0016"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE interactions ADD COLUMN blocked_by varchar")
    op.execute("GRANT UPDATE (blocked_by) ON interactions TO holdfast_app")
    op.execute(
        """
        CREATE TABLE lost_requests (
            organisation varchar NOT NULL, workflow_id varchar NOT NULL,
            acted boolean NOT NULL,
            found_at timestamptz NOT NULL,
            PRIMARY KEY (organisation, workflow_id)
        )
        """
    )
    protect("lost_requests", "acted")


def downgrade() -> None:
    op.execute("DROP TABLE lost_requests")
    op.execute("ALTER TABLE interactions DROP COLUMN blocked_by")
