"""How people sign in: what a password must be, how long a session lasts, and how failing slows down."""

import secrets
from datetime import timedelta

from domain.errors import RequestInvalid

IDLE = timedelta(minutes=30)
"""A session nobody used for so long is over."""
LONGEST = timedelta(hours=12)
"""However much it is used."""
STEP_UP = timedelta(minutes=5)
"""So long after the password was given again, what needs that may be done."""
ONE_TIME = timedelta(hours=72)
"""A password somebody else handed out works for so long, and only to choose another."""
FORGET = timedelta(days=1)
"""Failures are forgotten after a day without one."""
FREE_TRIES = {"account": 5, "address": 30}
"""Failures in a row that cost nothing. The wait after the next one is a second, then twice as long each time."""
LONGEST_WAIT_S = 900
SHORTEST = 12
LONGEST_PASSWORD = 128
FEWEST_DIFFERENT = 5
SHORTEST_NAME = 4
_COMMON = frozenset({
    "123456789012", "1234567890123", "12345678901234", "123456789123", "password1234", "password12345",
    "passwordpassword", "password123456", "qwertyuiop123", "qwertyuiopasdf", "qwerty123456", "1qaz2wsx3edc",
    "1q2w3e4r5t6y", "iloveyou1234", "administrator", "adminadminadmin", "admin1234567", "letmein12345",
    "letmeinletmein", "welcome12345", "welcome123456", "changeme1234", "changemechangeme", "trustno1trustno1",
    "correcthorsebatterystaple", "abcdefghijkl", "abcd12345678", "abc123456789", "q1w2e3r4t5y6", "holdfast1234",
    "holdfastholdfast",
})  # fmt: skip
"""The well-known ones of twelve characters and more."""


def check_password(password: str, login: str) -> None:
    """Raises `RequestInvalid` for one that is guessed early. `reason`: `common`, `like_the_login`, `too_simple`.

    Its length is checked where it is read."""
    plain = password.casefold()
    if plain in _COMMON:
        raise _refused("common")
    name = login.casefold().partition("@")[0]
    if (len(name) >= SHORTEST_NAME and name in plain) or plain in login.casefold():
        raise _refused("like_the_login")
    if len(set(plain)) < FEWEST_DIFFERENT:
        raise _refused("too_simple")


def new_password() -> str:
    """18 random bytes, for a person to type once."""
    return secrets.token_urlsafe(18)


def _refused(reason: str) -> RequestInvalid:
    return RequestInvalid("choose another password", fields=["newPassword"], reason=reason)
