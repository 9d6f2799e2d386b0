"""The default refund policy, rule by rule, at its boundaries."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.decision import Outcome
from domain.facts import Account, Facts, History, Invoice
from domain.policies import PolicyBook, Verdict, inputs_of
from domain.proposal import Proposal
from domain.values import AccountStatus, CustomerId, InvoiceStatus, Money

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOOK = PolicyBook.shipped()
PAID = {"total": 50_000, "currency": "EUR", "status": "paid", "age": timedelta(days=5), "refunded": 0, "in_flight": 0,
        "in_doubt": 0, "in_flight_for": timedelta()}  # fmt: skip


def invoice_of(**changes: Any) -> Invoice:
    is_ = {**PAID, **changes}
    return Invoice(
        id="inv_1",
        total=Money(amount=is_["total"], currency=is_["currency"]),
        status=InvoiceStatus(is_["status"]),
        paid_at=None if is_["age"] is None else NOW - is_["age"],
        refunded=is_["refunded"],
        in_flight=is_["in_flight"],
        in_doubt=is_["in_doubt"],
        in_flight_since=NOW - is_["in_flight_for"] if is_["in_flight"] > is_["in_doubt"] else None,
    )


def verdict_on(
    arguments: dict[str, Any] | None = None,
    *,
    invoice: dict[str, Any] | None = None,
    status: str = "active",
    refunded: int = 0,
    unknown: bool = False,
    book: PolicyBook = BOOK,
) -> Verdict:
    """What the pack says about refunding EUR 49.00, with these differences."""
    of = invoice_of(**(invoice or {}))
    account = Account(customer_id=CustomerId("cust_1"), status=AccountStatus(status))
    facts = Facts(now=NOW, account=account, invoices=(of,), history=History(refunded_in_period=refunded))
    asked = {"invoice_id": "inv_1", "amount": 4900, "currency": "EUR", **(arguments or {})}
    seen = inputs_of(Proposal(), facts).for_action("issue_refund", asked, None if unknown else of, facts)
    return book.evaluate("refund", seen)


PROCEED, ASK, REFUSE = Outcome.PROCEED, Outcome.ASK_HUMAN, Outcome.REFUSE
REFUNDS: list[tuple[str, dict[str, Any], Outcome, str]] = [
    ("an ordinary refund", {}, PROCEED, "within_limit"),
    ("one cent", {"arguments": {"amount": 1}}, PROCEED, "within_limit"),
    ("exactly the limit", {"arguments": {"amount": 10_000}}, PROCEED, "within_limit"),
    ("a cent over the limit", {"arguments": {"amount": 10_001}}, ASK, "over_auto_limit"),
    ("exactly the sum of refunds", {"refunded": 15_100}, PROCEED, "within_limit"),
    ("a cent over the sum of refunds", {"refunded": 15_101}, ASK, "over_cumulative_limit"),
    ("over both", {"arguments": {"amount": 20_001}}, ASK, "over_auto_limit"),
    ("exactly thirty days", {"invoice": {"age": timedelta(days=30)}}, PROCEED, "within_limit"),
    ("a second more", {"invoice": {"age": timedelta(days=30, seconds=1)}}, REFUSE, "outside_window"),
    ("just paid", {"invoice": {"age": timedelta()}}, PROCEED, "within_limit"),
    ("a clock that runs ahead", {"invoice": {"age": timedelta(hours=-1)}}, PROCEED, "within_limit"),
    ("paid the day after tomorrow", {"invoice": {"age": timedelta(days=-2)}}, ASK, "payment_date_unclear"),
    ("paid, but when?", {"invoice": {"age": None}}, ASK, "payment_date_unclear"),
    ("a suspended account", {"status": "suspended"}, ASK, "account_not_active"),
    ("a closed account", {"status": "closed"}, ASK, "account_not_active"),
    ("a closed account and a foreign invoice", {"status": "closed", "unknown": True}, ASK, "account_not_active"),
    ("an unknown invoice", {"unknown": True}, REFUSE, "invoice_not_found"),
    ("a void invoice", {"invoice": {"status": "void"}}, REFUSE, "invoice_void"),
    ("an open invoice", {"invoice": {"status": "open"}}, REFUSE, "invoice_not_paid"),
    ("refunded in full", {"invoice": {"refunded": 50_000}}, REFUSE, "already_refunded"),
    ("refunded more than in full", {"invoice": {"refunded": 60_000}}, REFUSE, "already_refunded"),
    ("refunded long ago", {"invoice": {"refunded": 50_000, "age": timedelta(99)}}, REFUSE, "already_refunded"),
    ("all under way", {"invoice": {"in_flight": 50_000}}, REFUSE, "refund_in_progress"),
    ("half done, half under way", {"invoice": {"refunded": 25_000, "in_flight": 25_000}}, REFUSE, "refund_in_progress"),
    ("nobody knows", {"invoice": {"in_flight": 50_000, "in_doubt": 50_000}}, ASK, "refund_in_flight"),
    ("partly nobody knows", {"invoice": {"in_flight": 50_000, "in_doubt": 1}}, ASK, "refund_in_flight"),
    (
        "under way for an hour less a second",
        {"invoice": {"in_flight": 50_000, "in_flight_for": timedelta(minutes=59, seconds=59)}},
        REFUSE,
        "refund_in_progress",
    ),
    (
        "under way for an hour",
        {"invoice": {"in_flight": 50_000, "in_flight_for": timedelta(hours=1)}},
        ASK,
        "refund_in_flight",
    ),
    (
        "by a clock that runs ahead",
        {"invoice": {"in_flight": 50_000, "in_flight_for": timedelta(minutes=-2)}},
        REFUSE,
        "refund_in_progress",
    ),
    ("part under way, the rest asked for", {"invoice": {"in_flight": 45_100}}, PROCEED, "within_limit"),
    ("an invoice over nothing", {"invoice": {"total": 0}}, REFUSE, "nothing_to_refund"),
    ("nothing asked for", {"arguments": {"amount": 0}}, REFUSE, "nothing_to_refund"),
    ("another currency", {"arguments": {"currency": "USD"}}, REFUSE, "currency_mismatch"),
    ("all that is left", {"invoice": {"refunded": 45_100}}, PROCEED, "within_limit"),
    ("a cent more than is left", {"invoice": {"refunded": 45_101}}, REFUSE, "exceeds_refundable"),
    ("more than is left and over the limit", {"arguments": {"amount": 50_001}}, REFUSE, "exceeds_refundable"),
    (
        "a currency nobody listed",
        {"arguments": {"currency": "JPY"}, "invoice": {"currency": "JPY"}},
        ASK,
        "currency_not_automatic",
    ),
    ("no amount at all", {"arguments": {"amount": None}}, ASK, "policy_error"),
    ("an amount in words", {"arguments": {"amount": "all"}}, ASK, "policy_error"),
]


@pytest.mark.parametrize(("case", "outcome", "code"), [c[1:] for c in REFUNDS], ids=[c[0] for c in REFUNDS])
def test_the_refund_policy_decides(case: dict[str, Any], outcome: Outcome, code: str) -> None:
    verdict = verdict_on(**case)
    assert (verdict.outcome, [reason.code for reason in verdict.reasons]) == (outcome, [code])


def test_every_rule_that_looks_at_an_action_is_in_the_table() -> None:
    codes = {rule.then.code for rule in BOOK.pack("refund").rules} - {"nothing_proposed"}
    assert codes <= {code for *_, code in REFUNDS}


@pytest.mark.parametrize(
    ("invoices", "status", "outcome", "code"),
    [
        ((), "active", REFUSE, "nothing_to_refund"),
        ((), "suspended", ASK, "account_not_active"),
        ((invoice_of(),), "active", ASK, "nothing_proposed"),
    ],
)
def test_a_request_for_which_no_refund_was_proposed_is_judged_too(
    invoices: tuple[Invoice, ...], status: str, outcome: Outcome, code: str
) -> None:
    account = Account(customer_id=CustomerId("cust_1"), status=AccountStatus(status))
    facts = Facts(now=NOW, account=account, invoices=invoices)
    verdict = BOOK.evaluate("refund", inputs_of(Proposal(), facts))
    assert (verdict.outcome, verdict.reasons[0].code) == (outcome, code)


def without(*rules: str) -> PolicyBook:
    pack = BOOK.pack("refund")
    return BOOK.replacing(pack.model_copy(update={"rules": tuple(r for r in pack.rules if r.id not in rules)}))


GATES = sorted({rule.id for rule in BOOK.pack("refund").rules} - {"within_limit"})


@pytest.mark.parametrize("removed", GATES)
def test_no_rule_can_be_lost_so_that_more_proceeds(removed: str) -> None:
    book = without(removed)
    for name, case, outcome, _ in REFUNDS:
        if outcome is not PROCEED:
            assert verdict_on(**case, book=book).outcome is not PROCEED, name


def test_the_table_would_notice_a_lost_rule() -> None:
    """Negative control: with the last rule open, removing a gate lets its case through."""
    pack = without("over_auto_limit").pack("refund")
    last = pack.rules[-1].model_copy(update={"when": "true"})
    book = BOOK.replacing(pack.model_copy(update={"rules": (*pack.rules[:-1], last)}))
    assert verdict_on({"amount": 10_001}, book=book).outcome is PROCEED
