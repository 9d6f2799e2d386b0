"""Deliveries with attempts, dead letters and versions; outbound webhooks, notifications and consent."""

from alembic import op

from schema.migrations.protection import protect

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE webhook_endpoints (
    organisation varchar NOT NULL, id varchar NOT NULL,
    kind varchar NOT NULL CHECK (kind IN ('webhook', 'chat')),
    url varchar NOT NULL,
    event_types varchar[] NOT NULL,
    description varchar NOT NULL,
    enabled boolean NOT NULL,
    disabled_reason varchar,
    created_by varchar NOT NULL,
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, deleted_at timestamptz,
    PRIMARY KEY (organisation, id),
    CHECK (enabled = (disabled_reason IS NULL)),
    CHECK (deleted_at IS NULL OR NOT enabled)
);
CREATE INDEX webhook_endpoints_newest ON webhook_endpoints (organisation, created_at, id) WHERE deleted_at IS NULL;
CREATE TABLE webhook_secrets (
    organisation varchar NOT NULL, id varchar NOT NULL,
    endpoint_id varchar NOT NULL,
    purpose varchar NOT NULL CHECK (purpose IN ('signing', 'address')),
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL, expires_at timestamptz,
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation, endpoint_id) REFERENCES webhook_endpoints
);
CREATE INDEX webhook_secrets_by_endpoint ON webhook_secrets (organisation, endpoint_id, created_at);
CREATE TABLE webhook_events (
    organisation varchar NOT NULL, id varchar NOT NULL,
    type varchar NOT NULL, subject varchar NOT NULL, key varchar NOT NULL,
    sequence integer NOT NULL CHECK (sequence > 0),
    body varchar NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, subject, type, key),
    UNIQUE (organisation, subject, sequence)
);
CREATE INDEX webhook_events_newest ON webhook_events (organisation, at, id);
CREATE TABLE notifications (
    organisation varchar NOT NULL, id varchar NOT NULL,
    kind varchar NOT NULL, subject varchar NOT NULL, key varchar NOT NULL,
    details jsonb NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, subject, kind, key)
);
CREATE INDEX notifications_newest ON notifications (organisation, at, id);
CREATE TABLE notification_reads (
    organisation varchar NOT NULL, notification_id varchar NOT NULL, reader varchar NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (organisation, notification_id, reader),
    FOREIGN KEY (organisation, notification_id) REFERENCES notifications
);
CREATE TABLE consents (
    organisation varchar NOT NULL, id varchar NOT NULL,
    customer_id varchar NOT NULL, channel varchar NOT NULL,
    state varchar NOT NULL CHECK (state IN ('granted', 'withdrawn', 'blocked')),
    actor varchar NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation, customer_id) REFERENCES customers
);
CREATE INDEX consents_newest ON consents (organisation, customer_id, channel, at, id);
ALTER TABLE deliveries
    ALTER COLUMN interaction_id DROP NOT NULL,
    ALTER COLUMN customer_id DROP NOT NULL,
    ADD COLUMN message_class varchar NOT NULL DEFAULT 'transactional'
        CHECK (message_class IN ('transactional', 'proactive', 'operational')),
    ADD COLUMN endpoint_id varchar,
    ADD COLUMN source_id varchar,
    ADD COLUMN attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN attempts_before integer NOT NULL DEFAULT 0,
    ADD COLUMN round integer NOT NULL DEFAULT 0,
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    ADD COLUMN next_attempt_at timestamptz,
    ADD COLUMN reason varchar,
    ADD COLUMN owner varchar,
    ADD COLUMN message_id varchar,
    ADD COLUMN told_at timestamptz DEFAULT now(),
    ADD COLUMN tell_at timestamptz,
    ADD COLUMN decision varchar CHECK (decision IN ('redriven', 'discarded')),
    ADD COLUMN decided_by varchar,
    ADD COLUMN decided_at timestamptz,
    ADD COLUMN decision_digest varchar,
    ADD FOREIGN KEY (organisation, endpoint_id) REFERENCES webhook_endpoints,
    ADD UNIQUE (organisation, endpoint_id, source_id),
    ADD CONSTRAINT deliveries_decided_check CHECK (
        (decision IS NULL) = (decided_by IS NULL) AND (decision IS NULL) = (decided_at IS NULL)
        AND (decision IS NULL) = (decision_digest IS NULL));
ALTER TABLE deliveries
    ALTER COLUMN message_class DROP DEFAULT, ALTER COLUMN attempts DROP DEFAULT,
    ALTER COLUMN attempts_before DROP DEFAULT, ALTER COLUMN round DROP DEFAULT, ALTER COLUMN version DROP DEFAULT,
    ALTER COLUMN told_at DROP DEFAULT;
CREATE INDEX deliveries_by_customer ON deliveries (organisation, customer_id, created_at, id);
CREATE INDEX deliveries_by_message_id ON deliveries (organisation, message_id) WHERE message_id IS NOT NULL;
CREATE INDEX deliveries_untold ON deliveries (created_at) WHERE told_at IS NULL;
ALTER TABLE delivery_events
    ADD COLUMN attempt integer,
    ADD COLUMN response_status integer,
    ADD COLUMN took_ms integer,
    ADD COLUMN actor varchar,
    ADD COLUMN details jsonb;
CREATE TABLE delivery_versions (
    organisation varchar NOT NULL, delivery_id varchar NOT NULL,
    version integer NOT NULL CHECK (version > 1),
    body varchar NOT NULL, recipient varchar,
    actor varchar NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (organisation, delivery_id, version),
    FOREIGN KEY (organisation, delivery_id) REFERENCES deliveries
);
"""
GRANTS = """
GRANT UPDATE (attempts, attempts_before, round, version, next_attempt_at, reason, owner, message_id, told_at, tell_at,
              decision, decided_by, decided_at, decision_digest) ON deliveries TO holdfast_app;
GRANT SELECT (organisation, id, created_at, decided_at, told_at, tell_at) ON deliveries TO holdfast_lookup;
CREATE POLICY lookup ON deliveries FOR SELECT TO holdfast_lookup USING (current_user = 'holdfast_lookup');
"""
# Whoever put a delivery on record, or decided about it, tells its workflow at once: five seconds are theirs.
UNTOLD = """
CREATE FUNCTION untold_deliveries(most integer)
    RETURNS TABLE (organisation varchar, delivery_id varchar)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
BEGIN ATOMIC
    SELECT d.organisation, d.id FROM deliveries d
    WHERE d.told_at IS NULL AND (d.tell_at IS NULL OR d.tell_at <= now())
        AND coalesce(d.decided_at, d.created_at) < now() - interval '5 seconds'
    ORDER BY d.created_at LIMIT most;
END;
REVOKE ALL ON FUNCTION untold_deliveries(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION untold_deliveries(integer) TO holdfast_app;
GRANT CREATE ON SCHEMA {schema} TO holdfast_lookup;
ALTER FUNCTION untold_deliveries(integer) OWNER TO holdfast_lookup;
REVOKE CREATE ON SCHEMA {schema} FROM holdfast_lookup
"""
# What was sent without an interaction did not exist before. The owner sees no rows while row-level security is forced.
DOWN = """
DROP FUNCTION untold_deliveries(integer);
DROP TABLE delivery_versions, consents, notification_reads, notifications, webhook_events;
DROP POLICY lookup ON deliveries;
REVOKE SELECT (organisation, id, created_at) ON deliveries FROM holdfast_lookup;
ALTER TABLE deliveries NO FORCE ROW LEVEL SECURITY;
ALTER TABLE delivery_events NO FORCE ROW LEVEL SECURITY;
DELETE FROM delivery_events e USING deliveries d
    WHERE d.organisation = e.organisation AND d.id = e.delivery_id AND d.interaction_id IS NULL;
DELETE FROM deliveries WHERE interaction_id IS NULL;
ALTER TABLE deliveries FORCE ROW LEVEL SECURITY;
ALTER TABLE delivery_events FORCE ROW LEVEL SECURITY;
ALTER TABLE delivery_events
    DROP COLUMN attempt, DROP COLUMN response_status, DROP COLUMN took_ms, DROP COLUMN actor, DROP COLUMN details;
DROP INDEX deliveries_by_customer;
ALTER TABLE deliveries
    DROP CONSTRAINT deliveries_decided_check,
    DROP COLUMN message_class, DROP COLUMN endpoint_id, DROP COLUMN source_id, DROP COLUMN attempts,
    DROP COLUMN attempts_before, DROP COLUMN round, DROP COLUMN version, DROP COLUMN next_attempt_at,
    DROP COLUMN reason, DROP COLUMN owner, DROP COLUMN message_id, DROP COLUMN told_at, DROP COLUMN tell_at,
    DROP COLUMN decision, DROP COLUMN decided_by, DROP COLUMN decided_at, DROP COLUMN decision_digest,
    ALTER COLUMN interaction_id SET NOT NULL, ALTER COLUMN customer_id SET NOT NULL;
DROP TABLE webhook_secrets, webhook_endpoints
"""


def upgrade() -> None:
    op.execute(TABLES)
    protect("webhook_endpoints", "url, event_types, description, enabled, disabled_reason, updated_at, deleted_at")
    protect("webhook_secrets", "expires_at")
    for table in ("webhook_events", "notifications", "notification_reads", "consents", "delivery_versions"):
        protect(table)
    op.execute(GRANTS)
    op.execute(UNTOLD.format(schema=_schema()))


def downgrade() -> None:
    op.execute(DOWN)


def _schema() -> str:
    return str(op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one())
