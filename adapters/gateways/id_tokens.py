"""Signatures of ID tokens. Only such that take the provider's private key: never `none`, never a shared secret."""

import base64
import binascii
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc import jwk, jws
from joserfc.errors import JoseError, SecurityWarning

from domain.id_token import IdTokenRefused

LONGEST_TOKEN = 65_536
MOST_KEYS = 50
FEWEST_RSA_BITS, MOST_RSA_BITS = 2_048, 8_192
TYPES = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP", "Ed25519": "OKP"}
"""Every algorithm that is believed, and the one type of key it goes with."""

Key = jwk.RSAKey | jwk.ECKey | jwk.OKPKey


class KeyUnknown(Exception):
    """The token names a key the provider has not published, as far as is known."""


@dataclass(frozen=True)
class PublicKeys:
    """What a provider signs with. Keys we cannot use are not in it."""

    keys: tuple[tuple[str | None, str | None, Key], ...]
    """With the id and the only algorithm each is for, where it says so."""

    @classmethod
    def read(cls, said: Mapping[str, object]) -> "PublicKeys":
        found = said.get("keys")
        entries = found[:MOST_KEYS] if isinstance(found, list) else []
        return cls(tuple(key for entry in entries if (key := _key(entry)) is not None))

    def fitting(self, alg: str, kid: str | None) -> Sequence[Key]:
        return [
            key
            for its_id, its_alg, key in self.keys
            if key.key_type == TYPES[alg] and its_alg in {None, alg} and (kid is None or its_id == kid)
        ]


def verified(token: str, keys: PublicKeys) -> Mapping[str, object]:
    """The claims of a token one of these keys signed. Raises `IdTokenRefused`; `KeyUnknown` if there is no such key."""
    alg, kid = _named(token)
    fitting = keys.fitting(alg, kid)
    if not fitting:
        raise KeyUnknown
    if len(fitting) > 1:
        raise IdTokenRefused("key_ambiguous")
    registry = jws.JWSRegistry(algorithms=[alg], strict_check_header=False)
    try:
        with warnings.catch_warnings():
            # EdDSA is an older name of Ed25519, and what providers send.
            warnings.simplefilter("ignore", SecurityWarning)
            payload = jws.deserialize_compact(token, fitting[0], registry=registry).payload
        claims: object = json.loads(payload)
    except (JoseError, ValueError, TypeError, RecursionError):
        raise IdTokenRefused("signature") from None
    if not isinstance(claims, dict):
        raise IdTokenRefused("unreadable")
    return claims


def _named(token: str) -> tuple[str, str | None]:
    """The algorithm and the key a token names. Nothing else of its header counts, no key in it least of all."""
    if len(token) > LONGEST_TOKEN or token.count(".") != 2 or not token.isascii():
        raise IdTokenRefused("unreadable")
    first = token.partition(".")[0]
    try:
        header: object = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        raise IdTokenRefused("unreadable") from None
    if not isinstance(header, dict) or "crit" in header:
        raise IdTokenRefused("unreadable")
    alg, kid = header.get("alg"), header.get("kid")
    if not isinstance(alg, str) or alg not in TYPES:
        raise IdTokenRefused("alg")
    if kid is not None and not isinstance(kid, str):
        raise IdTokenRefused("unreadable")
    return alg, kid


def _key(entry: object) -> tuple[str | None, str | None, Key] | None:
    """A key to verify with; None for one we cannot or must not use."""
    # Private and shared keys are not public: whoever publishes one is not believed about it.
    if not isinstance(entry, dict) or "d" in entry or entry.get("kty") not in ("RSA", "EC", "OKP"):
        return None
    if entry.get("use") not in (None, "sig"):
        return None
    try:
        key = jwk.import_key(entry)
        is_good = _is_good(key)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    if not is_good:
        return None
    kid, alg = entry.get("kid"), entry.get("alg")
    if not isinstance(key, jwk.RSAKey | jwk.ECKey | jwk.OKPKey):
        return None
    return (kid if isinstance(kid, str) else None), (alg if isinstance(alg, str) else None), key


def _is_good(key: object) -> bool:
    public = getattr(key, "public_key", None)
    if isinstance(public, RSAPublicKey):
        return FEWEST_RSA_BITS <= public.key_size <= MOST_RSA_BITS
    if isinstance(public, EllipticCurvePublicKey):
        return public.curve.name == "secp256r1"
    return isinstance(public, Ed25519PublicKey)
