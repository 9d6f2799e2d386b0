"""Who is calling: keys that can be rotated, operators with their sessions, end customers with a
token, and how often somebody failed."""

from alembic import op

from schema.migrations.protection import protect

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# A name belongs to one key that is neither revoked nor replaced: a rotated key and its successor are one person.
KEYS = """
ALTER TABLE api_keys
    ADD COLUMN hint varchar NOT NULL DEFAULT '',
    ADD COLUMN created_by varchar,
    ADD COLUMN last_used_at timestamptz,
    ADD COLUMN replaced_by varchar;
DROP INDEX api_keys_by_name;
CREATE UNIQUE INDEX api_keys_by_name ON api_keys (organisation, name)
    WHERE revoked_at IS NULL AND replaced_by IS NULL;
GRANT UPDATE (expires_at, last_used_at, replaced_by) ON api_keys TO holdfast_app;
ALTER TABLE handoff_approvals DROP CONSTRAINT handoff_approvals_via_check,
    ADD CONSTRAINT handoff_approvals_via_check CHECK (via IN ('key', 'link', 'session'));
"""
OPERATORS = """
CREATE TABLE operators (
    organisation varchar NOT NULL, id varchar NOT NULL,
    login varchar NOT NULL,
    password_hash varchar NOT NULL,
    one_time_until timestamptz,
    scopes varchar[] NOT NULL,
    created_by varchar NOT NULL,
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, disabled_at timestamptz,
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, login)
);
CREATE INDEX operators_newest ON operators (organisation, created_at, id);
CREATE TABLE sessions (
    organisation varchar NOT NULL, id varchar NOT NULL,
    operator_id varchar NOT NULL,
    token_hash bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    idle_until timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    stepped_up_at timestamptz,
    ended_at timestamptz,
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation, operator_id) REFERENCES operators
);
CREATE INDEX sessions_by_operator ON sessions (organisation, operator_id) WHERE ended_at IS NULL;
CREATE TABLE sign_in_throttles (
    organisation varchar NOT NULL,
    kind varchar NOT NULL CHECK (kind IN ('account', 'address')),
    key varchar NOT NULL,
    tries integer NOT NULL CHECK (tries >= 0),
    last_at timestamptz NOT NULL,
    blocked_until timestamptz NOT NULL,
    PRIMARY KEY (organisation, kind, key)
);
CREATE INDEX sign_in_throttles_by_time ON sign_in_throttles (organisation, last_at);
CREATE TABLE customer_tokens (
    organisation varchar NOT NULL, id varchar NOT NULL,
    customer_id varchar NOT NULL,
    token_hash bytea NOT NULL UNIQUE,
    created_by varchar NOT NULL,
    created_at timestamptz NOT NULL, expires_at timestamptz NOT NULL,
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation, customer_id) REFERENCES customers
);
CREATE INDEX customer_tokens_by_customer ON customer_tokens (organisation, customer_id);
"""
# `resolve_api_key` stays for processes of the version before: it knows no ended keys.
LOOKUPS = """
CREATE FUNCTION resolve_key(hash bytea)
    RETURNS TABLE (organisation varchar, key_id varchar, name varchar, scopes varchar[], ended varchar)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
BEGIN ATOMIC
    SELECT k.organisation, k.id, k.name, k.scopes,
        CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked' WHEN k.expires_at <= now() THEN 'expired' END
    FROM api_keys k WHERE k.key_hash = hash;
END;
GRANT SELECT (organisation, id, scopes, one_time_until, disabled_at) ON operators TO holdfast_lookup;
GRANT SELECT (organisation, id, operator_id, token_hash, idle_until, expires_at, stepped_up_at, ended_at)
    ON sessions TO holdfast_lookup;
CREATE POLICY lookup ON operators FOR SELECT TO holdfast_lookup USING (current_user = 'holdfast_lookup');
CREATE POLICY lookup ON sessions FOR SELECT TO holdfast_lookup USING (current_user = 'holdfast_lookup');
CREATE FUNCTION resolve_session(hash bytea)
    RETURNS TABLE (organisation varchar, session_id varchar, operator_id varchar, scopes varchar[],
                   stepped_up_at timestamptz, is_one_time boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
BEGIN ATOMIC
    SELECT s.organisation, s.id, o.id, o.scopes, s.stepped_up_at, o.one_time_until IS NOT NULL
    FROM sessions s JOIN operators o ON o.organisation = s.organisation AND o.id = s.operator_id
    WHERE s.token_hash = hash AND s.ended_at IS NULL AND s.idle_until > now() AND s.expires_at > now()
        AND o.disabled_at IS NULL;
END;
GRANT SELECT (organisation, customer_id, token_hash, expires_at) ON customer_tokens TO holdfast_lookup;
CREATE POLICY lookup ON customer_tokens FOR SELECT TO holdfast_lookup USING (current_user = 'holdfast_lookup');
CREATE FUNCTION resolve_customer_token(hash bytea)
    RETURNS TABLE (organisation varchar, customer_id varchar)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
BEGIN ATOMIC
    SELECT t.organisation, t.customer_id FROM customer_tokens t WHERE t.token_hash = hash AND t.expires_at > now();
END;
REVOKE ALL ON FUNCTION resolve_key(bytea), resolve_session(bytea), resolve_customer_token(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION resolve_key(bytea), resolve_session(bytea), resolve_customer_token(bytea) TO holdfast_app;
GRANT CREATE ON SCHEMA {schema} TO holdfast_lookup;
ALTER FUNCTION resolve_key(bytea) OWNER TO holdfast_lookup;
ALTER FUNCTION resolve_session(bytea) OWNER TO holdfast_lookup;
ALTER FUNCTION resolve_customer_token(bytea) OWNER TO holdfast_lookup;
REVOKE CREATE ON SCHEMA {schema} FROM holdfast_lookup
"""
# Of two keys of one name only the newer one goes on: the index of the version before admits no other.
DOWN = """
DROP FUNCTION resolve_key(bytea), resolve_session(bytea), resolve_customer_token(bytea);
DROP TABLE customer_tokens, sign_in_throttles, sessions, operators;
ALTER TABLE handoff_approvals NO FORCE ROW LEVEL SECURITY;
UPDATE handoff_approvals SET via = 'key' WHERE via = 'session';
ALTER TABLE handoff_approvals FORCE ROW LEVEL SECURITY;
ALTER TABLE handoff_approvals DROP CONSTRAINT handoff_approvals_via_check,
    ADD CONSTRAINT handoff_approvals_via_check CHECK (via IN ('key', 'link'));
ALTER TABLE api_keys NO FORCE ROW LEVEL SECURITY;
UPDATE api_keys SET revoked_at = now() WHERE replaced_by IS NOT NULL AND revoked_at IS NULL;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
REVOKE UPDATE (expires_at) ON api_keys FROM holdfast_app;
DROP INDEX api_keys_by_name;
CREATE UNIQUE INDEX api_keys_by_name ON api_keys (organisation, name) WHERE revoked_at IS NULL;
ALTER TABLE api_keys
    DROP COLUMN hint, DROP COLUMN created_by, DROP COLUMN last_used_at, DROP COLUMN replaced_by
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(KEYS)
    op.execute(OPERATORS)
    protect("operators", "password_hash, one_time_until, scopes, updated_at, disabled_at")
    protect("sessions", "token_hash, last_seen_at, idle_until, stepped_up_at, ended_at")
    protect("sign_in_throttles", "tries, last_at, blocked_until", may_delete=True)
    protect("customer_tokens", may_delete=True)
    op.execute(LOOKUPS.format(schema=schema))


def downgrade() -> None:
    op.execute(DOWN)
