"""Finds where a sentence says that something was done, is being done, or was not done."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from domain.verification.reading import negated


@dataclass(frozen=True)
class Spoken:
    """One action a sentence speaks of."""

    verb: str
    kind: str
    position: int
    by_us: bool
    """Said of ourselves (I, we): only what this interaction did can back it."""
    in_progress: bool
    denied: bool


_FILES = files("domain.verification").joinpath("words")
_HARMLESS = frozenset(_FILES.joinpath("harmless_verbs.txt").read_text("utf-8").split())
"""What may be said to have been done without an effect: looking, understanding, receiving."""


def _listed() -> Iterator[tuple[str, str, str]]:
    """`(kind, stem, irregular past)` of every verb in `words/verbs.txt`."""
    for line in _FILES.joinpath("verbs.txt").read_text("utf-8").splitlines():
        kind, _, words = line.partition(":")
        for word in () if line.startswith("#") else words.split():
            stem, _, past = word.partition("/")
            yield kind, stem, past.replace("_", " ")


def _past(stem: str) -> str:
    if stem.endswith("e"):
        return stem + "d"
    return f"(?:{stem}ed|{stem[:-1]}ied)" if stem.endswith("y") else f"{stem}[{stem[-1]}]?ed"


def _gerund(stem: str) -> str:
    return f"{stem[:-1]}ing" if stem.endswith("e") else f"{stem}[{stem[-1]}]?ing"


_PAST = {past or _past(stem): kind for kind, stem, past in _listed()}
_GERUNDS = {_gerund(stem): kind for kind, stem, _ in _listed() if stem} | {"sending": "send", "giving": "refund"}
_ANY_PAST = "|".join(sorted(_PAST, key=len, reverse=True))
# One way to read each word, and so many of them: with two ways thirty adverbs would be read in a thousand million.
_ADVERBS = r"(?: (?:just|now|already|also|gone ahead and|since|even|both|\w{1,30}ly)\b){0,12}"
_NOT = r"(?:n't| not| never)?"

_CONSEQUENCE = re.compile(rf"\b(?<!-)({_ANY_PAST})\b(?!-)")
_PROGRESS = re.compile(
    rf"(?:\b(?:i|we)(?:'m| am|'re| are){_NOT}{_ADVERBS}|\bcurrently|\bnow|\bbusy|\bstarted|\bbegan)"
    rf" ({'|'.join(_GERUNDS)})\b"
)
_BEING = re.compile(r"\b(?:is|are) (?:now |currently )?being (\w+)")
_BY_US = re.compile(rf"\b(?:i|we|i've|we've|ive|weve)(?: have| had| did)?{_NOT}{_ADVERBS}(?: been able to)? (\w+)")
_BEEN = re.compile(rf"\b(?:has|have|had|'s|'ve){_NOT}{_ADVERBS} been{_ADVERBS} (\w+)")
_WAS = re.compile(rf"\b(?:was|were){_NOT}{_ADVERBS} (\w+)")
_REFUNDING = re.compile(r"\b(re-?funding|reimbursing)\b")
_LOOKS_PAST = re.compile(r"\w{2,}(?:ed|ept|ent|ade|ought|old|ung|own|elt)$")
_IRREGULAR = frozenset(_FILES.joinpath("irregular_pasts.txt").read_text("utf-8").split())
_NOUN_DONE = re.compile(
    r"\b(?:refund|reimbursement|money|payment|credit|cash|funds)\b.{0,60}?"
    r"\b(complete|done|successful|gone through|went through|ready|confirmed|approved|arrived|in your (?:bank )?account"
    r"|back (?:in|on|to))\b"
)
_NOUN_MOVING = re.compile(
    r"\b(?:refund|reimbursement|money|payment|credit|cash|funds)\b.{0,60}?"
    r"\b(on (?:its|the) way|under ?way|in progress|pending|coming|in the works)\b"
)
_ON_ITS_WAY = re.compile(r"\b(on (?:its|the|their) way|in transit|out for delivery)\b")
_TICKED = re.compile(r"[✅✔☑].{0,40}\b(refund)|\brefund\b.{0,40}([✅✔☑])")
_TOLD = re.compile(r"\b(?:i|we)(?:'ve| have)?(?: also| just)? (let) (?!me\b|us\b|you\b).{1,30} know\b")
_ABLE = re.compile(
    r"\b(?:(?:was|were)(?:n't| not)? able to|not(?: been)? able to|been able to|managed to|cannot|can't"
    r"|can not|couldn't|could not|unable to) (re-?fund|reimburse)\b"
)
_TICKET = re.compile(
    r"\b(?:your|the|a|new) (?:support )?(?:ticket|case) (?:number|id|reference|is|was)\b|\byou have an? ticket\b"
)
_PERSON = re.compile(
    r"\b(?:colleagues?|person|human|specialist|team|manager|agent|someone|supervisor|operator)\b(?: \w+){0,4}? "
    r"(looking|reviewing|checking|working|handling|investigating|informed|aware|on it|taking care|signed|agreed"
    r"|(?<=is )\w+ing|(?<=are )\w+ing)\b"
)
_GOT_BACK = re.compile(r"\byou(?:'ve| have)? (?:already |now )?(got|received|have)\b.{0,40}\bback\b")
_ALL_DONE = re.compile(
    r"^(?:all |it's |it is |that's |consider it )?(?:done|sorted|completed|taken care of|all set|you're all set)\b"
)
_ASKED = re.compile(r"\b(?:whether|if)(?: (?:the|your|a|any|this|it|my))?$")
_MOVING = (_NOUN_MOVING, _ON_ITS_WAY, _REFUNDING)
_WE = re.compile(rf"\b(?:i|we|i've|we've)(?: have| had| did)?{_ADVERBS}$")
_FIXED = (
    (_NOUN_DONE, "refund"),
    (_NOUN_MOVING, "refund"),
    (_ON_ITS_WAY, "issue"),
    (_TICKED, "refund"),
    (_GOT_BACK, "refund"),
    (_REFUNDING, "refund"),
    (_TICKET, "ticket"),
    (_PERSON, "looking"),
    (_TOLD, "handoff"),
    (_ALL_DONE, "anything"),
)
_NOT_YET_REAL = re.compile(
    r"\b(?:be|get|want|like|wish|prefer|if|whether|once|when|until|unless|to|or)"
    r"(?: (?:it|this|that|them|fully|\w+ly))?$"
    r"|\byou(?:'d| would)? (?:like|want|wish|prefer)\b[^,;]{0,40}$"
)


def spoken_actions(sentence: str) -> Iterator[Spoken]:
    """Every one, in no particular order; the same words may be found in two ways."""
    yield from _consequences(sentence)
    yield from _own(sentence)
    yield from (_spoken(sentence, match, "refund", by_us=True) for match in _ABLE.finditer(sentence))
    for pattern, table in ((_PROGRESS, _GERUNDS), (_BEING, _PAST)):
        for match in pattern.finditer(sentence):
            yield _spoken(sentence, match, _kind_of(match[1], table), in_progress=True)
    for pattern, kind in _FIXED:
        for match in pattern.finditer(sentence):
            if not _ASKED.search(sentence[max(0, match.start() - 40) : match.start()].rstrip()):
                yield _spoken(sentence, match, kind, in_progress=pattern in _MOVING)


def _consequences(sentence: str) -> Iterator[Spoken]:
    """A verb of consequence anywhere, unless it is only wished, possible or conditional."""
    for match in _CONSEQUENCE.finditer(sentence):
        before = sentence[max(0, match.start() - 80) : match.start()].rstrip()
        by_us = _WE.search(before) is not None
        if by_us or not _NOT_YET_REAL.search(before):
            yield _spoken(sentence, match, _kind_of(match[1], _PAST), by_us=by_us)


def _own(sentence: str) -> Iterator[Spoken]:
    """Whatever else we say we did, and whatever is said to have been done: a verb nobody listed backs nothing."""
    for pattern, by_us in ((_BY_US, True), (_BEEN, False), (_WAS, False)):
        for match in pattern.finditer(sentence):
            verb = match[1]
            past = verb in _IRREGULAR or _LOOKS_PAST.fullmatch(verb)
            if past and not _CONSEQUENCE.fullmatch(verb) and verb not in _HARMLESS and not _is_state(verb, by_us):
                yield _spoken(sentence, match, "other", by_us=by_us)


def _is_state(verb: str, by_us: bool) -> bool:
    # What an invoice or account has been is checked against facts by `account_state`.
    return not by_us and verb in {"paid", "settled", "declined", "frozen", "locked", "refused", "rejected"}


def _kind_of(word: str, table: dict[str, str]) -> str:
    return next((kind for pattern, kind in table.items() if re.fullmatch(pattern, word)), "other")


def _spoken(
    sentence: str, match: re.Match[str], kind: str, *, by_us: bool = False, in_progress: bool = False
) -> Spoken:
    group = match.lastindex or 0
    position = match.start(group)
    return Spoken(
        verb=match[group],
        kind=kind,
        position=position,
        by_us=by_us,
        in_progress=in_progress,
        denied=negated(sentence, position),
    )
