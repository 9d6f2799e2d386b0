"""A briefing is made of what is known, says what it rests on, and drafts nothing that is not backed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.approval import proposed_actions
from domain.briefing import Case, RiskLevel, Step, brief
from domain.decision import Decision
from domain.facts import Account, Facts, History, Invoice
from domain.handoff import HandoffDecision, HandoffKind
from domain.interaction import EffectState
from domain.proposal import Proposal, ProposedAction
from domain.revision import Rules
from domain.tools import TOOLS
from domain.values import AccountStatus, CustomerId, Intent, InvoiceStatus, Money, Plan
from domain.verification import verify_reply
from domain.verification.evidence import DoneAction, Evidence

NOW = datetime(2026, 11, 20, tzinfo=UTC)
RULES = Rules.shipped()


def facts(status: AccountStatus = AccountStatus.ACTIVE, escalations: int = 0, refunded: int = 0) -> Facts:
    paid = Invoice(
        id="inv_1", total=Money(amount=50_000, currency="EUR"), status=InvoiceStatus.PAID,
        paid_at=NOW - timedelta(days=3), refunded=refunded,
    )  # fmt: skip
    account = Account(
        customer_id=CustomerId("c1"), name="Test Person", email="c@example.com", plan=Plan.PRO, status=status
    )
    return Facts(now=NOW, account=account, invoices=(paid,), history=History(escalations_in_period=escalations))


REFUND = ProposedAction(tool="issue_refund", arguments={"invoiceId": "inv_1", "amount": 48_000, "currency": "EUR"})


def decision(known: Facts, intent: Intent = Intent.REFUND_REQUEST, *actions: ProposedAction) -> Decision:
    return RULES.judge(Proposal(intent=intent, confidence=0.95, actions=actions), known)


def approval(known: Facts | None = None, **changes: Any) -> Case:
    known = known or facts()
    judged = decision(known, Intent.REFUND_REQUEST, REFUND)
    values: dict[str, Any] = {
        "kind": HandoffKind.APPROVAL, "reason": "over_auto_limit", "decision": judged, "facts": known,
        "proposed": proposed_actions(judged), "done": (), "tools": TOOLS,
    }  # fmt: skip
    return Case(**{**values, **changes})


def takeover(known: Facts | None = None, intent: Intent = Intent.ACCOUNT_QUESTION, **changes: Any) -> Case:
    known = known or facts()
    judged = decision(known, intent)
    return approval(known, kind=HandoffKind.TAKEOVER, decision=judged, proposed=(), **changes)


def done(state: EffectState, tool: str = "issue_refund") -> DoneAction:
    return DoneAction(tool=tool, arguments=REFUND.arguments, effect_state=state)


def test_it_says_what_it_is_and_what_it_rests_on() -> None:
    briefing = brief(approval())
    assert (briefing.suggestion, briefing.by) == (True, "rules")
    assert "EUR 480.00" in briefing.summary.text
    assert {"reason:over_auto_limit", "action:0", "fact:account.plan"} <= set(briefing.summary.evidence)
    assert (briefing.risk.level, briefing.risk.reasons) == (RiskLevel.MEDIUM, ("moves_money",))
    assert (briefing.resolution.step, briefing.resolution.evidence) == (Step.APPROVE, ("reason:over_auto_limit",))
    assert "Test Person" not in briefing.model_dump_json()


@pytest.mark.parametrize(
    ("case", "step", "risk"),
    [
        (approval(facts(refunded=20_000), proposed=approval().proposed,
                  decision=decision(facts(), Intent.REFUND_REQUEST, REFUND)), Step.REJECT, "moves_money"),
        (approval(facts(AccountStatus.SUSPENDED)), Step.CHECK, "account_not_active"),
        (approval(people=2), Step.APPROVE, "several_people_needed"),
        (takeover(done=(done(EffectState.UNKNOWN),)), Step.FIND_OUT, "effect_unknown"),
        (takeover(done=(done(EffectState.FAILED),)), Step.DO_BY_HAND, None),
        (takeover(facts(escalations=3)), Step.ANSWER, "repeated_escalations"),
        (takeover(reason="low_confidence"), Step.ANSWER, "unsure_what_is_wanted"),
    ],
)  # fmt: skip
def test_what_it_suggests_follows_from_what_is_known(case: Case, step: Step, risk: str | None) -> None:
    briefing = brief(case)
    assert briefing.resolution.step is step
    assert risk is None or risk in briefing.risk.reasons
    assert briefing.risk.reasons == () or briefing.risk.evidence


@pytest.mark.parametrize("state", [EffectState.UNKNOWN, EffectState.FAILED, EffectState.RESERVED])
def test_while_anything_is_uncertain_there_is_no_draft(state: EffectState) -> None:
    assert brief(takeover(done=(done(state),))).reply is None
    draft = brief(takeover()).reply
    assert draft is not None, "the check above proves nothing"
    assert draft.goes_with is HandoffDecision.RESOLVED


@given(
    st.sampled_from(Intent), st.sampled_from(HandoffKind), st.sampled_from(AccountStatus), st.integers(0, 50_000),
    st.lists(st.sampled_from(EffectState), max_size=2),
)  # fmt: skip
def test_a_draft_claims_nothing_that_is_not_backed_and_the_same_case_gives_the_same_words(
    intent: Intent, kind: HandoffKind, status: AccountStatus, refunded: int, states: list[EffectState]
) -> None:
    known = facts(status, refunded=refunded)
    judged = decision(known, intent)
    case = approval(known, kind=kind, decision=judged, proposed=(), done=tuple(done(s) for s in states))
    briefing = brief(case)
    assert briefing == brief(case)
    if briefing.reply is not None:
        evidence = Evidence.of(judged, known, case.done, handoff=kind)
        assert verify_reply(briefing.reply.text, evidence) == ()
