"""How sure it is who writes: what each interaction was taken in with, verified addresses of customers, codes that were
sent to them, and whose a key is."""

from alembic import op

from schema.migrations.protection import protect

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

# Until now everybody's word was taken, so that is what older rows, and rows of the version before, say.
COLUMNS = """
ALTER TABLE interactions ADD COLUMN assurance varchar NOT NULL DEFAULT 'vouched'
        CHECK (assurance IN ('none', 'channel', 'code', 'vouched', 'token')),
    DROP CONSTRAINT interactions_status_check,
    ADD CONSTRAINT interactions_status_check CHECK (status IN
        ('running', 'waiting_for_customer', 'waiting_for_human', 'completed', 'refused', 'failed'));
GRANT UPDATE (assurance) ON interactions TO holdfast_app;
ALTER TABLE api_keys ADD COLUMN vouches boolean NOT NULL DEFAULT true, ADD COLUMN owner varchar;
ALTER TABLE api_keys NO FORCE ROW LEVEL SECURITY;
UPDATE api_keys SET owner = created_by WHERE created_by LIKE 'opr\\_%';
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
ALTER TABLE handoff_approvals ADD COLUMN person varchar;
ALTER TABLE handoff_revisions ADD COLUMN person varchar;
"""
# Both go with the customer, in the same statement: an erased one has no address and no code.
TABLES = """
CREATE TABLE customer_channels (
    organisation varchar NOT NULL, id varchar NOT NULL,
    customer_id varchar NOT NULL,
    kind varchar NOT NULL CHECK (kind IN ('email')),
    address_hash varchar NOT NULL,
    created_by varchar NOT NULL,
    created_at timestamptz NOT NULL, verified_at timestamptz,
    PRIMARY KEY (organisation, id),
    CONSTRAINT customer_channels_address_key UNIQUE (organisation, customer_id, kind, address_hash),
    FOREIGN KEY (organisation, customer_id) REFERENCES customers ON DELETE CASCADE
);
CREATE UNIQUE INDEX customer_channels_verified ON customer_channels (organisation, kind, address_hash)
    WHERE verified_at IS NOT NULL;
CREATE TABLE customer_codes (
    organisation varchar NOT NULL, id varchar NOT NULL,
    customer_id varchar NOT NULL,
    channel_id varchar NOT NULL,
    interaction_id varchar,
    bound varchar NOT NULL,
    nonce bytea,
    state varchar NOT NULL CHECK (state IN ('open', 'proven', 'used_up', 'expired')),
    tried varchar[] NOT NULL,
    sends integer NOT NULL,
    sent_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL, expires_at timestamptz NOT NULL, ended_at timestamptz,
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, interaction_id),
    FOREIGN KEY (organisation, customer_id) REFERENCES customers ON DELETE CASCADE,
    FOREIGN KEY (organisation, channel_id) REFERENCES customer_channels ON DELETE CASCADE,
    CHECK ((nonce IS NOT NULL) = (state = 'open'))
);
CREATE INDEX customer_codes_by_customer ON customer_codes (organisation, customer_id, created_at);
CREATE INDEX customer_codes_by_channel ON customer_codes (organisation, channel_id, created_at);
"""
# `admit_api_key` stays for processes of the version before.
LOOKUP = """
GRANT SELECT (vouches, owner) ON api_keys TO holdfast_lookup;
CREATE FUNCTION admit_key(hash bytea, usual integer, key_percent integer, window_s double precision)
    RETURNS TABLE (organisation varchar, key_id varchar, name varchar, scopes varchar[], ended varchar,
                   most integer, ahead_s double precision, key_most integer, key_ahead_s double precision,
                   refused_by varchar, vouches boolean, owner varchar)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = {schema}, pg_temp
BEGIN ATOMIC
    SELECT a.organisation, a.key_id, a.name, a.scopes, a.ended, a.most, a.ahead_s, a.key_most, a.key_ahead_s,
           a.refused_by, k.vouches, k.owner
    FROM admit_api_key(hash, usual, key_percent, window_s) a
    JOIN api_keys k ON k.organisation = a.organisation AND k.id = a.key_id;
END;
REVOKE ALL ON FUNCTION admit_key(bytea, integer, integer, double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION admit_key(bytea, integer, integer, double precision) TO holdfast_app;
GRANT CREATE ON SCHEMA {schema} TO holdfast_lookup;
ALTER FUNCTION admit_key(bytea, integer, integer, double precision) OWNER TO holdfast_lookup;
REVOKE CREATE ON SCHEMA {schema} FROM holdfast_lookup
"""
# A wait that the version before does not know is one for a person to it: its workflow is pinned and goes on.
DOWN = """
DROP FUNCTION admit_key(bytea, integer, integer, double precision);
DROP TABLE customer_codes, customer_channels;
ALTER TABLE handoff_revisions DROP COLUMN person;
ALTER TABLE handoff_approvals DROP COLUMN person;
ALTER TABLE api_keys DROP COLUMN vouches, DROP COLUMN owner;
ALTER TABLE interactions NO FORCE ROW LEVEL SECURITY;
UPDATE interactions SET status = 'waiting_for_human' WHERE status = 'waiting_for_customer';
ALTER TABLE interactions FORCE ROW LEVEL SECURITY;
ALTER TABLE interactions DROP COLUMN assurance,
    DROP CONSTRAINT interactions_status_check,
    ADD CONSTRAINT interactions_status_check CHECK (status IN
        ('running', 'waiting_for_human', 'completed', 'refused', 'failed'))
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(COLUMNS)
    op.execute(TABLES)
    protect("customer_channels", "verified_at", may_delete=True)
    protect("customer_codes", "state, nonce, tried, sends, sent_at, expires_at, ended_at")
    op.execute(LOOKUP.format(schema=schema))


def downgrade() -> None:
    op.execute(DOWN)
