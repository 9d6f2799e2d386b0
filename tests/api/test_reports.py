"""Mail that came back: whoever reads that mailbox hands in what it finds."""

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.values import CustomerId
from schema.deliveries import DeliveryRepository, NewDelivery
from tests.api.conftest import Api
from tests.api.wire import problem_of
from tests.domain.test_dsn import FAILED, bounce
from tests.house import DEMO, UNTIL_S


async def until(api: Api, delivery_id: str, status: str) -> dict[str, Any]:
    async with asyncio.timeout(UNTIL_S):
        while True:
            shown: dict[str, Any] = (await api.http.get(f"/deliveries/{delivery_id}")).json()
            if shown["status"] == status:
                return shown
            await asyncio.sleep(0.05)


async def delivered(api: Api) -> dict[str, Any]:
    await api.house.customer("cust_b1", email="b1@example.com")
    async with api.house.db.transaction(DEMO) as session:
        delivery_id = await DeliveryRepository(session).add(
            NewDelivery(
                interaction_id=None, customer_id=CustomerId("cust_b1"), purpose=f"test_{secrets.token_hex(4)}",
                channel="email", body="Tomorrow at 9.", at=datetime.now(UTC), sent_by_workflow=True,
            )
        )  # fmt: skip
    await api.house.send(delivery_id)
    return await until(api, delivery_id, "delivered")


async def until_operators_know(api: Api, delivery_id: str) -> None:
    async with asyncio.timeout(UNTIL_S):
        while True:
            if delivery_id in (await api.http.get("/notifications")).text:
                return
            await asyncio.sleep(0.05)


def about(message_id: str, fields: str = FAILED) -> str:
    return bounce(fields, f"Message-ID: {message_id}\nSubject: x\n").decode()


async def posted(api: Api, report: str) -> dict[str, Any]:
    answer = await api.http.post("/delivery-reports", json={"report": report})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def test_a_mail_that_came_back_is_a_dead_letter_and_redriven_leaves_again(api: Api) -> None:
    mail = await delivered(api)
    report, yes = about(mail["messageId"]), {"recognised": True, "deliveryId": mail["id"]}
    delay = about(mail["messageId"], FAILED.replace("failed", "delayed").replace("5.1.1", "4.4.1"))
    assert await posted(api, delay) == yes
    assert (await api.http.get(f"/deliveries/{mail['id']}")).json()["status"] == "delivered"
    assert await posted(api, report) == await posted(api, report) == yes
    dead = await until(api, mail["id"], "dead_letter")
    assert (dead["reason"], dead["owner"], dead["deliveredAt"]) == ("bounced", "operators", None)
    assert [event["status"] for event in dead["history"]].count("bounced") == 1
    await until_operators_know(api, mail["id"])
    audited = (await api.http.get("/audit", params={"action": "delivery.dead_lettered"})).json()["items"]
    assert [e["details"]["said"] for e in audited if e["subject"] == mail["id"]] == ["dsn_5_1_1"]
    # The sink keeps a mail under its Message-ID: what leaves again must be there again.
    folder = api.house.settings.data_dir / "mail"
    for kept in folder.glob("*.eml"):
        if mail["messageId"] in kept.read_text():
            kept.unlink()
    assert (await api.http.post(f"/deliveries/{mail['id']}/redrive", json={})).status_code == 200
    again = await until(api, mail["id"], "delivered")
    assert again["attempts"] == 2
    assert [m["Message-ID"] for m in api.house.mails()].count(mail["messageId"]) == 1
    assert await posted(api, report) == yes
    assert (await api.http.get(f"/deliveries/{mail['id']}")).json()["status"] == "delivered", "the report is an old one"
    assert await posted(api, report.replace("4C2B", "5D3C")) == yes
    await until(api, mail["id"], "dead_letter")


@pytest.mark.parametrize("report", ["hello", about("<nobody@example.net>"), "Content-Type: text/plain\n\nx", "ü" * 9])
async def test_what_is_about_no_mail_of_ours_is_taken_and_changes_nothing(api: Api, report: str) -> None:
    assert await posted(api, report) == {"recognised": False, "deliveryId": None}


async def test_a_report_handed_in_by_many_at_once_changes_one_thing(api: Api) -> None:
    mail = await delivered(api)
    report, yes = about(mail["messageId"]), {"recognised": True, "deliveryId": mail["id"]}
    assert await asyncio.gather(*(posted(api, report) for _ in range(6))) == [yes] * 6
    dead = await until(api, mail["id"], "dead_letter")
    assert [event["status"] for event in dead["history"]].count("bounced") == 1
    audited = (await api.http.get("/audit", params={"action": "delivery.dead_lettered"})).json()["items"]
    assert [e["subject"] for e in audited].count(mail["id"]) == 1


async def test_a_report_about_a_foreign_mail_is_about_none(api: Api) -> None:
    mail = await delivered(api)
    theirs = {"Authorization": f"Bearer {await api.house.key('ingest', organisation='elsewhere')}"}
    answer = await api.http.post("/delivery-reports", json={"report": about(mail["messageId"])}, headers=theirs)
    assert (answer.status_code, answer.json()["recognised"]) == (202, False)
    assert (await api.http.get(f"/deliveries/{mail['id']}")).json()["status"] == "delivered"


def nested(depth: int) -> str:
    parts = [f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(depth)]
    return "".join(parts)


@pytest.mark.parametrize(
    "report",
    [
        nested(1_000),
        "Content-Type: message/rfc822\n\n" * 2_000,
        about("<x@y>") + "\r\n--4C2B.1700000000/mx.example.net\r\nContent-Type: application/zip\r\n\r\nUEs=" * 60,
        "X: y\n" * 50_000,
        "ü" * 128_001,
    ],
    ids=["boundaries", "mails in mails", "attachments", "headers", "large in bytes"],
)
async def test_what_is_built_to_hurt_is_refused(api: Api, report: str) -> None:
    problem_of(await api.http.post("/delivery-reports", json={"report": report}), 422, "report_unreadable")


@pytest.mark.parametrize(
    "report",
    [
        about("<x@y>").replace("text/rfc822-headers", "text/rfc822-headers; charset=no-such-charset"),
        about("<x@y>").replace("Action: failed", "Action: =?no-such?B?////?="),
        about("<x@y>").replace("Status: 5.1.1", "Status: \udc80".encode("utf-8", "replace").decode()),
        about("<\x01\x7f@y>"),
        about("<x@y>").replace("Subject", "Content-Transfer-Encoding: base64\r\nSubject"),
        'Content-Type: multipart/report; boundary="x\r\n' + "A" * 200_000,
        nested(40) + "x",
        "X: " + "y" * 255_000,
        about("<x@y>").replace(
            "Content-Type: message/delivery-status", "Content-Type: message/delivery-status; charset*=x"
        ),
        about("<x@y>").replace("text/plain; charset=us-ascii", "application/zip\r\nContent-Transfer-Encoding: base64"),
        about("<x@y>").replace("Status: 5.1.1", "Status: " + "5." * 100_000),
        about("<" * 100_000),
    ],
)
async def test_odd_ones_are_no_error(api: Api, report: str) -> None:
    answer = await api.http.post("/delivery-reports", json={"report": report})
    assert answer.status_code in {202, 422}, answer.text


async def test_a_report_that_is_too_long_is_refused(api: Api) -> None:
    problem_of(await api.http.post("/delivery-reports", json={"report": "x" * 256_001}), 422, "validation_failed")


async def test_a_body_beyond_all_reports_is_not_read(api: Api) -> None:
    answer = await api.http.post("/delivery-reports", json={"report": "x" * 2_000_000})
    problem_of(answer, 413, "body_too_large")
