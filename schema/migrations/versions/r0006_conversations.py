"""Conversations a person holds: who, until when, what was said, and what happened to them."""

from alembic import op

from schema.migrations.protection import protect

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE conversations
    ADD COLUMN holder varchar, ADD COLUMN held_since timestamptz, ADD COLUMN human_until timestamptz,
    ADD COLUMN held_for varchar, ADD COLUMN acknowledged_at timestamptz, ADD COLUMN asked_by varchar,
    ADD COLUMN awaited_since timestamptz;
UPDATE conversations SET state = 'open' WHERE state = 'human';
ALTER TABLE conversations ADD CONSTRAINT conversations_held_check CHECK (
    (state = 'human') = (holder IS NOT NULL) AND (state = 'human') = (human_until IS NOT NULL)
    AND (state = 'human') = (held_since IS NOT NULL));
GRANT UPDATE (holder, held_since, human_until, held_for, acknowledged_at, asked_by, awaited_since)
    ON conversations TO holdfast_app;
CREATE INDEX conversations_unusual ON conversations (organisation, state, created_at, id) WHERE state <> 'open';
CREATE TABLE messages (
    organisation varchar NOT NULL, id varchar NOT NULL,
    conversation_id varchar NOT NULL, customer_id varchar NOT NULL,
    interaction_id varchar, handoff_id varchar,
    author varchar NOT NULL,
    request_id varchar NOT NULL, fingerprint varchar NOT NULL,
    body varchar NOT NULL,
    waits boolean NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, conversation_id, request_id),
    FOREIGN KEY (organisation, conversation_id) REFERENCES conversations,
    FOREIGN KEY (organisation, interaction_id) REFERENCES interactions,
    FOREIGN KEY (organisation, handoff_id) REFERENCES handoffs
);
CREATE INDEX messages_by_conversation ON messages (organisation, conversation_id, at, id);
CREATE INDEX messages_by_interaction ON messages (organisation, interaction_id) WHERE interaction_id IS NOT NULL;
CREATE TABLE conversation_events (
    organisation varchar NOT NULL, id varchar NOT NULL,
    conversation_id varchar NOT NULL,
    kind varchar NOT NULL, actor varchar NOT NULL,
    at timestamptz NOT NULL,
    details jsonb NOT NULL,
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation, conversation_id) REFERENCES conversations
);
CREATE INDEX conversation_events_by_conversation ON conversation_events (organisation, conversation_id, at, id);
"""
DOWN = """
DROP TABLE conversation_events, messages;
DROP INDEX conversations_unusual;
ALTER TABLE conversations DROP CONSTRAINT conversations_held_check;
UPDATE conversations SET state = 'open' WHERE state = 'human';
ALTER TABLE conversations
    DROP COLUMN holder, DROP COLUMN held_since, DROP COLUMN human_until, DROP COLUMN held_for,
    DROP COLUMN acknowledged_at, DROP COLUMN asked_by, DROP COLUMN awaited_since;
"""


def upgrade() -> None:
    op.execute(UP)
    protect("messages")
    protect("conversation_events")


def downgrade() -> None:
    op.execute(DOWN)
