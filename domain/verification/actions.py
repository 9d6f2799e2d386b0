"""Checks one proposed action against facts before anything happens."""

import re
from collections.abc import Callable, Iterator, Mapping

from domain.decision import Issue
from domain.errors import RequestInvalid
from domain.facts import Facts
from domain.proposal import ProposedAction
from domain.tools.tool import AnyTool
from domain.values import Money

_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\\x00-\x20\x7f]{1,64}@[^\s@<>,;:\"()\[\]\\\x00-\x20\x7f]{1,255}")


def verify_action(action: ProposedAction, facts: Facts, tools: Mapping[str, AnyTool]) -> tuple[Issue, ...]:
    """What facts do not back in an action; empty if all is well. Never raises on an action, however malformed."""
    tool = tools.get(action.tool)
    if tool is None:
        return (_issue("unknown_tool", "action", "there is no such tool"),)
    try:
        arguments = tool.parse(action.arguments)
    except RequestInvalid:
        return (_issue("arguments_invalid", "action", "the arguments do not fit the tool"),)
    issues = list(_check_account(tool, facts))
    money, subject = tool.money(arguments), tool.subject(arguments)
    if money is not None:
        issues += _check_money(money, subject, facts)
    issues += _MORE.get(tool.name, _nothing)(facts)
    return tuple(issues)


def _check_account(tool: AnyTool, facts: Facts) -> Iterator[Issue]:
    if tool.has_consequences and not facts.account.customer_id.strip():
        yield _issue("account_not_found", "account", "nothing is known about this account")


def _check_money(money: Money, subject: str | None, facts: Facts) -> Iterator[Issue]:
    """Money moves on an invoice of this customer, in its currency, above zero and up to what is refundable."""
    if money.amount <= 0:
        yield _issue("amount_not_positive", "amount", "the amount is not above zero")
    invoice = facts.invoice(subject) if subject is not None else None
    if invoice is None:
        yield _issue("invoice_not_found", "invoice", "this customer has no such invoice")
        return
    if money.currency != invoice.total.currency:
        yield _issue("currency_mismatch", "amount", "the invoice is in another currency")
    elif money.amount > invoice.refundable.amount:
        yield _issue("exceeds_refundable", "amount", "the amount is more than what can still be given back")


def _check_email(facts: Facts) -> Iterator[Issue]:
    email = facts.account.email
    if not email:
        yield _issue("no_email_address", "email", "the account has no e-mail address")
    elif not _ADDRESS.fullmatch(email):
        yield _issue("email_address_invalid", "email", "the account's e-mail address is not one")


def _nothing(facts: Facts) -> Iterator[Issue]:
    return iter(())


_MORE: Mapping[str, Callable[[Facts], Iterator[Issue]]] = {"send_email": _check_email}


def _issue(code: str, check: str, message: str) -> Issue:
    return Issue(code=code, check=check, message=message)
