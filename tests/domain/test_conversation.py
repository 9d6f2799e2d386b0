"""What needs no answer, and what is decided where a person has the conversation."""

import time

import pytest

from domain.conversation import (
    NoReply,
    is_left_unanswered,
    is_passed_on,
    left_unanswered,
    needs_no_reply,
    passed_on_reply,
    taken_over,
)
from domain.decision import Decision, JudgedAction, Outcome, Reason
from domain.facts import Account, Facts
from domain.handoff import HandoffKind
from domain.interaction import Verdict
from domain.values import CustomerId
from domain.verification import verify_reply
from domain.verification.evidence import Evidence
from tests.schema.given import NOW

COURTEOUS = (
    "thanks", "Thank you so much!", "ok", "OK, got it \N{THUMBS UP SIGN}", "\N{SMILING FACE WITH SMILING EYES}", "...",
    "Great, thanks for your quick help!", "thx :)", "Have a lovely day", "merci", "!!!", "Perfect. Thanks again",
    "danke",
)  # fmt: skip
AUTOMATIC = (
    "Automatic reply: I am out of office until Monday",
    "Auto-Reply: we have received your message.",
    "Re: Automatic reply",
    "Out of office. Back on 3 May, for refunds write to my colleague.",
    "This is an automated response. Your request matters to us",
    "Undeliverable: your message",
    "Undelivered Mail Returned to Sender",
    "Abwesenheitsnotiz: Ich bin im Urlaub",
)
MEANT = (
    "", "thanks, but it is still broken", "ok?", "?", "help", "support", "no", "yes", "yes please", "no thanks", "5",
    "thanks, my invoice is inv_1001", "Great, so when do I get my money", "thank you for nothing", "stop",
    "I am on holiday and my router broke", "automatic replies are broken on my account", "1", "cancel",
    "out of office hours nobody answers me", "delivery: where is it", "my auto-reply does not work",
    "ok ok ok ok cancel",
    "I want a human", "great. I was charged twice", "fine, sue me", "good luck", "thanks " * 30,
)  # fmt: skip


@pytest.mark.parametrize("text", COURTEOUS)
def test_courtesy_needs_no_answer(text: str) -> None:
    assert needs_no_reply(text) is NoReply.COURTESY


@pytest.mark.parametrize("text", AUTOMATIC)
def test_a_machine_needs_no_answer(text: str) -> None:
    assert needs_no_reply(text) is NoReply.AUTOMATIC


@pytest.mark.parametrize("text", [text for text in MEANT if text])
def test_any_doubt_means_that_it_does(text: str) -> None:
    assert needs_no_reply(text) is None


def test_no_text_makes_it_slow() -> None:
    started = time.perf_counter()
    for text in ("thanks " * 15_000, "re: " * 25_000, "a" * 100_000, "\N{THUMBS UP SIGN}" * 50_000, "P" * 100_000):
        needs_no_reply(text)
    assert time.perf_counter() - started < 2


REFUND = Decision(
    outcome=Outcome.PROCEED,
    confidence=0.9,
    actions=(JudgedAction(tool="issue_refund", arguments={"amount": 1}, outcome=Outcome.PROCEED),),
    reasons=(Reason(code="within_limit", rule="refund"),),
    digest="before",
)
WISH = Reason(code="customer_asked_for_human", rule="invariants")


@pytest.mark.parametrize("outcome", list(Outcome))
def test_where_a_person_answers_nothing_is_proposed_whatever_the_rules_said(outcome: Outcome) -> None:
    decision = taken_over(REFUND.model_copy(update={"outcome": outcome}), joined=True)
    assert (decision.outcome, decision.actions) == (Outcome.ASK_HUMAN, ())
    assert [reason.code for reason in decision.reasons] == ["conversation_taken_over"]
    assert decision.confidence == REFUND.confidence
    assert decision.digest != taken_over(REFUND, joined=False).digest


def test_the_wish_for_a_person_stays_among_the_reasons() -> None:
    wished = REFUND.model_copy(update={"reasons": (WISH, *REFUND.reasons)})
    assert [r.code for r in taken_over(wished, joined=True).reasons] == ["conversation_taken_over", WISH.code]


def test_only_who_joined_is_passed_on_and_only_what_was_left_is_left() -> None:
    joined, asks, left = (
        taken_over(REFUND, joined=True),
        taken_over(REFUND, joined=False),
        left_unanswered(REFUND, NoReply.COURTESY),
    )
    assert [is_passed_on(d) for d in (joined, asks, left, REFUND, Decision())] == [True, False, False, False, False]
    assert [is_left_unanswered(d) for d in (joined, asks, left, REFUND, Decision())] == [
        False,
        False,
        True,
        False,
        False,
    ]


def test_a_verdict_of_an_older_version_asks_a_person() -> None:
    assert Verdict.model_validate({"outcome": "ask_human"}).needs_a_person
    assert not Verdict(outcome=Outcome.ASK_HUMAN, passed_on=True).needs_a_person


def test_what_is_said_meanwhile_is_true_while_a_person_has_it() -> None:
    wished = REFUND.model_copy(update={"reasons": (WISH,)})
    facts = Facts(now=NOW, account=Account(customer_id=CustomerId("c")))
    said = set()
    for before in (REFUND, wished):
        decision = taken_over(before, joined=True)
        words = passed_on_reply(decision, acknowledged=False)
        assert verify_reply(words, Evidence.of(decision, facts, handoff=HandoffKind.TAKEOVER)) == ()
        said.add(words)
    assert len(said) == 2
    assert passed_on_reply(taken_over(REFUND, joined=True), acknowledged=True) == ""
    assert passed_on_reply(taken_over(wished, joined=True), acknowledged=True) != ""
    assert passed_on_reply(taken_over(REFUND, joined=True, why=NoReply.COURTESY), acknowledged=False) == ""
