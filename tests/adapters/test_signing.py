"""W-1 and W-2: webhooks signed and checked as Standard Webhooks says."""

import base64
import json
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from adapters.signing import SignatureInvalid, sign, verify

# The example of the Standard Webhooks specification and the vectors of its reference libraries.
SECRET = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
ID, STAMP, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
AT = datetime.fromtimestamp(STAMP, UTC)


def headers(**changed: str) -> dict[str, str]:
    given = {"id": ID, "timestamp": str(STAMP), "signature": SIGNATURE, **changed}
    return {f"webhook-{name}": value for name, value in given.items()}


def refused(given: dict[str, str], body: bytes = BODY, now: datetime = AT, secret: bytes = SECRET) -> str:
    with pytest.raises(SignatureInvalid) as error:
        verify([secret], given, body, now)
    return error.value.code


def test_W1_the_public_vector_is_what_we_sign_and_what_we_accept() -> None:
    assert sign([SECRET], ID, AT, BODY.decode()) == headers()
    assert verify([SECRET], headers(), BODY, AT) == ID


def test_W1_the_public_package_accepts_ours_and_we_accept_its_over_2000_random_payloads() -> None:
    dice, now = Random(20261121), datetime.now(UTC)
    for n in range(2_000):
        secrets = [dice.randbytes(dice.randint(24, 64)) for _ in range(dice.randint(1, 3))]
        text = "".join(chr(dice.randint(1, 0xD7FF)) for _ in range(dice.randint(0, 60)))
        body = json.dumps({"n": n, "text": text}, ensure_ascii=bool(n % 2))
        ours = sign(secrets, f"evt_{n}", now, body)
        for secret in secrets:
            assert Webhook(secret).verify(body.encode(), ours) == json.loads(body)
        chosen = dice.choice(secrets)
        theirs = {**ours, "webhook-signature": Webhook(chosen).sign(f"evt_{n}", now, body)}
        assert verify(secrets, theirs, body.encode(), now) == f"evt_{n}"
        with pytest.raises(WebhookVerificationError):
            Webhook(dice.randbytes(32)).verify(body.encode(), ours)


def test_W1_bytes_that_are_no_utf_8_are_signed_as_they_are() -> None:
    import hmac
    from hashlib import sha256

    dice = Random(7)
    for _ in range(200):
        body = b"\xff\xfe" + dice.randbytes(30)
        signed = hmac.digest(SECRET, f"{ID}.{STAMP}.".encode() + body, sha256)
        given = headers(signature=f"v1,{base64.b64encode(signed).decode()}")
        assert verify([SECRET], given, body, AT) == ID
        assert refused(given, body[:-1]) == "signature_mismatch"


def test_W1_each_active_secret_signs_and_any_of_them_verifies() -> None:
    other = b"o" * 32
    ours = sign([other, SECRET], ID, AT, BODY.decode())
    assert ours["webhook-signature"].split(" ")[1] == SIGNATURE
    for secret in (SECRET, other):
        assert verify([secret], ours, BODY, AT) == ID
    assert verify([b"x" * 32, SECRET], ours, BODY, AT) == ID


@pytest.mark.parametrize("away", [timedelta(minutes=5, seconds=1), -timedelta(minutes=5, seconds=1)])
def test_W2_a_stamp_out_of_the_window_is_refused_and_on_its_edge_accepted(away: timedelta) -> None:
    assert refused(headers(), now=AT + away) == "stamp_out_of_window"
    edge = away - timedelta(seconds=1) if away > timedelta(0) else away + timedelta(seconds=1)
    assert verify([SECRET], headers(), BODY, AT + edge) == ID


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"id": "msg_other"}, "signature_mismatch"),
        ({"timestamp": str(STAMP + 1)}, "signature_mismatch"),
        ({"id": f"{ID}.1"}, "header_malformed"),
        ({"id": ""}, "header_malformed"),
        ({"id": "a b"}, "header_malformed"),
        ({"timestamp": ""}, "header_malformed"),
        ({"timestamp": f"{STAMP}.5"}, "header_malformed"),
        ({"timestamp": f" {STAMP}"}, "header_malformed"),
        ({"timestamp": "nan"}, "header_malformed"),
        ({"timestamp": f"+{STAMP}"}, "header_malformed"),
        ({"timestamp": "１６１４２６５３３０"}, "header_malformed"),
        ({"signature": ""}, "signature_mismatch"),
        ({"signature": "v1,"}, "signature_mismatch"),
        ({"signature": "v1"}, "signature_mismatch"),
        ({"signature": SIGNATURE[:-4]}, "signature_mismatch"),
        ({"signature": SIGNATURE.replace("v1,", "v2,")}, "signature_mismatch"),
        ({"signature": SIGNATURE.replace("v1,", "v1a,")}, "signature_mismatch"),
        ({"signature": SIGNATURE.replace("v1,", "")}, "signature_mismatch"),
        ({"signature": SIGNATURE.lower()}, "signature_mismatch"),
        ({"signature": "v1,é"}, "signature_mismatch"),
        ({"signature": " ".join(["v1,AAAA"] * 30 + [SIGNATURE])}, "signature_mismatch"),
    ],
)
def test_W2_whatever_is_altered_is_refused(changed: dict[str, str], code: str) -> None:
    assert refused(headers(**changed)) == code


def test_W2_another_body_secret_or_no_header_is_refused() -> None:
    assert refused(headers(), BODY + b" ") == "signature_mismatch"
    assert refused(headers(), b"") == "signature_mismatch"
    assert refused(headers(), secret=b"x" * 24) == "signature_mismatch"
    for missing in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        assert refused({n: v for n, v in headers().items() if n != missing}) == "header_missing"
    with pytest.raises(SignatureInvalid):
        verify([], headers(), BODY, AT)


def test_W2_header_names_are_read_in_any_case() -> None:
    assert verify([SECRET], {n.title(): v for n, v in headers().items()}, BODY, AT) == ID
