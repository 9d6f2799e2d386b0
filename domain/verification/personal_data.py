"""Nothing in a reply identifies anybody but this customer, and nothing in it is a secret."""

import re
from collections.abc import Iterator

from domain.decision import Issue
from domain.verification.evidence import Evidence
from domain.verification.notation import DATE, blank, blank_ids, numbers, same_id
from domain.verification.reading import Reading, fold

_EMAIL = re.compile(r"[\w.+%'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}")
_EMAIL_SPELLED = re.compile(
    r"(?:\(at\)|\[at\]|\bat\b) ?\w{1,63} ?(?:\(dot\)|\[dot\]|\bdot\b|\.) ?(?:com|net|org|io|de|fr|example)\b"
)
_AT = re.compile(r"@\w")
_ID = re.compile(r"(?<![\w-])[a-z]{2,12}[_-][\w-]*\d[\w-]*")
_INVOICE = re.compile(
    r"\binvoices?(?: (?:number|no|nr|id))?:? ?#?(?=[\w-]{0,99}\d)([\w-]{1,100})(?![.,]\d)|#(\d[\w-]{0,99})"
)
_CUSTOMER = re.compile(
    r"\b(?:customer|account|client|user)(?: (?:number|no|nr|id))?:? #?(?=[\w-]{0,99}\d)([\w-]{1,100})"
)
_DIGITS = re.compile(r"(?<![\w.,])\+?\(?\d[\d ()./-]{5,40}\d(?!\w)")
_LONG_TOKEN = re.compile(r"(?<![\w-])(?=[\w+/=-]{0,64}\d)(?=[\w+/=-]{0,64}[a-z])[\w+/=-]{20,}")
_IBAN = re.compile(r"\b[a-z]{2}\d{2}(?: ?[a-z0-9]{4}){2,8}(?: ?[a-z0-9]{1,4})?\b")
_SECRET = re.compile(
    r"\b(?:pass(?:word|code|phrase)|pin|api[ _-]?key|secret|token|one-time code|otp|cvv|cvc)\b(?: is|:| =|=| -) ?\S"
    r"|\b(?:pin|otp|cvv|cvc)\b \d{3,8}\b|\bsystem prompt\b|\bmy instructions\b"
    r"|\b(?:sk|pk|rk)[-_](?:live|test|proj)?[-_]?\w{8,}|\bakia[0-9a-z]{12,}|\bgh[pousr]_\w{10,}|\bxox[abprs]-\w{6,}"
    r"|\beyj[\w-]{8,}\.|-----begin|\bbearer \w{8,}|\bssn\b|\bsocial security\b"
)
_OTHER_PERSON = re.compile(r"\b(?:another|other|different) (?:customer|client|user|account holder|person)s?\b")


def check_personal_data(reading: Reading, evidence: Evidence) -> Iterator[Issue]:
    """E-mail addresses, phone and card numbers, identifiers, bank accounts, passwords and keys."""
    text = reading.lower
    own = blank_ids(text, evidence.known_ids)
    yield from _check_addresses(text, evidence)
    yield from _check_ids(own, evidence)
    yield from _check_digits(own, evidence)
    if _SECRET.search(own) or _LONG_TOKEN.search(own) or _IBAN.search(own):
        yield _issue("secret", "something reads like a secret or a bank account")
    if _OTHER_PERSON.search(text):
        yield _issue("other_customer", "the reply speaks of another customer")


def _check_addresses(text: str, evidence: Evidence) -> Iterator[Issue]:
    own = fold(evidence.facts.account.email or "").lower()
    found = {address.rstrip(".'-") for address in _EMAIL.findall(text)}
    if any(address != own for address in found):
        yield _issue("foreign_email", "an e-mail address is not this customer's")
    elif _EMAIL_SPELLED.search(text) or (not found and _AT.search(text)):
        yield _issue("foreign_email", "something reads like an e-mail address in disguise")


def _check_ids(own: str, evidence: Evidence) -> Iterator[Issue]:
    plain = blank(own, (DATE,))
    for match in _ID.finditer(plain):
        if not _is_ordinary(match[0]):
            yield _issue("foreign_id", "an identifier is not among this customer's")
    for match in _INVOICE.finditer(plain):
        if not any(same_id(match[1] or match[2], invoice.id) for invoice in evidence.facts.invoices):
            yield _issue("foreign_invoice", "an invoice is not among this customer's")
    for match in _CUSTOMER.finditer(plain):
        if not same_id(match[1], evidence.facts.account.customer_id):
            yield _issue("foreign_customer", "a customer number is not this customer's")


def _is_ordinary(token: str) -> bool:
    """`covid-19`, `top-10` are words; identifiers have an underscore or three digits and more."""
    return "_" not in token and sum(ch.isdigit() for ch in token) < 3


def _check_digits(own: str, evidence: Evidence) -> Iterator[Issue]:
    plain = blank(own, (DATE,))
    letters = list(plain)
    for money in numbers(plain):
        if money.currencies:  # `amounts` checks these
            letters[money.start : money.end] = "_" * (money.end - money.start)
    phone = re.sub(r"\D", "", evidence.facts.account.phone or "")
    for match in _DIGITS.finditer("".join(letters)):
        digits = re.sub(r"\D", "", match[0])
        if len(digits) >= 7 and not (phone and digits[-9:] == phone[-9:]):
            yield _issue("foreign_number", "a phone, card or account number is not this customer's")


def _issue(code: str, message: str) -> Issue:
    return Issue(code=code, check="personal_data", message=message)
