"""How much an organisation and a key have asked lately, and a look-up of keys that counts it."""

from alembic import op

from schema.migrations.protection import protect

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# Unlogged: it is worth nothing after a crash, and a transaction that only writes here waits for no disk.
TABLES = """
ALTER TABLE organisations ADD COLUMN rate_limit integer CHECK (rate_limit > 0);
CREATE UNLOGGED TABLE rate_limits (
    organisation varchar NOT NULL, id varchar NOT NULL,
    spent_until timestamptz NOT NULL,
    PRIMARY KEY (organisation, id)
) WITH (fillfactor = 50);
GRANT UPDATE (rate_limit) ON organisations TO holdfast_app;
GRANT SELECT (id, rate_limit) ON organisations TO holdfast_lookup;
CREATE POLICY lookup ON organisations FOR SELECT TO holdfast_lookup USING (current_user = 'holdfast_lookup');
GRANT SELECT, INSERT, UPDATE (spent_until) ON rate_limits TO holdfast_lookup;
CREATE POLICY lookup ON rate_limits TO holdfast_lookup
    USING (current_user = 'holdfast_lookup') WITH CHECK (current_user = 'holdfast_lookup');
"""
# GCRA: each request moves the moment until which the budget is spent by one request's share of the window. Who would
# move it further than a window ahead has to wait. A refused request moves nothing.
LOOKUP = """
CREATE FUNCTION spend(whose varchar, what varchar, most integer, window_s double precision, OUT ahead_s double precision, OUT is_refused boolean)
    LANGUAGE plpgsql VOLATILE SET search_path = {schema}, pg_temp
AS $$
DECLARE
    at timestamptz := clock_timestamp();
    whole interval := make_interval(secs => window_s);
    share interval := make_interval(secs => window_s / most);
    until timestamptz;
BEGIN
    -- What lies further ahead than any request of this window can have moved it comes from a longer window that an
    -- installation had before: it counts for nothing.
    INSERT INTO rate_limits AS r (organisation, id, spent_until) VALUES (whose, what, at + share)
    ON CONFLICT (organisation, id) DO UPDATE SET spent_until =
        CASE WHEN r.spent_until > at + whole + interval '1 minute' THEN at ELSE greatest(r.spent_until, at) END + share
        WHERE greatest(r.spent_until, at) + share <= at + whole OR r.spent_until > at + whole + interval '1 minute'
    RETURNING spent_until INTO until;
    is_refused := until IS NULL;
    IF is_refused THEN
        SELECT r.spent_until INTO until FROM rate_limits r WHERE r.organisation = whose AND r.id = what;
    END IF;
    ahead_s := extract(epoch FROM until - at);
END $$;
CREATE FUNCTION admit_api_key(hash bytea, usual integer, key_percent integer, window_s double precision)
    RETURNS TABLE (organisation varchar, key_id varchar, name varchar, scopes varchar[], ended varchar,
                   most integer, ahead_s double precision, key_most integer, key_ahead_s double precision, refused_by varchar)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = {schema}, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    is_refused boolean;
BEGIN
    SELECT k.organisation, k.id, k.name, k.scopes, coalesce(o.rate_limit, usual),
        CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked' WHEN k.expires_at <= now() THEN 'expired' END
        INTO organisation, key_id, name, scopes, most, ended
        FROM api_keys k LEFT JOIN organisations o ON o.id = k.organisation
        WHERE k.key_hash = hash;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF ended IS NOT NULL THEN
        RETURN NEXT;
        RETURN;
    END IF;
    key_most := greatest(1, most * key_percent / 100);
    -- What can only be read cannot be counted: a standby answers reads without a limit.
    IF current_setting('transaction_read_only') = 'off' THEN
        SELECT * INTO key_ahead_s, is_refused FROM spend(organisation, key_id, key_most, window_s);
        IF is_refused THEN
            refused_by := 'key';
        ELSE
            SELECT * INTO ahead_s, is_refused FROM spend(organisation, '', most, window_s);
            IF is_refused THEN
                refused_by := 'organisation';
            END IF;
        END IF;
    END IF;
    RETURN NEXT;
END $$;
REVOKE ALL ON FUNCTION spend(varchar, varchar, integer, double precision),
    admit_api_key(bytea, integer, integer, double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION admit_api_key(bytea, integer, integer, double precision) TO holdfast_app;
GRANT EXECUTE ON FUNCTION spend(varchar, varchar, integer, double precision) TO holdfast_lookup;
GRANT CREATE ON SCHEMA {schema} TO holdfast_lookup;
ALTER FUNCTION admit_api_key(bytea, integer, integer, double precision) OWNER TO holdfast_lookup;
REVOKE CREATE ON SCHEMA {schema} FROM holdfast_lookup
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(TABLES)
    protect("rate_limits")
    op.execute(LOOKUP.format(schema=schema))


def downgrade() -> None:
    op.execute("DROP FUNCTION admit_api_key(bytea, integer, integer, double precision)")
    op.execute("DROP FUNCTION spend(varchar, varchar, integer, double precision)")
    op.execute("DROP TABLE rate_limits")
    op.execute("DROP POLICY lookup ON organisations")
    op.execute("REVOKE SELECT (id, rate_limit) ON organisations FROM holdfast_lookup")
    op.execute("ALTER TABLE organisations DROP COLUMN rate_limit")
