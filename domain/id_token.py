"""What an ID token must say to be believed (OpenID Connect Core 3.1.3.7). Its signature is checked before."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

LEEWAY = timedelta(seconds=60)
"""How much two clocks may differ."""
OLDEST = timedelta(minutes=10)
"""A token is used as soon as it is made: one that was made so long ago comes from somewhere else."""
ROUNDED = timedelta(seconds=5)
"""Times in tokens are whole seconds, and a request takes its way."""
LAST_SECOND = 1e11
MOST_GROUPS = 2_000
LONGEST_SUBJECT = 255
LONGEST_EMAIL = 254
_EMAIL = re.compile(r"[^@\s\x00-\x1f<>,;:\"]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII)


class IdTokenRefused(Exception):
    """`reason` names what is wrong with it: for the audit, never for whoever brought it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Expected:
    """What the token of this sign-in must say."""

    issuer: str
    client_id: str
    nonce: str
    now: datetime
    groups_claim: str
    since: datetime | None = None
    """Step-up: the person gave proof at the provider after this moment."""
    acr: tuple[str, ...] = ()
    """Step-up: and in one of these ways, if any are named."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the provider vouches for."""

    subject: str
    """Never given to another person by this issuer."""
    email: str | None
    """In lower case, and only if the provider says that it is verified."""
    groups: frozenset[str]


def person_of(claims: Mapping[str, object], expected: Expected) -> Person:
    """Whom these claims are about. Raises `IdTokenRefused` for anything that is not as expected."""
    _check_parties(claims, expected)
    _check_times(claims, expected.now)
    if claims.get("nonce") != expected.nonce:
        raise IdTokenRefused("nonce")
    if expected.since is not None:
        _check_fresh(claims, expected.since, expected)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
        raise IdTokenRefused("sub")
    return Person(subject, _email(claims), _groups(claims, expected.groups_claim))


def _check_parties(claims: Mapping[str, object], expected: Expected) -> None:
    if claims.get("iss") != expected.issuer:
        raise IdTokenRefused("iss")
    audience, authorized = claims.get("aud"), claims.get("azp")
    named = audience if isinstance(audience, list) else [audience]
    if expected.client_id not in named:
        raise IdTokenRefused("aud")
    # A token for others too is only ours if it was made for us.
    if (len(named) > 1 or "azp" in claims) and authorized != expected.client_id:
        raise IdTokenRefused("azp")


def _check_times(claims: Mapping[str, object], now: datetime) -> None:
    at, late = now.timestamp(), LEEWAY.total_seconds()
    if at >= _number(claims, "exp") + late:
        raise IdTokenRefused("exp")
    issued = _number(claims, "iat")
    if not at - OLDEST.total_seconds() - late <= issued <= at + late:
        raise IdTokenRefused("iat")
    if "nbf" in claims and _number(claims, "nbf") > at + late:
        raise IdTokenRefused("nbf")


def _check_fresh(claims: Mapping[str, object], since: datetime, expected: Expected) -> None:
    # How long ago that was when the token was made, by the provider's own clock, against how long this took by ours:
    # clocks that differ make no old proof a new one.
    age = _number(claims, "iat") - _number(claims, "auth_time")
    if age > (expected.now - since + ROUNDED).total_seconds():
        raise IdTokenRefused("auth_time")
    if expected.acr and claims.get("acr") not in expected.acr:
        raise IdTokenRefused("acr")


def _number(claims: Mapping[str, object], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < LAST_SECOND:
        raise IdTokenRefused(name)
    return value


def _email(claims: Mapping[str, object]) -> str | None:
    email = claims.get("email")
    # The word "true" is what some providers send; it is no promise of this standard.
    if claims.get("email_verified") is not True or not isinstance(email, str) or len(email) > LONGEST_EMAIL:
        return None
    if not _EMAIL.fullmatch(email):
        return None
    return email.lower()


def _groups(claims: Mapping[str, object], name: str) -> frozenset[str]:
    """The claim of this name; else, with dots, what lies at the end of the path (`realm_access.roles`)."""
    found: object = claims.get(name)
    if found is None and "." in name:
        found = claims
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return frozenset({found})
    if not isinstance(found, list):
        return frozenset()
    return frozenset(group for group in found[:MOST_GROUPS] if isinstance(group, str))
