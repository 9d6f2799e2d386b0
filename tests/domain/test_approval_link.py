"""A link proves that we made it, and nothing about it can be changed or told apart from the outside."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.approval_link import ApprovalLink, LinkInvalid, read_token, write_token
from domain.values import HandoffId, OrganisationId

KEY = b"k" * 40
LINK = ApprovalLink(
    organisation=OrganisationId("demo"),
    handoff_id=HandoffId("hnd_1"),
    digest="d" * 64,
    approver="Zoë, head of desk",
    expires_at=datetime(2026, 11, 20, tzinfo=UTC),
    nonce="lnk_1",
)
TOKEN = write_token(LINK, KEY)


def refused(token: str, key: bytes = KEY) -> str:
    with pytest.raises(LinkInvalid) as error:
        read_token(token, key)
    return f"{error.value} {error.value.details}"


def test_what_was_written_is_read() -> None:
    assert read_token(TOKEN, KEY) == LINK


@given(st.text(max_size=200), st.integers(0, 2**32))
def test_whatever_the_name_and_the_time(name: str, at: int) -> None:
    link = LINK.model_copy(update={"approver": name, "expires_at": datetime.fromtimestamp(at, UTC)})
    assert read_token(write_token(link, KEY), KEY) == link


@given(st.data())
def test_one_changed_character_makes_it_worthless_and_every_refusal_is_the_same(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(TOKEN) - 1))
    other = data.draw(st.sampled_from("ABCDEFabcdef0123456789-_.").filter(lambda c: c != TOKEN[place]))
    assert refused(TOKEN[:place] + other + TOKEN[place + 1 :]) == refused("x.y")


@given(st.text(max_size=100))
def test_any_text_is_refused_and_never_more_than_that(text: str) -> None:
    assert refused(text) == refused("x.y")


def test_another_key_or_another_purpose_of_the_same_key_is_refused() -> None:
    refused(TOKEN, b"l" * 40)
    import hashlib
    import hmac

    payload = TOKEN.partition(".")[0]
    unlabelled = hmac.new(KEY, payload.encode(), hashlib.sha256).digest()
    refused(f"{payload}.{base64.urlsafe_b64encode(unlabelled).decode().rstrip('=')}")


def test_a_signed_payload_that_is_no_link_is_refused() -> None:
    from domain.approval_link import _encode, _signature

    for content in (b"[]", b"{}", b"[1,2,3,4,5,6]", b'["a","b","c","d",1e400,"f"]', b"\xff", b"[" * 5000):
        payload = _encode(content)
        refused(f"{payload}.{_encode(_signature(payload, KEY))}")
