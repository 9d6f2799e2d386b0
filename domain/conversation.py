"""A conversation in a person's hands: the agent keeps still, and what needs no answer brings nothing back."""

import re
from datetime import timedelta
from enum import StrEnum

from domain.decision import Decision, Outcome, Reason, sealed
from domain.understanding.text import normal
from domain.values import Json
from domain.verification.promises import THEY_REPLY


class ConversationState(StrEnum):
    OPEN = "open"
    """The agent answers."""
    HUMAN = "human"
    """A person answers; the agent keeps still."""
    CLOSED = "closed"
    """Nothing is expected. A customer's message opens it again, unless it needs no answer."""


class ClockEvent(StrEnum):
    """What stops and starts a handoff's clocks, as kinds of handoff events."""

    WAITING_FOR_CUSTOMER = "waiting_for_customer"
    CUSTOMER_ANSWERED = "customer_answered"
    """The customer wrote. Said also when nobody waited: then no clock stood still, and none starts."""


HELD_FOR = timedelta(hours=4)
"""How long a person holds a conversation who did not say how long."""
HELD_AT_LEAST = timedelta(minutes=1)
HELD_AT_MOST = timedelta(days=7)
"""Longer is a customer forgotten: whoever means it takes over again."""

TAKEN_OVER = "conversation_taken_over"
NOTHING_TO_ANSWER = "nothing_to_answer"
_RULE = "conversation"
_WISH = "customer_asked_for_human"


class NoReply(StrEnum):
    """Why a message needs no answer."""

    AUTOMATIC = "automatic_reply"
    """A machine wrote it: out of office, receipt confirmed. It answers nobody's question and must not be answered."""
    COURTESY = "courtesy"
    """Thanks, a nod, a smiley: nothing is asked."""


_AUTOMATIC = re.compile(
    r"\A(?:(?:re|fwd?|aw): ?){0,3}"
    r"(?:(?:this is an? )?(?:auto|automatic|automated|auto-generated)[- ]?(?:reply|response|answer|message)"
    r"|out[- ]of[- ](?:the )?office(?: (?:reply|message|notification|autoreply))?|abwesenheitsnotiz"
    r"|automatische antwort|r\u00e9ponse automatique|respuesta autom\u00e1tica"
    r"|undeliver(?:able|ed mail returned to sender)|delivery status notification(?: \(failure\))?"
    r"|mail delivery (?:failed|subsystem)) ?(?:[:.!\n]|\Z)",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[^\W_]{1,40}")
_COURTEOUS = frozenset(
    _WORDS.findall(
        "thanks thank thx ty tysm cheers merci danke gracias grazie obrigado ok okay k kk cool great perfect awesome"
        " excellent nice wonderful fine alright good got understood noted appreciated appreciate bye goodbye lovely"
        " brilliant amazing super"
    )
)
_AROUND = frozenset(
    _WORDS.findall(
        "you so very much many a lot really it that this all for your the help support reply answer quick fast patience"
        " time again and day evening weekend have i to is too one"
    )
)
"""Words that go with courteous ones and say nothing by themselves."""
_MOST_LETTERS = 120


def needs_no_reply(text: str) -> NoReply | None:
    """Why this message needs no answer, or nothing: any doubt means that it does.

    Courtesy is made of courteous words alone, so a question, a number, a name, a `no` or a `but` is none. A text
    without a letter or digit (a smiley, `...`) asks nothing; a question mark always does.
    """
    plain = normal(text).strip()
    if _AUTOMATIC.match(plain):
        return NoReply.AUTOMATIC
    words = [word.casefold() for word in _WORDS.findall(plain[:_MOST_LETTERS])]
    if "?" in plain or len(plain) > _MOST_LETTERS or set(words) - _COURTEOUS - _AROUND:
        return None
    return NoReply.COURTESY if not words or _COURTEOUS & set(words) else None


def taken_over(decision: Decision, *, joined: bool, why: NoReply | None = None) -> Decision:
    """The decision on a message that a person will answer: none of it is proposed or done by the agent.

    `joined`: the person has been asked already, so nothing is opened and nothing waits for this message. The wish for
    a person stays among the reasons: it is heard in any case.
    """
    facts: Json = {"joined": joined, **({"why": why.value} if why else {})}
    reason = Reason(code=TAKEN_OVER, rule=_RULE, message="A person holds this conversation.", facts=facts)
    wishes = tuple(r for r in decision.reasons if r.code == _WISH)
    return _changed(decision, Outcome.ASK_HUMAN, (reason, *wishes), facts)


def left_unanswered(decision: Decision, why: NoReply) -> Decision:
    """The decision on a message that needs no answer: nothing is done, nothing said, nobody is bothered."""
    reason = Reason(code=NOTHING_TO_ANSWER, rule=_RULE, message="Nothing is asked.", facts={"why": why.value})
    return _changed(decision, Outcome.PROCEED, (reason,), {"why": why.value})


def is_passed_on(decision: Decision) -> bool:
    """The person who holds the conversation has this message; the interaction has nothing left to do."""
    return _first(decision, TAKEN_OVER).get("joined") is True


def is_left_unanswered(decision: Decision) -> bool:
    return _first(decision, NOTHING_TO_ANSWER) != {}


def wants_a_person(decision: Decision) -> bool:
    return any(reason.code == _WISH for reason in decision.reasons)


def passed_on_reply(decision: Decision, *, acknowledged: bool) -> str:
    """What the customer hears: once per takeover that a person has it, and again whenever they ask for one. Else
    nothing, which is the empty text: two voices in one conversation are one too many."""
    if wants_a_person(decision):
        return f"Of course. A colleague has this conversation. {THEY_REPLY}"
    if acknowledged or "why" in _first(decision, TAKEN_OVER):
        return ""
    return f"Thank you, I've passed this to a colleague. {THEY_REPLY}"


def _first(decision: Decision, code: str) -> Json:
    return decision.reasons[0].facts if decision.reasons and decision.reasons[0].code == code else {}


def _changed(decision: Decision, outcome: Outcome, reasons: tuple[Reason, ...], facts: Json) -> Decision:
    changes = {"outcome": outcome, "actions": (), "issues": (), "reasons": reasons}
    return sealed(decision.model_copy(update=changes), before={"digest": decision.digest}, conversation=facts)
