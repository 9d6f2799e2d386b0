"""X-10: whatever callers, customers and operators write, a mail has our headers, one recipient, and no others."""

from typing import Any

from tests.api.wire import problem_of
from tests.house import House

OURS = {
    "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "MIME-Version",
    "Content-Type", "Content-Transfer-Encoding", "In-Reply-To", "References",
}  # fmt: skip
EVE = "eve@example.com"
SMUGGLED = (
    f"\r\nBcc: {EVE}\r\n\r\nbody",
    f"\nCc: {EVE}",
    f"\rX-Injected: {EVE}",
    f"\u2028Bcc: {EVE}\u2029",
    f"\x85Bcc: {EVE}",
    f"\x0bBcc: {EVE}",
    f"=?utf-8?q?x=0D=0ABcc:_{EVE}?=",
    f"=?utf-8?b?DQpCY2M6IGV2ZUBleGFtcGxlLmNvbQ==?= {EVE}",
    f'" <{EVE}>, "',
    f"%0d%0aBcc:{EVE}",
)


async def sent(house: House, customer: str, *, person: dict[str, Any], bill: str, message: str) -> None:
    """A refund whose mail has everything in it that anybody wrote, as far as it was taken in."""
    usual = {"name": "Ada", "email": "ada@example.com", "plan": "pro", "status": "active"}
    answer = await house.http.put(f"/customers/{customer}", json={**usual, **person})
    if answer.status_code == 422:
        problem_of(answer, 422, "validation_failed")
        await house.customer(customer, **usual)
    await house.invoice("inv_1", 4_900, customer_id=customer)
    shown = (await house.http.get(f"/customers/{customer}/invoices")).json()["items"][0]
    body = {name: shown[name] for name in ("total", "status", "paidAt")} | {"description": bill}
    answer = await house.http.put(f"/customers/{customer}/invoices/inv_1", json=body)
    assert answer.status_code in {200, 422}, answer.text
    assert (await house.chat(message, customer_id=customer)).status_code in {200, 202}
    asked = (await house.chat("refund please", customer_id=customer)).json()
    await house.until_settled(asked["interactionId"])


def persons(smuggled: str) -> list[dict[str, str]]:
    """A customer for each field of an account that takes words, with this in it."""
    before = [{"email": f"{smuggled}ada@example.com"}]
    fields = {"name": "Ada", "email": "ada@example.com", "language": "en", "timeZone": "UTC", "region": "x"}
    return [{field: f"{value}{smuggled}"} for field, value in fields.items()] + before


async def test_X10_nothing_anybody_writes_becomes_a_header_or_a_recipient(house: House) -> None:
    tried = [(smuggled, person) for smuggled in SMUGGLED for person in persons(smuggled)]
    for number, (smuggled, person) in enumerate(tried):
        bill = f"a chair{smuggled}"
        await sent(house, f"cust_{number}", person=person, bill=bill, message=f"hello{smuggled}")
    assert len(house.mails()) >= len(tried)
    mails = house.mails()
    for mail in mails:
        assert set(mail.keys()) <= OURS
        assert len(mail.keys()) == len(set(mail.keys()))
        assert EVE not in " ".join(str(value) for value in mail.values())
        assert mail["To"] == "ada@example.com"
    raw = [file.read_bytes().partition(b"\r\n\r\n")[0] for file in (house.settings.data_dir / "mail").glob("*.eml")]
    assert not [head for head in raw if b"eve" in head.lower() or b"=?" in head]


async def test_X10_an_address_corrected_by_hand_is_one_plain_address(house: House) -> None:
    plain = {"correct": {"to": "ada@example.com"}}
    assert (await house.http.post("/deliveries/dlv_missing0/redrive", json=plain)).status_code == 404
    for smuggled in SMUGGLED:
        for to in (f"ada@example.com{smuggled}", f"{smuggled}ada@example.com", f"ada@example.com,{EVE}"):
            body = {"correct": {"to": to}}
            answer = await house.http.post("/deliveries/dlv_missing0/redrive", json=body)
            # Refused at the door, or by the mail server's gateway: what the door takes is one word with one @.
            if answer.status_code == 422:
                continue
            assert answer.status_code == 404, answer.text
            assert to.count("@") == 1
            assert not set(to) & set(' \t\r\n\x0b\x85\u2028\u2029,;<>"')
