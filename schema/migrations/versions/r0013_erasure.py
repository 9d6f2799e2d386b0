"""Erasure: who a customer was and what they wrote is overwritten; what was done and decided stays countable."""

from alembic import op

from schema.migrations.protection import protect

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE erasures (
    organisation varchar NOT NULL, id varchar NOT NULL,
    request_id varchar NOT NULL,
    subject varchar NOT NULL,
    customer_id varchar,
    requested_by varchar NOT NULL,
    requested_at timestamptz NOT NULL,
    erased_at timestamptz, finished_at timestamptz,
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, request_id),
    CHECK (erased_at IS NULL OR customer_id IS NULL),
    CHECK (finished_at IS NULL OR erased_at IS NOT NULL)
);
CREATE INDEX erasures_unfinished ON erasures (requested_at) WHERE finished_at IS NULL;
"""
# A role of its own: it alone may overwrite what everybody else may only add, and only inside the function below, which
# sees one organisation like every transaction. Another database of this server may have made it already.
ROLE = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'holdfast_eraser') THEN
        BEGIN
            CREATE ROLE holdfast_eraser NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    IF NOT pg_has_role(current_user, 'holdfast_eraser', 'SET') THEN
        EXECUTE format('GRANT holdfast_eraser TO %I', current_user);
    END IF;
END $$
"""
OVERWRITES = (
    "customers", "invoices", "conversations", "conversation_events", "messages", "refunds", "tickets", "interactions",
    "decisions", "effects", "effect_events", "handoffs", "handoff_events", "handoff_revisions", "handoff_approvals",
    "deliveries", "delivery_events", "delivery_versions", "consents", "customer_tokens", "erasures",
)  # fmt: skip
# Numbers, yes and no, times, digests and names that machines made stay; so do words under keys whose words are ours.
# Every other word may be somebody's.
WORDLESS = r"""
CREATE FUNCTION wordless(value jsonb, ours boolean) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = {schema}, pg_temp
AS $$
BEGIN
    CASE jsonb_typeof(value)
    WHEN 'object' THEN
        RETURN coalesce((
            SELECT jsonb_object_agg(key, CASE
                WHEN key IN ('email', 'phone') THEN 'null'::jsonb
                WHEN key IN ('customerId', 'customer_id', 'requestId', 'request_id') THEN '"erased"'::jsonb
                ELSE wordless(inner_value, key IN (
                    'code', 'rule', 'tool', 'kind', 'outcome', 'intent', 'priority', 'mode', 'status', 'state', 'stage',
                    'source', 'currency', 'digest', 'effect', 'check', 'plan', 'decision', 'channel', 'purpose',
                    'topic', 'by', 'actor', 'onExpiry', 'on_expiry', 'calendar', 'step', 'clock'))
            END) FROM jsonb_each(value) AS each(key, inner_value)), '{{}}'::jsonb);
    WHEN 'array' THEN
        RETURN coalesce((SELECT jsonb_agg(wordless(one, ours)) FROM jsonb_array_elements(value) AS one), '[]'::jsonb);
    WHEN 'string' THEN
        IF ours OR value #>> '{{}}' ~ '^([a-z]{{2,9}}[_-]([0-9]{{1,6}}|[0-9a-f]{{16,64}}|[0-9A-HJKMNP-TV-Z]{{26}})|[0-9a-f]{{64}}|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9:.]+(Z|[+-][0-9:]+))$'
        THEN RETURN value;
        END IF;
        RETURN '"erased"'::jsonb;
    ELSE
        RETURN value;
    END CASE;
END $$
"""
ERASE = r"""
CREATE FUNCTION erase_customer(which varchar, moment timestamptz) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp
AS $$
DECLARE
    org CONSTANT varchar := nullif(current_setting('holdfast.organisation', true), '');
    tomb CONSTANT varchar := 'erased_' || right(which, 32);
    who varchar;
    bill record;
    told varchar[];
    renamed varchar;
BEGIN
    SELECT e.customer_id INTO who FROM erasures e WHERE e.organisation = org AND e.id = which FOR UPDATE;
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM FROM customers c WHERE c.organisation = org AND c.id = who FOR UPDATE;
    IF FOUND THEN
        INSERT INTO customers (organisation, id, name, plan, status, conversation_id, created_at, updated_at)
        SELECT organisation, tomb, 'erased', plan, 'closed', conversation_id, created_at, moment
        FROM customers WHERE organisation = org AND id = who;
        FOR bill IN SELECT * FROM invoices WHERE organisation = org AND customer_id = who LOOP
            renamed := CASE WHEN bill.id ~ '^(inv|invoice)[_-]([0-9]{{1,6}}|[0-9a-f]{{16,64}}|[0-9A-HJKMNP-TV-Z]{{26}})$'
                THEN bill.id ELSE 'erased_' || replace(gen_random_uuid()::text, '-', '') END;
            INSERT INTO invoices (organisation, customer_id, id, total_amount, currency, status, paid_at, description,
                                  updated_at)
            VALUES (org, tomb, renamed, bill.total_amount, bill.currency, bill.status, bill.paid_at, '', moment);
            UPDATE refunds SET customer_id = tomb, invoice_id = renamed
            WHERE organisation = org AND customer_id = who AND invoice_id = bill.id;
            UPDATE effects SET subject = renamed
            WHERE organisation = org AND customer_id = who AND subject = bill.id;
        END LOOP;
        UPDATE conversations SET customer_id = tomb WHERE organisation = org AND customer_id = who;
        UPDATE interactions SET customer_id = tomb WHERE organisation = org AND customer_id = who;
        UPDATE tickets SET customer_id = tomb WHERE organisation = org AND customer_id = who;
        UPDATE consents SET customer_id = tomb WHERE organisation = org AND customer_id = who;
        UPDATE effects SET customer_id = tomb WHERE organisation = org AND customer_id = who;
        UPDATE handoffs SET customer_id = tomb WHERE organisation = org AND customer_id = who;
        UPDATE messages SET customer_id = tomb WHERE organisation = org AND customer_id = who;
        UPDATE deliveries SET customer_id = tomb WHERE organisation = org AND customer_id = who;
        DELETE FROM customer_tokens WHERE organisation = org AND customer_id = who;
        DELETE FROM invoices WHERE organisation = org AND customer_id = who;
        DELETE FROM customers WHERE organisation = org AND id = who;
    END IF;

    -- What a step that had read the customer before wrote after: found through what it belongs to.
    told := ARRAY(SELECT id FROM interactions WHERE organisation = org AND customer_id = tomb);
    UPDATE effects SET customer_id = tomb WHERE organisation = org AND customer_id <> tomb
        AND interaction_id = ANY (told);
    UPDATE handoffs SET customer_id = tomb WHERE organisation = org AND customer_id <> tomb
        AND interaction_id = ANY (told);
    UPDATE deliveries SET customer_id = tomb WHERE organisation = org AND customer_id <> tomb
        AND interaction_id = ANY (told);

    UPDATE conversations SET state = 'closed', holder = NULL, human_until = NULL, held_since = NULL, held_for = NULL,
        asked_by = NULL, awaited_since = NULL
    WHERE organisation = org AND customer_id = tomb;
    UPDATE conversation_events SET details = wordless(details, false) WHERE organisation = org AND conversation_id IN
        (SELECT id FROM conversations WHERE organisation = org AND customer_id = tomb);
    UPDATE messages SET customer_id = tomb, body = 'erased', fingerprint = 'erased', request_id = 'erased_' || id
    WHERE organisation = org AND conversation_id IN
        (SELECT id FROM conversations WHERE organisation = org AND customer_id = tomb);
    UPDATE consents SET note = '' WHERE organisation = org AND customer_id = tomb;
    UPDATE interactions SET message = 'erased', fingerprint = 'erased', body_fields = '{{}}',
        request_id = 'erased_' || id, reply = CASE WHEN reply IS NULL THEN NULL ELSE 'erased' END,
        answer = wordless(answer, false)
    WHERE organisation = org AND customer_id = tomb;
    UPDATE decisions SET decision = wordless(decision, false), proposal = wordless(proposal, false),
        facts = wordless(facts, false)
    WHERE organisation = org AND interaction_id = ANY (told);
    UPDATE effects SET arguments = wordless(arguments, false) WHERE organisation = org AND customer_id = tomb;
    UPDATE effect_events SET result = wordless(result, false) WHERE organisation = org AND effect_id IN
        (SELECT id FROM effects WHERE organisation = org AND customer_id = tomb);

    INSERT INTO handoff_events (organisation, id, handoff_id, kind, actor, at, details)
    SELECT org, 'hev_' || replace(gen_random_uuid()::text, '-', ''), id, 'resolved', 'erasure', moment, '{{}}'
    FROM handoffs WHERE organisation = org AND customer_id = tomb AND decision IS NULL;
    UPDATE handoffs SET status = 'resolved', decision = 'resolved', decided_at = moment, decided_by = 'erasure',
        resolution = '{{"reply": ""}}', told_at = NULL
    WHERE organisation = org AND customer_id = tomb AND decision IS NULL;
    UPDATE handoffs SET proposed = wordless(proposed, false), issues = wordless(issues, false),
        resolution = CASE WHEN decided_by = 'erasure' THEN resolution ELSE wordless(resolution, false) END
    WHERE organisation = org AND customer_id = tomb;
    UPDATE handoff_events SET details = wordless(details, false) WHERE organisation = org AND handoff_id IN
        (SELECT id FROM handoffs WHERE organisation = org AND customer_id = tomb);
    UPDATE handoff_revisions SET proposed = wordless(proposed, false), changes = wordless(changes, false)
    WHERE organisation = org AND handoff_id IN
        (SELECT id FROM handoffs WHERE organisation = org AND customer_id = tomb);
    UPDATE handoff_approvals SET note = NULL WHERE organisation = org AND handoff_id IN
        (SELECT id FROM handoffs WHERE organisation = org AND customer_id = tomb);

    UPDATE deliveries SET body = 'erased' WHERE organisation = org AND customer_id = tomb;
    UPDATE deliveries SET status = 'discarded', reason = 'erased', next_attempt_at = NULL, decision = 'discarded',
        decided_by = 'erasure', decided_at = moment, decision_digest = '', told_at = NULL
    WHERE organisation = org AND customer_id = tomb AND status IN ('pending', 'dead_letter');
    UPDATE delivery_events SET details = wordless(details, false) WHERE organisation = org AND delivery_id IN
        (SELECT id FROM deliveries WHERE organisation = org AND customer_id = tomb);
    UPDATE delivery_versions SET body = 'erased', recipient = NULL WHERE organisation = org AND delivery_id IN
        (SELECT id FROM deliveries WHERE organisation = org AND customer_id = tomb);

    UPDATE erasures SET customer_id = NULL, erased_at = coalesce(erased_at, moment)
    WHERE organisation = org AND id = which;
    RETURN true;
END $$
"""
RIGHTS = """
REVOKE ALL ON FUNCTION erase_customer(varchar, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_customer(varchar, timestamptz) TO holdfast_app;
GRANT CREATE, USAGE ON SCHEMA {schema} TO holdfast_eraser;
ALTER FUNCTION erase_customer(varchar, timestamptz) OWNER TO holdfast_eraser;
REVOKE CREATE ON SCHEMA {schema} FROM holdfast_eraser
"""
LOOKUP = """
GRANT SELECT (organisation, id, requested_at, finished_at) ON erasures TO holdfast_lookup;
CREATE POLICY lookup ON erasures FOR SELECT TO holdfast_lookup USING (current_user = 'holdfast_lookup');
CREATE FUNCTION unfinished_erasures(before timestamptz, most integer)
    RETURNS TABLE (organisation varchar, erasure_id varchar)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}, pg_temp
BEGIN ATOMIC
    SELECT e.organisation, e.id FROM erasures e
    WHERE e.finished_at IS NULL AND e.requested_at < before ORDER BY e.requested_at LIMIT most;
END;
REVOKE ALL ON FUNCTION unfinished_erasures(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION unfinished_erasures(timestamptz, integer) TO holdfast_app;
GRANT CREATE ON SCHEMA {schema} TO holdfast_lookup;
ALTER FUNCTION unfinished_erasures(timestamptz, integer) OWNER TO holdfast_lookup;
REVOKE CREATE ON SCHEMA {schema} FROM holdfast_lookup
"""


def upgrade() -> None:
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(TABLES)
    op.execute(ROLE)
    protect("erasures", "finished_at")
    bound = "organisation = nullif(current_setting('holdfast.organisation', true), '')"
    for table in OVERWRITES:
        op.execute(f"CREATE POLICY erase ON {table} TO holdfast_eraser USING ({bound}) WITH CHECK ({bound})")
        op.execute(f"GRANT SELECT, UPDATE ON {table} TO holdfast_eraser")
    op.execute("GRANT INSERT, DELETE ON customers, invoices TO holdfast_eraser")
    op.execute("GRANT DELETE ON customer_tokens TO holdfast_eraser")
    op.execute("GRANT INSERT ON handoff_events TO holdfast_eraser")
    for statement in (WORDLESS, ERASE, RIGHTS, LOOKUP):
        op.execute(statement.format(schema=schema))


def downgrade() -> None:
    op.execute("DROP FUNCTION unfinished_erasures(timestamptz, integer)")
    op.execute("DROP FUNCTION erase_customer(varchar, timestamptz); DROP FUNCTION wordless(jsonb, boolean)")
    op.execute("DROP TABLE erasures")
    for table in OVERWRITES[:-1]:
        op.execute(f"DROP POLICY erase ON {table}")
    op.execute("DROP OWNED BY holdfast_eraser")
    op.execute(
        "DO $$ BEGIN DROP ROLE holdfast_eraser; "
        "EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN NULL; END $$"
    )
