"""A reply is text these rules can read: short, English, and without anything hidden. Else nothing else is certain."""

import re
from collections.abc import Iterator
from importlib.resources import files

from domain.decision import Issue
from domain.verification.evidence import Evidence
from domain.verification.notation import ISO_CODES, blank_ids
from domain.verification.reading import MAX_REPLY, Reading, fold

_WORD = re.compile(r"(?<![\w@./-])[a-z']+(?![\w@/])")
_SPACED_OUT = re.compile(r"(?<!\w)(?:[a-z][ ._*-]){4,60}[a-z](?!\w)")
_DISGUISED = re.compile(
    r"(?<![\w-])(?!\d+(?:st|nd|rd|th|am|pm|gb|mb)(?!\w))[a-z]{0,30}\d{1,5}[a-z]{2,30}\d{0,5}(?![\w-])"
)
_SPLIT_WORD = re.compile(r"[a-z][*~|^\\+=][a-z]")
_ENGLISH = frozenset(files("domain.verification").joinpath("words/english.txt").read_text("utf-8").split())


def check_readable(reading: Reading, evidence: Evidence) -> Iterator[Issue]:
    """Empty, overlong, hidden, decorated, foreign or non-English text is one: a rule that cannot read cannot vouch."""
    if not reading.text.strip():
        yield _issue("empty_reply", "there is nothing to say")
    if len(reading.raw) > MAX_REPLY:
        yield _issue("too_long", "the reply is longer than any honest one")
    if reading.hidden or reading.foreign:
        yield _issue("unreadable_characters", "the reply has characters that are hidden or of another script")
    own = blank_ids(reading.lower, evidence.known_ids)
    if _SPACED_OUT.search(own) or _SPLIT_WORD.search(own) or _DISGUISED.search(own):
        yield _issue("disguised_words", "words are spelled so that rules would miss them")
    name = frozenset(fold(evidence.facts.account.name).lower().split())
    if any(not _is_english(sentence, name) for sentence in reading.sentences):
        yield _issue("not_english", "a sentence is not in a language these rules can read")


def _is_english(sentence: str, name: frozenset[str]) -> bool:
    """A quarter of the words, and at least one, are common English ones; the customer's own name does not count."""
    words = [word for word in _WORD.findall(sentence) if word not in name and word not in ISO_CODES]
    return sum(word in _ENGLISH for word in words) * 4 >= len(words)


def _issue(code: str, message: str) -> Issue:
    return Issue(code=code, check="readable", message=message)
