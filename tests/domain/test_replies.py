"""Every reply of ours is true: composed over generated decisions, facts and results, checked on the same evidence."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decision import Decision, JudgedAction, Outcome, Reason
from domain.facts import Account, Facts, Invoice
from domain.handoff import HandoffKind
from domain.interaction import EffectState
from domain.policies import PolicyBook
from domain.replies import compose_reply, failed_reply, holding_reply, operator_declined_reply, unknown_reply
from domain.values import AccountStatus, CustomerId, Intent, InvoiceStatus, Mode, Money, Plan, Priority
from domain.verification import DoneAction, Evidence, verify_reply
from domain.verification.reading import MAX_REPLY

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LIMITS = {"limits.window_days": 30}

amounts = st.integers(min_value=1, max_value=10**10)
currencies = st.sampled_from(("EUR", "USD", "GBP", "CHF", "SEK"))
ids = st.from_regex(r"(inv_[0-9]{1,8}|INV-[0-9]{4}|in_[a-f0-9]{24}|[0-9]{4,9}|2026-[0-9]{3}-[A-Z])", fullmatch=True)


@st.composite
def invoices(draw: st.DrawFn) -> Invoice:
    total, status = draw(amounts), draw(st.sampled_from(list(InvoiceStatus)))
    paid = status is InvoiceStatus.PAID
    refunded = draw(st.integers(0, total)) if paid else 0
    return Invoice(
        id=draw(ids),
        total=Money(amount=total, currency=draw(currencies)),
        status=status,
        paid_at=NOW - timedelta(hours=draw(st.integers(0, 24 * 400))) if paid else None,
        description=draw(st.text(max_size=20)),
        refunded=refunded,
        in_flight=draw(st.integers(0, total - refunded)) if paid else 0,
    )


@st.composite
def all_facts(draw: st.DrawFn, min_invoices: int = 0) -> Facts:
    account = Account(
        customer_id=CustomerId(draw(st.from_regex(r"cust_[0-9]{1,6}", fullmatch=True))),
        name=draw(st.sampled_from(("", "Ada Example", "Zoë O'Hara", "Li"))),
        email=draw(st.sampled_from((None, "ada@example.com"))),
        plan=draw(st.sampled_from(list(Plan))),
        status=draw(st.sampled_from(list(AccountStatus))),
    )
    found = draw(st.lists(invoices(), min_size=min_invoices, max_size=8, unique_by=lambda invoice: invoice.id))
    return Facts(now=NOW, account=account, invoices=tuple(found))


def decision(outcome: Outcome, *codes: str, intent: Intent = Intent.OTHER, actions: tuple[str, ...] = ()) -> Decision:
    return Decision(
        outcome=outcome,
        intent=intent,
        reasons=tuple(Reason(code=code, rule="refund", facts=LIMITS) for code in codes),
        actions=tuple(JudgedAction(tool=tool) for tool in actions),
    )


def refund_of(invoice: Invoice, state: EffectState = EffectState.CONFIRMED) -> DoneAction:
    amount = {"amount": max(1, invoice.refundable.amount), "currency": invoice.total.currency}
    result = {"refundId": "rfd_0192f3c4d5e6", "invoiceId": invoice.id, "amount": amount}
    told = state in {EffectState.CONFIRMED, EffectState.PREVIEW}
    return DoneAction(
        tool="issue_refund",
        arguments={"invoiceId": invoice.id, **amount},
        effect_state=state,
        result=result if told else {},
    )


def ticket(state: EffectState = EffectState.CONFIRMED) -> DoneAction:
    return DoneAction(
        tool="create_ticket",
        arguments={"topic": "complaint"},
        effect_state=state,
        result={"ticketId": "tkt_0192f3c4d5e67890abcdef"} if state is EffectState.CONFIRMED else {},
    )


def issues(reply: str, told: Evidence) -> list[str]:
    return [issue.code for issue in verify_reply(reply, told)]


@given(all_facts(), st.sampled_from(list(Intent)))
def test_an_answer_from_facts_is_true(facts: Facts, intent: Intent) -> None:
    answered = decision(Outcome.PROCEED, "within_limit", intent=intent)
    reply = compose_reply(answered, facts, (), intent=intent, draft=None)
    assert issues(reply, Evidence.of(answered, facts)) == []


@given(all_facts(min_invoices=1), st.sampled_from(list(EffectState)), st.sampled_from(list(EffectState)), st.booleans())
def test_a_reply_after_any_result_is_true(facts: Facts, first: EffectState, second: EffectState, both: bool) -> None:
    """Live: nothing is said of an effect that is not confirmed, and a person is spoken of only where one is asked."""
    went_on = decision(Outcome.PROCEED, "within_limit", intent=Intent.REFUND_REQUEST, actions=("issue_refund",))
    done = (refund_of(facts.invoices[0], first), *((ticket(second),) if both else ()))
    reply = compose_reply(went_on, facts, done, intent=Intent.REFUND_REQUEST, draft=None)
    preview = EffectState.PREVIEW in {first, *((second,) if both else ())}
    mode = Mode.SHADOW if preview else Mode.LIVE
    sure = all(action.effect_state in {EffectState.CONFIRMED, EffectState.PREVIEW} for action in done)
    handoff = None if sure else HandoffKind.TAKEOVER
    assert issues(reply, Evidence.of(went_on, facts, done, handoff=handoff, mode=mode)) == []
    assert ("colleague as a priority" in reply) is not sure
    lost = {EffectState.FAILED, EffectState.UNDONE} & {action.effect_state for action in done}
    assert ("wasn't able to complete" in reply) is bool(lost)
    assert ("can't tell yet" in reply) is (not sure and not lost)


BY_CODE: dict[str, dict[str, object]] = {
    "invoice_void": {"status": InvoiceStatus.VOID, "paid_at": None, "refunded": 0, "in_flight": 0},
    "refund_in_progress": {"status": InvoiceStatus.PAID, "paid_at": NOW, "refunded": 0, "in_flight": 1},
    "invoice_not_paid": {"status": InvoiceStatus.OPEN, "paid_at": None, "refunded": 0, "in_flight": 0},
    "outside_window": {"status": InvoiceStatus.PAID, "paid_at": NOW - timedelta(days=61)},
    "invoice_not_found": {},
    "currency_mismatch": {},
    "exceeds_refundable": {},
    "nothing_to_refund": {},
    "something_new": {},
}


@given(all_facts(min_invoices=1), st.sampled_from(sorted(BY_CODE)), st.booleans())
def test_a_refusal_is_true_and_says_why(facts: Facts, code: str, about_one: bool) -> None:
    invoice = facts.invoices[0].model_copy(update=BY_CODE[code])
    facts = facts.model_copy(update={"invoices": (invoice, *facts.invoices[1:])})
    refused = decision(Outcome.REFUSE, code, intent=Intent.REFUND_REQUEST)
    named = JudgedAction(tool="issue_refund", arguments={"invoiceId": invoice.id if about_one else "somebody-else's"})
    refused = refused.model_copy(update={"actions": (named,)})
    reply = compose_reply(refused, facts, (), intent=Intent.REFUND_REQUEST, draft="I've refunded you.")
    assert "somebody-else's" not in reply
    assert "I've refunded" not in reply
    if about_one:
        assert issues(reply, Evidence.of(refused, facts)) == []


@given(all_facts(min_invoices=1))
def test_already_refunded_is_true_of_an_invoice_that_was(facts: Facts) -> None:
    invoice = facts.invoices[0]
    back = {"status": InvoiceStatus.PAID, "paid_at": NOW, "refunded": invoice.total.amount, "in_flight": 0}
    facts = facts.model_copy(update={"invoices": (invoice.model_copy(update=back),)})
    refused = decision(Outcome.REFUSE, "already_refunded").model_copy(
        update={"actions": (JudgedAction(tool="issue_refund", arguments={"invoiceId": invoice.id}),)}
    )
    reply = compose_reply(refused, facts, (), intent=Intent.REFUND_REQUEST, draft=None)
    assert issues(reply, Evidence.of(refused, facts)) == []


def shipped_codes(outcome: Outcome) -> set[str]:
    rules = [rule.then for pack in PolicyBook.shipped() for rule in pack.rules]
    return {then.code for then in rules if then.outcome is outcome and then.code}


def test_every_refusal_of_the_shipped_policies_has_its_own_words() -> None:
    """A code without a sentence would be refused with *I can't do this*, which explains nothing."""
    facts = Facts(now=NOW, account=Account(customer_id=CustomerId("cust_1")))
    generic = compose_reply(decision(Outcome.REFUSE, "x"), facts, (), intent=Intent.OTHER, draft=None)
    codes = shipped_codes(Outcome.REFUSE)
    assert codes
    for code in codes:
        reply = compose_reply(decision(Outcome.REFUSE, code), facts, (), intent=Intent.OTHER, draft=None)
        assert reply != generic, code


@pytest.mark.parametrize("priority", list(Priority))
def test_a_holding_reply_is_true_while_a_handoff_is_open_and_only_then(priority: Priority) -> None:
    facts = Facts(now=NOW, account=Account(customer_id=CustomerId("cust_1")))
    for code in shipped_codes(Outcome.ASK_HUMAN) | {"low_confidence", "confirmation_missing", "anything"}:
        asked = decision(Outcome.ASK_HUMAN, code)
        reply = holding_reply(asked, priority)
        assert issues(reply, Evidence.of(asked, facts, handoff=HandoffKind.APPROVAL)) == []
        assert issues(reply, Evidence.of(asked, facts)) != []
        assert ("as a priority" in reply) is (priority in {Priority.HIGH, Priority.URGENT})


@given(all_facts(), st.sampled_from(list(Intent)))
def test_the_other_fixed_replies_are_true(facts: Facts, intent: Intent) -> None:
    asked = decision(Outcome.ASK_HUMAN, "over_auto_limit", intent=intent)
    assert issues(operator_declined_reply(asked), Evidence.of(asked, facts)) == []
    held = Evidence.of(asked, facts, handoff=HandoffKind.TAKEOVER)
    assert issues(failed_reply(asked, facts, ()), held) == []
    assert issues(unknown_reply(asked, facts, ()), held) == []


def test_a_refund_is_told_with_amount_invoice_and_reference() -> None:
    invoice = Invoice(id="inv_1001", total=Money(amount=4900, currency="EUR"), status=InvoiceStatus.PAID, paid_at=NOW)
    facts = Facts(now=NOW, account=Account(customer_id=CustomerId("cust_123")), invoices=(invoice,))
    went_on = decision(Outcome.PROCEED, "within_limit", intent=Intent.REFUND_REQUEST, actions=("issue_refund",))
    reply = compose_reply(went_on, facts, (refund_of(invoice),), intent=Intent.REFUND_REQUEST, draft=None)
    assert reply == "I've refunded EUR 49.00 for invoice inv_1001. Your reference is rfd_0192f3c4d5e6."


def test_a_refusal_names_the_window_the_rule_had_and_the_age_facts_have() -> None:
    paid_at = NOW - timedelta(days=60)
    invoice = Invoice(
        id="inv_3001", total=Money(amount=1900, currency="EUR"), status=InvoiceStatus.PAID, paid_at=paid_at
    )
    facts = Facts(now=NOW, account=Account(customer_id=CustomerId("cust_789")), invoices=(invoice,))
    refused = decision(Outcome.REFUSE, "outside_window").model_copy(
        update={"actions": (JudgedAction(tool="issue_refund", arguments={"invoiceId": "inv_3001"}),)}
    )
    reply = compose_reply(refused, facts, (), intent=Intent.REFUND_REQUEST, draft=None)
    words = "I'm sorry, I can't refund invoice inv_3001: it was paid 60 days ago, outside our 30-day refund window."
    assert reply == words


def test_an_action_that_was_decided_but_not_reported_counts_as_unknown() -> None:
    facts = Facts(now=NOW, account=Account(customer_id=CustomerId("cust_1")))
    twice = decision(Outcome.PROCEED, intent=Intent.OTHER, actions=("create_ticket", "create_ticket", "send_email"))
    assert "I can't tell yet" in compose_reply(twice, facts, (ticket(),), intent=Intent.OTHER, draft=None)
    assert "I can't tell" not in compose_reply(twice, facts, (ticket(), ticket()), intent=Intent.OTHER, draft=None)


def test_a_draft_is_used_only_where_everything_went_well() -> None:
    facts = Facts(now=NOW, account=Account(customer_id=CustomerId("cust_1")))
    draft = "  A ticket was opened.  "
    for outcome, state, used in (
        (Outcome.PROCEED, EffectState.CONFIRMED, True),
        (Outcome.PROCEED, EffectState.FAILED, False),
        (Outcome.PROCEED, EffectState.UNKNOWN, False),
        (Outcome.ASK_HUMAN, EffectState.CONFIRMED, False),
        (Outcome.REFUSE, EffectState.CONFIRMED, False),
    ):
        reply = compose_reply(decision(outcome), facts, (ticket(state),), intent=Intent.OTHER, draft=draft)
        assert (reply == "A ticket was opened.") is used
    assert compose_reply(decision(Outcome.PROCEED), facts, (ticket(),), intent=Intent.OTHER, draft=" \n")


def test_the_longest_answer_stays_far_below_the_limit() -> None:
    many = tuple(
        Invoice(id=f"inv_{n:020d}", total=Money(amount=10**12, currency="EUR"), status=InvoiceStatus.OPEN)
        for n in range(200)
    )
    facts = Facts(now=NOW, account=Account(customer_id=CustomerId("cust_1")), invoices=many)
    answered = decision(Outcome.PROCEED, intent=Intent.BILLING_QUESTION)
    reply = compose_reply(answered, facts, (), intent=Intent.BILLING_QUESTION, draft=None)
    assert len(reply) < MAX_REPLY / 2
    assert issues(reply, Evidence.of(answered, facts)) == []


def test_negative_control_a_reply_over_other_facts_is_not_true() -> None:
    """The property tests would notice a composer that took a figure from anywhere but facts."""
    invoice = Invoice(id="inv_1", total=Money(amount=4900, currency="EUR"), status=InvoiceStatus.PAID, paid_at=NOW)
    account = Account(customer_id=CustomerId("cust_1"), plan=Plan.PRO, status=AccountStatus.ACTIVE)
    facts = Facts(now=NOW, account=account, invoices=(invoice,))
    other = facts.model_copy(
        update={
            "account": account.model_copy(update={"plan": Plan.FREE}),
            "invoices": (invoice.model_copy(update={"total": Money(amount=4901, currency="EUR")}),),
        }
    )
    for intent in (Intent.BILLING_QUESTION, Intent.ACCOUNT_QUESTION):
        answered = decision(Outcome.PROCEED, intent=intent)
        reply = compose_reply(answered, facts, (), intent=intent, draft=None)
        assert issues(reply, Evidence.of(answered, other)) != []
