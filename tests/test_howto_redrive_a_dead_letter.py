"""The commands printed in `docs/how-to/redrive-a-dead-letter.md` do what the page says, each on a dead letter anew."""

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2

from domain.consent import MessageClass
from domain.values import CustomerId, DeliveryId
from schema.base import new_id
from schema.deliveries import DeliveryRepository, NewDelivery
from schema.delivery_attempts import AttemptRepository
from tests.house import DEMO, House

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "redrive-a-dead-letter.md"


def commands() -> list[str]:
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.S | re.M)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line]


async def dead_letter(house: House) -> DeliveryId:
    at = datetime.now(UTC)
    async with house.db.transaction(DEMO) as session:
        delivery_id = await DeliveryRepository(session).add(
            NewDelivery(
                interaction_id=None,
                customer_id=CustomerId("cust_123"),
                purpose=new_id("why"),
                channel="email",
                body="Hello.",
                at=at,
                message_class=MessageClass.TRANSACTIONAL,
                sent_by_workflow=True,
            )
        )
        await AttemptRepository(session).refuse(delivery_id, "smtp_550", "operators", at)
        await DeliveryRepository(session).mark_told(delivery_id, at)
    return delivery_id


async def run(house: House, command: str, delivery_id: str) -> httpx2.Response:
    """The curl line, sent by our own client."""
    # The page asks for a webhook's dead letters; the customer's stand in for them here.
    command = command.replace('"endpointId": "\'$WEBHOOK\'"', '"customerId": "cust_123"')
    words = shlex.split(command.replace("$DELIVERY", delivery_id))
    assert words[0] == "curl"
    given = {option: words[words.index(option) + 1] for option in ("-X", "-d") if option in words}
    url = next(word for word in words if word.startswith("http"))
    headers = {"Content-Type": "application/json"} if "-d" in given else {}
    return await house.http.request(given.get("-X", "GET"), url, content=given.get("-d"), headers=headers)


async def test_every_command_of_the_page_works(house: House) -> None:
    await house.customer(email="anna@example.com")
    answers: list[tuple[DeliveryId, dict[str, Any]]] = []
    for command in commands():
        delivery_id = await dead_letter(house)
        answer = await run(house, command, delivery_id)
        assert answer.status_code == 200, f"{command}\n{answer.text}"
        answers.append((delivery_id, answer.json()))
    listed, by_reason, again, corrected, dry, bulk, discarded = answers
    for delivery_id, shown in (listed, by_reason):
        assert delivery_id in [item["id"] for item in shown["items"]]
    assert (again[1]["round"], again[1]["version"]) == (1, 1)
    assert (corrected[1]["version"], corrected[1]["recipient"]) == (2, "anna.new@example.com")
    assert dry[1]["dryRun"] is True
    assert bulk[1]["dryRun"] is False
    assert {listed[0], by_reason[0], dry[0], bulk[0]} <= set(bulk[1]["ids"])
    assert (discarded[1]["status"], discarded[1]["history"][-1]["details"]["note"]) == (
        "discarded",
        "the customer was called instead",
    )
