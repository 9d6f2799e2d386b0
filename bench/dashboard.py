"""How long a dashboard takes over a million interactions. `python -m bench.dashboard`"""

import asyncio
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated

import psycopg
import typer
from rich.console import Console

from domain.dashboard import LONGEST, Window
from domain.values import OrganisationId
from schema.dashboards import DashboardRepository
from schema.rollups import RollupRepository
from schema.session import Database
from tests.postgres import embedded_postgres

ORGANISATION = OrganisationId("bench")
OPEN_SHARE = 2_000
"""One in so many interactions waits for somebody."""
# Made in the database: spread evenly over the days before a moment, one in ten asks a person, two in five have an
# effect, half send an e-mail. Foreign keys are not checked while they are written.
_FILL = """
SET session_replication_role = replica;
CREATE TEMP TABLE made AS
    SELECT n, lpad(to_hex(n), 32, '0') AS hex,
           %(until)s::timestamptz - (n * (%(days)s * interval '1 day') / %(count)s) AS at,
           (ARRAY['refund_request', 'billing_question', 'order_status', 'cancellation', 'other'])[1 + n %% 5] AS intent,
           n %% 10 = 0 AS asks, n %% 5 < 2 AS acts, n %% 2 = 0 AS mails, n %% %(share)s = 0 AS is_open
    FROM generate_series(1, %(count)s) n;
INSERT INTO customers (organisation, id, name, plan, status, conversation_id, created_at, updated_at)
    SELECT %(organisation)s, 'cust_' || n, 'Somebody', 'pro', 'active', 'cnv_' || n, now(), now()
    FROM generate_series(0, 999) n;
INSERT INTO interactions (organisation, id, customer_id, request_id, conversation_id, channel, mode, message,
                          fingerprint, body_fields, workflow_id, status, intent, confidence, outcome, reply,
                          answer, created_at, answered_at, finished_at)
    SELECT %(organisation)s, 'int_' || hex, 'cust_' || n %% 1000, 'req_' || n, 'cnv_' || n %% 1000, 'chat',
           CASE WHEN n %% 50 = 0 THEN 'shadow' ELSE 'live' END, 'please refund my invoice', repeat('f', 64), '{}',
           'interaction:bench:' || n, CASE WHEN is_open THEN 'waiting_for_human' ELSE 'completed' END, intent,
           0.5 + (n %% 50) / 100.0, CASE WHEN asks THEN 'ask_human' ELSE 'proceed' END, 'Done.', '{"reply": "Done."}',
           at, at + interval '1 second',
           CASE WHEN is_open THEN NULL WHEN asks THEN at + interval '3 hours' ELSE at + interval '1 second' END
    FROM made;
INSERT INTO decisions (organisation, id, interaction_id, stage, mode, outcome, priority, intent, confidence,
                       policy_version, digest, decision, proposal, facts, at)
    SELECT %(organisation)s, 'dec_' || hex, 'int_' || hex, 'first', 'live',
           CASE WHEN asks THEN 'ask_human' ELSE 'proceed' END, 'normal', intent, 0.9, 1, repeat('d', 64),
           jsonb_build_object('reasons', jsonb_build_array(jsonb_build_object(
               'rule', intent, 'code', 'reason_' || n %% 7)), 'issues', '[]'::jsonb), '{}', '{}', at
    FROM made;
INSERT INTO handoffs (organisation, id, interaction_id, customer_id, kind, status, priority, reason, confidence,
                      decision_id, digest, proposed, issues, opened_at, sla_due_at, decided_at, decided_by, decision,
                      told_at, revision)
    SELECT %(organisation)s, 'hnd_' || hex, 'int_' || hex, 'cust_' || n %% 1000, 'approval',
           CASE WHEN is_open THEN 'open' ELSE 'resolved' END, 'normal', 'over_auto_limit', 0.9, 'dec_' || hex, '', '[]',
           '[]', at, at + interval '4 hours', CASE WHEN NOT is_open THEN at + interval '3 hours' END,
           CASE WHEN NOT is_open THEN 'ana' END, CASE WHEN NOT is_open THEN 'approved' END, at, 0
    FROM made WHERE asks;
INSERT INTO handoff_events (organisation, id, handoff_id, kind, actor, at, details)
    SELECT %(organisation)s, 'hev_' || hex || e.place, 'hnd_' || hex, e.kind, 'ana', at + e.after, '{}'
    FROM made CROSS JOIN (VALUES (1, 'opened', interval '0'), (2, 'claimed', interval '9 minutes'),
                                 (3, 'approved', interval '3 hours')) e (place, kind, after)
    WHERE asks AND (NOT is_open OR e.place = 1);
INSERT INTO effects (organisation, id, key, interaction_id, decision_id, customer_id, ordinal, tool, effect_class,
                     arguments, digest, policy_version, reserved_at)
    SELECT %(organisation)s, 'eff_' || hex, 'key_' || n, 'int_' || hex, 'dec_' || hex, 'cust_' || n %% 1000, 0,
           (ARRAY['issue_refund', 'create_ticket', 'send_email'])[1 + n %% 3], 'write', '{}', '', 1, at
    FROM made WHERE acts;
INSERT INTO effect_events (organisation, effect_id, attempt, state, at)
    SELECT %(organisation)s, 'eff_' || hex, 1, e.state, at
    FROM made CROSS JOIN (VALUES ('dispatched'), ('confirmed')) e (state) WHERE acts;
INSERT INTO deliveries (organisation, id, interaction_id, customer_id, purpose, channel, body, status, created_at,
                        delivered_at, message_class, attempts, attempts_before, round, version, told_at)
    SELECT %(organisation)s, 'dlv_' || hex || c.place, 'int_' || hex, 'cust_' || n %% 1000, 'answer', c.channel,
           'Done.', 'delivered', at, at + c.after, 'transactional', c.place, 0, 0, 1, at
    FROM made CROSS JOIN (VALUES (0, 'chat', interval '0'), (1, 'email', interval '2 seconds'))
        c (place, channel, after)
    WHERE mails OR c.place = 0;
INSERT INTO delivery_events (organisation, id, delivery_id, status, at, attempt)
    SELECT %(organisation)s, 'dev_' || hex || e.place, 'dlv_' || hex || '1', e.status, at + e.after, 1
    FROM made CROSS JOIN (VALUES (1, 'attempting', interval '1 second'), (2, 'delivered', interval '2 seconds'))
        e (place, status, after)
    WHERE mails;
DROP TABLE made;
RESET session_replication_role;
"""


def fill(
    owner: psycopg.Connection, organisation: OrganisationId, count: int, until: datetime, *, days: int = 30
) -> None:
    """So many interactions before a moment, with everything that belongs to them. The connection is a superuser's."""
    values = {"organisation": organisation, "count": count, "until": until, "days": days, "share": OPEN_SHARE}
    with psycopg.ClientCursor(owner) as cursor:
        cursor.execute(_FILL.encode(), values)
    owner.execute("ANALYZE")


async def measure(db: Database, count: int, now: datetime, console: Console) -> None:
    """Rolls up what there is, then asks again and again for windows of several lengths."""
    began, done = time.perf_counter(), False
    while not done:
        async with db.transaction(ORGANISATION) as session:
            done = (await RollupRepository(session).roll(now)).done
    console.print(f"rolled up {count} interactions from nothing in {time.perf_counter() - began:.1f} s")
    began = time.perf_counter()
    async with db.transaction(ORGANISATION) as session:
        await RollupRepository(session).roll(now + timedelta(minutes=1))
    console.print(f"the next minute's run takes {1000 * (time.perf_counter() - began):.0f} ms")
    for length in (timedelta(days=1), timedelta(days=7), timedelta(days=30), LONGEST):
        window = Window.around(now - length, now)
        took = [await _once(db, window, now + timedelta(minutes=2)) for _ in range(40)]
        p95 = statistics.quantiles(took, n=20)[-1]
        console.print(f"{length.days:>3} days: p50 {statistics.median(took):.0f} ms, p95 {p95:.0f} ms")


async def _once(db: Database, window: Window, now: datetime) -> float:
    began = time.perf_counter()
    async with db.transaction(ORGANISATION, frozen=True) as session:
        (await DashboardRepository(session).show(window, now)).model_dump_json()
    return 1000 * (time.perf_counter() - began)


def main(
    interactions: Annotated[int, typer.Option(min=1_000)] = 1_000_000,
    days: Annotated[int, typer.Option(min=1, help="Over how many days they are spread.")] = 30,
) -> None:
    """Needs a few gigabytes of disk and some minutes."""
    console, now = Console(), datetime.now(UTC)
    with embedded_postgres() as server:
        url = server.create()
        began = time.perf_counter()
        with server.owner(url) as owner:
            fill(owner, ORGANISATION, interactions, now, days=days)
        console.print(f"made {interactions} interactions in {time.perf_counter() - began:.0f} s")
        db = Database(url)

        async def run() -> None:
            await measure(db, interactions, now, console)
            await db.close()

        asyncio.run(run())


if __name__ == "__main__":
    typer.run(main)
