"""Business calendars: versioned, never changed."""

from alembic import op

from schema.migrations.protection import protect

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE calendars (
    organisation varchar NOT NULL, id varchar NOT NULL, version integer NOT NULL CHECK (version > 0),
    body jsonb NOT NULL,
    plans varchar[] NOT NULL, regions varchar[] NOT NULL,
    retired boolean NOT NULL,
    digest varchar NOT NULL,
    created_at timestamptz NOT NULL, created_by varchar NOT NULL,
    PRIMARY KEY (organisation, id, version)
);
"""


def upgrade() -> None:
    op.execute(TABLES)
    protect("calendars")


def downgrade() -> None:
    op.execute("DROP TABLE calendars")
