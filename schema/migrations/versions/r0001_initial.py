"""The first tables, their row-level security, and who may do what."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE organisations (
    id varchar PRIMARY KEY,
    name varchar NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE TABLE api_keys (
    organisation varchar NOT NULL, id varchar NOT NULL,
    name varchar NOT NULL,
    key_hash bytea NOT NULL UNIQUE,
    scopes varchar[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    PRIMARY KEY (organisation, id)
);
CREATE TABLE customers (
    organisation varchar NOT NULL, id varchar NOT NULL,
    name varchar NOT NULL,
    email varchar, phone varchar,
    plan varchar NOT NULL CHECK (plan IN ('free', 'pro', 'enterprise')),
    status varchar NOT NULL CHECK (status IN ('active', 'suspended', 'closed')),
    language varchar, time_zone varchar, region varchar,
    conversation_id varchar NOT NULL,
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL,
    PRIMARY KEY (organisation, id)
);
CREATE TABLE conversations (
    organisation varchar NOT NULL, id varchar NOT NULL,
    customer_id varchar NOT NULL,
    channel varchar NOT NULL,
    state varchar NOT NULL CHECK (state IN ('open', 'human', 'closed')),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation, customer_id) REFERENCES customers
);
CREATE INDEX conversations_by_customer ON conversations (organisation, customer_id, created_at, id);
CREATE INDEX conversations_newest ON conversations (organisation, created_at, id);
CREATE TABLE invoices (
    organisation varchar NOT NULL, customer_id varchar NOT NULL, id varchar NOT NULL,
    total_amount bigint NOT NULL CHECK (total_amount BETWEEN 0 AND 1000000000000),
    currency varchar NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    status varchar NOT NULL CHECK (status IN ('paid', 'open', 'void')),
    paid_at timestamptz,
    description varchar NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (organisation, customer_id, id),
    FOREIGN KEY (organisation, customer_id) REFERENCES customers
);
CREATE TABLE refunds (
    organisation varchar NOT NULL, key varchar NOT NULL,
    id varchar NOT NULL,
    customer_id varchar NOT NULL, invoice_id varchar NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    currency varchar NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (organisation, key),
    UNIQUE (organisation, id),
    FOREIGN KEY (organisation, customer_id, invoice_id) REFERENCES invoices
);
CREATE INDEX refunds_by_invoice ON refunds (organisation, customer_id, invoice_id);
CREATE TABLE interactions (
    organisation varchar NOT NULL, id varchar NOT NULL,
    customer_id varchar NOT NULL, request_id varchar NOT NULL, conversation_id varchar NOT NULL,
    channel varchar NOT NULL,
    mode varchar NOT NULL CHECK (mode IN ('live', 'shadow')),
    message varchar NOT NULL,
    fingerprint varchar NOT NULL, body_fields jsonb NOT NULL,
    workflow_id varchar NOT NULL,
    status varchar NOT NULL CHECK (status IN ('running', 'waiting_for_human', 'completed', 'refused', 'failed')),
    intent varchar, confidence double precision, outcome varchar,
    reply varchar, answer jsonb, handoff_id varchar,
    created_at timestamptz NOT NULL, answered_at timestamptz, finished_at timestamptz,
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, customer_id, request_id),
    FOREIGN KEY (organisation, customer_id) REFERENCES customers
);
CREATE INDEX interactions_newest ON interactions (organisation, created_at, id);
CREATE INDEX interactions_by_customer ON interactions (organisation, customer_id, created_at, id);
CREATE INDEX interactions_by_conversation ON interactions (organisation, conversation_id, created_at, id);
CREATE INDEX interactions_by_intent ON interactions (organisation, intent, created_at, id);
CREATE INDEX interactions_by_status ON interactions (organisation, status, created_at, id)
    WHERE status <> 'completed';
CREATE INDEX interactions_shadow ON interactions (organisation, created_at, id) WHERE mode = 'shadow';
CREATE TABLE decisions (
    organisation varchar NOT NULL, id varchar NOT NULL,
    interaction_id varchar NOT NULL, stage varchar NOT NULL,
    mode varchar NOT NULL CHECK (mode IN ('live', 'shadow')),
    outcome varchar NOT NULL CHECK (outcome IN ('proceed', 'ask_human', 'refuse')),
    priority varchar NOT NULL, intent varchar NOT NULL,
    confidence double precision NOT NULL, policy_version bigint NOT NULL, digest varchar NOT NULL,
    decision jsonb NOT NULL, proposal jsonb NOT NULL, facts jsonb NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, interaction_id, stage),
    FOREIGN KEY (organisation, interaction_id) REFERENCES interactions
);
CREATE INDEX decisions_newest ON decisions (organisation, at, id);
CREATE TABLE handoffs (
    organisation varchar NOT NULL, id varchar NOT NULL,
    interaction_id varchar NOT NULL, customer_id varchar NOT NULL,
    kind varchar NOT NULL CHECK (kind IN ('approval', 'takeover', 'validation')),
    status varchar NOT NULL CHECK (status IN ('open', 'claimed', 'resolved', 'expired')),
    priority varchar NOT NULL CHECK (priority IN ('low', 'normal', 'high', 'urgent')),
    reason varchar NOT NULL,
    confidence double precision NOT NULL,
    decision_id varchar, digest varchar NOT NULL,
    proposed jsonb NOT NULL, issues jsonb NOT NULL,
    opened_at timestamptz NOT NULL, sla_due_at timestamptz NOT NULL,
    breached_at timestamptz, expires_at timestamptz,
    assignee varchar,
    decided_at timestamptz, decided_by varchar,
    decision varchar CHECK (decision IN ('approved', 'rejected', 'resolved', 'expired')),
    resolution jsonb,
    told_at timestamptz, consumed_at timestamptz,
    PRIMARY KEY (organisation, id),
    UNIQUE NULLS NOT DISTINCT (organisation, interaction_id, kind, decision_id),
    FOREIGN KEY (organisation, interaction_id) REFERENCES interactions,
    CHECK ((decision IS NULL) = (decided_at IS NULL) AND (decision IS NULL) = (decided_by IS NULL)),
    CHECK ((decision IS NULL) = (status IN ('open', 'claimed'))),
    CHECK (consumed_at IS NULL OR decision = 'approved')
);
CREATE INDEX handoffs_by_due ON handoffs (organisation, sla_due_at, id);
CREATE INDEX handoffs_undecided ON handoffs (organisation, sla_due_at, id) WHERE decision IS NULL;
CREATE INDEX handoffs_by_customer ON handoffs (organisation, customer_id, opened_at);
CREATE INDEX handoffs_untold ON handoffs (decided_at) WHERE decision IS NOT NULL AND told_at IS NULL;
CREATE TABLE handoff_events (
    organisation varchar NOT NULL, id varchar NOT NULL,
    handoff_id varchar NOT NULL,
    kind varchar NOT NULL, actor varchar NOT NULL,
    at timestamptz NOT NULL,
    details jsonb NOT NULL,
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation, handoff_id) REFERENCES handoffs
);
CREATE INDEX handoff_events_by_handoff ON handoff_events (organisation, handoff_id, at, id);
CREATE TABLE effects (
    organisation varchar NOT NULL, id varchar NOT NULL,
    key varchar NOT NULL,
    interaction_id varchar NOT NULL, decision_id varchar NOT NULL, handoff_id varchar,
    customer_id varchar NOT NULL,
    ordinal integer NOT NULL,
    tool varchar NOT NULL,
    effect_class varchar NOT NULL CHECK (effect_class IN ('write', 'money')),
    arguments jsonb NOT NULL, digest varchar NOT NULL,
    subject varchar, amount bigint CHECK (amount > 0), currency varchar,
    policy_version bigint NOT NULL,
    reserved_at timestamptz NOT NULL,
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, key),
    UNIQUE (organisation, interaction_id, ordinal),
    FOREIGN KEY (organisation, interaction_id) REFERENCES interactions,
    FOREIGN KEY (organisation, decision_id) REFERENCES decisions,
    FOREIGN KEY (organisation, handoff_id) REFERENCES handoffs,
    CHECK (effect_class <> 'money' OR (amount IS NOT NULL AND currency IS NOT NULL))
);
CREATE INDEX effects_by_customer ON effects (organisation, customer_id, reserved_at);
CREATE INDEX effects_money ON effects (organisation, customer_id, subject) WHERE effect_class = 'money';
CREATE TABLE effect_events (
    organisation varchar NOT NULL, effect_id varchar NOT NULL,
    attempt integer NOT NULL CHECK (attempt > 0),
    state varchar NOT NULL
        CHECK (state IN ('dispatched', 'withdrawn', 'confirmed', 'failed', 'unknown', 'undone', 'late')),
    result jsonb, error_code varchar,
    at timestamptz NOT NULL,
    PRIMARY KEY (organisation, effect_id, attempt, state),
    FOREIGN KEY (organisation, effect_id) REFERENCES effects
);
CREATE UNIQUE INDEX effect_events_terminal ON effect_events (organisation, effect_id)
    WHERE state IN ('confirmed', 'failed', 'unknown');
CREATE UNIQUE INDEX effect_events_undone ON effect_events (organisation, effect_id) WHERE state = 'undone';
CREATE TABLE tickets (
    organisation varchar NOT NULL, id varchar NOT NULL,
    key varchar NOT NULL,
    customer_id varchar NOT NULL, interaction_id varchar NOT NULL,
    topic varchar NOT NULL, priority varchar NOT NULL,
    state varchar NOT NULL CHECK (state IN ('open', 'closed')),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, key),
    FOREIGN KEY (organisation, customer_id) REFERENCES customers
);
CREATE INDEX tickets_open ON tickets (organisation, customer_id) WHERE state = 'open';
CREATE TABLE deliveries (
    organisation varchar NOT NULL, id varchar NOT NULL,
    interaction_id varchar NOT NULL, customer_id varchar NOT NULL,
    purpose varchar NOT NULL, channel varchar NOT NULL,
    effect_id varchar,
    body varchar NOT NULL,
    status varchar NOT NULL CHECK (status IN ('pending', 'delivered', 'dead_letter', 'discarded')),
    created_at timestamptz NOT NULL, delivered_at timestamptz,
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, interaction_id, purpose, channel),
    FOREIGN KEY (organisation, interaction_id) REFERENCES interactions,
    FOREIGN KEY (organisation, effect_id) REFERENCES effects
);
CREATE INDEX deliveries_by_effect ON deliveries (organisation, effect_id) WHERE effect_id IS NOT NULL;
CREATE INDEX deliveries_newest ON deliveries (organisation, created_at, id);
CREATE INDEX deliveries_by_status ON deliveries (organisation, status, created_at, id) WHERE status <> 'delivered';
CREATE TABLE delivery_events (
    organisation varchar NOT NULL, id varchar NOT NULL,
    delivery_id varchar NOT NULL,
    status varchar NOT NULL, code varchar,
    at timestamptz NOT NULL,
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation, delivery_id) REFERENCES deliveries
);
CREATE INDEX delivery_events_by_delivery ON delivery_events (organisation, delivery_id, at);
CREATE TABLE audit_events (
    organisation varchar NOT NULL, id varchar NOT NULL,
    at timestamptz NOT NULL,
    actor varchar NOT NULL, action varchar NOT NULL, subject varchar NOT NULL,
    details jsonb NOT NULL,
    PRIMARY KEY (organisation, id)
);
CREATE INDEX audit_events_by_time ON audit_events (organisation, at, id);
CREATE INDEX audit_events_by_subject ON audit_events (organisation, subject, at)
"""

# Two roles: one for the application, one for the two questions that cross organisations. Roles belong to the whole
# server, so another database of it may have made them already, even at this very moment.
ROLES = """
DO $$
DECLARE wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['holdfast_app', 'holdfast_lookup'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
            END;
        END IF;
        IF NOT pg_has_role(current_user, wanted, 'SET') THEN
            EXECUTE format('GRANT %I TO %I', wanted, current_user);
        END IF;
    END LOOP;
END $$
"""

# Insert-only where nothing is named. The rest may change these columns and no others.
MAY_CHANGE = {
    "organisations": "name",
    "api_keys": "revoked_at",
    "customers": "name, email, phone, plan, status, language, time_zone, region, updated_at",
    "conversations": "state",
    "invoices": "total_amount, currency, status, paid_at, description, updated_at",
    "interactions": "status, intent, confidence, outcome, reply, answer, handoff_id, answered_at, finished_at",
    "handoffs": "status, priority, breached_at, assignee, decided_at, decided_by, decision, resolution, told_at, consumed_at",
    "deliveries": "status, delivered_at",
    "refunds": "",
    "tickets": "",
    "decisions": "",
    "effects": "",
    "effect_events": "",
    "handoff_events": "",
    "delivery_events": "",
    "audit_events": "",
}

LOOKUPS = """
GRANT SELECT (organisation, id, name, scopes, key_hash, expires_at, revoked_at) ON api_keys TO holdfast_lookup;
GRANT SELECT (organisation, id, decision, decided_at, told_at) ON handoffs TO holdfast_lookup;
CREATE POLICY lookup ON api_keys FOR SELECT TO holdfast_lookup USING (true);
CREATE POLICY lookup ON handoffs FOR SELECT TO holdfast_lookup USING (true);
CREATE FUNCTION resolve_api_key(hash bytea)
    RETURNS TABLE (organisation varchar, key_id varchar, name varchar, scopes varchar[])
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
BEGIN ATOMIC
    SELECT k.organisation, k.id, k.name, k.scopes FROM api_keys k
    WHERE k.key_hash = hash AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now());
END;
CREATE FUNCTION untold_handoffs(most integer)
    RETURNS TABLE (organisation varchar, handoff_id varchar)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
BEGIN ATOMIC
    SELECT h.organisation, h.id FROM handoffs h
    WHERE h.decision IS NOT NULL AND h.told_at IS NULL ORDER BY h.decided_at LIMIT most;
END;
REVOKE ALL ON FUNCTION resolve_api_key(bytea), untold_handoffs(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION resolve_api_key(bytea), untold_handoffs(integer) TO holdfast_app;
GRANT CREATE ON SCHEMA {schema} TO holdfast_lookup;
ALTER FUNCTION resolve_api_key(bytea) OWNER TO holdfast_lookup;
ALTER FUNCTION untold_handoffs(integer) OWNER TO holdfast_lookup;
REVOKE CREATE ON SCHEMA {schema} FROM holdfast_lookup
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(ROLES)
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(f"GRANT USAGE ON SCHEMA {schema} TO holdfast_app, holdfast_lookup")
    op.execute("GRANT SELECT ON alembic_version TO holdfast_app")
    for table, columns in MAY_CHANGE.items():
        tenant = "id" if table == "organisations" else "organisation"
        bound = f"{tenant} = nullif(current_setting('holdfast.organisation', true), '')"
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY organisation ON {table} TO holdfast_app USING ({bound}) WITH CHECK ({bound})")
        op.execute(f"GRANT SELECT, INSERT ON {table} TO holdfast_app")
        if columns:
            op.execute(f"GRANT UPDATE ({columns}) ON {table} TO holdfast_app")
    op.execute(LOOKUPS.format(schema=schema))


def downgrade() -> None:
    op.execute("DROP FUNCTION resolve_api_key(bytea), untold_handoffs(integer)")
    op.execute(f"DROP TABLE {', '.join(MAY_CHANGE)}")
    op.execute("DROP OWNED BY holdfast_app, holdfast_lookup")
    # Another database of this server may still use the roles, or they may be somebody else's.
    op.execute(
        "DO $$ BEGIN DROP ROLE holdfast_app; DROP ROLE holdfast_lookup; "
        "EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN NULL; END $$"
    )
