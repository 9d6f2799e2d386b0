"""The checker of fault runs, asked about mails that did not arrive: it finds nothing in what the product does, and
each lie somebody tells in the database or the journal."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from domain.interaction import EffectState
from domain.values import DeliveryId
from schema.dead_letters import DeadLetterRepository
from schema.deliveries import DeliveryRepository
from schema.effects import EffectRepository
from schema.session import Database
from tests.faults.check import NO_VERDICT, Evidence, Row, a_dead_letter_says_what_is_known
from tests.outgoing import Outgoing, outgoing, wall_clock
from tests.postgres import PostgresServer
from tests.schema.given import ACME

NO_SUCH_USER = "550 5.1.1 No such user"


@pytest.fixture
async def post(database: Database) -> AsyncIterator[Outgoing]:
    async with outgoing(database) as post:
        yield post


async def given_up(post: Outgoing, *, may_have_arrived: bool = False) -> DeliveryId:
    """A mail the server refused; before that, perhaps, an attempt nobody reported on."""
    delivery_id = await post.reply()
    if may_have_arrived:
        async with post.db.transaction(ACME) as session:
            delivery = await DeliveryRepository(session).get(delivery_id, lock=True)
            assert delivery.effect_id is not None
            await EffectRepository(session).dispatch(delivery.effect_id, idempotent=True, at=wall_clock())
    post.mails.faults["rcpt"] = [NO_SUCH_USER]
    await post.send(delivery_id)
    return delivery_id


async def discarded(post: Outgoing, delivery_id: DeliveryId, verdict: EffectState) -> None:
    async with post.db.transaction(ACME) as session:
        settled = await DeadLetterRepository(session).discard(delivery_id, "let it be", "ana", wall_clock())
        assert settled.record.effect_id is not None
        ledger = EffectRepository(session)
        await ledger.close(await ledger.get(settled.record.effect_id), verdict, "discarded", wall_clock())


def found(url: str, folder: Path) -> list[str]:
    """The rules that are broken."""
    with psycopg.Connection[Row].connect(url, row_factory=dict_row) as connection:
        evidence = Evidence(folder, connection)
        a_dead_letter_says_what_is_known(evidence)
        stuck = ["stuck"] * len(evidence.rows(NO_VERDICT))
    return [violation["rule"] for violation in evidence.violations] + stuck


async def test_what_the_product_does_with_a_refused_mail_is_in_order(
    post: Outgoing, database_url_of_test: str, tmp_path: Path
) -> None:
    await post.send(await post.reply())
    await given_up(post)
    await given_up(post, may_have_arrived=True)
    await discarded(post, await given_up(post), EffectState.FAILED)
    await discarded(post, await given_up(post, may_have_arrived=True), EffectState.UNKNOWN)
    assert found(database_url_of_test, tmp_path) == []


LIES = {
    "a verdict while it waits": (
        "INSERT INTO effect_events (organisation, effect_id, attempt, state, at)"
        " SELECT organisation, id, 1, 'failed', now() FROM effects",
        ["a mail and its effect differ"],
    ),
    "confirmed, and nobody says that it came back": (
        "INSERT INTO effect_events (organisation, effect_id, attempt, state, at)"
        " SELECT organisation, id, 1, 'confirmed', now() FROM effects",
        ["a mail and its effect differ"],
    ),
    "discarded without a verdict": (
        "UPDATE deliveries SET status = 'discarded'",
        ["a mail and its effect differ", "stuck"],
    ),
    "delivered without a verdict": (
        "UPDATE deliveries SET status = 'delivered'",
        ["a mail and its effect differ", "stuck"],
    ),
    "nobody knows why": (
        "UPDATE deliveries SET reason = NULL",
        ["given up without a reason", "stuck"],
    ),
}


@pytest.mark.parametrize("lie", LIES)
async def test_negative_control_a_lie_in_the_database_is_found(
    post: Outgoing, postgres: PostgresServer, database_url_of_test: str, tmp_path: Path, lie: str
) -> None:
    await given_up(post)
    statement, rules = LIES[lie]
    with postgres.owner(database_url_of_test) as owner:
        owner.execute(statement.encode())
    assert found(database_url_of_test, tmp_path) == rules


@pytest.mark.parametrize(("may_have_arrived", "rules"), [(False, ["surely not sent, and taken"]), (True, [])])
async def test_negative_control_a_mail_the_world_took_was_not_surely_refused(
    post: Outgoing, database_url_of_test: str, tmp_path: Path, may_have_arrived: bool, rules: list[str]
) -> None:
    effect = await post.effect(await given_up(post, may_have_arrived=may_have_arrived))
    mail = {"kind": "mail", "to": ["anna@example.com"], "key": f"<{effect.effect.key}@holdfast.invalid>"}
    (tmp_path / "journal.jsonl").write_text(json.dumps({**mail, "fault": None, "executed": True}) + "\n")
    assert found(database_url_of_test, tmp_path) == rules
