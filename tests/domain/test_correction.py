"""A person corrects what was understood; rules and limits stay what they are."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from domain.agents.support import SUPPORT, propose
from domain.correction import Correction, continues, corrected, correction_in, stage_of_correction
from domain.decision import Decision, Outcome
from domain.facts import Facts
from domain.handoff import Resolution
from domain.judgement import judge
from domain.policies import PolicyBook
from domain.proposal import Source, Understanding
from domain.tools import TOOLS
from domain.understanding.understand import understood_somehow
from domain.values import Intent, Money
from domain.verification import verify_action
from tests.schema.given import NOW, account, invoice

UNSURE = Understanding(intent=Intent.OTHER, confidence=0.1, wants_human=True)
FACTS = Facts(now=NOW, account=account(), invoices=(invoice("inv_1", 4_900), invoice("inv_2", 48_000)))


def judged(correction: Correction, facts: Facts = FACTS, understanding: Understanding = UNSURE) -> Decision:
    proposal = propose(corrected(understanding, correction), facts)
    return judge(
        proposal,
        facts,
        book=PolicyBook.shipped(),
        tools=TOOLS,
        agent=SUPPORT,
        verify=lambda action, known: verify_action(action, known, TOOLS),
    )


def euros(cents: int) -> Money:
    return Money(amount=cents, currency="EUR")


def test_what_a_person_says_replaces_what_was_understood_and_the_rest_stays() -> None:
    before = Understanding(
        intent=Intent.OTHER, confidence=0.2, invoice_id="inv_9", amount=7, currency="USD", opts_out=True
    )
    after = corrected(before, Correction(intent=Intent.REFUND_REQUEST))
    assert (after.intent, after.confidence, after.source) == (Intent.REFUND_REQUEST, 1.0, Source.PERSON)
    assert (after.invoice_id, after.amount, after.currency, after.opts_out) == ("inv_9", 7, "USD", True)
    exact = corrected(before, Correction(invoice_id="inv_1", amount=euros(100)))
    assert (exact.intent, exact.invoice_id, exact.amount, exact.currency) == (Intent.OTHER, "inv_1", 100, "EUR")


def test_the_agent_goes_on_within_the_rules() -> None:
    decision = judged(Correction(intent=Intent.REFUND_REQUEST, invoice_id="inv_1"))
    assert decision.outcome is Outcome.PROCEED
    assert decision.actions[0].arguments == {"invoiceId": "inv_1", "amount": 4_900, "currency": "EUR"}


@pytest.mark.parametrize(
    ("correction", "facts", "outcome", "reason"),
    [
        ({"intent": "refund_request", "invoiceId": "inv_2"}, FACTS, Outcome.ASK_HUMAN, "over_auto_limit"),
        (
            {"intent": "refund_request", "invoiceId": "inv_1", "amount": {"amount": 5_000, "currency": "EUR"}},
            FACTS, Outcome.REFUSE, "exceeds_refundable",
        ),
        ({"intent": "refund_request", "invoiceId": "inv_404"}, FACTS, Outcome.REFUSE, "invoice_not_found"),
        (
            {"intent": "refund_request", "invoiceId": "inv_1"},
            FACTS.model_copy(update={"account": account(status="suspended")}), Outcome.ASK_HUMAN, "account_not_active",
        ),
        (
            {"intent": "refund_request", "invoiceId": "inv_1"},
            FACTS.model_copy(update={"now": NOW + timedelta(days=60)}), Outcome.REFUSE, "outside_window",
        ),
    ],
)  # fmt: skip
def test_a_persons_correction_raises_no_limit(
    correction: dict[str, Any], facts: Facts, outcome: Outcome, reason: str
) -> None:
    decision = judged(Correction.model_validate(correction), facts)
    assert (decision.outcome, decision.reasons[0].code) == (outcome, reason)


@pytest.mark.parametrize(
    "body",
    [{}, {"intent": "bribe"}, {"invoiceId": ""}, {"amount": 5}, {"amount": {"amount": -1, "currency": "EUR"}},
     {"intent": "refund_request", "confirmed": True}, {"limit": 10**6}],
)  # fmt: skip
def test_what_is_no_correction_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Correction.model_validate(body)


def test_only_a_resolution_that_says_so_continues() -> None:
    said = {"continue": True, "correction": {"intent": "refund_request"}}
    assert correction_in(said) == Correction(intent=Intent.REFUND_REQUEST)
    for silent in (None, {}, {"reply": "hi"}, {"continue": False, **{"correction": {}}}, {"continue": "true"}):
        assert not continues(silent)
        assert correction_in(silent) is None
    assert not Resolution.model_validate({"handoffId": "hnd_1", "decision": "resolved"}).continues
    assert stage_of_correction(2) == "corrected:2"


class Broken:
    def classify(self, text: str) -> Any:
        raise ZeroDivisionError


def test_a_broken_model_stands_in_no_persons_way() -> None:
    assert understood_somehow("refund please", Broken()) == Understanding()
