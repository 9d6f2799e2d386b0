"""Why a customer's word about a channel was written down."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

def upgrade() -> None:
    op.execute("ALTER TABLE consents ADD COLUMN note varchar NOT NULL DEFAULT ''")


def downgrade() -> None:
    op.execute("ALTER TABLE consents DROP COLUMN note")
