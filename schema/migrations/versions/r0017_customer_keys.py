"""Every customer has keys of their own; they go with the customer's row, and what they sealed with them."""

from alembic import op

from schema.migrations.protection import protect

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE customer_keys (
    organisation varchar NOT NULL, id varchar NOT NULL,
    customer_id varchar NOT NULL,
    wrapped varchar NOT NULL,
    made_at timestamptz NOT NULL,
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation, customer_id) REFERENCES customers (organisation, id) ON DELETE CASCADE
);
CREATE INDEX customer_keys_by_customer ON customer_keys (organisation, customer_id, made_at);
"""
LOOKUP = """
GRANT SELECT (organisation) ON customers TO holdfast_lookup;
CREATE POLICY lookup ON customers FOR SELECT TO holdfast_lookup USING (current_user = 'holdfast_lookup');
CREATE FUNCTION organisations_with_customers(after varchar, most integer) RETURNS TABLE (organisation varchar)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
BEGIN ATOMIC
    SELECT DISTINCT c.organisation FROM customers c WHERE c.organisation > after ORDER BY c.organisation LIMIT most;
END;
REVOKE ALL ON FUNCTION organisations_with_customers(varchar, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION organisations_with_customers(varchar, integer) TO holdfast_eraser;
GRANT USAGE ON SCHEMA {schema} TO holdfast_eraser;
GRANT CREATE ON SCHEMA {schema} TO holdfast_lookup;
ALTER FUNCTION organisations_with_customers(varchar, integer) OWNER TO holdfast_lookup;
REVOKE CREATE ON SCHEMA {schema} FROM holdfast_lookup
"""
# Taking the keys away would erase everybody.
REFUSE = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM customer_keys) THEN
        RAISE EXCEPTION 'customers'' words are sealed: the release before this migration cannot read them';
    END IF;
END $$
"""


def upgrade() -> None:
    op.execute(TABLE)
    protect("customer_keys")
    # Wrapping keys anew and sealing what is old is the owner's, by the role that overwrites what the application may not.
    bound = "organisation = nullif(current_setting('holdfast.organisation', true), '')"
    op.execute(f"CREATE POLICY rewrap ON customer_keys TO holdfast_eraser USING ({bound}) WITH CHECK ({bound})")
    op.execute("GRANT SELECT, INSERT, UPDATE (wrapped) ON customer_keys TO holdfast_eraser")
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(LOOKUP.format(schema=schema))


def downgrade() -> None:
    op.execute("ALTER TABLE customer_keys NO FORCE ROW LEVEL SECURITY")  # or its owner would see no row
    op.execute(REFUSE)
    op.execute("DROP FUNCTION organisations_with_customers(varchar, integer)")
    op.execute("DROP POLICY lookup ON customers; REVOKE SELECT (organisation) ON customers FROM holdfast_lookup")
    op.execute("DROP TABLE customer_keys")
