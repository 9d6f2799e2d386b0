"""A reply made ready for checking: one spelling per character, one sentence at a time."""

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

MAX_REPLY = 4000
"""Characters. Longer drafts are not read at all but blocked: no honest reply of ours comes near."""

_QUOTES = str.maketrans(dict.fromkeys("‘’‛ʼ`´ʹ′＇", "'") | dict.fromkeys("‐‑‒–—―−", "-") | {"\r": "\n", "\t": " "})
_ABBREVIATION = re.compile(r"\b(no|nr|approx|e\.g|i\.e|vs|mr|mrs|ms|dr|inc|ltd)\. ", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?]) |(?<=[.!?][)\"']) |\n")
_SPACES = re.compile(r" {2,}")
_LAST_LATIN = 0x24F
_VARIATION_SELECTOR = "\ufe0f"


@dataclass(frozen=True)
class Reading:
    """One reply. `text` is folded (compatibility forms, accents, quotes, dashes); `lower` is that in lower case."""

    raw: str
    text: str
    hidden: bool
    """Characters a reader would not see, or that decorate letters so that a rule would not know them."""
    foreign: bool
    """Letters of a script these rules cannot read."""

    @cached_property
    def lower(self) -> str:
        return self.text.lower()

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """In lower case, without empty ones. Lines end sentences."""
        plain = _ABBREVIATION.sub(r"\1 ", self.lower)
        return tuple(part.strip(" -*•>") for part in _SENTENCE_END.split(plain) if part.strip(" -*•>"))


def read(reply: str) -> Reading:
    """Never raises, whatever the characters; linear in the length."""
    composed = unicodedata.normalize("NFKC", reply.translate(_QUOTES)).translate(_QUOTES)
    if composed.isascii():
        hidden = any((ch < " " and ch != "\n") or ch == "\x7f" for ch in composed)
        return Reading(raw=reply, text=_SPACES.sub(" ", composed), hidden=hidden, foreign=False)
    hidden = any(_is_hidden(ch) for ch in composed)
    foreign = any(ch.isalpha() and ord(ch) > _LAST_LATIN for ch in composed)
    return Reading(raw=reply, text=_SPACES.sub(" ", fold(composed)), hidden=hidden, foreign=foreign)


def fold(text: str) -> str:
    """Letters without their accents, for comparing."""
    return "".join(ch for ch in unicodedata.normalize("NFKD", text) if not unicodedata.combining(ch))


def _is_hidden(ch: str) -> bool:
    category = unicodedata.category(ch)
    if category in {"Mn", "Me", "Mc"}:
        return ch != _VARIATION_SELECTOR
    return category in {"Cf", "Co", "Cs", "Cn"} or (category == "Cc" and ch != "\n")


_NEGATION = re.compile(
    r"(?:n't|\bnot|\bnever|\bcannot|\bunable|\bwithout|\bno longer|\bnothing|\bnone"
    r"|\bno (?:refund|money|payment|ticket|amount|charge|invoice)s?)"
    r"(?: (?:yet|been|be|being|able|to|have|has|had|was|were|is|are|get|got|actually|already|fully|currently|any"
    r"|on|in|a|the|your))*$"
)


def negated(sentence: str, position: int) -> bool:
    """Whether the words right before `position` deny what follows. Only an unbroken verb group counts, so that
    `no problem, I have refunded you` does not."""
    return _NEGATION.search(sentence[max(0, position - 60) : position].rstrip()) is not None
