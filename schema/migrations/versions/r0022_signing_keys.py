"""Webhooks signed with a key pair beside the shared secret; each change of an endpoint is a version of it."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE webhook_endpoints
    ADD COLUMN signing varchar NOT NULL DEFAULT 'v1' CHECK (signing IN ('v1', 'v1+v1a')),
    ADD COLUMN version integer NOT NULL DEFAULT 1 CHECK (version > 0);
GRANT UPDATE (signing, version) ON webhook_endpoints TO holdfast_app;
ALTER TABLE webhook_secrets
    DROP CONSTRAINT webhook_secrets_purpose_check,
    ADD CONSTRAINT webhook_secrets_purpose_check CHECK (purpose IN ('signing', 'signing_key', 'address')),
    ADD COLUMN public_key bytea,
    ADD CONSTRAINT webhook_secrets_public_key_check CHECK (
        (purpose = 'signing_key') = (public_key IS NOT NULL) AND octet_length(public_key) = 32);
"""
# The release before knows no such keys. The owner sees no rows while row-level security is forced.
DOWN = """
ALTER TABLE webhook_secrets NO FORCE ROW LEVEL SECURITY;
DELETE FROM webhook_secrets WHERE purpose = 'signing_key';
ALTER TABLE webhook_secrets FORCE ROW LEVEL SECURITY;
ALTER TABLE webhook_secrets
    DROP COLUMN public_key,
    DROP CONSTRAINT webhook_secrets_purpose_check,
    ADD CONSTRAINT webhook_secrets_purpose_check CHECK (purpose IN ('signing', 'address'));
ALTER TABLE webhook_endpoints DROP COLUMN signing, DROP COLUMN version;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
