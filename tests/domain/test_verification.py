"""Replies and actions against facts: P-9, its controls, and each claim on its own."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decision import Issue, Reason
from domain.handoff import HandoffKind
from domain.interaction import EffectState
from domain.values import AccountStatus, Mode, Money, Plan
from domain.verification import ALL_RULES, Evidence, verify_reply
from domain.verification.amounts import check_amounts
from domain.verification.notation import minor_units, same_id
from domain.verification.promises import ALLOWED
from domain.verification.reading import MAX_REPLY, read
from tests.domain.verification_corpus import NOW, Draft, World, contradictory, truthful

WORLD = World(5, Plan.PRO, "EUR")  # inv_1005 paid EUR 25.85, inv_3005 paid EUR 254.15, inv_2005 open EUR 103.95
LIES = tuple(contradictory(1000))
TRUTHS = tuple(truthful(1000))
NOTHING = WORLD.evidence()
REFUNDED = WORLD.evidence(WORLD.refund)


def codes(reply: str, evidence: Evidence = NOTHING) -> set[str]:
    return {issue.code for issue in verify_reply(reply, evidence)}


def test_P9_every_one_of_1000_contradictory_drafts_is_blocked() -> None:
    assert len(LIES) == 1000
    passed = [draft.text for draft in LIES if not verify_reply(draft.text, draft.evidence)]
    assert passed == []


def test_P9_the_contradictory_drafts_are_of_every_kind() -> None:
    kinds = Counter(draft.kind for draft in LIES)
    assert set(kinds) == {"amount", "status", "date", "claim", "promise", "link", "personal data", "unreadable"}
    assert min(kinds.values()) >= 10


def test_P9_at_most_one_in_a_hundred_of_1000_truthful_drafts_is_blocked() -> None:
    assert len(TRUTHS) == 1000
    blocked = [(d.text, verify_reply(d.text, d.evidence)) for d in TRUTHS if verify_reply(d.text, d.evidence)]
    assert len(blocked) <= 10, blocked[:5]


def test_P9_negative_control_without_a_rule_its_contradictions_pass() -> None:
    """Every rule alone catches something: with it gone, the checker above would fail."""
    fired = [{rule.__name__ for rule in ALL_RULES if list(rule(read(d.text), d.evidence))} for d in LIES]
    alone = {next(iter(rules)) for rules in fired if len(rules) == 1}
    assert alone == {rule.__name__ for rule in ALL_RULES}


def test_truth_of_one_world_is_a_lie_in_another() -> None:
    """Facts decide, not wording: the same sentences about another customer's world are blocked."""
    stranger = World(399, Plan.FREE, "USD")
    about_facts = [
        d for d in TRUTHS[:400] if d.kind in {"refund", "amount", "state", "date", "ticket", "partial", "own"}
    ]
    blocked = [draft for draft in about_facts if verify_reply(draft.text, stranger.evidence())]
    assert len(blocked) >= 0.9 * len(about_facts)


def test_every_rule_is_named_after_its_file_and_says_what_it_checks() -> None:
    for rule in ALL_RULES:
        assert rule.__name__ == "check_" + rule.__module__.rsplit(".", 1)[1]
        assert rule.__doc__


@pytest.mark.parametrize(
    ("number", "hundredths"),
    [
        ("49", 4900),
        ("49.5", 4950),
        ("49,00", 4900),
        ("1.234", 123400),
        ("1,234.50", 123450),
        ("1.234,50", 123450),
        ("1 234,50", 123450),
        ("1'234.50", 123450),
        ("1,234,567.89", 123456789),
        ("12,34,567", None),
        ("1.2.3", None),
        ("1234,567.89", None),
        ("9" * 25, None),
    ],
)
def test_an_amount_is_read_exactly_or_not_at_all(number: str, hundredths: int | None) -> None:
    assert minor_units(number) == hundredths


@given(st.integers(min_value=1, max_value=10**9), st.sampled_from(("EUR", "USD", "GBP")))
def test_how_an_amount_is_printed_is_how_it_is_read(amount: int, currency: str) -> None:
    money = Money(amount=amount, currency=currency)
    world = WORLD.facts
    invoice = world.invoices[0].model_copy(update={"total": money})
    told = Evidence(facts=world.model_copy(update={"invoices": (invoice,)}))
    grouped = f"{amount // 100:,}.{amount % 100:02d} {currency}"
    for text in (f"Your total is {money}.", f"Your total is {grouped}."):
        assert list(check_amounts(read(text), told)) == []
        off = told.model_copy(update={"facts": WORLD.facts.model_copy(update={"invoices": ()})})
        assert list(check_amounts(read(text), off)) != []


@pytest.mark.parametrize(
    ("written", "known", "same"),
    [
        ("INV-1005", "inv_1005", True),
        ("inv1005", "inv_1005", True),
        ("1005", "inv_1005", True),
        ("005", "inv_1005", False),
        ("inv_100", "inv_1005", False),
        ("", "inv_1005", False),
    ],
)
def test_an_invoice_may_be_written_in_several_ways(written: str, known: str, same: bool) -> None:
    assert same_id(written, known) is same


def test_an_amount_of_one_invoice_is_not_said_of_another() -> None:
    assert codes("Invoice inv_1005 is EUR 25.85 and invoice inv_2005 is EUR 103.95.") == set()
    assert codes("Invoice inv_1005 is EUR 103.95 and invoice inv_2005 is EUR 25.85.") == {"unbacked_amount"}


def test_the_same_number_in_another_currency_is_another_amount() -> None:
    assert codes("Invoice inv_1005 is USD 25.85.") == {"unbacked_amount"}


def test_a_refund_in_one_currency_is_not_told_in_another() -> None:
    assert codes("I've refunded EUR 25.85.", REFUNDED) == set()
    assert "unbacked_amount" in codes("I've refunded USD 25.85.", REFUNDED)


@pytest.mark.parametrize("status", list(AccountStatus))
def test_only_the_accounts_own_status_may_be_said(status: AccountStatus) -> None:
    account = WORLD.account.model_copy(update={"status": status})
    evidence = Evidence(facts=WORLD.facts.model_copy(update={"account": account}))
    for said in AccountStatus:
        assert (codes(f"Your account is {said.value}.", evidence) == set()) is (said is status)
        assert codes(f"We have {said.value} your account.", evidence) != set() or said is AccountStatus.ACTIVE


def test_only_identifiers_of_a_result_vouch_for_themselves() -> None:
    """A currency code or a sentence in a result would otherwise free the same words in a reply from every check."""
    assert REFUNDED.known_ids - NOTHING.known_ids == {"rfd_005a7"}


def test_a_number_between_two_currencies_matches_neither() -> None:
    assert codes("Your total is EUR 25.85 USD.") == {"unbacked_amount"}


def test_a_numeric_invoice_id_does_not_hide_an_amount() -> None:
    invoice = WORLD.paid.model_copy(update={"id": "4900"})
    evidence = Evidence(facts=WORLD.facts.model_copy(update={"invoices": (invoice,)}))
    assert "unbacked_amount" in codes("Your total is EUR 4900.", evidence)


@pytest.mark.parametrize("state", [s for s in EffectState if s is not EffectState.CONFIRMED])
def test_only_a_confirmed_effect_backs_a_claim(state: EffectState) -> None:
    unsure = WORLD.evidence(WORLD.refund.model_copy(update={"effect_state": state}))
    claim = f"I've refunded {WORLD.paid.total} for invoice inv_1005."
    assert codes(claim, REFUNDED) == set()
    assert "unconfirmed_action" in codes(claim, unsure)


@pytest.mark.parametrize(
    "state", [EffectState.CONFIRMED, EffectState.UNKNOWN, EffectState.DISPATCHED, EffectState.RESERVED]
)
def test_what_may_have_happened_cannot_be_denied(state: EffectState) -> None:
    maybe = WORLD.evidence(WORLD.refund.model_copy(update={"effect_state": state}))
    assert "denied_action" in codes("I have not refunded invoice inv_1005.", maybe)


def test_what_failed_may_be_denied() -> None:
    failed = WORLD.evidence(WORLD.refund.model_copy(update={"effect_state": EffectState.FAILED}))
    assert codes("I have not refunded invoice inv_1005.", failed) == set()


def test_P8_a_preview_backs_a_claim_in_shadow_and_never_in_live() -> None:
    preview = WORLD.evidence(WORLD.refund.model_copy(update={"effect_state": EffectState.PREVIEW}))
    claim = "I've refunded EUR 25.85 for invoice inv_1005."
    assert codes(claim, preview.model_copy(update={"mode": Mode.SHADOW})) == set()
    assert "unconfirmed_action" in codes(claim, preview)


def test_an_earlier_refund_backs_a_report_but_not_that_we_did_it_now() -> None:
    assert codes("Invoice inv_3005 has already been partially refunded.") == set()
    assert codes("I've refunded invoice inv_3005.") == {"unconfirmed_action"}
    assert codes("Invoice inv_3005 has already been fully refunded.") == {"unconfirmed_action"}


def test_negation_counts_only_right_before_the_verb() -> None:
    assert codes("I have not refunded invoice inv_1005.") == set()
    assert codes("No problem, I have refunded you.") == {"unconfirmed_action"}
    assert codes("It is not a problem, you have been refunded.") == {"unconfirmed_action"}


def test_a_wish_around_it_does_not_hide_what_we_say_we_did() -> None:
    assert codes("Would you like it refunded?") == set()
    assert "unconfirmed_action" in codes("As you would like I have refunded it.")


def test_a_tool_an_organisation_added_backs_the_verb_of_its_name() -> None:
    booked = WORLD.refund.model_copy(update={"tool": "book_appointment", "result": {}, "arguments": {}})
    assert codes("I've booked your appointment.", WORLD.evidence(booked)) == set()
    assert codes("I've cancelled your appointment.", WORLD.evidence(booked)) == {"unconfirmed_action"}


@pytest.mark.parametrize("promise", sorted(ALLOWED))
def test_the_allowed_promises_hold_only_while_somebody_has_the_request(promise: str) -> None:
    assert codes(promise) == {"unbacked_promise"}
    assert codes(promise, WORLD.evidence(handoff=HandoffKind.TAKEOVER)) == set()
    assert codes(promise, WORLD.evidence(WORLD.ticket)) == set()
    assert "promise" in codes(promise[:-1] + " within an hour.", WORLD.evidence(handoff=HandoffKind.TAKEOVER))


def test_a_window_is_backed_by_the_rule_that_named_it_only() -> None:
    refused = WORLD.evidence(reasons=("outside_window",))
    assert codes("It is outside our 30-day window.", refused) == set()
    assert codes("It is outside our 31-day window.", refused) == {"unbacked_period"}
    assert codes("It is outside our 30-day window.") == {"unbacked_period"}
    aged = Reason(code="outside_window", rule="refund", facts={"facts.invoice.age_days": 45, "limits.window_days": 30})
    assert codes("It is outside our 45-day window.", refused.model_copy(update={"reasons": (aged,)})) != set()


def test_links_are_allowed_by_exact_host_over_https_only() -> None:
    allowed = NOTHING.model_copy(update={"link_hosts": ("help.example.com",)})
    assert codes("Please see https://help.example.com/refunds for more.", allowed) == set()
    for link in (
        "http://help.example.com",
        "https://help.example.com.evil.example",
        "https://help.example.com@evil.example",
        "https://help.example.com:8443/x",
        "https://evil.example/help.example.com",
        "https://sub.help.example.com",
        "https://help.example.com\\@evil.example",
    ):
        assert "foreign_link" in codes(f"Please see {link} for more.", allowed), link


def test_the_customers_own_address_and_phone_may_be_said() -> None:
    assert codes("We have ada5@example.com and +49 30 9018 20 on your account.") == set()
    assert codes("We have ada6@example.com on your account.") == {"foreign_email"}
    assert codes("We have +49 30 9018 21 on your account.") == {"foreign_number"}


def test_an_overlong_reply_is_refused_unread() -> None:
    lie = "I've refunded you. "
    assert codes(lie * 300) == {"too_long"}
    assert len(lie * 300) > MAX_REPLY
    assert "unconfirmed_action" in codes(lie * 100)


REPEATED = ("1 ", "a.", "€1 ", "refund ", "within a ", "can refund ", "i have just ", "inv_1", "at a dot ", "a", "\n")


@pytest.mark.parametrize("unit", REPEATED)
def test_X9_every_rule_finishes_on_100_kb_of_anything(unit: str) -> None:
    """A quadratic rule would not end in the life of this test run."""
    text = (unit * (100_000 // len(unit) + 1))[:100_000]
    reading = read(text)
    for rule in ALL_RULES:
        assert all(isinstance(issue, Issue) for issue in rule(reading, REFUNDED))


@given(st.text(alphabet=st.characters(codec=None), max_size=300))
def test_any_text_at_all_gets_an_answer_and_always_the_same(text: str) -> None:
    assert verify_reply(text, REFUNDED) == verify_reply(text, REFUNDED)


@given(st.sampled_from([draft for draft in LIES if draft.text]), st.sampled_from(("Thank you! ", "Hi Ada, ", "\n\n")))
def test_friendly_words_around_a_lie_do_not_free_it(lie: Draft, words: str) -> None:
    assert verify_reply(words + lie.text, lie.evidence)
    assert verify_reply(f"{lie.text} {words}", lie.evidence)


def test_issues_hold_nothing_personal() -> None:
    for draft in LIES[:500]:
        for issue in verify_reply(draft.text, draft.evidence):
            assert not set("0123456789@_") & set(issue.message)


def test_facts_that_leave_the_payment_date_open_back_no_date() -> None:
    invoice = WORLD.paid.model_copy(update={"paid_at": None})
    evidence = Evidence(facts=WORLD.facts.model_copy(update={"invoices": (invoice,)}))
    assert "unbacked_date" in codes(f"You paid it on {NOW - timedelta(days=6):%Y-%m-%d}.", evidence)
    assert "unbacked_age" in codes("Invoice inv_1005 was paid 6 days ago.", evidence)
