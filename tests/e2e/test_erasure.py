"""D-4, D-5: forgetting a customer: once, for good, nobody else, and also after a backup was restored."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from adapters.llm.embedded import EmbeddedIntentModel
from api.erasing import UNFINISHED_FOR, resume_erasures
from api.main import make_services
from domain.erasure import Tombstone
from domain.values import CustomerId, OrganisationId
from schema.erasures import ErasureRepository
from schema.portability import SECTIONS, rows_of
from schema.session import Database, Session
from settings import customer_seals
from tests.canaries import Canaries, columns
from tests.e2e.test_handoffs import digest_of
from tests.house import DEMO, House
from tests.postgres import PostgresServer
from worker import Parts, eraser


async def until(house: House, erasure: str, status: str = "erased") -> dict[str, Any]:
    async with asyncio.timeout(30):
        while (shown := (await house.http.get(f"/erasures/{erasure}")).json())["status"] != status:  # noqa: ASYNC110 - a server
            await asyncio.sleep(0.05)
    return dict(shown)


async def erased(house: House, customer: str, request: str) -> dict[str, Any]:
    asked = await house.http.post(f"/customers/{customer}/erase", json={"requestId": request})
    assert asked.status_code == 202, asked.text
    return await until(house, asked.json()["id"])


def canaries_in(postgres: PostgresServer, url: str, canaries: Canaries) -> set[str]:
    with postgres.owner(url) as owner:
        return set[str]().union(*(canaries.found_in(content) for content in columns(owner).values()))


async def test_D4_one_is_forgotten_and_the_other_is_not_touched(house: House, postgres: PostgresServer) -> None:
    mine, others = Canaries(), Canaries()
    for customer, canaries in (("cust_1", mine), ("cust_2", others)):
        await house.customer(customer, name=canaries["name"], email=canaries.email("mail"), phone=canaries.phone("tel"))
        await house.invoice("inv_1", 4_900, customer_id=customer, description=canaries["gift"])
        answer = (await house.chat(f"please refund inv_1, {canaries['said']}", customer_id=customer)).json()
        await house.until_settled(answer["interactionId"])
    before = (await house.http.get("/customers/cust_2/export")).json()
    refunds = sorted(r.amount for r in await house.refunds())
    receipt = await erased(house, "cust_1", "r1")
    again = await house.http.post("/customers/cust_1/erase", json={"requestId": "r1"})
    assert (again.status_code, again.json()["id"]) == (202, receipt["id"])
    assert canaries_in(postgres, house.settings.database_url, mine) == set()
    exported = await house.http.get("/customers/cust_2/export")
    assert others.found_in(exported.content) == set(others.words)
    after = exported.json()
    assert {**after, "exportedAt": ""} == {**before, "exportedAt": ""}
    assert sorted(r.amount for r in await house.refunds()) == refunds, "what was paid back stays paid back"
    for path in ("/customers/cust_1", "/customers/cust_1/export"):
        assert (await house.http.get(path)).status_code == 404
    assert (await house.chat("hello", customer_id="cust_1")).status_code == 404
    reused = await house.http.post("/customers/cust_2/erase", json={"requestId": "r1"})
    assert (reused.status_code, reused.json()["code"]) == (422, "request_id_reused")
    unknown = await house.http.post("/customers/cust_1/erase", json={"requestId": "r2"})
    assert unknown.status_code == 404


async def test_an_erasure_whose_workflow_never_came_to_be_is_taken_up(house: House) -> None:
    """Asked for, and the process that took it in is gone before it told Temporal."""
    await house.customer("cust_1", email="c1@example.com")
    stone = Tombstone(id="ers_lost0", organisation=DEMO, subject="s", by="ana", at=datetime.now(UTC))
    async with house.db.transaction(DEMO) as session:
        await ErasureRepository(session).request(stone, CustomerId("cust_1"), "r1")
    services = await make_services(house.settings, house.temporal)
    await resume_erasures(services)
    assert (await house.http.get("/erasures/ers_lost0")).json()["status"] == "requested", "a young one is left alone"
    later = datetime.now(UTC) + UNFINISHED_FOR + timedelta(seconds=1)
    await resume_erasures(replace(services, now=lambda: later))
    await resume_erasures(replace(services, now=lambda: later))
    await until(house, "ers_lost0")
    await services.db.close()
    assert (await house.http.get("/customers/cust_1")).status_code == 404


async def test_D4_what_waits_for_a_person_is_closed_and_its_run_ends(house: House) -> None:
    await house.customer("cust_456", plan="enterprise", email="c456@example.com")
    await house.invoice("inv_2001", 48_000, customer_id="cust_456")
    asked = (await house.chat("refund please", customer_id="cust_456")).json()
    digest = await digest_of(house, asked)
    await erased(house, "cust_456", "r1")
    ended = await house.until_finished(asked["interactionId"])
    assert (ended["status"], ended["message"], await house.refunds()) == ("completed", "erased", [])
    handoff = (await house.http.get(f"/handoffs/{asked['handoff']['id']}")).json()
    assert handoff["status"] == "resolved"
    late = await house.http.post(f"/handoffs/{asked['handoff']['id']}/approve", json={"digest": digest})
    assert late.status_code == 409
    mails = len(house.mails())
    deliveries = (await house.http.get("/deliveries")).json()["items"]
    assert all(delivery["status"] in {"delivered", "discarded"} for delivery in deliveries)
    assert len(house.mails()) == mails


async def test_D4_a_restored_backup_brings_nobody_back(
    house: House, postgres: PostgresServer, intents: EmbeddedIntentModel
) -> None:
    canaries, others = Canaries(), Canaries()
    await house.customer("cust_1", name=canaries["name"], email=canaries.email("mail"))
    await house.customer("cust_2", name=others["name"])
    answer = (await house.chat(f"hello, I am {canaries['said']}", customer_id="cust_1")).json()
    await house.until_finished(answer["interactionId"])
    await house.db.close()  # a copy is made of a database nobody is connected to
    backup = copied(postgres, house.settings.database_url)
    await erased(house, "cust_1", "r1")
    restored = Database(backup, seals=customer_seals(house.settings))
    try:
        assert canaries.found_in(await everything(restored, "cust_1")) == set(canaries.words), "the backup has it all"
        erasures = eraser(house.settings, restored, Parts.of(house.settings, intents=intents))
        assert await erasures.reapply() == 1
        assert canaries_in(postgres, backup, canaries) == set()
        assert canaries.found_in(await everything(restored, "cust_1")) == set()
        with postgres.owner(backup) as owner:
            left = owner.execute("SELECT customer_id FROM customer_keys").fetchall()
        assert {customer for (customer,) in left} == {"cust_2"}, "the keys a backup held are destroyed again"
        assert others.found_in(await everything(restored, "cust_2")) == set(others.words)
        assert await erasures.reapply() == 0
        async with restored.transaction(DEMO) as session:
            row = await session.first(text("SELECT erased_at, customer_id FROM erasures"))
        assert row is not None
        assert row.erased_at
        assert row.customer_id is None
    finally:
        await restored.close()
        postgres.drop(backup)


async def everything(db: Database, customer: str) -> bytes:
    """What an export of the customer holds."""
    async with db.transaction(DEMO, frozen=True) as session:
        found = [row async for part in _parts(session, CustomerId(customer)) for row in part]
    return "\n".join(found).encode()


async def _parts(session: Session, customer: CustomerId) -> AsyncIterator[list[str]]:
    for section in SECTIONS:
        async for rows in rows_of(session, section, customer):
            yield rows


def copied(postgres: PostgresServer, url: str) -> str:
    """What a dump and a restore give, without the wait: everybody else is thrown out first."""
    name = postgres.name(url)
    with postgres.owner(postgres.url("postgres")) as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
    return postgres.create(template=name)


async def test_who_comes_back_by_themselves_is_somebody_new(house: House, intents: EmbeddedIntentModel) -> None:
    await house.customer("cust_1")
    await erased(house, "cust_1", "r1")
    await house.customer("cust_1", name="Back Again")
    erasures = eraser(house.settings, house.db, Parts.of(house.settings, intents=intents))
    assert await erasures.reapply() == 0
    assert (await house.http.get("/customers/cust_1")).json()["name"] == "Back Again"
    assert (await house.http.get("/interactions?customerId=cust_1")).json()["items"] == []


async def test_what_was_under_way_and_wrote_after_is_found_the_second_time(
    house: House, postgres: PostgresServer, intents: EmbeddedIntentModel
) -> None:
    canaries = Canaries()
    await house.customer("cust_1")
    answer = (await house.chat("hello", customer_id="cust_1")).json()
    await house.until_finished(answer["interactionId"])
    receipt = await erased(house, "cust_1", "r1")
    async with house.db.transaction(DEMO) as session:  # as a step that had read the customer before writes now
        insert = (
            "INSERT INTO deliveries (organisation, id, interaction_id, customer_id, purpose, channel, body, status,"
            " created_at, message_class, attempts, attempts_before, round, version)"
            " VALUES (:organisation, 'dlv_late', :interaction, 'cust_1', 'late', 'chat', :body, 'delivered', now(),"
            " 'transactional', 0, 0, 0, 1)"
        )
        await session.run(text(insert), interaction=answer["interactionId"], body=f"Dear {canaries['late']}")
    assert canaries_in(postgres, house.settings.database_url, canaries) == {"late"}
    erasures = eraser(house.settings, house.db, Parts.of(house.settings, intents=intents))
    await erasures._finish(OrganisationId("demo"), receipt["id"])
    assert canaries_in(postgres, house.settings.database_url, canaries) == set()
    assert (await until(house, receipt["id"], "finished"))["finishedAt"]


async def test_D5_the_export_is_one_customers_and_nobody_elses(house: House, postgres: PostgresServer) -> None:
    mine, others = Canaries(), Canaries()
    for customer, canaries in (("cust_1", mine), ("cust_2", others)):
        await house.customer(customer, name=canaries["name"])
        await house.chat(f"hello {canaries['said']}", customer_id=customer)
    exported = (await house.http.get("/customers/cust_1/export")).content
    assert mine.found_in(exported) == set(mine.words)
    assert others.found_in(exported) == set()


def test_D5_every_table_with_a_customers_rows_has_a_section(postgres: PostgresServer) -> None:
    """A new table that names a customer, or something of theirs, is to be exported, or said to hold nothing."""
    sections = " ".join(str(statement) for statement in SECTIONS.values())
    url = postgres.create()
    with postgres.owner(url) as owner:
        named = owner.execute(
            "SELECT DISTINCT table_name FROM information_schema.columns WHERE table_schema = 'public'"
            " AND column_name IN ('customer_id', 'interaction_id', 'handoff_id', 'conversation_id', 'delivery_id')"
        ).fetchall()
    postgres.drop(url)
    missing = {table for (table,) in named if f"FROM {table} x" not in sections}
    operators = {"customer_tokens", "erasures", "handoff_links", "handoff_presence", "handoff_wakes", "legal_holds"}
    assert missing == operators | {"customer_keys"}, "operators' own, or nobody's"
