"""Packs: data that is checked before it counts, found by what it judges, and explained rule by rule."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from domain.decision import Outcome
from domain.facts import Account, Facts
from domain.policies import PolicyBook, PolicyInvalid, PolicyPack, inputs_of, pack_of, read_pack
from domain.policies.inputs import Inputs
from domain.policies.reference import reference
from domain.policies.verdict import Result, strictest
from domain.proposal import Proposal
from domain.values import CustomerId, Intent, Priority

ROOT = Path(__file__).parents[2]
SHIPPED = PolicyBook.shipped()


def pack(**changes: Any) -> PolicyPack:
    data = {
        "subject": "test",
        "version": 3,
        "rules": [{"id": "one", "when": "amount > 5", "then": {"outcome": "refuse", "code": "too_much"}}],
        **changes,
    }
    return pack_of(data)


def inputs(amount: int = 0, **changes: Any) -> Inputs:
    facts = Facts(now=datetime(2026, 3, 1, tzinfo=UTC), account=Account(customer_id=CustomerId("cust_1"), **changes))
    return inputs_of(Proposal(), facts, amount=amount)


def test_the_shipped_packs_compile_and_are_read_once() -> None:
    assert [p.subject for p in SHIPPED] == ["action_limits", "escalation", "priority", "refund"]
    assert PolicyBook.shipped() is SHIPPED


def test_every_file_in_the_folder_is_a_pack_named_after_its_subject() -> None:
    files = sorted((ROOT / "domain/policies/packs").iterdir())
    assert [f.name for f in files] == [f"{p.subject}.yaml" for p in SHIPPED]


def test_every_shipped_rule_tells_an_operator_why() -> None:
    assert [rule.id for p in SHIPPED for rule in p.rules if not rule.reason] == []


def test_packs_that_do_not_decide_have_no_objection_and_the_others_ask_a_human() -> None:
    assert SHIPPED.pack("refund").default.outcome is Outcome.ASK_HUMAN
    assert pack(rules=[]).default.outcome is Outcome.ASK_HUMAN
    assert PolicyBook([pack(rules=[])]).evaluate("test", inputs()).reasons[0].code == "no_rule_matched"


def test_packs_are_found_by_what_they_judge() -> None:
    assert SHIPPED.for_tool("issue_refund") == ("refund",)
    assert SHIPPED.for_tool("create_ticket") == ()
    assert [p.subject for p in SHIPPED.for_intent(Intent.REFUND_REQUEST)] == ["refund"]
    assert SHIPPED.for_proposals() == ("action_limits", "escalation")


def test_callers_can_read_the_limits_the_ledger_checks_again() -> None:
    assert SHIPPED.parameter("refund", "period_days") == 90
    assert SHIPPED.parameter("refund", "cumulative_limit") == 20_000
    for subject, name in [("refund", "currencies"), ("refund", "absent"), ("absent", "x")]:
        with pytest.raises(PolicyInvalid):
            SHIPPED.parameter(subject, name)


RULE = {"id": "one", "when": "true", "then": {"outcome": "refuse", "code": "no"}}


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 0},
        {"version": True},
        {"subject": "Not Snake"},
        {"unknown": 1},
        {"hit": "last"},
        {"parameters": {"a": 1.5}},
        {"parameters": {"a": True}},
        {"parameters": {"a": -1}},
        {"parameters": {"a": 2**64}},
        {"rules": [RULE, RULE]},
        {"rules": [{**RULE, "then": {"outcome": "allow", "code": "x"}}]},
        {"rules": [{**RULE, "then": {"outcome": "refuse"}}]},
        {"rules": [{**RULE, "then": {"outcome": "refuse", "priority": "low", "code": "x"}}]},
        {"rules": [{**RULE, "then": {"priority": "low"}}]},
        {"rules": [{**RULE, "then": {}}]},
        {"rules": [{**RULE, "extra": 1}]},
        {"rules": [{"id": "one", "then": {"outcome": "refuse", "code": "x"}}]},
        {"rules": [{**RULE, "id": f"r{n}"} for n in range(101)]},
        {"default": {"outcome": "ask_human"}},
    ],
    ids=str,
)
def test_a_pack_with_a_mistake_is_refused_as_a_whole(changes: dict[str, Any]) -> None:
    with pytest.raises(PolicyInvalid):
        pack(**changes)


@pytest.mark.parametrize(
    "text",
    ["", "[1, 2]", "subject: [", "a: &x 1\nb: *x", "!!python/object:os.system {}", "\x00", "[" * 9_000, "x" * 100_001],
)
def test_text_that_is_no_pack_is_refused(text: str) -> None:
    with pytest.raises(PolicyInvalid):
        read_pack(text)


def test_a_rule_that_does_not_compile_is_named() -> None:
    with pytest.raises(PolicyInvalid, match=r"test\.one: line 1, column 1: undeclared reference to 'amunt'"):
        PolicyBook([pack(rules=[{**RULE, "when": "amunt > 5"}])])


def test_two_packs_about_one_subject_are_refused_but_one_can_replace_another() -> None:
    with pytest.raises(PolicyInvalid):
        PolicyBook([pack(), pack()])
    assert SHIPPED.replacing(pack(subject="refund", version=9)).pack("refund").version == 9
    assert SHIPPED.pack("refund").version == 1


def test_a_pack_has_a_hash_of_all_it_says() -> None:
    variants = [pack(), pack(version=4), pack(summary="x"), pack(parameters={"a": 1}), pack(hit="all")]
    assert len({p.hash for p in variants}) == len(variants)
    assert pack().hash == pack().hash == PolicyBook([pack()]).hashes["test"]


THREE = [
    {"id": "low", "when": "amount > 1", "then": {"outcome": "ask_human", "code": "low"}},
    {"id": "high", "when": "amount > 5", "then": {"outcome": "refuse", "code": "high"}},
    {"id": "fine", "when": "amount >= 0", "then": {"outcome": "proceed", "code": "fine"}},
]


@pytest.mark.parametrize(
    ("hit", "amount", "outcome", "codes", "tried"),
    [
        ("first", 9, Outcome.ASK_HUMAN, ["low"], 1),
        ("first", 1, Outcome.PROCEED, ["fine"], 3),
        ("all", 9, Outcome.REFUSE, ["high", "low", "fine"], 3),
        ("all", 3, Outcome.ASK_HUMAN, ["low", "fine"], 3),
        ("first", -1, Outcome.ASK_HUMAN, ["no_rule_matched"], 3),
    ],
)
def test_first_stops_at_a_hit_and_all_takes_the_strictest(
    hit: str, amount: int, outcome: Outcome, codes: list[str], tried: int
) -> None:
    verdict = PolicyBook([pack(hit=hit, rules=THREE)]).evaluate("test", inputs(amount))
    assert verdict.outcome is outcome
    assert [reason.code for reason in verdict.reasons] == codes
    assert [t.rule for t in verdict.trace] == ["low", "high", "fine"][:tried]


def test_a_rule_without_an_answer_asks_a_human_even_if_a_later_one_would_proceed() -> None:
    broken = {"id": "broken", "when": "action.arguments.absent > 1", "then": {"outcome": "refuse", "code": "x"}}
    for hit, rules in (("first", [broken, *THREE]), ("all", [*THREE, broken])):
        verdict = PolicyBook([pack(hit=hit, rules=rules)]).evaluate("test", inputs(0))
        assert verdict.outcome is Outcome.ASK_HUMAN
        assert verdict.reasons[0].code == "policy_error"
        assert Result.ERROR in [t.result for t in verdict.trace]


def test_a_reason_names_rule_version_and_the_facts_it_read() -> None:
    limited = {"id": "one", "when": "amount > limits.most", "then": {"outcome": "refuse", "code": "too_much"}}
    reason = PolicyBook([pack(parameters={"most": 5}, rules=[limited])]).evaluate("test", inputs(6)).reasons[0]
    assert (reason.code, reason.rule, reason.version) == ("too_much", "test", 3)
    assert reason.facts == {"rule": "one", "amount": 6, "limits.most": 5}


def test_free_text_that_a_rule_read_is_not_repeated_in_its_reason() -> None:
    rule = {"id": "one", "when": "action.arguments.note != ''", "then": {"outcome": "refuse", "code": "no"}}
    facts = Facts(now=datetime(2026, 3, 1, tzinfo=UTC), account=Account(customer_id=CustomerId("cust_1")))
    seen = inputs().for_action("x", {"note": "Ada Lovelace, ada@example.org"}, None, facts)
    assert PolicyBook([pack(rules=[rule])]).evaluate("test", seen).reasons[0].facts == {"rule": "one"}


def test_personal_fields_never_reach_a_rule() -> None:
    variables = inputs(name="Ada Lovelace", email="ada@example.org", phone="+15551234").variables
    assert not any(secret in repr(variables) for secret in ("Ada", "ada@", "1234"))


def test_strictness_is_the_maximum_and_no_objection_is_proceed() -> None:
    assert strictest([]) is Outcome.PROCEED
    assert [o.strictness for o in (Outcome.PROCEED, Outcome.ASK_HUMAN, Outcome.REFUSE)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("plan", "intent", "amount", "expected"),
    [
        ("free", "greeting", 0, Priority.LOW),
        ("free", "other", 0, Priority.LOW),
        ("free", "refund_request", 1900, Priority.NORMAL),
        ("pro", "refund_request", 4900, Priority.NORMAL),
        ("pro", "refund_request", 49_999, Priority.NORMAL),
        ("pro", "refund_request", 50_000, Priority.HIGH),
        ("free", "complaint", 0, Priority.HIGH),
        ("enterprise", "greeting", 0, Priority.NORMAL),
        ("enterprise", "refund_request", 100, Priority.HIGH),
        ("enterprise", "complaint", 0, Priority.URGENT),
        ("enterprise", "technical_issue", 0, Priority.URGENT),
    ],
)
def test_priority_follows_plan_intent_and_money(plan: str, intent: str, amount: int, expected: Priority) -> None:
    facts = Facts(
        now=datetime(2026, 3, 1, tzinfo=UTC),
        account=Account.model_validate({"customerId": "cust_1", "plan": plan, "status": "active"}),
    )
    proposal = Proposal.model_validate({"intent": intent})
    assert SHIPPED.priority(inputs_of(proposal, facts, amount=amount))[0] is expected


def test_a_priority_that_cannot_be_told_is_high() -> None:
    broken = {"id": "one", "when": "action.arguments.absent > 1", "then": {"priority": "low"}}
    book = PolicyBook([pack(rules=[broken], default={"priority": "low"})])
    priority, verdicts = book.priority(inputs())
    assert priority is Priority.HIGH
    assert verdicts[0].reasons[0].code == "policy_error"
    assert PolicyBook([]).priority(inputs())[0] is Priority.HIGH


def test_the_reference_page_says_what_the_packs_say() -> None:
    assert (ROOT / "docs/reference/policies.md").read_text(encoding="utf-8") == reference(SHIPPED)


def test_the_pack_in_the_guide_works() -> None:
    guide = (ROOT / "docs/how-to/add-a-policy.md").read_text(encoding="utf-8")
    block = re.search(r"```yaml\n(.*?)```", guide, re.DOTALL)
    assert block is not None
    added = read_pack(block[1])
    book = PolicyBook([*SHIPPED, added])
    assert book.for_tool("issue_refund") == (added.subject, "refund")
    assert book.evaluate(added.subject, inputs()).outcome is Outcome.PROCEED
