"""What a message says once typography is out of the way. Every pattern in this package reads normal text."""

import re
import unicodedata

_DISCARDED = {"Cc", "Cf", "Cs", "Co", "Cn"}
_INVISIBLE_LETTERS = frozenset(
    [0x034F, 0x115F, 0x1160, 0x3164, 0xFFA0, *range(0x180B, 0x180E), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]
)
"""Grapheme joiner, Hangul fillers and variation selectors: nothing to see, but categories of their own."""

_PLAIN_QUOTES = str.maketrans({"‘": "'", "’": "'", "‛": "'", "ʼ": "'", "`": "'", "´": "'", "“": '"', "”": '"'})
_SPACES = re.compile(r"[^\S\n]+")
_LINE_BREAKS = re.compile(r"\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_SENTENCE_END = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]|[.!?]{1,9}(?![0-9.!?])")


def normal(text: str) -> str:
    """The text as a reader sees it: compatibility forms folded (NFKC), invisible and control characters removed,
    quotes straight, digits of every script 0 to 9, runs of blanks one space, line breaks `\\n`. Case is kept.
    Never fails, lone surrogates included. Normal text is its own normal form."""
    return text if _is_plain(text) else _tidy(unicodedata.normalize("NFKC", _tidy(text)))


def sentence_start(text: str, position: int) -> int:
    """Where the sentence or line that contains `position` begins."""
    start = 0
    for end in _SENTENCE_END.finditer(text, 0, position):
        start = end.end()
    return start


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and "  " not in text and "`" not in text and text == text.strip()


def _tidy(text: str) -> str:
    text = _LINE_BREAKS.sub("\n", text).translate(_PLAIN_QUOTES)
    replaced = {ord(c): _replacement(c) for c in set(text)}
    lines = _SPACES.sub(" ", text.translate(replaced)).split("\n")
    return "\n".join(stripped for line in lines if (stripped := line.strip()))


def _replacement(character: str) -> str | None:
    if character in "\n\t":
        return character
    if ord(character) in _INVISIBLE_LETTERS or unicodedata.category(character) in _DISCARDED:
        return None
    return str(unicodedata.decimal(character, character))
