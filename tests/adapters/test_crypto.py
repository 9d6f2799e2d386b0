"""Secrets sealed for storage: bound to their place, and readable after the keys have changed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.crypto import (
    TinkSecretBox,
    new_keyset,
    with_another_key,
    with_new_primary,
    with_newest_primary,
    with_primary_only,
)

KEYSET = new_keyset()
BOX = TinkSecretBox(KEYSET)
PLACE = "acme|webhook.signing|sec_1"


@given(st.binary(max_size=200), st.text(max_size=50))
def test_what_was_sealed_opens_in_its_place(secret: bytes, place: str) -> None:
    sealed = BOX.seal(secret, place)
    assert BOX.open(sealed, place) == secret
    assert len(secret) < 8 or secret not in sealed


@pytest.mark.parametrize("place", ["globex|webhook.signing|sec_1", "acme|webhook.address|sec_1", "acme", ""])
def test_it_opens_nowhere_else(place: str) -> None:
    with pytest.raises(ValueError, match="cannot be opened"):
        BOX.open(BOX.seal(b"secret", PLACE), place)


def test_one_changed_bit_anywhere_is_noticed() -> None:
    sealed = BOX.seal(b"secret", PLACE)
    for at in range(len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(ValueError, match="cannot be opened"):
            BOX.open(changed, PLACE)
    for short in (b"", sealed[:-1], sealed[:5]):
        with pytest.raises(ValueError, match="cannot be opened"):
            BOX.open(short, PLACE)


def test_sealing_twice_gives_two_different_seals() -> None:
    assert len({BOX.seal(b"secret", PLACE) for _ in range(100)}) == 100


def test_a_new_primary_key_seals_and_the_old_ones_still_open() -> None:
    before = BOX.seal(b"secret", PLACE)
    changed = with_new_primary(KEYSET)
    after = TinkSecretBox(changed)
    assert after.open(before, PLACE) == b"secret"
    assert json.loads(changed)["primaryKeyId"] != json.loads(KEYSET)["primaryKeyId"]
    with pytest.raises(ValueError, match="cannot be opened"):
        BOX.open(after.seal(b"new", PLACE), PLACE)


def test_a_key_is_known_everywhere_before_it_seals_and_until_nothing_is_sealed_by_the_old() -> None:
    added = with_another_key(KEYSET)
    promoted = with_newest_primary(added)
    only = TinkSecretBox(with_primary_only(promoted))
    before, during, after = (
        BOX.seal(b"1", PLACE),
        TinkSecretBox(added).seal(b"2", PLACE),
        TinkSecretBox(promoted).seal(b"3", PLACE),
    )
    assert BOX.open(during, PLACE) == b"2", "the old one seals while the new one is handed out"
    assert [TinkSecretBox(added).open(sealed, PLACE) for sealed in (before, during, after)] == [b"1", b"2", b"3"]
    assert only.open(after, PLACE) == b"3"
    for gone in (before, during):
        with pytest.raises(ValueError, match="cannot be opened"):
            only.open(gone, PLACE)


@pytest.mark.parametrize("keyset", ["", "{}", "null", "x", '{"primaryKeyId": 1, "key": []}', "[" * 5000])
def test_what_is_no_keyset_is_refused_without_repeating_it(keyset: str) -> None:
    with pytest.raises(ValueError, match="is not a Tink AEAD keyset"):
        TinkSecretBox(keyset)
