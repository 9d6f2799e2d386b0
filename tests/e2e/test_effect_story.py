"""A-6: any effect leads back to the request, the facts, the rules and the people, and on to its attempts."""

from typing import Any

from tests.e2e.test_handoffs import asked, decide, digest_of  # noqa: F401 - `asked` is a fixture
from tests.house import House


async def effects_of(house: House, customer: str) -> list[dict[str, Any]]:
    return list((await house.http.get(f"/customers/{customer}/effects")).json()["items"])


async def test_A6_an_effect_leads_back_to_who_allowed_it_and_on_to_what_was_tried(
    house: House,
    asked: dict[str, Any],  # noqa: F811
) -> None:
    digest = await digest_of(house, asked)
    await decide(house, asked, "approve", digest=digest)
    await house.until_settled(asked["interactionId"])
    (refund,) = [e for e in await effects_of(house, "cust_456") if e["tool"] == "issue_refund"]
    why = (await house.http.get(f"/effects/{refund['id']}")).json()
    assert (why["request"]["id"], why["request"]["message"]) == (asked["interactionId"], "refund please")
    assert why["effect"]["arguments"]["amount"] == 48_000
    assert why["decision"]["decision"]["reasons"][0]["code"] == "over_auto_limit"
    assert why["decision"]["facts"]["account"]["plan"] == "enterprise"
    assert why["handoff"]["decision"] == "approved"
    assert [(a["approver"], a["digest"]) for a in why["approvals"]] == [("local", digest)]
    assert [e["state"] for e in why["events"]][-1] == "confirmed"
    assert why["effect"]["policyVersion"] == why["decision"]["decision"]["policyVersion"]


async def test_A6_every_effect_of_many_explains_itself(house: House) -> None:
    for number in range(10):
        await house.customer(f"cust_{number}", email=f"c{number}@example.com")
        await house.invoice(f"inv_{number}", 1_000 + number, customer_id=f"cust_{number}")
        answer = (await house.chat("refund please", customer_id=f"cust_{number}")).json()
        await house.until_settled(answer["interactionId"])
        shown = await effects_of(house, f"cust_{number}")
        assert {e["tool"] for e in shown} == {"issue_refund", "send_email"}
        for effect in shown:
            why = (await house.http.get(f"/effects/{effect['id']}")).json()
            assert why["request"]["id"] == answer["interactionId"]
            assert why["decision"]["id"] == effect["decisionId"]
            assert (why["handoff"], why["approvals"]) == (None, [])
            assert why["events"][-1]["state"] == "confirmed"
            assert [d["status"] for d in why["deliveries"]] == (["delivered"] if effect["tool"] == "send_email" else [])


async def test_A6_a_mail_with_a_persons_own_words_names_the_person(house: House) -> None:
    await house.customer("cust_1", email="a@example.com")
    answer = (await house.chat("I want to talk to a human", customer_id="cust_1")).json()
    said = await house.http.post(f"/handoffs/{answer['handoff']['id']}/resolve", json={"reply": "I am on it."})
    assert said.status_code == 200, said.text
    await house.until_settled(answer["interactionId"])
    (mail,) = await effects_of(house, "cust_1")
    why = (await house.http.get(f"/effects/{mail['id']}")).json()
    shown = {name: why["handoff"][name] for name in ("kind", "decision", "decidedBy")}
    assert shown == {"kind": "takeover", "decision": "resolved", "decidedBy": "local"}
    assert (why["approvals"], [d["channel"] for d in why["deliveries"]]) == ([], ["email"])


async def test_a_foreign_effect_is_as_one_that_is_missing(house: House) -> None:
    await house.customer(email="c123@example.com")
    await house.invoice("inv_1", 1_000)
    answer = (await house.chat("refund please")).json()
    await house.until_settled(answer["interactionId"])
    (effect, *_) = await effects_of(house, "cust_123")
    stranger = {"Authorization": f"Bearer {await house.key('auditor', organisation='globex')}"}
    foreign = await house.http.get(f"/effects/{effect['id']}", headers=stranger)
    missing = await house.http.get("/effects/eff_00000000", headers=stranger)
    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert foreign.json() == missing.json()
