"""Customers' own keys: what is sealed for one place of one customer opens nowhere else, and no changed bit passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.crypto import TinkSecretBox, new_keyset, with_new_primary
from adapters.customer_keys import CustomerKeys
from domain.sealing import SealBroken
from domain.values import OrganisationId
from schema.seals import MARK, Seals, key_id_of

KEYSET = new_keyset()
KEYS = CustomerKeys(TinkSecretBox(KEYSET))
SEALS = Seals(KEYS)
ACME, GLOBEX = OrganisationId("acme"), OrganisationId("globex")
ANNA = SEALS.new(ACME, "anna")
PLACE = ("interactions.message", "int_1")


@given(st.text(max_size=200), st.text(max_size=20), st.text(max_size=20))
def test_what_was_sealed_opens_in_its_place(words: str, column: str, row: str) -> None:
    sealed = SEALS.seal(ANNA, column, row, words)
    assert SEALS.open(ANNA, column, row, sealed) == words
    assert key_id_of(sealed) == ANNA.id
    assert len(words) < 8 or words not in sealed


@pytest.mark.parametrize("place", [("interactions.message", "int_2"), ("messages.body", "int_1"), ("", "")])
def test_it_opens_at_no_other_place(place: tuple[str, str]) -> None:
    with pytest.raises(SealBroken):
        SEALS.open(ANNA, *place, SEALS.seal(ANNA, *PLACE, "my secret"))


def test_the_same_key_in_the_name_of_another_customer_or_organisation_opens_nothing() -> None:
    sealed = SEALS.seal(ANNA, *PLACE, "my secret")
    for organisation, customer in ((ACME, "bert"), (GLOBEX, "anna"), (ACME, "")):
        with pytest.raises(SealBroken):
            SEALS.unwrapped(organisation, customer, ANNA.id, ANNA.wrapped)
        with pytest.raises(SealBroken):
            SEALS.open(SEALS.new(organisation, customer), *PLACE, sealed)
    with pytest.raises(SealBroken):
        SEALS.unwrapped(ACME, "anna", "cky_other", ANNA.wrapped)
    assert SEALS.unwrapped(ACME, "anna", ANNA.id, ANNA.wrapped).key == ANNA.key


def test_one_changed_character_anywhere_is_noticed() -> None:
    sealed = SEALS.seal(ANNA, *PLACE, "my secret")
    begin = len(MARK) + len(ANNA.id) + 1
    for at in range(begin, len(sealed)):
        changed = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
        with pytest.raises(SealBroken):
            SEALS.open(ANNA, *PLACE, changed)
    for short in (sealed[:begin], sealed[:-1], sealed + "A", sealed + "="):
        with pytest.raises(SealBroken):
            SEALS.open(ANNA, *PLACE, short)
    for at in range(len(ANNA.wrapped)):
        changed = ANNA.wrapped[:at] + ("A" if ANNA.wrapped[at] != "A" else "B") + ANNA.wrapped[at + 1 :]
        with pytest.raises(SealBroken):
            SEALS.unwrapped(ACME, "anna", ANNA.id, changed)


def test_sealing_twice_gives_two_different_seals_and_two_keys_are_two() -> None:
    assert len({SEALS.seal(ANNA, *PLACE, "x") for _ in range(100)}) == 100
    assert len({SEALS.new(ACME, "anna").key for _ in range(100)}) == 100


def test_a_key_is_not_shown_with_what_holds_it() -> None:
    assert repr(ANNA.key) not in repr(ANNA)


def test_after_a_rotation_old_keys_open_and_rewrapped_ones_need_only_the_new() -> None:
    both = with_new_primary(KEYSET)
    rotated = Seals(CustomerKeys(TinkSecretBox(both)))
    met = rotated.unwrapped(ACME, "anna", ANNA.id, ANNA.wrapped)
    assert met.key == ANNA.key
    with pytest.raises(SealBroken):
        SEALS.unwrapped(ACME, "anna", ANNA.id, rotated.rewrapped(met))
    assert rotated.unwrapped(ACME, "anna", ANNA.id, rotated.rewrapped(met)).key == ANNA.key


def test_a_key_is_at_hand_for_a_while_after_it_was_met_and_only_so_many_are() -> None:
    now = 0.0
    seals = Seals(KEYS, clock=lambda: now)
    seals.keep(ANNA)
    now = 599.0
    assert seals.at_hand(ACME, "anna") is ANNA
    assert seals.at_hand(GLOBEX, "anna") is None
    now = 601.0
    assert seals.at_hand(ACME, "anna") is None
    seals.keep(ANNA)
    seals.forget(ANNA)
    assert seals.at_hand(ACME, "anna") is None
    few = Seals(KEYS, most=2)
    keys = [few.new(ACME, f"c{number}") for number in range(3)]
    for key in keys:
        few.keep(key)
    assert [few.at_hand(ACME, key.customer_id) for key in keys] == [None, keys[1], keys[2]]
