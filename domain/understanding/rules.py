"""Words that settle what a message wants, as a table: pattern, intent, confidence.

A rule *settles* an intent when its `when` is found and its `unless` is not. When both are found the customer speaks
about the thing without asking for it ("what is your refund policy", "I do not want a refund"): the rule then *vetoes*
its intent, so that a model that only saw the word cannot answer with it either.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from domain.values import Intent


def _pattern(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


@dataclass(frozen=True)
class Rule:
    intent: Intent
    confidence: float
    """Share of the messages that the rule settles for which the intent is right."""
    when: re.Pattern[str]
    unless: re.Pattern[str] | None = None


@dataclass(frozen=True)
class Ruling:
    """What the table says about one text."""

    settled: tuple[Rule, ...] = ()
    """At most one rule per intent, the surest of each."""
    vetoed: frozenset[Intent] = frozenset()


_REFUND = r"(?:re-?fund|refnd|refud|reufnd|refound|re-?imburse(?:ment)?)"
_WORDS = r"(?:\s(?!(?:please|pls|plz|i|so|and|but|just|can|could|give|gimme)\b)[\w']{1,20}){0,4}\s"
"""A few words that do not begin a wish of their own."""
_MY = r"(?:my|our|the|this|that|a|an|your|these)"
_VISIT = (
    r"(?:appointment|appt|apointment|meeting|demo|consultation|viewing|booking|session|slot|check-?up"
    r"|onboarding call)s?"
)
_PLAN = (
    r"(?:subscription|subscribtion|plan|membership|account|contract|renewal|auto-?renewal|trial|service"
    r"|licen[cs]e)s?"
)
_PARCEL = r"(?:orders?|packages?|parcels?|deliver(?:y|ies)|shipments?|purchase)"

_REFUND_WANTED = _pattern(
    rf"\A(?:(?:hi|hello|hey|please|pls|plz|i want|i need|a|full"
    rf"|my)[\s,.!]{{1,3}}){{0,4}}{_REFUND}(?:[\s,]{{1,2}}(?:please|pls|plz|me|now|it|this|thanks|thank you|asap"
    rf"|inv[\w-]{{1,64}})){{0,4}}[\s.!]{{0,9}}\Z",
    rf"\b(?:want|wanna|need|like|request|demand|require|get|give|issue|process|make|arrange|send|ask(?:ing)? for"
    rf"|apply for|claim|deserve|have|due|owe[sd]?|owed|expect"
    rf"|insist on)\b(?:\s[\w']{{1,20}}){{0,4}}\s{_REFUND}(?:ed)?\b",
    rf"\b(?:please|pls|plz|kindly|can you|could you|would you|will you"
    rf"|just)(?:\s[\w']{{1,20}}){{0,2}}\s{_REFUND}\b",
    rf"\b{_REFUND}\s(?:me|my|please|pls|plz|this|it|that|the (?:payment|charge|order|invoice|amount|money|full"
    rf"|whole|last)|inv[_-]?\w)",
    rf"\b{_REFUND}\s(?:of\s|the\s){{0,2}}(?:EUR|USD|GBP|[$€£])?\s?[0-9]",
    r"\b(?:want|need|like|get|give|have|send|return|transfer)\b(?:\s[\w']{1,20}){0,3}\smoney\s(?:back|returned)\b",
    r"\A(?:my\s)?money back(?:[\s,](?:please|pls|now))?[\s.!]{0,9}\Z",
)
_REFUND_MENTIONED = _pattern(rf"\b{_REFUND}(?:s|ed|ing|able)?\b", r"\bmoney back\b")
_REFUND_NOT_WANTED = _pattern(
    rf"\b{_REFUND}s?\s(?:polic(?:y|ies)|rules?|terms|windows?|periods?|process|conditions?|status|eligibility"
    rf"|confirmation|receipt|works?|takes?|time)\b",
    rf"\b{_REFUND}s?\s(?:button|page|form|link|api|webhook|endpoint|option|feature|screen|report|module|function"
    rf"|tab)s?\b",
    rf"\b(?:my|the|that)\s{_REFUND}(?:\s(?:request|payment|money|amount))?\s(?:is|was|has|hasn't|hasnt|have"
    rf"|haven't|had|still|never|didn't|did|went|shows?|came|arrived?|cleared|appears?|landed|got|pending"
    rf"|processed|denied|rejected|approved)\b",
    rf"\b(?:where|when|how|why|what|which)(?:'s|\s(?:is|are|was|do|does|did|will|would|can|about|long|much|if"
    rf"|soon|many|happens?|happened|has|have|should|exactly)){{1,3}}{_WORDS}(?:{_REFUND}|money back)",
    rf"\b(?:(?:do|does|are|is)\s(?:you|they|it|there|i|we|the)|(?:would|will)\s(?:they|it|there|i|we|the))\b"
    rf"{_WORDS}(?:{_REFUND}(?:s|able|ed)?|money back)\b(?!\s(?:me|my|please))",
    rf"\b{_REFUND}able\b",
    rf"\b(?:status|progress|update)\s(?:of|on|about|for)\s(?:\w{{1,10}}\s)?{_REFUND}",
    rf"\b(?:got|received|receive|waiting (?:for|on)|waited for|promised|promising|said|told|confirmed|approved"
    rf"|chasing|missing){_WORDS}{_REFUND}",
    rf"\b(?:(?:been|was|were|got|already)\s{_REFUND}ed|(?:previous|last|earlier)\s{_REFUND})\b",
    rf"\b(?:thanks|thank you|cheers)\sfor\s(?:\w{{1,10}}\s)?{_REFUND}",
    rf"\b(?:don't|dont|do not|didn't|did not|doesn't|not|no|never|without|instead of|rather than|stop|forget"
    rf"|no longer|wouldn't|isn't)\b{_WORDS}(?:{_REFUND}(?:s|ed|ing)?|money back)\b",
    rf"\b(?:if|in case|whether|suppose|before|unless)\b(?:\s[\w']{{1,20}}){{0,9}}\s(?:{_REFUND}(?:s|ed)?|money back)\b",
    rf"\b(?:customer|client|buyer|user|tenant|guest|patient|friend|colleague|neighbou?r|someone|amazon|paypal"
    rf"|another (?:shop|company|store))'?s?\b{_WORDS}{_REFUND}",
    rf"\b{_REFUND}(?:ing)?\s(?:a|an|my|our|the|one of my|your|their)\s(?:\w{{1,12}}\s)?(?:customer|client|buyer"
    rf"|user|tenant|guest|patient)s?\b",
    rf"\b(?:{_REFUND}|money back)\s(?:guarantee|guaranteed)\b",
    rf"\b(?:cancel|withdraw|revoke)\s(?:my|the|that)\s{_REFUND}",
)
_REFUND_QUESTION = _pattern(
    rf"\b(?:what|where|when|how|why)(?:'s|\s(?:is|are|do|does|will|would|long|much|has|about"
    rf"|hasn't)){{1,3}}(?:\s[\w']{{1,20}}){{0,4}}\s{_REFUND}(?:s|ed|able)?\b",
    rf"\b{_REFUND}s?\s(?:polic(?:y|ies)|rules?|terms|window|period|conditions?|status|eligibility|process)\b",
    rf"\bdo (?:you|they)\s(?:offer|give|do|have|allow|make|provide|accept)\s(?:\w{{1,12}}\s){{0,2}}{_REFUND}s?\b",
    rf"\b(?:my|the)\s{_REFUND}\s(?:hasn't|has not|hasnt|still|never|is still|didn't|has yet)\b",
)

RULES: tuple[Rule, ...] = (
    Rule(Intent.REFUND_REQUEST, 0.93, _REFUND_WANTED, _REFUND_NOT_WANTED),
    Rule(Intent.BILLING_QUESTION, 0.85, _REFUND_QUESTION, _pattern(r"\b(?:i want|i need|please|pls)\s(?:a|my|to)\b")),
    Rule(
        Intent.CANCELLATION,
        0.92,
        _pattern(
            rf"\b(?:cancel|cancell|terminate|discontinue|end|close"
            rf"|delete)\s(?:{_MY}\s){{0,2}}(?:[\w']{{1,20}}\s){{0,2}}{_PLAN}\b",
            rf"\b(?:stop|turn off|switch off)\s(?:{_MY}\s)?(?:[\w']{{1,20}}\s)?(?:subscription|membership"
            rf"|auto-?renewal|renewal)\b",
        ),
        _pattern(
            r"\b(?:don't|dont|do not|not|never|didn't|did not|without|instead of|why|already|who|before"
            r"|unless)\b(?:\s[\w']{1,20}){0,4}\s(?:cancel|close|delete|end|terminate|stop)",
            r"\b(?:fee|fees|policy|terms|penalty|notice period)\b",
            rf"\b(?:cancel|close|delete|end)\s(?:[\w']{{1,20}}\s){{0,3}}{_VISIT}\b",
            r"\b(?:customer|client|user)s?\b",
        ),
    ),
    Rule(
        Intent.APPOINTMENT_CHANGE,
        0.92,
        _pattern(
            rf"\b(?:re-?schedule|postpone|move|push(?: back)?|change|cancel|rebook|shift|bring forward|delay"
            rf"|amend)\s(?:[\w']{{1,20}}\s){{0,4}}{_VISIT}\b"
        ),
        _pattern(
            r"\b(?:don't|dont|do not|not|never)\b(?:\s[\w']{1,20}){0,3}\s(?:move|change|cancel|reschedule)",
            r"\bfees?\b",
        ),
    ),
    Rule(
        Intent.APPOINTMENT_BOOKING,
        0.92,
        _pattern(
            rf"\b(?:book|schedule|arrange|set up|reserve|make)\s(?:(?:me|us|in|an?|the|another|new|first|quick"
            rf"|short|product|sales|free|for|with)\s){{0,4}}{_VISIT}\b",
        ),
        _pattern(
            r"\b(?:change|cancel|move|postpone|reschedule|booked|error|fail(?:s|ed|ing)?|broken|crash\w{0,4}"
            r"|unable|can't|cannot)\b"
        ),
    ),
    Rule(
        Intent.ORDER_STATUS,
        0.92,
        _pattern(
            rf"\bwhere(?:'s|s|\s(?:is|are|the hell is|on earth is))?\s(?:my|our"
            rf"|the)\s(?:[\w']{{1,20}}\s){{0,2}}{_PARCEL}\b",
            rf"\b(?:track|tracking (?:number|link|info|code) for)\s(?:my|our|the"
            rf"|an?)\s(?:[\w']{{1,20}}\s){{0,2}}{_PARCEL}\b",
            rf"\bwhen\s(?:will|does|is|should|can)\s(?:my|our"
            rf"|the)\s(?:[\w']{{1,20}}\s){{0,2}}{_PARCEL}\s(?:arrive|ship|come|be|get|going|supposed|leave|due)\b",
            rf"\b(?:status|whereabouts)\s(?:of|for|on)\s(?:my|our|the)\s(?:[\w']{{1,20}}\s){{0,2}}{_PARCEL}\b",
        ),
        _pattern(r"\b(?:webhook|api|button|page|screen|field|export)s?\b"),
    ),
    Rule(
        Intent.ACCOUNT_QUESTION,
        0.9,
        _pattern(
            r"\b(?:reset|forgot|forgotten|lost|change|recover)\s(?:my|our|the)\s(?:[\w']{1,20}\s)?(?:password"
            r"|passcode|login|username)\b",
            r"\b(?:change|update|edit|correct)\s(?:my|our|the)\s(?:[\w']{1,20}\s){0,2}(?:e-?mail|e-?mail address"
            r"|phone number|username|profile|account (?:name|details|email))\b",
        ),
        _pattern(r"\b(?:error|500|404|crash\w{0,4}|broken|bug|hacked|stolen|fails?|not working|doesn't work)\b"),
    ),
    Rule(
        Intent.GREETING,
        0.95,
        _pattern(
            r"\A(?:hi|hello|hey|heya|hiya|hallo|yo|howdy|greetings|good (?:morning|afternoon|evening|day)|morning"
            r"|evening)"
            r"(?:\s(?:there|all|team|everyone|guys|folks|support|again|to you))?[\s,.!:)]{0,9}\Z",
        ),
    ),
)

_MENTIONS = ((Intent.REFUND_REQUEST, _REFUND_MENTIONED, _REFUND_NOT_WANTED),)
"""Words whose bare mention, denied or asked about, vetoes an intent even where no rule would have settled it."""


def rule_on(text: str, rules: Sequence[Rule] = RULES) -> Ruling:
    """What the table says about a normal text."""
    settled: dict[Intent, Rule] = {}
    vetoed = {intent for intent, mentioned, denied in _MENTIONS if mentioned.search(text) and denied.search(text)}
    for rule in rules:
        if not rule.when.search(text):
            continue
        if rule.unless is not None and rule.unless.search(text):
            vetoed.add(rule.intent)
        elif rule.intent not in settled or settled[rule.intent].confidence < rule.confidence:
            settled[rule.intent] = rule
    return Ruling(tuple(settled.values()), frozenset(vetoed - settled.keys()))
