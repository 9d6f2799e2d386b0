"""Keys as people manage them: made here, shown once, kept as a hash, on record from issue to end."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from api.auth import Caller, key_hash
from api.deps import Services
from domain.errors import RequestInvalid
from schema.api_keys import ApiKey, ApiKeyRepository

PREFIX = "hf_live_"
"""Secret scanners know a key by it: `hf_live_[A-Za-z0-9_-]{43}`."""
SHOWN = len(PREFIX) + 4
RESERVED = frozenset({"agent", "system", "local", "admin", "customer", "identity_provider"})
"""Names the audit trail uses for others than keys."""


def new_secret() -> str:
    """32 random bytes, behind the prefix."""
    return f"{PREFIX}{secrets.token_urlsafe(32)}"


def hint(key: str) -> str:
    """So much of it that people tell it from others: 24 of its 256 bits."""
    return key[:SHOWN]


def check_name(name: str) -> None:
    """Raises `RequestInvalid` for a name under which somebody else's acts are recorded."""
    if name.lower() in RESERVED or name.lower().startswith("opr_"):
        raise RequestInvalid("this name stands for somebody else in the audit trail", fields=["name"])


async def issue(
    services: Services, caller: Caller, name: str, scopes: Sequence[str], expires_at: datetime | None, *, vouches: bool
) -> tuple[ApiKey, str]:
    """The key's record, and the key, this once. Raises `Conflict` if the name is in use, `RequestInvalid`."""
    check_name(name)
    if not vouches and list(scopes) != ["ingest"]:
        raise RequestInvalid("a key that vouches for nobody sends messages and does nothing else", fields=["scopes"])
    key, at = new_secret(), services.now()
    _check_end(expires_at, at)
    async with services.db.transaction(caller.organisation) as session:
        issued = await ApiKeyRepository(session).issue(
            name, scopes, key_hash(key), at, expires_at, hint=hint(key), by=caller.name, vouches=vouches,
            owner=caller.owner,
        )  # fmt: skip
    return issued, key


async def rotate(
    services: Services, caller: Caller, key_id: str, overlap: timedelta, expires_at: datetime | None
) -> tuple[ApiKey, str]:
    """Its successor, under the same name; the old key works for `overlap` still. Raises `KeyNotFound`, `Conflict`."""
    key, at = new_secret(), services.now()
    _check_end(expires_at, at)
    async with services.db.transaction(caller.organisation) as session:
        new = await ApiKeyRepository(session).replace(
            key_id, key_hash(key), at, at + overlap, expires_at, hint=hint(key), by=caller.name, owner=caller.owner
        )
    return new, key


async def revoke(services: Services, caller: Caller, key_id: str) -> None:
    """From the next request on it is refused, wherever it is sent. Again: nothing more. Raises `KeyNotFound`."""
    at = services.now()
    async with services.db.transaction(caller.organisation) as session:
        keys = ApiKeyRepository(session)
        if not await keys.revoke(key_id, at, caller.name):
            await keys.get(key_id)


def _check_end(expires_at: datetime | None, at: datetime) -> None:
    if expires_at is not None and expires_at <= at:
        raise RequestInvalid("a key ends in the future", fields=["expiresAt"])
