"""Signing in by an organisation's own identity provider, and a limit for everybody who calls."""

from alembic import op

from schema.migrations.protection import protect

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE identity_providers (
    organisation varchar NOT NULL, version integer NOT NULL CHECK (version > 0),
    id varchar NOT NULL,
    body jsonb NOT NULL,
    sealed_secret bytea,
    created_at timestamptz NOT NULL,
    created_by varchar NOT NULL,
    PRIMARY KEY (organisation, version)
);
CREATE TABLE operator_identities (
    organisation varchar NOT NULL, id varchar NOT NULL,
    operator_id varchar NOT NULL,
    issuer varchar NOT NULL,
    subject varchar NOT NULL,
    linked_by varchar NOT NULL,
    linked_at timestamptz NOT NULL,
    last_sign_in_at timestamptz,
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, issuer, subject),
    UNIQUE (organisation, operator_id, issuer),
    FOREIGN KEY (organisation, operator_id) REFERENCES operators
);
CREATE TABLE oidc_attempts (
    organisation varchar NOT NULL, id varchar NOT NULL,
    state_hash bytea NOT NULL UNIQUE,
    browser_hash bytea NOT NULL,
    provider_id varchar NOT NULL,
    provider_version integer NOT NULL,
    session_id varchar,
    return_to varchar NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation, session_id) REFERENCES sessions
);
CREATE INDEX oidc_attempts_by_time ON oidc_attempts (organisation, expires_at);
ALTER TABLE sessions ADD COLUMN identity_id varchar;
GRANT SELECT (identity_id) ON sessions TO holdfast_lookup;
"""
# Of everybody who calls: their own limit first, then their organisation's. `slot` stands for a customer: many share one,
# so that it says nothing about anybody and there are never more of them.
LOOKUPS = """
GRANT SELECT (organisation, state_hash) ON oidc_attempts TO holdfast_lookup;
CREATE POLICY lookup ON oidc_attempts FOR SELECT TO holdfast_lookup USING (current_user = 'holdfast_lookup');
CREATE FUNCTION whose_oidc_attempt(hash bytea) RETURNS TABLE (organisation varchar)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
BEGIN ATOMIC
    SELECT a.organisation FROM oidc_attempts a WHERE a.state_hash = hash;
END;
CREATE FUNCTION spend_both(whose varchar, what varchar, named varchar, own_most integer, most integer,
                           window_s double precision, OUT own_ahead_s double precision,
                           OUT ahead_s double precision, OUT refused_by varchar)
    LANGUAGE plpgsql VOLATILE SET search_path = {schema}, pg_temp
AS $$
DECLARE
    is_refused boolean;
BEGIN
    -- What can only be read cannot be counted: a standby answers reads without a limit.
    IF current_setting('transaction_read_only') = 'on' THEN
        RETURN;
    END IF;
    SELECT s.ahead_s, s.is_refused INTO own_ahead_s, is_refused FROM spend(whose, what, own_most, window_s) s;
    IF is_refused THEN
        refused_by := named;
        RETURN;
    END IF;
    SELECT s.ahead_s, s.is_refused INTO ahead_s, is_refused FROM spend(whose, '', most, window_s) s;
    IF is_refused THEN
        refused_by := 'organisation';
    END IF;
END $$;
CREATE FUNCTION admit_session(hash bytea, usual integer, own_percent integer, window_s double precision)
    RETURNS TABLE (organisation varchar, session_id varchar, operator_id varchar, scopes varchar[],
                   stepped_up_at timestamptz, is_one_time boolean, identity_id varchar, most integer,
                   own_most integer, own_ahead_s double precision, ahead_s double precision, refused_by varchar)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = {schema}, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    SELECT s.organisation, s.id, o.id, o.scopes, s.stepped_up_at,
        o.one_time_until IS NOT NULL AND s.identity_id IS NULL, s.identity_id, coalesce(g.rate_limit, usual)
        INTO organisation, session_id, operator_id, scopes, stepped_up_at, is_one_time, identity_id, most
        FROM sessions s JOIN operators o ON o.organisation = s.organisation AND o.id = s.operator_id
        LEFT JOIN organisations g ON g.id = s.organisation
        WHERE s.token_hash = hash AND s.ended_at IS NULL AND s.idle_until > now() AND s.expires_at > now()
            AND o.disabled_at IS NULL;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    own_most := greatest(1, most * own_percent / 100);
    SELECT b.own_ahead_s, b.ahead_s, b.refused_by INTO own_ahead_s, ahead_s, refused_by
        FROM spend_both(organisation, operator_id, 'operator', own_most, most, window_s) b;
    RETURN NEXT;
END $$;
CREATE FUNCTION admit_customer_token(hash bytea, usual integer, own_percent integer, window_s double precision)
    RETURNS TABLE (organisation varchar, customer_id varchar, most integer,
                   own_most integer, own_ahead_s double precision, ahead_s double precision, refused_by varchar)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = {schema}, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    slot integer;
BEGIN
    SELECT t.organisation, t.customer_id, coalesce(g.rate_limit, usual) INTO organisation, customer_id, most
        FROM customer_tokens t LEFT JOIN organisations g ON g.id = t.organisation
        WHERE t.token_hash = hash AND t.expires_at > now();
    IF NOT FOUND THEN
        RETURN;
    END IF;
    own_most := greatest(1, most * own_percent / 100);
    slot := get_byte(sha256(convert_to(customer_id, 'UTF8')), 0) * 256
        + get_byte(sha256(convert_to(customer_id, 'UTF8')), 1);
    SELECT b.own_ahead_s, b.ahead_s, b.refused_by INTO own_ahead_s, ahead_s, refused_by
        FROM spend_both(organisation, 'customers ' || slot, 'customer', own_most, most, window_s) b;
    RETURN NEXT;
END $$;
REVOKE ALL ON FUNCTION whose_oidc_attempt(bytea), admit_session(bytea, integer, integer, double precision),
    admit_customer_token(bytea, integer, integer, double precision),
    spend_both(varchar, varchar, varchar, integer, integer, double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whose_oidc_attempt(bytea), admit_session(bytea, integer, integer, double precision),
    admit_customer_token(bytea, integer, integer, double precision) TO holdfast_app;
GRANT EXECUTE ON FUNCTION spend_both(varchar, varchar, varchar, integer, integer, double precision)
    TO holdfast_lookup;
GRANT CREATE ON SCHEMA {schema} TO holdfast_lookup;
ALTER FUNCTION whose_oidc_attempt(bytea) OWNER TO holdfast_lookup;
ALTER FUNCTION admit_session(bytea, integer, integer, double precision) OWNER TO holdfast_lookup;
ALTER FUNCTION admit_customer_token(bytea, integer, integer, double precision) OWNER TO holdfast_lookup;
REVOKE CREATE ON SCHEMA {schema} FROM holdfast_lookup
"""
# Who came by a provider has no password to come back with: their sessions end with the column that says so.
DOWN = """
DROP FUNCTION admit_session(bytea, integer, integer, double precision),
    admit_customer_token(bytea, integer, integer, double precision), whose_oidc_attempt(bytea);
DROP FUNCTION spend_both(varchar, varchar, varchar, integer, integer, double precision);
DROP TABLE oidc_attempts, operator_identities, identity_providers;
ALTER TABLE sessions NO FORCE ROW LEVEL SECURITY;
UPDATE sessions SET ended_at = now() WHERE identity_id IS NOT NULL AND ended_at IS NULL;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;
ALTER TABLE sessions DROP COLUMN identity_id
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(TABLES)
    protect("identity_providers")
    protect("operator_identities", "last_sign_in_at", may_delete=True)
    protect("oidc_attempts", "used_at", may_delete=True)
    op.execute(LOOKUPS.format(schema=schema))


def downgrade() -> None:
    op.execute(DOWN)
