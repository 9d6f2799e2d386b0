"""Whose yes counts, how many it takes, what it is bound to."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.approval import (
    ApprovalPolicy,
    Approver,
    NotAnApprover,
    Requirement,
    approval_digest,
    check_may_approve,
    is_enough,
    read_approval_policy,
)
from domain.decision import Decision, JudgedAction, Outcome
from domain.policies import PolicyInvalid
from domain.tools import TOOLS
from domain.values import CustomerId, InteractionId

POLICY = ApprovalPolicy.shipped()
NOW = datetime(2026, 11, 20, tzinfo=UTC)
NAMES = st.sampled_from(["ana", "ben", "cem", "dora"])
PEOPLE = st.builds(
    Approver, NAMES, st.frozensets(st.sampled_from(["operator", "admin", "ingest", "auditor"]), max_size=3)
)


def refund(amount: Any, invoice: str = "inv_1") -> dict[str, Any]:
    arguments = {"invoiceId": invoice, "amount": amount, "currency": "EUR"}
    return {"tool": "issue_refund", "arguments": arguments, "digest": "d"}


def person(name: str, *scopes: str) -> Approver:
    return Approver(name, frozenset(scopes or ("operator",)))


def needed(*proposed: dict[str, Any]) -> list[str]:
    return [requirement.id for requirement in POLICY.requirements(proposed, TOOLS)]


def test_large_refunds_need_two_people_and_the_limit_itself_does_not() -> None:
    assert needed(refund(100_000)) == ["one_operator"]
    assert needed(refund(100_001)) == ["large_refund"]


def test_splitting_an_amount_does_not_avoid_the_second_person() -> None:
    assert needed(refund(60_000), refund(60_000, "inv_2")) == ["large_refund"]


def test_what_cannot_be_read_takes_the_most_people() -> None:
    for broken in (refund("many"), refund(None), {"tool": "issue_refund", "arguments": {}}):
        assert needed(broken) == ["large_refund"]
    assert needed({"tool": "no_such_tool", "arguments": {}}) == ["one_operator"]
    assert needed() == ["one_operator"]


def test_every_action_brings_its_own_requirement() -> None:
    mail = {"tool": "send_email", "arguments": {"purpose": "reply"}}
    assert needed(refund(200_000), mail) == ["large_refund", "one_operator"]


@given(st.lists(PEOPLE, max_size=8), st.integers(1, 4), st.sampled_from(["operator", "admin"]))
def test_H3_only_different_people_with_the_right_count_in_any_order_and_however_often(
    people: list[Approver], need: int, scope: str
) -> None:
    rule = Requirement.model_validate({"id": "x", "need": need, "among": {"scope": scope}})
    counted = {p.name for p in people if p.scopes & {scope, "admin"}}
    assert rule.is_met(people) == (len(counted) >= need)
    assert rule.is_met([*reversed(people), *people]) == rule.is_met(people)


@given(st.lists(PEOPLE, max_size=8), PEOPLE, st.integers(1, 4))
def test_H3_one_more_yes_never_takes_one_away(people: list[Approver], more: Approver, need: int) -> None:
    rule = Requirement.model_validate({"id": "x", "need": need, "among": {"names": ["ana", "ben", "cem", "dora"]}})
    assert rule.is_met([*people, more]) >= rule.is_met(people)
    assert not rule.is_met([p for p in people if p.name == "ana"]) or need == 1


def test_every_requirement_must_be_met() -> None:
    one = Requirement.model_validate({"id": "one", "need": 1, "among": {"names": ["boss"]}})
    two = Requirement.model_validate({"id": "two", "need": 2, "among": {"scope": "operator"}})
    assert not is_enough([one, two], [person("ana"), person("ben")])
    assert not is_enough([one, two], [person("boss")])
    assert is_enough([one, two], [person("boss"), person("ana")])


def test_who_is_not_among_them_may_not_approve_and_neither_may_who_asked_for_more() -> None:
    named = [Requirement.model_validate({"id": "one", "need": 1, "among": {"names": ["boss"]}})]
    check_may_approve(named, person("boss"))
    for who, raised_by, reason in ((person("ana"), [], "not_named"), (person("boss"), ["boss"], "self_approval")):
        with pytest.raises(NotAnApprover) as denied:
            check_may_approve(named, who, raised_by)
        assert denied.value.details["reason"] == reason


def decision(amount: int = 1, outcome: Outcome = Outcome.ASK_HUMAN, version: int = 1) -> Decision:
    call = JudgedAction(tool="issue_refund", arguments={"amount": amount}, outcome=outcome, digest=str(amount))
    return Decision(actions=(call,), policy_version=version)


def test_H2_everything_a_yes_rests_on_is_in_its_digest() -> None:
    interaction, customer = InteractionId("int_1"), CustomerId("cust_1")
    digests = {
        approval_digest(interaction, customer, decision(), NOW),
        approval_digest(InteractionId("int_2"), customer, decision(), NOW),
        approval_digest(interaction, CustomerId("cust_2"), decision(), NOW),
        approval_digest(interaction, customer, decision(2), NOW),
        approval_digest(interaction, customer, decision(outcome=Outcome.REFUSE), NOW),
        approval_digest(interaction, customer, decision(version=2), NOW),
        approval_digest(interaction, customer, decision(), NOW + timedelta(microseconds=1)),
        approval_digest(interaction, customer, decision(), None),
    }
    assert len(digests) == 8
    assert approval_digest(interaction, customer, decision(), NOW) in digests


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ("need: 2", "need: 0"),
        ("need: 2", "need: two"),
        ("among: {scope: operator}", "among: {scope: ingest}"),
        ("among: {scope: operator}", "among: {}"),
        ("among: {scope: operator}", "among: {scope: admin, names: [ana]}"),
        ("among: {scope: operator}", "among: {names: [ana]}"),
        ("expires_in: P7D", "expires_in: PT0S"),
        ("expires_in: P7D", "expires_in: soon"),
        ("on_expiry: takeover", "on_expiry: approve"),
        ("above: 100000", "above: 1000.5"),
        ("rules:", "ruls:"),
        ("version: 1", "version: &v 1"),
    ],
)
def test_a_policy_that_says_something_it_may_not_is_refused(change: str, where: str) -> None:
    from importlib import resources

    text = (resources.files("domain") / "approval.yaml").read_text()
    assert change in text
    read_approval_policy(text)
    wrong = text.replace(change, where, 1) + ("extra: *v" if "&v" in where else "")
    with pytest.raises(PolicyInvalid):
        read_approval_policy(wrong)


def test_the_shipped_policy_never_means_yes_by_silence() -> None:
    assert POLICY.on_expiry.value in {"takeover", "refuse"}
    assert POLICY.expires_in == timedelta(days=7)
