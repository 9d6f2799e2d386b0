"""Passwords: hashed with what a later check needs, and nothing opens what it should not."""

import re

import pytest

from adapters.passwords import Argon2Passwords
from domain.errors import RequestInvalid
from domain.ports import Passwords
from domain.signing_in import SHORTEST, check_password, new_password


def test_a_hash_names_its_parameters_and_fits_its_password_only() -> None:
    passwords: Passwords = Argon2Passwords()
    first, second = passwords.hash("a phrase of mine"), passwords.hash("a phrase of mine")
    assert re.match(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$", first)
    assert first != second
    assert passwords.verify("a phrase of mine", first)
    assert not passwords.verify("a phrase of mine ", first)
    assert not passwords.verify("", passwords.nobodys)


def test_a_hash_made_with_other_parameters_is_still_checked() -> None:
    """Made by another program (argon2-cffi's test vector), before the parameters were raised."""
    older = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
    assert Argon2Passwords().verify("password", older)


@pytest.mark.parametrize("garbage", ["", "x", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=1$x$y"])
def test_a_hash_that_cannot_be_read_fits_nothing(garbage: str) -> None:
    assert not Argon2Passwords().verify("password", garbage)


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("PasswordPassword", "common"),
        ("xx-annabel-xx-12", "like_the_login"),
        ("annabel@example.com", "like_the_login"),
        ("abababababababab", "too_simple"),
    ],
)
def test_a_password_that_is_guessed_early_is_refused(password: str, reason: str) -> None:
    with pytest.raises(RequestInvalid) as refusal:
        check_password(password, "annabel@example.com")
    assert refusal.value.details["reason"] == reason


def test_what_we_make_ourselves_is_accepted() -> None:
    for _ in range(50):
        made = new_password()
        check_password(made, "ana@example.com")
        assert len(made) >= SHORTEST
