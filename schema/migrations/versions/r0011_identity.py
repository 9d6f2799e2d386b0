"""Who is calling: keys that can be rotated and say when they were last used."""

from alembic import op

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
REVOKE ALL ON FUNCTION resolve_key(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION resolve_key(bytea) TO holdfast_app;
GRANT CREATE ON SCHEMA {schema} TO holdfast_lookup;
ALTER FUNCTION resolve_key(bytea) OWNER TO holdfast_lookup;
REVOKE CREATE ON SCHEMA {schema} FROM holdfast_lookup
"""
# Of two keys of one name only the newer one goes on: the index of the version before admits no other.
DOWN = """
DROP FUNCTION resolve_key(bytea);
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
    op.execute(LOOKUPS.format(schema=schema))


def downgrade() -> None:
    op.execute(DOWN)
