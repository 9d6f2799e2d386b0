"""Canaries: words nobody else writes, put wherever a caller can put something, and looked for wherever nothing
personal may be."""

import base64
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql


@dataclass
class Canaries:
    """One canary per slot, made when it is first asked for."""

    words: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, slot: str) -> str:
        return self.words.setdefault(slot, f"cnry{secrets.token_hex(8)}")

    def email(self, slot: str) -> str:
        return f"{self[slot]}@example.com"

    def phone(self, slot: str) -> str:
        return self.words.setdefault(slot, f"+49{secrets.randbelow(10**12):012d}")

    def found_in(self, content: bytes) -> set[str]:
        """The slots whose canary stands in `content`, in any of the forms a program writes text in."""
        folded = content.lower()
        return {
            slot
            for slot, word in self.words.items()
            if any(form in folded for form in _plain(word)) or any(form in content for form in _base64(word))
        }


def _plain(word: str) -> Iterator[bytes]:
    text = word.lower()
    for encoding in ("utf-8", "utf-16-le"):
        yield text.encode(encoding)
    yield text.encode().hex().encode()
    yield text.replace("+", "%2b").encode()


def _base64(word: str) -> Iterator[bytes]:
    """As it looks inside longer base64, wherever it begins: without the edges, which depend on what stands beside."""
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + word.encode())
        yield encoded[4 if offset else 0 : -4]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def columns(owner: psycopg.Connection) -> dict[str, bytes]:
    """What stands in every column of every table, by `table.column`: what a dump would hold."""
    named = owner.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    ).fetchall()
    found = {}
    for table, column in named:
        query = sql.SQL("SELECT {}::text FROM {}").format(sql.Identifier(column), sql.Identifier(table))
        found[f"{table}.{column}"] = "\n".join(str(value) for (value,) in owner.execute(query)).encode()
    return found
