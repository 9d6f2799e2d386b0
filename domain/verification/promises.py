"""A reply promises only what is certain: a few fixed sentences, each while its condition holds."""

import re
from collections.abc import Iterator

from domain.decision import Issue
from domain.verification.evidence import Evidence
from domain.verification.reading import Reading, negated

THEY_REPLY = "They will reply to you here."
COLLEAGUE_REPLIES = "A colleague will reply to you here."
ALLOWED = frozenset({THEY_REPLY.lower(), COLLEAGUE_REPLIES.lower()})
"""The only promises that may leave: somebody has the request. True while a handoff is open or a ticket exists."""

_UNIT = r"(?:hours?|minutes?|seconds?|weeks?|moments?|months?|(?:business|working) days?)"
_SOME = r"(?: (?:the|next|about|around|just|only|a|an|few|couple|of|following))*"
_COUNT = r" ?(?:\d{1,6}|one|two|three|five|ten|fourteen)?(?: ?(?:-|to|or) ?\d{1,6})?"
_FUTURE = re.compile(
    r"\b(?:will|shall|won't|gonna|guarant\w+|promis\w+|assur\w+|ensur\w+|commit(?:ted|ment)?s?|expect\w*)\b"
    r"|'ll\b|\b(?:is|are|am|'m|'re) (?:going|about|due|set|scheduled|bound|planning) to\b|\bplans? to\b"
    r"|\b(?:shortly|soon|right away|immediately|asap|as soon as|tomorrow|tonight)\b"
    r"|\bnext (?:day|week|month|year|business day|monday|cycle|bill)\b"
    r"|\b(?:should|ought to|must|may|might) (?:\w+ )?(?:arrive|receive|get|see|have|appear|reach|show)\b"
    r"|\bcan (?:\w+ )?(?:expect|receive|get|have)\b"
    r"|\b(?:should|must|may|might) (?:\w+ )?be\b"
    r"|\bby (?:tomorrow|tonight|the end|end of|next|monday|tuesday|wednesday|thursday|friday|saturday|sunday)\b"
)
_TERM = re.compile(
    rf"\b(?:within|in|takes?|up to|allow|after|under|less than){_SOME}{_COUNT} ?{_UNIT}\b"
    rf"|\b(?:in|takes?|up to|allow){_SOME}{_COUNT} ?(?:calendar )?days?\b"
    r"|\bwithin (?:the |next |a |few |couple of |one |two |three |five |ten )+(?:\d{1,6} )?days?\b"
    r"|\bwithin \d{1,6} ?(?:-|to) ?\d{1,6} days?\b"
    r"|\bwithin \d{1,6} (?:calendar )?days?\b(?! (?:of|after|from|since) )"
)
_MODAL = (
    r"(?<!un)\b(?:can|could|may|might|(?<!was )(?<!were )(?<!been )able to|happy to|glad to|ready to|willing to|let me"
    r"|allow me to|(?<!you )like to|offer)"
)
_GAP = (
    r"(?: (?:also|now|still|certainly|gladly|definitely|offer|give|issue|process|send|arrange|get|make|have|apply|you"
    r"|a|the|your|that|this|it|to)){0,5}"
)
_OFFER = re.compile(
    rf"{_MODAL}(?!'t)(?! not\b){_GAP} "
    r"(refund(?! window)\w*|reimburs\w*|credit\w*|compensat\w*|cancel\w*|upgrade|downgrade|book|schedule|reschedule"
    r"|extend|waive|escalate|transfer|replace\w*|money|change|close|delete|reactivate|unlock)\b"
)
_SELLING = re.compile(
    r"\b(?:discount(?:ed)?|coupon|voucher|promo(?: ?code)?|gift ?card|compensation|goodwill|courtesy|bonus|cashback"
    r"|store credit|free of charge|for free|free (?:month|year|week|trial|upgrade|shipping)|on the house|waived?"
    r"|at no (?:extra )?(?:cost|charge)|no questions asked|half price"
    r"|make (?:it|this) up to you|(?:month|year|week)s? (?:for )?free|(?:use|enter) (?:the )?code"
    r"|always|never again|forever|lifetime)\b"
)
_RIGHT = re.compile(
    r"\b(eligible|entitled|deserve|owed an?|owe you"
    r"|qualif(?:y|ies|ied)|legally|liable|liability|lawsuit|our fault|negligen\w+)\b"
)
_POLITE = re.compile(
    r"\b(?:i|we)(?:'ll| will|'d| would) be (?:happy|glad) to (?:help|assist)(?: you)?(?= ?(?:[.!,]|$))"
)


def check_promises(reading: Reading, evidence: Evidence) -> Iterator[Issue]:
    """Anything about the future, any offer, any right or gift, unless it is one of the allowed sentences."""
    for sentence in reading.sentences:
        if sentence in ALLOWED:
            if not _somebody_has_it(evidence):
                yield _issue("unbacked_promise", "nobody has this request, yet a reply by a person is promised")
            continue
        plain = _POLITE.sub(" ", sentence)
        if _FUTURE.search(plain) or _TERM.search(plain):
            yield _issue("promise", "the reply promises something")
        if _SELLING.search(plain) or any(not negated(plain, m.start()) for m in _OFFER.finditer(plain)):
            yield _issue("offer", "the reply offers something")
        if any(not negated(plain, match.start()) for match in _RIGHT.finditer(plain)):
            yield _issue("entitlement", "the reply grants a right or admits a liability")


def _somebody_has_it(evidence: Evidence) -> bool:
    return evidence.handoff is not None or any(action.tool == "create_ticket" for action in evidence.confirmed)


def _issue(code: str, message: str) -> Issue:
    return Issue(code=code, check="promises", message=message)
